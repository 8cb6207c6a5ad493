//! What a request claims of its own authentication, taken apart and bounded; nothing is verified here but the form.

use std::borrow::Cow;
use std::time::Duration;

use dormouse_model::Timestamp;
use percent_encoding::percent_decode_str;

use super::{
    ALGORITHM, AUTHORIZATION_BYTES, CredentialScope, PRESIGNED_SECS, SESSION_TOKEN_BYTES, SIGNED_HEADERS,
    SignedRequest, TARGET_BYTES,
};
use crate::AuthError;

/// Where the signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the `Authorization` header.
    Header,
    /// In the query of a presigned URL, good for so long.
    Query(Duration),
}

/// The parts of a SigV4 authentication.
#[derive(Debug)]
pub(crate) struct Presented {
    pub(crate) place: Place,
    pub(crate) scope: CredentialScope,
    /// Lower case, sorted, without doubles; holds `host`.
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: [u8; 32],
    /// As it stands in the string to sign: `YYYYMMDDTHHMMSSZ`.
    pub(crate) time_text: String,
    pub(crate) time: Timestamp,
    pub(crate) session_token: Option<String>,
}

/// The parameters that make a presigned request.
const QUERY_NAMES: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

impl Presented {
    /// Reads the authentication of a request.
    pub(crate) fn read(request: &SignedRequest<'_>) -> Result<Self, AuthError> {
        if request.path.len() > TARGET_BYTES || request.query.len() > TARGET_BYTES {
            return Err(AuthError::incomplete(format!("path and query take at most {TARGET_BYTES} bytes each")));
        }
        let header = only(request, "authorization")?;
        let in_query =
            request.parameters().any(|(name, _)| is_query_name(name, &["X-Amz-Signature", "X-Amz-Algorithm"]));
        let presented = match (header, in_query) {
            (Some(_), true) => {
                return Err(AuthError::incomplete("a request is signed in its headers or in its query, not in both"));
            }
            (Some(header), false) => Self::from_header(request, header)?,
            (None, true) => Self::from_query(request)?,
            (None, false) => return Err(AuthError::MissingToken),
        };
        presented.check_coverage(request)?;
        Ok(presented)
    }

    fn from_header(request: &SignedRequest<'_>, header: &str) -> Result<Self, AuthError> {
        if header.len() > AUTHORIZATION_BYTES {
            return Err(AuthError::incomplete(format!("Authorization takes at most {AUTHORIZATION_BYTES} bytes")));
        }
        let parts = AuthorizationParts::read(header)?;
        let (time_text, time) = match only(request, "x-amz-date")? {
            Some(text) => iso_time(text)?,
            None => http_time(only(request, "date")?.ok_or_else(|| {
                AuthError::incomplete(
                    "Authorization header requires existence of either 'X-Amz-Date' or a 'Date' header.",
                )
            })?)?,
        };
        let session_token = only(request, "x-amz-security-token")?.map(bounded_token).transpose()?;
        let presented = Self {
            place: Place::Header,
            scope: read_scope(parts.credential)?,
            signed_headers: read_signed_headers(parts.signed_headers)?,
            signature: read_signature(parts.signature)?,
            time_text,
            time,
            session_token,
        };
        let dated_by = if request.values("x-amz-date").next().is_some() { "x-amz-date" } else { "date" };
        presented.must_sign(dated_by)?;
        Ok(presented)
    }

    fn from_query(request: &SignedRequest<'_>) -> Result<Self, AuthError> {
        let [algorithm, credential, date, expires, signed_headers, signature, token] = read_query(request)?;
        let need = |value: Option<String>, name: &str| {
            value.ok_or_else(|| AuthError::incomplete(format!("AWS query-string parameters must include '{name}'.")))
        };
        if need(algorithm, QUERY_NAMES[0])? != ALGORITHM {
            return Err(AuthError::incomplete(format!("X-Amz-Algorithm takes {ALGORITHM} only")));
        }
        let expires = need(expires, QUERY_NAMES[3])?;
        let expires = expires.parse::<u64>().ok().filter(|secs| (1..=PRESIGNED_SECS).contains(secs));
        let expires = expires.ok_or_else(|| {
            AuthError::incomplete(format!("X-Amz-Expires takes whole seconds from 1 to {PRESIGNED_SECS}"))
        })?;
        let (time_text, time) = iso_time(&need(date, QUERY_NAMES[2])?)?;
        Ok(Self {
            place: Place::Query(Duration::from_secs(expires)),
            scope: read_scope(&need(credential, QUERY_NAMES[1])?)?,
            signed_headers: read_signed_headers(&need(signed_headers, QUERY_NAMES[4])?)?,
            signature: read_signature(&need(signature, QUERY_NAMES[5])?)?,
            time_text,
            time,
            session_token: token.as_deref().map(bounded_token).transpose()?,
        })
    }

    fn must_sign(&self, name: &str) -> Result<(), AuthError> {
        if self.signed_headers.iter().any(|signed| signed == name) {
            return Ok(());
        }
        Err(AuthError::NotSigned(name.to_owned()))
    }

    /// `host` and every `x-amz-*` header must be signed, and what steers authentication may be said once only.
    fn check_coverage(&self, request: &SignedRequest<'_>) -> Result<(), AuthError> {
        self.must_sign("host")?;
        for name in ["host", "x-amz-content-sha256", "x-amz-target", "x-amz-decoded-content-length"] {
            only(request, name)?;
        }
        for (name, _) in request.headers {
            let name = name.to_ascii_lowercase();
            if name.starts_with("x-amz-") {
                self.must_sign(&name)?;
            }
        }
        if !self.time_text.starts_with(&self.scope.date) {
            return Err(AuthError::Mismatch(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from '{}'.",
                self.scope.date,
                &self.time_text[..8],
                self.time_text
            )));
        }
        Ok(())
    }
}

/// The scope that a request names, wherever it names it.
pub(super) fn claimed_scope(request: &SignedRequest<'_>) -> Option<CredentialScope> {
    if let Some(header) = request.values("authorization").next() {
        let header = std::str::from_utf8(header).ok().filter(|text| text.len() <= AUTHORIZATION_BYTES)?;
        return CredentialScope::parse(AuthorizationParts::read(header).ok()?.credential);
    }
    if request.query.len() > TARGET_BYTES {
        return None;
    }
    let (_, value) = request.parameters().find(|(name, _)| is_query_name(name, &["X-Amz-Credential"]))?;
    CredentialScope::parse(&percent_decode_str(value).decode_utf8().ok()?)
}

/// The three fields of `Authorization: AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`.
struct AuthorizationParts<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> AuthorizationParts<'a> {
    fn read(header: &'a str) -> Result<Self, AuthError> {
        let rest = header.trim().strip_prefix(ALGORITHM).filter(|rest| rest.starts_with(' '));
        let rest = rest.ok_or_else(|| {
            AuthError::incomplete(format!(
                "the Authorization header must start with {ALGORITHM}, the one that is taken"
            ))
        })?;
        let mut fields = [None; 3];
        for field in rest.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or_else(|| {
                AuthError::incomplete("the Authorization header takes NAME=VALUE fields separated by commas")
            })?;
            let slot = ["Credential", "SignedHeaders", "Signature"].iter().position(|known| *known == name);
            let slot =
                slot.ok_or_else(|| AuthError::incomplete(format!("the Authorization header has no field {name:?}")))?;
            if fields[slot].replace(value).is_some() {
                return Err(AuthError::incomplete(format!("the Authorization header says {name} twice")));
            }
        }
        let need = |field: Option<&'a str>, name: &str| {
            field.ok_or_else(|| AuthError::incomplete(format!("Authorization header requires '{name}' parameter.")))
        };
        let [credential, signed_headers, signature] = fields;
        Ok(Self {
            credential: need(credential, "Credential")?,
            signed_headers: need(signed_headers, "SignedHeaders")?,
            signature: need(signature, "Signature")?,
        })
    }
}

/// The one value of a header as text; an error when it is there twice or is not text.
pub(super) fn only<'a>(request: &SignedRequest<'a>, name: &str) -> Result<Option<&'a str>, AuthError> {
    let mut values = request.values(name);
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(AuthError::incomplete(format!("the header {name} may be sent once only")));
    }
    let text =
        std::str::from_utf8(first).map_err(|_| AuthError::incomplete(format!("the header {name} is not text")))?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

/// Whether an encoded parameter name stands for one of these, however it is encoded.
fn is_query_name(name: &str, known: &[&str]) -> bool {
    let decoded: Cow<'_, [u8]> = percent_decode_str(name).into();
    known.iter().any(|known| known.as_bytes() == &*decoded)
}

fn read_query(request: &SignedRequest<'_>) -> Result<[Option<String>; 7], AuthError> {
    let mut values: [Option<String>; 7] = Default::default();
    for (name, value) in request.parameters() {
        let Some(slot) = QUERY_NAMES.iter().position(|known| is_query_name(name, &[known])) else { continue };
        let text = percent_decode_str(value).decode_utf8();
        let text = text.map_err(|_| AuthError::incomplete(format!("{} is not text", QUERY_NAMES[slot])))?;
        if values[slot].replace(text.into_owned()).is_some() {
            return Err(AuthError::incomplete(format!("the parameter {} may be given once only", QUERY_NAMES[slot])));
        }
    }
    Ok(values)
}

fn bounded_token(text: &str) -> Result<String, AuthError> {
    if text.is_empty() || text.len() > SESSION_TOKEN_BYTES {
        return Err(AuthError::UnknownToken);
    }
    Ok(text.to_owned())
}

fn read_scope(text: &str) -> Result<CredentialScope, AuthError> {
    CredentialScope::parse(text).ok_or_else(|| {
        AuthError::incomplete(
            "Credential must have exactly 5 slash-delimited elements: KEY/YYYYMMDD/REGION/SERVICE/aws4_request",
        )
    })
}

fn read_signature(text: &str) -> Result<[u8; 32], AuthError> {
    let mut signature = [0; 32];
    let lower = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    if !lower || hex::decode_to_slice(text, &mut signature).is_err() {
        return Err(AuthError::incomplete("Signature takes 64 lower-case hexadecimal digits"));
    }
    Ok(signature)
}

fn read_signed_headers(text: &str) -> Result<Vec<String>, AuthError> {
    let names: Vec<String> = text.split(';').map(str::to_owned).collect();
    let token = |name: &String| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.!#$%&'*+^`|~".contains(&b))
    };
    let ascending = names.windows(2).all(|pair| pair[0] < pair[1]);
    if names.len() > SIGNED_HEADERS || !names.iter().all(token) || !ascending {
        return Err(AuthError::incomplete(format!(
            "SignedHeaders takes at most {SIGNED_HEADERS} header names in lower case, each once, in order, separated by semicolons"
        )));
    }
    Ok(names)
}

fn iso_time(text: &str) -> Result<(String, Timestamp), AuthError> {
    let time = parse_iso_basic(text).ok_or_else(|| {
        AuthError::incomplete(
            "Date must be in ISO-8601 'basic format'. It takes YYYYMMDDTHHMMSSZ, as in 20261123T052844Z.",
        )
    })?;
    Ok((text.to_owned(), time))
}

fn http_time(text: &str) -> Result<(String, Timestamp), AuthError> {
    if let Some(time) = parse_iso_basic(text) {
        return Ok((text.to_owned(), time));
    }
    let zoned = jiff::fmt::rfc2822::parse(text).map_err(|_| AuthError::incomplete("Date is not a date"))?;
    let millis =
        u64::try_from(zoned.timestamp().as_millisecond()).map_err(|_| AuthError::incomplete("Date is before 1970"))?;
    let time = Timestamp(millis);
    Ok((format_iso_basic(time), time))
}

/// `YYYYMMDDTHHMMSSZ`.
fn parse_iso_basic(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i16> {
        let digits = bytes[from..to].iter().all(u8::is_ascii_digit);
        digits.then(|| text[from..to].parse().ok()).flatten()
    };
    let small = |from: usize| -> Option<i8> { number(from, from + 2).and_then(|n| i8::try_from(n).ok()) };
    let time =
        jiff::civil::DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(9)?, small(11)?, small(13)?, 0).ok()?;
    let stamp = jiff::tz::Offset::UTC.to_timestamp(time).ok()?;
    Some(Timestamp(u64::try_from(stamp.as_millisecond()).ok()?))
}

/// `YYYYMMDDTHHMMSSZ`, the time in strings to sign and in messages.
pub(crate) fn format_iso_basic(time: Timestamp) -> String {
    let text = time.to_string();
    let digits: String = text[..19].chars().filter(|c| *c != '-' && *c != ':').collect();
    format!("{digits}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn authorization(extra: &str) -> String {
        format!(
            "{ALGORITHM} Credential=AKIDEXAMPLE/20261123/us-east-1/lambda/aws4_request, \
             SignedHeaders=host;x-amz-date{extra}, Signature={SIGNATURE}"
        )
    }

    fn read(headers: &[(&str, &[u8])], query: &str) -> Result<Presented, AuthError> {
        Presented::read(&SignedRequest { method: "GET", path: "/", query, headers })
    }

    #[test]
    fn a_header_is_taken_apart() {
        let authorization = authorization("");
        let headers: &[(&str, &[u8])] =
            &[("Host", b"h"), ("X-Amz-Date", b"20261123T052844Z"), ("Authorization", authorization.as_bytes())];
        let presented = read(headers, "").expect("a signed request");
        assert_eq!(presented.scope.service, "lambda");
        assert_eq!(presented.place, Place::Header);
        assert_eq!(format_iso_basic(presented.time), "20261123T052844Z");
        let request = SignedRequest { method: "GET", path: "/", query: "", headers };
        assert_eq!(CredentialScope::of(&request).expect("a scope").region, "us-east-1");
    }

    #[test]
    fn what_is_said_twice_or_left_unsigned_is_refused() {
        let authorization = authorization("");
        let auth = authorization.as_bytes();
        let date: (&str, &[u8]) = ("x-amz-date", b"20261123T052844Z");
        let base: [(&str, &[u8]); 3] = [("host", b"h"), date, ("authorization", auth)];
        let with = |more: (&'static str, &'static [u8])| {
            let mut all = base.to_vec();
            all.push(more);
            read(&all, "")
        };
        assert!(read(&base, "").is_ok());
        for more in [
            ("Host", b"other".as_slice()),
            ("x-amz-date", b"20261123T052844Z"),
            ("X-AMZ-SECURITY-TOKEN", b"t"),
            ("x-amz-target", b"T"),
            ("x-amz-invocation-type", b"Event"),
        ] {
            assert!(with(more).is_err(), "{more:?} was accepted");
        }
        let mut twice = base.to_vec();
        twice.push(("Authorization", auth));
        assert!(read(&twice, "").is_err());
        assert!(read(&base, "X-Amz-Signature=00").is_err(), "signed in both places");
        assert!(read(&base, "%58-Amz-Signature=00").is_err(), "signed in both places, one hidden");
        assert!(matches!(read(&base[..2], ""), Err(AuthError::MissingToken)));
    }

    #[test]
    fn broken_authorization_headers_are_refused() {
        let good = authorization("");
        for bad in [
            "Basic abc".to_owned(),
            ALGORITHM.to_owned(),
            good.replace("us-east-1/", ""),
            good.replace("aws4_request", "aws4_request/x"),
            good.replace("host;x-amz-date", "x-amz-date;host"),
            good.replace("host;x-amz-date", "host;host;x-amz-date"),
            good.replace("host;x-amz-date", "x-amz-date"),
            good.replace("host;x-amz-date", "host"),
            good.replace("ff,", "FF,").replace(SIGNATURE, &SIGNATURE.to_uppercase()),
            good.replace(SIGNATURE, "00"),
            good.replace("20261123/", "20261122/"),
            format!("{good}, Signature={SIGNATURE}"),
            format!("{good}, X=1"),
            format!("{good}{}", " ".repeat(AUTHORIZATION_BYTES) + "x"),
        ] {
            let headers: &[(&str, &[u8])] =
                &[("host", b"h"), ("x-amz-date", b"20261123T052844Z"), ("authorization", bad.as_bytes())];
            assert!(read(headers, "").is_err(), "{bad:?} was accepted");
        }
    }

    fn presigned(changes: &[(&str, &str)]) -> Result<Presented, AuthError> {
        let mut parameters = vec![
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", "AKIDEXAMPLE%2F20261123%2Fus-east-1%2Flambda%2Faws4_request"),
            ("X-Amz-Date", "20261123T052844Z"),
            ("X-Amz-Expires", "60"),
            ("X-Amz-SignedHeaders", "host"),
            ("X-Amz-Signature", SIGNATURE),
        ];
        for (name, value) in changes {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name, value));
        }
        parameters.retain(|(_, value)| *value != "absent");
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        read(&[("host", b"h")], &query.join("&"))
    }

    #[test]
    fn a_presigned_url_is_good_for_a_week_at_most() {
        for (text, good) in [
            ("1", true),
            ("604800", true),
            ("604801", false),
            ("0", false),
            ("-60", false),
            ("", false),
            ("60.0", false),
            ("6e1", false),
            ("0x3c", false),
            ("99999999999999999999", false),
            ("absent", false),
        ] {
            assert_eq!(presigned(&[("X-Amz-Expires", text)]).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn broken_presigned_urls_are_refused() {
        assert!(presigned(&[]).is_ok());
        for change in [
            ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
            ("X-Amz-SignedHeaders", ""),
            ("X-Amz-SignedHeaders", "x-a"),
            ("X-Amz-SignedHeaders", "host%3B"),
            ("X-Amz-SignedHeaders", "Host"),
            ("X-Amz-SignedHeaders", "host%3B%3Bx-a"),
            ("X-Amz-SignedHeaders", "host%0Ax-a"),
            ("X-Amz-Security-Token", ""),
            ("X-Amz-Credential", "%2F20261123%2Fus-east-1%2Flambda%2Faws4_request%2F"),
            ("X-Amz-Date", "20261124T052844Z"),
            ("X-Amz-Signature", "%FF"),
            ("x%2damz%2dexpires%00", "1"),
        ] {
            let refused = presigned(&[change]).is_err();
            // What only looks like one of the parameters is an ordinary one.
            assert_eq!(refused, !change.0.starts_with("x%2d"), "{change:?}");
        }
        assert!(presigned(&[("%58-Amz-Date", "20261123T052844Z")]).is_err(), "said twice, once hidden");
        let unsigned: &[(&str, &[u8])] = &[("host", b"h"), ("x-amz-invocation-type", b"")];
        assert!(read(unsigned, "X-Amz-Signature=00").is_err());
    }

    #[test]
    fn times_are_read_strictly() {
        for bad in
            ["20261123T052844", "2026-11-23T05:28:44Z", "20261323T052844Z", "20261123T252844Z", "+0261123T052844Z"]
        {
            assert!(parse_iso_basic(bad).is_none(), "{bad:?} was taken for a time");
        }
        let (text, _) = http_time("Mon, 23 Nov 2026 05:28:44 GMT").expect("a date");
        assert_eq!(text, "20261123T052844Z");
    }
}
