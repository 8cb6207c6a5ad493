//! Links to the code of functions, for `GetFunction`: `/_dormouse/code/ACCOUNT/NAME/QUALIFIER?expires=SECS&signature=HEX`.
//!
//! A link is good for [`GOOD_FOR`], also at a node that was started in between. Whoever has the link may fetch that one zip;
//! who may make one is decided by the authorization of `GetFunction`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_front::{Request, Response, ResponseBody, Surface};
use dormouse_functions::Download;
use dormouse_model::{AccountId, FunctionName, Qualifier, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use sha2::Sha256;

use crate::error::ApiError;
use crate::operation::Call;
use crate::parts::Parts;
use crate::protocol;
use crate::services::lambda::FunctionTarget;
use crate::table::ServiceId;

/// Where links lead.
pub const PREFIX: &str = "/_dormouse/code/";
/// How long a link is good for.
pub const GOOD_FOR: Duration = Duration::from_secs(600);

/// Pieces of a zip that are read ahead of a client that is slow to take them.
const PIECES: usize = 4;

/// The key of the links. Secret, and the same after every start.
pub struct LinkKey([u8; 32]);

impl LinkKey {
    /// A key that is used for nothing else.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    fn mac(&self, path: &str, expires_secs: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(path.as_bytes());
        mac.update(b"?");
        mac.update(&expires_secs.to_be_bytes());
        mac
    }

    fn sign(&self, path: &str, expires_secs: u64) -> String {
        hex::encode(self.mac(path, expires_secs).finalize().into_bytes())
    }

    /// Whether the link was made with this key and its time has not passed.
    fn verify(&self, path: &str, query: &str, now: Timestamp) -> bool {
        let find = |wanted: &str| query.split('&').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='));
        let expires = find("expires").and_then(|text| text.parse::<u64>().ok());
        let signature = find("signature").and_then(|text| hex::decode(text).ok());
        let (Some(expires), Some(signature)) = (expires, signature) else { return false };
        expires > now.as_secs() && self.mac(path, expires).verify_slice(&signature).is_ok()
    }
}

/// A link to the code of the version that the target names.
pub(crate) fn make(call: &Call, target: &FunctionTarget) -> String {
    let qualifier = target.qualifier().cloned().unwrap_or(Qualifier::LATEST);
    let path = format!("{PREFIX}{}/{}/{qualifier}", target.account(), target.name());
    let expires = (call.parts.clock.now() + GOOD_FOR).as_secs();
    let signature = call.parts.link_key.sign(&path, expires);
    format!("{}{path}?expires={expires}&signature={signature}", call.endpoint)
}

/// The surface behind [`PREFIX`]. Everything else under `/_dormouse/` goes to the surface that it stands before.
pub struct CodeLinks {
    parts: Arc<Parts>,
    otherwise: Arc<dyn Surface>,
}

impl CodeLinks {
    /// Stands before the surface of everything else that is our own.
    pub fn before(otherwise: Arc<dyn Surface>, parts: Arc<Parts>) -> Self {
        Self { parts, otherwise }
    }

    async fn fetch(&self, request: &Request) -> Result<Download, ApiError> {
        if request.parts.method != Method::GET {
            return Err(denied("Code is fetched with GET."));
        }
        let (path, query) = (request.parts.uri.path(), request.parts.uri.query().unwrap_or_default());
        let good = self.parts.link_key.verify(&decoded(path), query, self.parts.clock.now());
        let named = read_path(path).filter(|_| good);
        let (account, name, qualifier) =
            named.ok_or_else(|| denied("This link is not good, or not any more. Ask GetFunction for a new one."))?;
        Ok(self.parts.functions.download_code(&account, &name, Some(&qualifier)).await?)
    }
}

#[async_trait]
impl Surface for CodeLinks {
    async fn serve(&self, request: Request) -> Response {
        if !request.parts.uri.path().starts_with(PREFIX) {
            return self.otherwise.serve(request).await;
        }
        match self.fetch(&request).await {
            Ok(zip) => streamed(zip),
            Err(error) => protocol::write_error(ServiceId::Lambda.table(), &error, request.id).map(ResponseBody::from),
        }
    }
}

/// The zip, read from the disk as the client takes it. A zip that cannot be read to its end is cut short, visibly.
fn streamed(mut zip: Download) -> Response {
    let (sender, body) = ResponseBody::stream(PIECES);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(zip.size_bytes()));
    tokio::spawn(async move {
        while let Some(piece) = zip.next().await {
            // A failure is in the node's log.
            let Ok(bytes) = piece else { return };
            if sender.send(bytes).await.is_err() {
                return;
            }
        }
        let _ = sender.end().await;
    });
    response
}

fn denied(message: &str) -> ApiError {
    ApiError::shared(StatusCode::FORBIDDEN, "AccessDeniedException", message)
}

/// Clients may or may not encode the `$` of `$LATEST`; the signature covers what is meant.
fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

fn read_path(path: &str) -> Option<(AccountId, FunctionName, Qualifier)> {
    let path = decoded(path);
    let mut parts = path.strip_prefix(PREFIX)?.split('/');
    let found = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_its_path_and_its_time() {
        let key = LinkKey::new([1; 32]);
        let path = "/_dormouse/code/000000000000/greet/$LATEST";
        let query = format!("expires=1000&signature={}", key.sign(path, 1000));
        assert!(key.verify(path, &query, Timestamp(999_999)));
        assert!(!key.verify(path, &query, Timestamp(1_000_000)), "its time has passed");
        assert!(!key.verify("/_dormouse/code/000000000000/other/$LATEST", &query, Timestamp(0)));
        assert!(!key.verify(path, &query.replace("1000", "2000"), Timestamp(0)));
        assert!(!LinkKey::new([2; 32]).verify(path, &query, Timestamp(0)));
        for query in ["", "expires=2000", "expires=2000&signature=", "expires=x&signature=00", "signature=00"] {
            assert!(!key.verify(path, query, Timestamp(0)), "{query}");
        }
    }

    #[test]
    fn a_path_names_account_function_and_qualifier() {
        let (account, name, qualifier) = read_path("/_dormouse/code/000000000000/greet/%24LATEST").expect("a path");
        assert_eq!((account.as_str(), name.as_str()), ("000000000000", "greet"));
        assert_eq!(qualifier, Qualifier::LATEST);
        for path in ["/_dormouse/code/", "/_dormouse/code/1/greet/1", "/_dormouse/code/000000000000/greet/1/x"] {
            assert!(read_path(path).is_none(), "{path}");
        }
    }
}
