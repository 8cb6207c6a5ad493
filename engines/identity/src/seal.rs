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

/// Seals texts under one key that is derived from the master key.
pub struct Seal(XChaCha20Poly1305);

impl Seal {
    fn new(master: &MasterKey, label: &str) -> Self {
        Self(XChaCha20Poly1305::new((&*derive(master, label)).into()))
    }

    /// Nonce and ciphertext. `owner` must be given again to open it.
    pub fn seal(&self, owner: &str, text: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        let payload = Payload { msg: text, aad: owner.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).expect("short texts can be sealed");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The text; none when it was sealed otherwise.
    pub fn open(&self, owner: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        self.0.decrypt(&XNonce::from(nonce), payload).ok().map(Zeroizing::new)
    }
}

fn derive(master: &MasterKey, label: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(mac(master.bytes(), label.as_bytes()))
}

impl MasterKey {
    /// A seal for what another part of the node keeps. Each purpose has a key of its own: what is sealed for one does not
    /// open for another.
    pub fn seal_for(&self, purpose: &str) -> Seal {
        Seal::new(self, &format!("dormouse seal for {purpose}"))
    }

    /// A key for another use than sealing, such as signing.
    pub fn key_for(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        derive(self, &format!("dormouse key for {purpose}"))
    }
}

/// The keys of this node, derived from the master key.
pub(crate) struct Seals {
    secret: Seal,
    session: Seal,
    check: Seal,
    session_secret: Zeroizing<[u8; 32]>,
}

impl Seals {
    pub(crate) fn new(master: &MasterKey) -> Self {
        Self {
            secret: Seal::new(master, "dormouse access key secrets 1"),
            session: Seal::new(master, "dormouse session tokens 1"),
            check: Seal::new(master, "dormouse master key check 1"),
            session_secret: derive(master, "dormouse session secrets 1"),
        }
    }

    fn of(&self, purpose: Purpose) -> &Seal {
        match purpose {
            Purpose::Secret => &self.secret,
            Purpose::Session => &self.session,
            Purpose::Check => &self.check,
        }
    }

    /// As [`Seal::seal`].
    pub(crate) fn seal(&self, purpose: Purpose, owner: &str, text: &[u8]) -> Vec<u8> {
        self.of(purpose).seal(owner, text)
    }

    /// As [`Seal::open`].
    pub(crate) fn open(&self, purpose: Purpose, owner: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.of(purpose).open(owner, sealed)
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

    #[test]
    fn each_purpose_has_its_own_key() {
        let master = MasterKey::from_bytes([1; 32]);
        let sealed = master.seal_for("variables").seal("f", b"text");
        assert_eq!(&**master.seal_for("variables").open("f", &sealed).expect("opens"), b"text");
        assert!(master.seal_for("variables").open("g", &sealed).is_none());
        assert!(master.seal_for("links").open("f", &sealed).is_none());
        assert_ne!(master.key_for("variables"), master.key_for("links"));
    }
}
