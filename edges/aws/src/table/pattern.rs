use std::sync::OnceLock;

/// A pattern of the model, compiled when it is first used. Written for Java's `matches`: the whole text has to match.
#[derive(Debug)]
pub struct Pattern {
    text: String,
    compiled: OnceLock<Result<fancy_regex::Regex, String>>,
}

/// Steps of backtracking that one match may take. Only patterns with look-around backtrack at all, over texts whose
/// length the model limits.
const BACKTRACK_STEPS: usize = 100_000;

impl Pattern {
    pub(super) fn new(text: String) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// The pattern as the model has it, for messages.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether all of `value` matches. A match that runs out of its steps, or a pattern that cannot be compiled, is none.
    pub fn matches(&self, value: &str) -> bool {
        match self.compiled() {
            Ok(regex) => regex.is_match(value).unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Compiles the pattern, to find out whether it can be.
    pub fn check(&self) -> Result<(), String> {
        self.compiled().as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn compiled(&self) -> &Result<fancy_regex::Regex, String> {
        self.compiled.get_or_init(|| {
            fancy_regex::RegexBuilder::new(&format!(r"\A(?:{})\z", self.text))
                .backtrack_limit(BACKTRACK_STEPS)
                .build()
                .map_err(|error| error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_has_to_match() {
        let alias = Pattern::new("((?!^\\d+$)^[0-9a-zA-Z-_]+$)".to_owned());
        assert!(alias.matches("live-1"));
        assert!(!alias.matches("12"));
        assert!(!alias.matches("live 1"));
        let digits = Pattern::new("\\d{12}|\\*".to_owned());
        assert!(digits.matches("*") && digits.matches("000000000000"));
        assert!(!digits.matches("0000000000001") && !digits.matches("**"));
    }
}
