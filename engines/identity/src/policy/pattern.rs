//! Texts of a policy with wildcards (`*` any run, `?` one character) and variables (`${aws:username}`).
//!
//! What a variable stands for is taken literally: a `*` in a tag's value is an asterisk and no wildcard.

use std::borrow::Cow;

use super::Context;

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(String),
    Any,
    One,
    Variable { key: String, default: Option<String> },
}

/// A text of a policy, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
}

/// A pattern whose variables are known.
enum Piece<'a> {
    Literal(&'a str),
    Any,
    One,
}

impl Pattern {
    /// Reads a text in which `wildcards` and `variables` mean something or do not.
    pub(super) fn parse(text: &str, wildcards: bool, variables: bool) -> Self {
        let mut tokens = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            let (token, next) = match c {
                '*' if wildcards => (Some(Token::Any), after),
                '?' if wildcards => (Some(Token::One), after),
                '$' if variables => match variable(rest) {
                    Some((Token::Literal(text), next)) => {
                        literal.push_str(&text);
                        (None, next)
                    }
                    Some((token, next)) => (Some(token), next),
                    None => {
                        literal.push(c);
                        (None, after)
                    }
                },
                _ => {
                    literal.push(c);
                    (None, after)
                }
            };
            rest = next;
            let Some(token) = token else { continue };
            if !literal.is_empty() {
                tokens.push(Token::Literal(std::mem::take(&mut literal)));
            }
            if !(token == Token::Any && tokens.last() == Some(&Token::Any)) {
                tokens.push(token);
            }
        }
        if !literal.is_empty() {
            tokens.push(Token::Literal(literal));
        }
        Self { tokens }
    }

    /// Whether the whole text matches. A variable that has no value matches nothing.
    pub(super) fn matches(&self, text: &str, context: &Context) -> bool {
        match self.tokens.as_slice() {
            [] => text.is_empty(),
            [Token::Any] => true,
            [Token::Literal(literal)] => literal == text,
            _ => self.pieces(context).is_some_and(|pieces| glob(&pieces, text)),
        }
    }

    /// The text with its variables replaced, for operators that compare texts; none when one has no value.
    pub(super) fn expand(&self, context: &Context) -> Option<Cow<'_, str>> {
        if let [Token::Literal(literal)] = self.tokens.as_slice() {
            return Some(Cow::Borrowed(literal));
        }
        let pieces = self.pieces(context)?;
        let text = pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => text,
            Piece::Any => "*",
            Piece::One => "?",
        });
        Some(Cow::Owned(text.collect()))
    }

    fn pieces<'a>(&'a self, context: &'a Context) -> Option<Vec<Piece<'a>>> {
        let piece = |token: &'a Token| {
            Some(match token {
                Token::Literal(text) => Piece::Literal(text),
                Token::Any => Piece::Any,
                Token::One => Piece::One,
                Token::Variable { key, default } => Piece::Literal(context.single(key).or(default.as_deref())?),
            })
        };
        self.tokens.iter().map(piece).collect()
    }
}

/// Reads `${key}`, `${key, 'default'}`, or one of `${*}`, `${?}`, `${$}`, which stand for the character itself.
fn variable(text: &str) -> Option<(Token, &str)> {
    let inner = text.strip_prefix("${")?;
    let end = inner.find('}')?;
    let (name, rest) = (&inner[..end], &inner[end + 1..]);
    if matches!(name, "*" | "?" | "$") {
        return Some((Token::Literal(name.to_owned()), rest));
    }
    let (key, default) = match name.split_once(',') {
        Some((key, default)) => {
            let default = default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''))?;
            (key, Some(default.to_owned()))
        }
        None => (name, None),
    };
    let key = key.trim().to_ascii_lowercase();
    key.contains(':').then_some((Token::Variable { key, default }, rest))
}

/// Matches the whole text; goes back to the last `*` only, so the work is bounded by the product of the lengths.
fn glob(pieces: &[Piece<'_>], text: &str) -> bool {
    let (mut piece, mut at) = (0, 0);
    // The piece after the last `*`, and where in the text it was tried.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let matched = match pieces.get(piece) {
            None => at == text.len(),
            Some(Piece::Any) => {
                retry = Some((piece + 1, at));
                piece += 1;
                continue;
            }
            Some(Piece::One) => match text[at..].chars().next() {
                Some(c) => {
                    at += c.len_utf8();
                    piece += 1;
                    continue;
                }
                None => false,
            },
            Some(Piece::Literal(literal)) => {
                if text[at..].starts_with(literal) {
                    at += literal.len();
                    piece += 1;
                    continue;
                }
                false
            }
        };
        if matched {
            return true;
        }
        let Some((after, from)) = retry else { return false };
        let Some(c) = text[from..].chars().next() else { return false };
        retry = Some((after, from + c.len_utf8()));
        (piece, at) = (after, from + c.len_utf8());
    }
}

/// A pattern for ARNs: with all six parts each is compared alone, so that a `*` for the region is not one for the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ArnPattern {
    /// Partition, service, region, account, resource.
    Parts(Box<[Pattern; 5]>),
    /// `*`, or a pattern that ends before its sixth part.
    Whole(Pattern),
}

impl ArnPattern {
    pub(super) fn parse(text: &str, variables: bool) -> Self {
        let parts: Vec<&str> = split_arn(text);
        match parts.as_slice() {
            ["arn", rest @ ..] if rest.len() == 5 => {
                let part = |n: usize| Pattern::parse(rest[n], true, variables);
                Self::Parts(Box::new([part(0), part(1), part(2), part(3), part(4)]))
            }
            _ => Self::Whole(Pattern::parse(text, true, variables)),
        }
    }

    pub(super) fn matches(&self, arn: &str, context: &Context) -> bool {
        match self {
            Self::Whole(pattern) => pattern.matches(arn, context),
            Self::Parts(patterns) => {
                let mut parts = arn.splitn(6, ':');
                parts.next() == Some("arn")
                    && patterns.iter().all(|pattern| parts.next().is_some_and(|part| pattern.matches(part, context)))
            }
        }
    }
}

/// Splits at the first five colons that do not stand in a variable.
fn split_arn(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut in_variable) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' if text[..at].ends_with('$') => in_variable = true,
            '}' => in_variable = false,
            ':' if !in_variable && parts.len() < 5 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_as_a_naive_matcher_does(pattern in "[ab*?é]{0,8}", text in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = naive(&chars(&pattern), &chars(&text));
            prop_assert_eq!(Pattern::parse(&pattern, true, true).matches(&text, &Context::new()), expected);
        }

        #[test]
        fn every_text_parses_and_ends(pattern in "\\PC{0,40}", text in "\\PC{0,40}") {
            let _ = Pattern::parse(&pattern, true, true).matches(&text, &Context::new());
            let _ = ArnPattern::parse(&pattern, true).matches(&text, &Context::new());
        }

        #[test]
        fn a_value_is_literal_in_a_pattern(value in "[a*?$]{1,6}", text in "[a*?$]{1,6}") {
            let mut context = Context::new();
            context.set("aws:username", value.clone());
            let pattern = Pattern::parse("${aws:UserName}", true, true);
            prop_assert_eq!(pattern.matches(&text, &context), value == text);
        }
    }

    #[test]
    fn variables_are_replaced_or_match_nothing() {
        let mut context = Context::new();
        context.set("aws:username", "ann").set("aws:PrincipalTag/team", "a*");
        let matches = |pattern: &str, text: &str| Pattern::parse(pattern, true, true).matches(text, &context);
        assert!(matches("home/${aws:username}/*", "home/ann/x"));
        assert!(!matches("home/${aws:username}/*", "home/bob/x"));
        assert!(!matches("${aws:nothing}*", "x"));
        assert!(matches("${aws:nothing, 'x'}*", "xy"));
        assert!(matches("a${*}b", "a*b") && !matches("a${*}b", "axb"));
        assert!(matches("${aws:principaltag/team}", "a*") && !matches("${aws:principaltag/team}", "ab"));
        assert!(matches("${unclosed", "${unclosed"));
        assert!(Pattern::parse("${aws:username}", true, false).matches("${aws:username}", &context));
    }

    #[test]
    fn parts_of_an_arn_are_compared_alone() {
        let context = Context::new();
        let matches = |pattern: &str, arn: &str| ArnPattern::parse(pattern, true).matches(arn, &context);
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        assert!(matches("arn:aws:lambda:*:000000000000:function:*", arn));
        assert!(!matches("arn:aws:lambda:*:*:f", arn), "a star in the account is not for the resource");
        assert!(matches("arn:aws:lambda:*", arn) && matches("*", arn) && matches("*", "*"));
        assert!(!matches("arn:aws:lambda:*:*:*", "*"));
        let mut context = Context::new();
        context.set("aws:username", "ann");
        let own = ArnPattern::parse("arn:aws:iam::000000000000:user/${aws:username}", true);
        assert!(own.matches("arn:aws:iam::000000000000:user/ann", &context));
        assert!(!own.matches("arn:aws:iam::000000000000:user/bob", &context));
    }
}
