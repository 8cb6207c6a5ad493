use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What `up` leaves in the data directory, so that other commands of the same user find the node: the file
/// `endpoint.json`, mode 0600.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Such as `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// The region that the node answers for.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
    /// The root key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

/// Secrets do not print.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The endpoint file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what `up` writes.
    #[error("{}: not an endpoint file: {reason}; start the node again to have it written", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
}

impl Endpoint {
    /// Where it is kept.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("endpoint.json")
    }

    /// Reads what `up` left; `None` when there is nothing.
    ///
    /// # Errors
    /// When the file is there and cannot be read or understood.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, EndpointError> {
        let path = Self::path(data_dir);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(EndpointError::Io { path, source }),
        };
        match serde_json::from_str(&text) {
            Ok(endpoint) => Ok(Some(endpoint)),
            Err(error) => Err(EndpointError::Malformed { path, reason: error.to_string() }),
        }
    }

    /// Writes it, whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn write(&self, data_dir: &Path) -> Result<(), EndpointError> {
        let path = Self::path(data_dir);
        let fresh = path.with_extension("json.new");
        let written = (|| {
            let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
            text.push(b'\n');
            // A leftover of a crash may have another mode, and `mode` applies only to a file that is made.
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(&text)?;
            fs::rename(&fresh, &path)
        })();
        written.map_err(|source| EndpointError::Io { path, source })
    }

    /// Removes it; a node that is not there leaves no address.
    pub fn remove(data_dir: &Path) {
        // Whether it went does not matter: a client that finds it is told that nobody listens there.
        let _ = fs::remove_file(Self::path(data_dir));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_only_by_its_owner() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(Endpoint::read(dir.path()).expect("readable").is_none());
        let endpoint = Endpoint {
            endpoint: "http://127.0.0.1:4566".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            access_key_id: "AKIA".to_owned(),
            secret_access_key: "hush".to_owned(),
        };
        fs::write(Endpoint::path(dir.path()).with_extension("json.new"), "left over").expect("writable");
        endpoint.write(dir.path()).expect("written");
        endpoint.write(dir.path()).expect("written again");
        assert_eq!(Endpoint::read(dir.path()).expect("readable"), Some(endpoint.clone()));
        let mode = fs::metadata(Endpoint::path(dir.path())).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{endpoint:?}").contains("hush"));
        Endpoint::remove(dir.path());
        assert!(Endpoint::read(dir.path()).expect("readable").is_none());
    }

    #[test]
    fn a_spoilt_file_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(Endpoint::path(dir.path()), "{").expect("writable");
        let error = Endpoint::read(dir.path()).expect_err("a refusal").to_string();
        assert!(error.contains("start the node again"), "{error}");
    }
}
