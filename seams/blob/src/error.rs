/// What blobs answer.
pub type BlobResult<T> = Result<T, BlobError>;

/// Why a blob was not read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlobError {
    /// The disk is full. Nothing is left of what was written.
    #[error("the blob storage is full: {0}")]
    Full(String),
    /// The storage cannot be read or written.
    #[error("the blob storage failed: {0}")]
    Io(String),
    /// Whoever sends the bytes did not send them all.
    #[error("the bytes to store ended early: {0}")]
    Source(String),
}

impl BlobError {
    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(format!("{what}: {error}")),
            _ => Self::Io(format!("{what}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        // ENOSPC and EDQUOT of Linux.
        for full in [28, 122] {
            assert!(matches!(BlobError::io("cannot write x", &Error::from_raw_os_error(full)), BlobError::Full(_)));
        }
        let broken = BlobError::io("cannot write x", &Error::from(ErrorKind::PermissionDenied));
        assert!(matches!(&broken, BlobError::Io(why) if why.starts_with("cannot write x: ")), "{broken}");
    }
}
