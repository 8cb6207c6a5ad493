use dormouse_store::StoreError;

/// Why a layer did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LayerError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record in the store is not what this program writes there.
    #[error("the record under key {key} cannot be read: {detail}")]
    Record {
        /// The key, escaped to be printable.
        key: String,
        /// What the decoder found.
        detail: String,
    },
    /// A value that cannot be written as JSON; a bug of the caller.
    #[error("the value for key {key} cannot be written: {detail}")]
    Value {
        /// The key, escaped to be printable.
        key: String,
        /// What the encoder found.
        detail: String,
    },
    /// Others changed the same keys all the time. Nothing was changed.
    #[error("gave up after {attempts} attempts, because others kept changing the same records; try again")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// A limit of a layer was not kept.
    #[error("{0}")]
    Limit(String),
    /// Who wanted to change it does not own it any more.
    #[error("the lease was lost to another owner; nothing was changed")]
    LeaseLost,
}

pub(crate) fn printable(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
