/// What a store answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a store did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A limit of the seam was not kept; a bug of the caller.
    #[error("the batch or read breaks a limit of the store: {0}")]
    Limit(String),
    /// The disk or the database is full. Nothing was changed.
    #[error("the store is full: {0}")]
    Full(String),
    /// The database cannot be reached now. Whether a commit happened is not known: repeat it under the same id.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The data on disk is damaged, or of a format that this program does not know.
    #[error("the store is damaged or of another format: {0}")]
    Corrupt(String),
}
