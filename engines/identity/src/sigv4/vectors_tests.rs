//! Our verifier against signatures that botocore made (`tests/sigv4/vectors.py`), and our signer against our verifier.

use std::time::Duration;

use dormouse_model::Timestamp;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::AuthError;

const SECRET: &str = "a/secret+key";

#[derive(Deserialize)]
struct Vector {
    service: String,
    method: String,
    target: String,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    token: Option<String>,
}

impl Vector {
    fn judge(&self, secret: &str) -> Result<BodyRule, AuthError> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let request = SignedRequest { method: &self.method, path, query, headers: &headers };
        let presented = Presented::read(&request)?;
        assert_eq!(presented.scope.service, self.service);
        assert_eq!(presented.session_token, self.token);
        check_time(&presented, presented.time + Duration::from_secs(60))?;
        verify(&presented, &request, Payload::Whole(self.body.as_bytes()), secret)
    }
}

#[test]
fn what_botocore_signs_is_verified() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../tests/sigv4/vectors.json")).expect("what vectors.py wrote");
    assert!(vectors.len() >= 20);
    for vector in vectors {
        vector.judge(SECRET).unwrap_or_else(|error| panic!("{} {}: {error}", vector.method, vector.target));
        assert!(vector.judge("another secret").is_err(), "{} {}", vector.method, vector.target);
    }
}

proptest! {
    #[test]
    fn what_we_sign_we_verify_and_nothing_else(
        path in "(/[a-zA-Z0-9%~_ -]{1,6}){0,3}", query in "([a-z]{1,3}=[a-zA-Z0-9.~_-]{0,5}&){0,4}",
        value in "[ -~]{0,20}", body in prop::collection::vec(any::<u8>(), 0..50), token in prop::option::of("[a-zA-Z0-9+/=]{1,30}"),
    ) {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let keys = SigningKeys { access_key_id: "AKIAEXAMPLE".to_owned(), secret_access_key: SECRET.to_owned(), session_token: token };
        let base: Vec<(&str, &[u8])> = vec![("Host", b"localhost"), ("X-Custom", value.as_bytes())];
        let request = SignedRequest { method: "POST", path: &path, query: &query, headers: &base };
        let now = Timestamp(1_795_411_724_000);
        let added = sign(&request, &body, &keys, "us-east-1", "lambda", now).expect("signed");
        let mut headers = base.clone();
        headers.extend(added.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
        let signed = SignedRequest { headers: &headers, ..request };
        let judge = |request: &SignedRequest<'_>, body: &[u8], secret: &str| {
            let presented = Presented::read(request)?;
            verify(&presented, request, Payload::Whole(body), secret)
        };
        prop_assert!(judge(&signed, &body, SECRET).is_ok());
        prop_assert!(judge(&signed, &body, "another").is_err());
        let changed = judge(&SignedRequest { method: "GET", ..signed }, &body, SECRET);
        prop_assert!(changed.is_err());
        let longer = format!("{path}x");
        let changed = judge(&SignedRequest { path: &longer, ..signed }, &body, SECRET);
        prop_assert!(changed.is_err());
        let more = format!("{query}zzzz=1");
        let changed = judge(&SignedRequest { query: &more, ..signed }, &body, SECRET);
        prop_assert!(changed.is_err());
        let other = [body.as_slice(), b"x"].concat();
        prop_assert!(judge(&signed, &other, SECRET).is_err());
    }

    #[test]
    fn no_request_makes_the_reader_fail_otherwise_than_by_an_error(
        authorization in "\\PC{0,80}", date in "\\PC{0,20}", query in "\\PC{0,60}", path in "\\PC{0,20}",
    ) {
        let authorization = format!("AWS4-HMAC-SHA256 {authorization}");
        let headers: &[(&str, &[u8])] =
            &[("host", b"h"), ("authorization", authorization.as_bytes()), ("x-amz-date", date.as_bytes())];
        for headers in [headers, &headers[..1]] {
            for query in [query.clone(), format!("X-Amz-Signature=0&{query}")] {
                let request = SignedRequest { method: "GET", path: &path, query: &query, headers };
                let _ = CredentialScope::of(&request);
                if let Ok(presented) = Presented::read(&request) {
                    let _ = verify(&presented, &request, Payload::ToCome, SECRET);
                }
            }
        }
    }
}
