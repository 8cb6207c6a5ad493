//! The client's side.

use std::time::Duration;

use dormouse_model::Timestamp;

use super::presented::format_iso_basic;
use super::{ALGORITHM, CredentialScope, S3, SignedRequest, UNSIGNED_PAYLOAD, canonical, hex_sha256, mac, signing_key};
use crate::AuthError;

/// The keys that a client signs with.
#[derive(Clone)]
pub struct SigningKeys {
    /// `AKIA...` or `ASIA...`.
    pub access_key_id: String,
    /// The secret that goes with it.
    pub secret_access_key: String,
    /// Only with temporary credentials.
    pub session_token: Option<String>,
}

/// Secrets do not print.
impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

fn scope(keys: &SigningKeys, region: &str, service: &str, time: &str) -> CredentialScope {
    CredentialScope {
        access_key_id: keys.access_key_id.clone(),
        date: time[..8].to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    }
}

/// Signs a request in its headers. `request.headers` must hold `host` and may hold others; all of them are signed. Gives
/// the headers to add to those, names in lower case, `authorization` last.
///
/// Fails when the path is not in normal form or a header is not text.
pub fn sign(
    request: &SignedRequest<'_>,
    body: &[u8],
    keys: &SigningKeys,
    region: &str,
    service: &str,
    now: Timestamp,
) -> Result<Vec<(String, String)>, AuthError> {
    let time = format_iso_basic(now);
    let hash = hex_sha256(body);
    let mut added = vec![("x-amz-date".to_owned(), time.clone()), ("x-amz-content-sha256".to_owned(), hash.clone())];
    if let Some(token) = &keys.session_token {
        added.push(("x-amz-security-token".to_owned(), token.clone()));
    }
    let mut headers = request.headers.to_vec();
    headers.extend(added.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    let all = SignedRequest { headers: &headers, ..*request };
    let scope = scope(keys, region, service, &time);
    let canonical = canonical::request(&all, service, &names, &hash)?;
    let to_sign = canonical::string_to_sign(&time, &scope.text(), &canonical);
    let signature = hex::encode(mac(&*signing_key(&keys.secret_access_key, &scope), to_sign.as_bytes()));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
        keys.access_key_id,
        scope.text(),
        names.join(";")
    );
    added.push(("authorization".to_owned(), authorization));
    Ok(added)
}

/// Signs a request without a body in its query. `request.headers` holds `host` and nothing else. Gives the whole query.
///
/// Fails when the path is not in normal form.
pub fn presign(
    request: &SignedRequest<'_>,
    keys: &SigningKeys,
    region: &str,
    service: &str,
    now: Timestamp,
    valid_for: Duration,
) -> Result<String, AuthError> {
    let time = format_iso_basic(now);
    let scope = scope(keys, region, service, &time);
    let mut query = request.query.to_owned();
    let credential = format!("{}/{}", keys.access_key_id, scope.text());
    let expires = valid_for.as_secs().to_string();
    let mut parameters = vec![
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &credential),
        ("X-Amz-Date", &time),
        ("X-Amz-Expires", &expires),
        ("X-Amz-SignedHeaders", "host"),
    ];
    if let Some(token) = &keys.session_token {
        parameters.push(("X-Amz-Security-Token", token));
    }
    for (name, value) in parameters {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        canonical::encode(value.as_bytes(), false, &mut query);
    }
    let hash = if service == S3 { UNSIGNED_PAYLOAD.to_owned() } else { hex_sha256(b"") };
    let signed = SignedRequest { query: &query, ..*request };
    let canonical = canonical::request(&signed, service, &["host".to_owned()], &hash)?;
    let to_sign = canonical::string_to_sign(&time, &scope.text(), &canonical);
    let signature = hex::encode(mac(&*signing_key(&keys.secret_access_key, &scope), to_sign.as_bytes()));
    Ok(format!("{query}&X-Amz-Signature={signature}"))
}
