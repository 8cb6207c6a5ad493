//! `application/x-www-form-urlencoded`, in bodies and in query strings.

use percent_encoding::percent_decode_str;

/// Most parameters in one request. The largest inputs of the query services have some hundreds.
pub(super) const PARAMETERS: usize = 4_096;

/// A form that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// More than [`PARAMETERS`].
    #[error("the request has more than {PARAMETERS} parameters")]
    TooMany,
    /// A name or value does not decode to UTF-8.
    #[error("the parameter {0:?} does not decode to UTF-8")]
    NotText(String),
}

/// Names and values in their order, decoded: `+` and `%20` are a space, a name without `=` has the empty value.
pub fn parse_pairs(text: &str) -> Result<Vec<(String, String)>, FormError> {
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == PARAMETERS {
            return Err(FormError::TooMany);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Result<String, FormError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| FormError::NotText(text.chars().take(64).collect()))
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn encode(pairs: &[(String, String)]) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(pairs in proptest::collection::vec((".{1,12}", ".{0,24}"), 0..12)) {
            prop_assert_eq!(parse_pairs(&encode(&pairs)).expect("a valid form"), pairs);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = parse_pairs(&text);
        }
    }

    #[test]
    fn odd_forms_are_read_or_refused() {
        let read = parse_pairs("a=1&&b&=c&d=%2").expect("a valid form");
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, [("a", "1"), ("b", ""), ("", "c"), ("d", "%2")]);
        assert_eq!(parse_pairs("a=%ff"), Err(FormError::NotText("%ff".to_owned())));
        assert_eq!(parse_pairs(&"a=1&".repeat(PARAMETERS + 1)), Err(FormError::TooMany));
    }
}
