use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The key under which all secrets of an installation are sealed: 32 bytes, in a file as 64 hexadecimal digits.
///
/// Whoever loses it loses every access key; whoever has it and the data can be anyone. Keep a copy apart from the data.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// Keys do not print.
impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read or written.
    #[error("the master key file {path:?} cannot be used: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is readable by everyone on this machine.
    #[error("the master key file {0:?} can be read by everyone; take that away with: chmod 600")]
    Open(PathBuf),
    /// The file does not hold a key.
    #[error(
        "the master key file {0:?} does not hold a key: it takes 64 hexadecimal digits, such as `openssl rand -hex 32` prints"
    )]
    Content(PathBuf),
}

impl MasterKey {
    /// A key that is known already.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the file that the operator names. It is never created: a wrong path must not become a new key.
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o007 != 0 {
            return Err(MasterKeyError::Open(path.to_owned()));
        }
        // A key is 64 digits; what is much longer is another file.
        let mut text = Zeroizing::new(String::new());
        file.take(256).read_to_string(&mut text).map_err(failed)?;
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), &mut *bytes).map_err(|_| MasterKeyError::Content(path.to_owned()))?;
        Ok(Self(bytes))
    }

    /// Reads the file beside the data, or makes it with mode 0600 at the first start. It is on disk when this returns.
    pub fn read_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::read(path) {
            Err(MasterKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Self::create(path),
            result => result,
        }
    }

    fn create(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::File { path: path.to_owned(), source };
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).expect("the operating system gives random bytes");
        let text = Zeroizing::new(format!("{}\n", hex::encode(*bytes)));
        // Written beside and linked into place: a crash leaves the whole file or none, and an existing key is never
        // replaced, also not by two starts at once.
        let beside = path.with_extension(format!("new-{}", std::process::id()));
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        let linked = fs::hard_link(&beside, path);
        fs::remove_file(&beside).map_err(failed)?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Self::read(path),
            linked => linked.map_err(failed)?,
        }
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("master.key");
        let made = MasterKey::read_or_create(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::read_or_create(&path).expect("read").bytes(), made.bytes());
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn files_that_are_missing_open_or_something_else_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("master.key");
        assert!(matches!(MasterKey::read(&path), Err(MasterKeyError::File { .. })));
        MasterKey::read_or_create(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        assert!(matches!(MasterKey::read_or_create(&path), Err(MasterKeyError::Open(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
        for content in ["", "xyz", &"0".repeat(63), &"0".repeat(65)] {
            fs::write(&path, content).expect("written");
            assert!(matches!(MasterKey::read_or_create(&path), Err(MasterKeyError::Content(_))), "{content:?}");
        }
    }
}
