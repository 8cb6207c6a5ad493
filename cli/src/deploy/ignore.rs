//! What of a directory is not code: a few names by default, and the patterns of `.dormouseignore`.

use std::path::Path;

/// The file with the patterns.
pub(crate) const IGNORE_FILE: &str = ".dormouseignore";

/// Never code: version control, caches, what deployment itself reads or makes.
const ALWAYS: [&str; 8] =
    [".git", ".hg", ".svn", ".DS_Store", "__pycache__", "*.pyc", "node_modules/.bin", "node_modules/.cache"];

/// A pattern of names, `*` and `?` within one part of a path.
#[derive(Debug)]
struct Pattern {
    /// Parts, the last one first.
    parts: Vec<String>,
    /// Matches from the root on, not anywhere.
    anchored: bool,
}

/// All patterns of one directory.
#[derive(Debug)]
pub(crate) struct Ignore(Vec<Pattern>);

impl Ignore {
    /// The defaults, and what the directory's own file says: one pattern on a line, `#` for comments.
    pub(crate) fn of(dir: &Path) -> std::io::Result<Self> {
        let own = match std::fs::read_to_string(dir.join(IGNORE_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Self::parse(&own))
    }

    fn parse(own: &str) -> Self {
        let own = own.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(ALWAYS.into_iter().chain([IGNORE_FILE]).chain(own).map(Pattern::parse).collect())
    }

    /// Whether the path, relative to the directory and with `/` between its parts, is left out.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(path))
    }
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let anchored = text.starts_with('/');
        let parts = text.trim_matches('/').rsplit('/').map(str::to_owned).collect();
        Self { parts, anchored }
    }

    fn matches(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.rsplit('/').collect();
        let fits = parts.len() >= self.parts.len() && (!self.anchored || parts.len() == self.parts.len());
        fits && self.parts.iter().zip(parts).all(|(pattern, part)| glob(pattern.as_bytes(), part.as_bytes()))
    }
}

/// `*` is any run, `?` any one byte. Goes back to the last `*` only, so it takes no more than the product of the lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(sign) if *sign == b'?' || *sign == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, at)) => {
                    retry = Some((after, at + 1));
                    (p, t) = (after, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|sign| *sign == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_anywhere_and_paths_from_their_end() {
        let ignore = Ignore::parse("# tests\n*.test.js\n/docs\nbuild/tmp\n");
        for path in [
            ".git",
            "a/.git",
            "x.pyc",
            "a/b/__pycache__",
            "node_modules/.bin",
            "a/x.test.js",
            "docs",
            "a/build/tmp",
            ".dormouseignore",
        ] {
            assert!(ignore.matches(path), "{path} was kept");
        }
        for path in ["a/docs", "git", "x.py", "node_modules", "bin", "tmp", "test.js"] {
            assert!(!ignore.matches(path), "{path} was left out");
        }
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("a?c", "abc", true),
            ("*a*b*", "xaybz", true),
            ("?", "", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
    }
}
