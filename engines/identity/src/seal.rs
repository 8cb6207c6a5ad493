//! Everything secret is sealed under one master key: XChaCha20-Poly1305 with a random nonce of 24 bytes, under keys
//! derived from the master key for each purpose. What a text is sealed for is authenticated with it, so that a sealed
//! secret moved to another record does not open.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::master_key::MasterKey;
use crate::sigv4::mac;

const NONCE_BYTES: usize = 24;

/// What is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The secret of an access key; sealed for its id.
    Secret,
    /// The claims of a session token.
    Session,
    /// The record that shows at the start whether the master key is the right one.
    Check,
}

/// The keys of this node, derived from the master key.
pub(crate) struct Seals {
    secret: XChaCha20Poly1305,
    session: XChaCha20Poly1305,
    check: XChaCha20Poly1305,
    session_secret: Zeroizing<[u8; 32]>,
}

impl Seals {
    pub(crate) fn new(master: &MasterKey) -> Self {
        let derive = |label: &str| Zeroizing::new(mac(master.bytes(), label.as_bytes()));
        let cipher = |label: &str| XChaCha20Poly1305::new((&*derive(label)).into());
        Self {
            secret: cipher("dormouse access key secrets 1"),
            session: cipher("dormouse session tokens 1"),
            check: cipher("dormouse master key check 1"),
            session_secret: derive("dormouse session secrets 1"),
        }
    }

    fn cipher(&self, purpose: Purpose) -> &XChaCha20Poly1305 {
        match purpose {
            Purpose::Secret => &self.secret,
            Purpose::Session => &self.session,
            Purpose::Check => &self.check,
        }
    }

    /// Nonce and ciphertext. `owner` must be given again to open it.
    pub(crate) fn seal(&self, purpose: Purpose, owner: &str, text: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        let payload = Payload { msg: text, aad: owner.as_bytes() };
        let sealed = self.cipher(purpose).encrypt(&XNonce::from(nonce), payload).expect("short texts can be sealed");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The text; none when it was sealed otherwise.
    pub(crate) fn open(&self, purpose: Purpose, owner: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        self.cipher(purpose).decrypt(&XNonce::from(nonce), payload).ok().map(Zeroizing::new)
    }

    /// The secret key that goes with a session token: nothing needs to be stored for it.
    pub(crate) fn session_secret(&self, token: &[u8]) -> Zeroizing<String> {
        use base64::Engine;
        let bytes = Zeroizing::new(mac(&*self.session_secret, token));
        // 30 bytes are 40 characters, as secret keys have.
        Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&bytes[..30]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_for_its_purpose_and_owner_only() {
        let seals = Seals::new(&MasterKey::from_bytes([1; 32]));
        let sealed = seals.seal(Purpose::Secret, "AKIA1", b"secret");
        assert_eq!(&**seals.open(Purpose::Secret, "AKIA1", &sealed).expect("opens"), b"secret");
        assert!(seals.open(Purpose::Secret, "AKIA2", &sealed).is_none());
        assert!(seals.open(Purpose::Session, "AKIA1", &sealed).is_none());
        assert!(Seals::new(&MasterKey::from_bytes([2; 32])).open(Purpose::Secret, "AKIA1", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(seals.open(Purpose::Secret, "AKIA1", &changed).is_none(), "byte {at}");
        }
        assert!(seals.open(Purpose::Secret, "AKIA1", &[]).is_none());
    }
}
