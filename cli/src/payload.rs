use std::io::Read as _;

use crate::failure::Failure;

/// Where the payload of an invocation comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Given on the command line, and JSON.
    Inline(String),
    /// `@FILE`.
    File(String),
    /// `-`.
    Stdin,
}

impl Payload {
    /// Reads `JSON`, `@FILE` or `-`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        if let Some(path) = text.strip_prefix('@') {
            return Ok(Self::File(path.to_owned()));
        }
        match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Ok(Self::Inline(text.to_owned())),
            Err(error) => Err(Failure::usage(format!(
                "the payload is not JSON ({error}); quote it for the shell, or read it from a file with @FILE"
            ))),
        }
    }

    /// The bytes to send. What a file or stdin holds is judged by the service.
    pub(crate) fn read(self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Inline(text) => Ok(text.into_bytes()),
            Self::File(path) => std::fs::read(&path)
                .map_err(|error| Failure::usage(format!("the payload file {path} cannot be read: {error}"))),
            Self::Stdin => {
                let mut content = Vec::new();
                match std::io::stdin().lock().read_to_end(&mut content) {
                    Ok(_) => Ok(content),
                    Err(error) => Err(Failure::failed(format!("standard input cannot be read: {error}"))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_a_file_or_stdin() {
        assert_eq!(Payload::parse("-").expect("stdin"), Payload::Stdin);
        assert_eq!(Payload::parse("@e.json").expect("a file"), Payload::File("e.json".to_owned()));
        for text in ["{}", "[1]", "\"a\"", "null", " {\"a\": 1} "] {
            assert_eq!(Payload::parse(text).expect("JSON"), Payload::Inline(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_json_is_refused_before_anything_is_sent() {
        for text in ["", "{a:1}", "hello", "{} {}"] {
            let message = Payload::parse(text).expect_err("a refusal").message;
            assert!(message.contains("@FILE"), "{message}");
        }
    }
}
