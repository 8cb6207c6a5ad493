//! Session tokens: sealed claims, so that nothing is stored for a session and nothing is read to verify one.
//!
//! ```text
//! token  = base64( format byte | nonce | sealed JSON claims )
//! secret = base64( HMAC(session key, token) )[..40]
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dormouse_model::{AccountId, Credentials, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::seal::{Purpose, Seals};
use crate::{IamError, names};

/// The first byte of a token.
const FORMAT: u8 = 1;
/// Most bytes of the claims; the token stays well below what a header may have.
const CLAIMS_BYTES: usize = 4 * 1024;

/// What a session token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) access_key_id: String,
    pub(crate) account: AccountId,
    pub(crate) holder: Holder,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) policy_arns: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<(String, String)>,
}

/// Who a session is of. A session ends with the key it came from, or with its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Holder {
    /// The account's root, through this key.
    Root { key: String },
    /// A user, through this key.
    User { name: String, id: String, key: String },
    /// A role.
    Role { name: String, id: String, session: String },
}

impl Claims {
    /// New claims with an access key id of their own.
    pub(crate) fn new(account: &AccountId, holder: Holder, issued: Timestamp, expires: Timestamp) -> Self {
        Self {
            access_key_id: names::session_key_id(account),
            account: account.clone(),
            holder,
            issued,
            expires,
            policy: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// The keys that these claims are given out as.
    pub(crate) fn credentials(&self, seals: &Seals) -> Result<Credentials, IamError> {
        let json = serde_json::to_vec(self).map_err(|error| IamError::Validation(error.to_string()))?;
        if json.len() > CLAIMS_BYTES {
            return Err(IamError::PackedPolicyTooLarge(format!(
                "the session policies and tags are too large together: they take at most {CLAIMS_BYTES} bytes packed, and these are {}",
                json.len()
            )));
        }
        let sealed = seals.seal(Purpose::Session, "session", &json);
        let token = STANDARD.encode([&[FORMAT], sealed.as_slice()].concat());
        Ok(Credentials {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: seals.session_secret(token.as_bytes()).to_string(),
            session_token: token,
            expires: self.expires,
        })
    }

    /// Opens a token: the claims and the secret that goes with it. None when the token is not ours.
    pub(crate) fn open(token: &str, seals: &Seals) -> Option<(Self, Zeroizing<String>)> {
        let bytes = STANDARD.decode(token).ok()?;
        let (format, sealed) = bytes.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let json = seals.open(Purpose::Session, "session", sealed)?;
        let claims = serde_json::from_slice(&json).ok()?;
        Some((claims, seals.session_secret(token.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MasterKey;

    fn claims() -> Claims {
        let account = "123456789012".parse().expect("an account id");
        let holder = Holder::Role { name: "r".to_owned(), id: "AROA".to_owned(), session: "s".to_owned() };
        Claims::new(&account, holder, Timestamp(1), Timestamp(2))
    }

    #[test]
    fn a_token_opens_to_its_claims_and_no_other_byte_string_does() {
        let seals = Seals::new(&MasterKey::from_bytes([3; 32]));
        let claims = claims();
        let credentials = claims.credentials(&seals).expect("small claims");
        let (opened, secret) = Claims::open(&credentials.session_token, &seals).expect("our token");
        assert_eq!(opened, claims);
        assert_eq!(*secret, credentials.secret_access_key);
        assert_eq!(secret.len(), 40);
        let token = credentials.session_token.as_bytes();
        for at in 0..token.len() {
            let mut changed = token.to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            if changed[at] == token[at] {
                continue;
            }
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(Claims::open(&changed, &seals).is_none(), "character {at}");
        }
        assert!(Claims::open("", &seals).is_none() && Claims::open("!", &seals).is_none());
        let other = Seals::new(&MasterKey::from_bytes([4; 32]));
        assert!(Claims::open(&credentials.session_token, &other).is_none());
    }

    #[test]
    fn claims_that_are_too_large_are_refused() {
        let seals = Seals::new(&MasterKey::from_bytes([3; 32]));
        let mut claims = claims();
        claims.policy = Some("x".repeat(CLAIMS_BYTES));
        assert!(matches!(claims.credentials(&seals), Err(IamError::PackedPolicyTooLarge(_))));
    }
}
