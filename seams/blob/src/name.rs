use std::fmt;

/// Most bytes in a name.
pub const NAME_BYTES: usize = 768;
/// Most bytes in one segment of a name.
pub const SEGMENT_BYTES: usize = 200;

/// The name of a blob: segments of `A-Z a-z 0-9 . _ = -` divided by `/`. No segment is empty or begins with a dot, so no
/// name leads out of the storage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName(String);

/// A text that does not name a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a blob: segments of 1 to 200 letters, digits, `.`, `_`, `=` and `-`, not beginning with `.`, \
     divided by `/`, are allowed, 768 characters in all"
)]
pub struct NameProblem(pub String);

impl BlobName {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameProblem> {
        let name = name.into();
        match name.len() <= NAME_BYTES && name.split('/').all(is_segment) {
            true => Ok(Self(name)),
            false => Err(NameProblem(name)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._=-".contains(&byte);
    !segment.is_empty() && segment.len() <= SEGMENT_BYTES && !segment.starts_with('.') && segment.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_name() {
        for good in ["a", "code/sha256-ab_=.zip", "a/b/c", "A.b", &"x".repeat(SEGMENT_BYTES)] {
            assert!(BlobName::new(good).is_ok(), "{good}");
        }
        let long = "x".repeat(SEGMENT_BYTES + 1);
        let deep = ["a"; 400].join("/");
        for bad in
            ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", ".a", "a/.tmp", "a b", "a\0", "é", "a~", &long, &deep]
        {
            assert!(BlobName::new(bad).is_err(), "{bad}");
        }
    }
}
