//! The canonical form of a request, part by part.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{QUERY_PARAMETERS, S3, SignedRequest};
use crate::AuthError;

/// Percent-encodes every byte but the unreserved ones, and `/` if it is to be kept.
pub(crate) fn encode(bytes: &[u8], keep_slash: bool, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if unreserved || (keep_slash && byte == b'/') {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(char::from(DIGITS[usize::from(byte >> 4)]));
            into.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// True when every `%` is followed by two hexadecimal digits.
fn well_encoded(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'%')
        .all(|(at, _)| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

fn decode(text: &str) -> Result<Cow<'_, [u8]>, AuthError> {
    if !well_encoded(text) {
        return Err(AuthError::incomplete("the path or query has a % that two hexadecimal digits do not follow"));
    }
    Ok(percent_decode_str(text).into())
}

/// The path of the canonical request. S3 encodes the decoded path once; all others encode the path as it was sent once
/// more, after normalisation, which here means that it must be normal already.
pub(super) fn path(service: &str, raw: &str) -> Result<String, AuthError> {
    let raw = if raw.is_empty() { "/" } else { raw };
    if !raw.starts_with('/') {
        return Err(AuthError::incomplete("the path of a signed request must start with a slash"));
    }
    let mut text = String::with_capacity(raw.len() + 16);
    if service == S3 {
        encode(&decode(raw)?, true, &mut text);
        return Ok(text);
    }
    let odd = raw.split('/').any(|part| part == "." || part == "..") || raw.contains("//");
    if odd {
        return Err(AuthError::incomplete(
            "the path of a signed request must be in normal form: without empty, \".\" and \"..\" segments",
        ));
    }
    encode(raw.as_bytes(), true, &mut text);
    Ok(text)
}

/// The query of the canonical request: decoded, encoded again, sorted; without the signature itself. `+` is a space, as
/// it is to whoever reads the parameters.
pub(super) fn query(request: &SignedRequest<'_>) -> Result<String, AuthError> {
    let mut pairs = Vec::new();
    for (name, value) in request.parameters() {
        if pairs.len() == QUERY_PARAMETERS {
            return Err(AuthError::incomplete(format!("a signed request takes at most {QUERY_PARAMETERS} parameters")));
        }
        let pair = (recode(name)?, recode(value)?);
        if pair.0 != "X-Amz-Signature" {
            pairs.push(pair);
        }
    }
    Ok(join_sorted(pairs))
}

/// Sorts encoded pairs and writes them as a query.
pub(super) fn join_sorted(mut pairs: Vec<(String, String)>) -> String {
    pairs.sort();
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(&name);
        text.push('=');
        text.push_str(&value);
    }
    text
}

fn recode(raw: &str) -> Result<String, AuthError> {
    let spaced = raw.replace('+', "%20");
    let mut text = String::with_capacity(spaced.len());
    encode(&decode(&spaced)?, false, &mut text);
    Ok(text)
}

/// One header line of the canonical request: values trimmed, inner runs of blanks made one space, lines of one name
/// joined by commas. None when the header is absent or not text.
pub(super) fn header_line(request: &SignedRequest<'_>, name: &str) -> Option<String> {
    let mut line = format!("{name}:");
    let mut found = false;
    for value in request.values(name) {
        if found {
            line.push(',');
        }
        found = true;
        collapse(std::str::from_utf8(value).ok()?, &mut line);
    }
    line.push('\n');
    found.then_some(line)
}

fn collapse(value: &str, into: &mut String) {
    for (n, word) in value.split([' ', '\t']).filter(|word| !word.is_empty()).enumerate() {
        if n > 0 {
            into.push(' ');
        }
        into.push_str(word);
    }
}

/// The whole canonical request. `signed` is sorted and in lower case; every header in it must be there.
pub(super) fn request(
    request: &SignedRequest<'_>,
    service: &str,
    signed: &[String],
    payload_hash: &str,
) -> Result<String, AuthError> {
    let mut text = String::with_capacity(512);
    text.push_str(request.method);
    text.push('\n');
    text.push_str(&path(service, request.path)?);
    text.push('\n');
    text.push_str(&query(request)?);
    text.push('\n');
    for name in signed {
        let line = header_line(request, name);
        let missing = || AuthError::incomplete(format!("the signed header {name:?} is not in the request as text"));
        text.push_str(&line.ok_or_else(missing)?);
    }
    text.push('\n');
    text.push_str(&signed.join(";"));
    text.push('\n');
    text.push_str(payload_hash);
    Ok(text)
}

/// What the signing key signs.
pub(super) fn string_to_sign(time: &str, scope: &str, canonical_request: &str) -> String {
    let hash = super::hex_sha256(canonical_request.as_bytes());
    format!("{}\n{time}\n{scope}\n{hash}", super::ALGORITHM)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_encoded_once_for_s3_and_twice_for_others() {
        assert_eq!(path("s3", "/a%20b/c(d)").expect("a path"), "/a%20b/c%28d%29");
        assert_eq!(path("lambda", "/a%20b").expect("a path"), "/a%2520b");
        assert_eq!(path("lambda", "").expect("a path"), "/");
    }

    #[test]
    fn a_path_that_a_router_could_read_otherwise_is_refused() {
        for raw in ["/a/../b", "/a//b", "/./a", "/a/..", "a", "//"] {
            assert!(path("lambda", raw).is_err(), "{raw:?} was signed");
        }
        assert!(path("s3", "/a%2").is_err());
        assert!(path("s3", "/a//../b").is_ok(), "keys of objects may hold every segment");
    }

    /// What one reader decodes once and the other twice has another signature.
    #[test]
    fn paths_that_decode_to_the_same_are_signed_apart() {
        let paths = ["/a%20b", "/a%2520b", "/a+b", "/a%252520b", "/a%2Bb", "/a%2fb", "/a%2Fb", "/a/b", "/%2e%2e/b"];
        for service in ["lambda", "iam"] {
            let signed: std::collections::BTreeSet<_> =
                paths.iter().map(|raw| path(service, raw).expect("a path")).collect();
            assert_eq!(signed.len(), paths.len(), "{signed:?}");
        }
        assert_ne!(path("s3", "/a%20b").expect("a path"), path("s3", "/a%2520b").expect("a path"));
    }

    /// An empty value is signed as one, and a header that is not there is not signed at all.
    #[test]
    fn empty_is_not_absent() {
        let headers: &[(&str, &[u8])] = &[("host", b"h"), ("x-empty", b""), ("x-blank", b" \t ")];
        let signed = SignedRequest { method: "GET", path: "/", query: "a", headers };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let text = request(&signed, "lambda", &names(&["host", "x-blank", "x-empty"]), "hash").expect("signed");
        assert_eq!(text, "GET\n/\na=\nhost:h\nx-blank:\nx-empty:\n\nhost;x-blank;x-empty\nhash");
        assert!(request(&signed, "lambda", &names(&["host", "x-absent"]), "hash").is_err());
    }

    #[test]
    fn a_query_is_sorted_after_encoding_and_its_signature_left_out() {
        let request =
            SignedRequest { method: "GET", path: "/", query: "b=2&a=%7e&X-Amz-Signature=00&a=1+1&c", headers: &[] };
        assert_eq!(query(&request).expect("a query"), "a=1%201&a=~&b=2&c=");
    }

    #[test]
    fn header_values_are_trimmed_collapsed_and_joined() {
        let headers: &[(&str, &[u8])] = &[("X-A", b"  a   b \t c "), ("x-a", b"d"), ("x-b", b"\xff")];
        let request = SignedRequest { method: "GET", path: "/", query: "", headers };
        assert_eq!(header_line(&request, "x-a").as_deref(), Some("x-a:a b c,d\n"));
        assert_eq!(header_line(&request, "x-b"), None);
        assert_eq!(header_line(&request, "x-c"), None);
    }

    proptest! {
        #[test]
        fn encoding_reads_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut text = String::new();
            encode(&bytes, false, &mut text);
            prop_assert_eq!(&*decode(&text).expect("what we encoded"), &bytes[..]);
        }
    }
}
