//! Signature Version 4, both sides, without IO.
//!
//! ```text
//! request -> Presented (what it claims) -> payload hash -> canonical request -> string to sign -> HMAC, compared
//! ```
//!
//! Source: the public pages on "Signature Version 4 signing process" and on "Authenticating requests" of S3. What is
//! refused beyond those: a request that says any of its authentication twice, an `x-amz-*` header that is not signed, and
//! (outside S3) a path that is not in normal form, because the signature covers the normal form while a router sees the
//! path as it was sent.

mod canonical;
mod chunks;
mod presented;
mod request;
mod sign;
#[cfg(test)]
mod vectors_tests;
mod verify;

pub use chunks::{ChunkDecoder, ChunkError};
pub use request::{CredentialScope, Payload, SignedRequest};
pub use sign::{SigningKeys, presign, sign};
pub use verify::BodyRule;

pub(crate) use presented::Presented;
pub(crate) use verify::{check_time, verify};

/// Names the algorithm in headers, queries and strings to sign.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service whose rules for paths and payloads differ from those of all others.
pub(crate) const S3: &str = "s3";
/// What stands for the hash of a payload that is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Most bytes in an `Authorization` header.
pub const AUTHORIZATION_BYTES: usize = 8 * 1024;
/// Most bytes in a session token.
pub const SESSION_TOKEN_BYTES: usize = 8 * 1024;
/// Most headers that a signature may cover.
pub const SIGNED_HEADERS: usize = 128;
/// Most bytes in the raw path and in the raw query of a signed request, each.
pub const TARGET_BYTES: usize = 64 * 1024;
/// Most query parameters in a signed request.
pub const QUERY_PARAMETERS: usize = 1_000;
/// How far the time of a signature may be from ours.
pub const CLOCK_SKEW: std::time::Duration = std::time::Duration::from_secs(5 * 60);
/// The same for S3, which documents 15 minutes.
pub const CLOCK_SKEW_S3: std::time::Duration = std::time::Duration::from_secs(15 * 60);
/// Longest `X-Amz-Expires` of a presigned request: seven days, in seconds.
pub const PRESIGNED_SECS: u64 = 7 * 24 * 3600;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// HMAC-SHA256.
pub(crate) fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// SHA-256 as 64 lower-case hexadecimal digits.
pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The key that a secret gives for one day, region and service. It is derived anew for every request: four HMACs are two
/// microseconds, less than a cache of secrets is worth.
pub(crate) fn signing_key(secret: &str, scope: &CredentialScope) -> Zeroizing<[u8; 32]> {
    let start = Zeroizing::new(format!("AWS4{secret}"));
    let day = Zeroizing::new(mac(start.as_bytes(), scope.date.as_bytes()));
    let region = Zeroizing::new(mac(&*day, scope.region.as_bytes()));
    let service = Zeroizing::new(mac(&*region, scope.service.as_bytes()));
    Zeroizing::new(mac(&*service, b"aws4_request"))
}
