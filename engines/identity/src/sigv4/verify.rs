use std::time::Duration;

use dormouse_model::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::chunks::{ChunkDecoder, Streaming};
use super::presented::{Place, Presented, format_iso_basic, only};
use super::{
    CLOCK_SKEW, CLOCK_SKEW_S3, Payload, S3, SignedRequest, UNSIGNED_PAYLOAD, canonical, hex_sha256, mac, signing_key,
};
use crate::AuthError;

/// What whoever reads the body has to do with it.
#[derive(Debug)]
pub enum BodyRule {
    /// Nothing: its hash was checked.
    Verified,
    /// Nothing can be done: the client signed no hash. Only S3 allows that.
    Unsigned,
    /// Its SHA-256 must be this.
    Sha256([u8; 32]),
    /// It comes in chunks; only what the decoder lets through is the body, and only once it is finished.
    Chunks(Box<ChunkDecoder>),
}

/// The payload hash of a request, before anything is verified.
enum Declared {
    Hash(String),
    Unsigned,
    Streaming(Streaming),
}

/// Judges the time of a request: five minutes to either side (S3: fifteen), or the life of a presigned URL.
pub(crate) fn check_time(presented: &Presented, now: Timestamp) -> Result<(), AuthError> {
    let s3 = presented.scope.service == S3;
    let skew = if s3 { CLOCK_SKEW_S3 } else { CLOCK_SKEW };
    if let Place::Query(life) = presented.place {
        let ends = presented.time + life;
        if presented.time <= now + skew && now <= ends {
            return Ok(());
        }
        return Err(if now > ends {
            AuthError::UrlExpired { ended: ends }
        } else {
            too_early(presented, now, skew, s3)
        });
    }
    if presented.time + skew < now {
        let text = format!(
            "Signature expired: {} is now earlier than {} ({} - {} min.)",
            presented.time_text,
            format_iso_basic(now - skew),
            format_iso_basic(now),
            skew.as_secs() / 60
        );
        return Err(if s3 { AuthError::Skewed } else { AuthError::Mismatch(text) });
    }
    if presented.time > now + skew { Err(too_early(presented, now, skew, s3)) } else { Ok(()) }
}

fn too_early(presented: &Presented, now: Timestamp, skew: Duration, s3: bool) -> AuthError {
    if s3 {
        return AuthError::Skewed;
    }
    AuthError::Mismatch(format!(
        "Signature not yet current: {} is still later than {} ({} + {} min.)",
        presented.time_text,
        format_iso_basic(now + skew),
        format_iso_basic(now),
        skew.as_secs() / 60
    ))
}

/// Compares the signature in a request with the one that the secret gives, in constant time.
pub(crate) fn verify(
    presented: &Presented,
    request: &SignedRequest<'_>,
    payload: Payload<'_>,
    secret: &str,
) -> Result<BodyRule, AuthError> {
    let declared = declared(presented, request, payload)?;
    let hash = match &declared {
        Declared::Hash(hash) => hash.as_str(),
        Declared::Unsigned => UNSIGNED_PAYLOAD,
        Declared::Streaming(kind) => kind.name(),
    };
    let canonical = canonical::request(request, &presented.scope.service, &presented.signed_headers, hash)?;
    let to_sign = canonical::string_to_sign(&presented.time_text, &presented.scope.text(), &canonical);
    let key = signing_key(secret, &presented.scope);
    let expected = mac(&*key, to_sign.as_bytes());
    if !bool::from(expected.ct_eq(&presented.signature)) {
        return Err(AuthError::mismatch());
    }
    match declared {
        Declared::Unsigned => Ok(BodyRule::Unsigned),
        Declared::Hash(hash) => body_rule(&hash, payload),
        Declared::Streaming(kind) => {
            let length = only(request, "x-amz-decoded-content-length")?.and_then(|text| text.parse().ok());
            let length = length.ok_or_else(|| {
                AuthError::Payload(
                    "a streamed payload needs X-Amz-Decoded-Content-Length with the number of bytes".to_owned(),
                )
            })?;
            let start = (presented.time_text.clone(), presented.scope.text());
            Ok(BodyRule::Chunks(Box::new(ChunkDecoder::new(kind, key, start, presented.signature, length))))
        }
    }
}

fn declared(presented: &Presented, request: &SignedRequest<'_>, payload: Payload<'_>) -> Result<Declared, AuthError> {
    let s3 = presented.scope.service == S3;
    let Some(text) = only(request, "x-amz-content-sha256")? else {
        return match (presented.place, payload) {
            (Place::Query(_), _) if s3 => Ok(Declared::Unsigned),
            (Place::Header, _) if s3 => {
                Err(AuthError::Payload("Missing required header for this request: x-amz-content-sha256".to_owned()))
            }
            (_, Payload::Whole(body)) => Ok(Declared::Hash(hex_sha256(body))),
            (_, Payload::ToCome) => {
                Err(AuthError::Payload("this request needs the header x-amz-content-sha256".to_owned()))
            }
        };
    };
    let is_hash = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    match (Streaming::named(text), s3) {
        _ if is_hash => Ok(Declared::Hash(text.to_owned())),
        (None, true) if text == UNSIGNED_PAYLOAD => Ok(Declared::Unsigned),
        (Some(kind), true) => Ok(Declared::Streaming(kind)),
        _ => Err(AuthError::Payload(format!(
            "x-amz-content-sha256 takes the SHA-256 of the payload as 64 lower-case hexadecimal digits{}",
            if s3 { ", UNSIGNED-PAYLOAD, or a valid STREAMING value" } else { "" }
        ))),
    }
}

fn body_rule(hash: &str, payload: Payload<'_>) -> Result<BodyRule, AuthError> {
    let mut declared = [0; 32];
    hex::decode_to_slice(hash, &mut declared).map_err(|_| AuthError::mismatch())?;
    match payload {
        Payload::ToCome => Ok(BodyRule::Sha256(declared)),
        Payload::Whole(body) if <[u8; 32]>::from(Sha256::digest(body)) == declared => Ok(BodyRule::Verified),
        Payload::Whole(_) => Err(AuthError::BodyMismatch),
    }
}
