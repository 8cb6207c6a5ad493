//! Code: from an upload to a directory that a sandbox can mount.

mod cache;
mod plan;
#[cfg(test)]
mod tests;
mod unpack;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

pub(crate) use cache::{CodeCache, CodeLease};
pub(crate) use plan::ZipLimits;
pub(crate) use unpack::check;

/// SHA-256 of a zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CodeDigest([u8; 32]);

impl CodeDigest {
    pub(crate) fn of(zip: &[u8]) -> Self {
        Self(Sha256::digest(zip).into())
    }

    /// As it stands in a record; `None` when it is not the base64 of 32 bytes.
    pub(crate) fn from_base64(text: &str) -> Option<Self> {
        BASE64_STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// `CodeSha256` on the wire.
    pub(crate) fn base64(self) -> String {
        BASE64_STANDARD.encode(self.0)
    }

    /// In names of files, blobs and keys.
    pub(crate) fn hex(self) -> String {
        hex::encode(self.0)
    }
}
