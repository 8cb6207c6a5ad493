//! The directory that belongs to one jailer at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::JailError;

/// How long the spawner of an earlier node may still be clearing up.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(15);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Makes the directory and locks it. Blocks.
pub(crate) fn take(dir: &Path) -> Result<(PathBuf, File), JailError> {
    let failed = |error: std::io::Error| JailError::step(format!("prepare {}", dir.display()), error);
    std::fs::create_dir_all(dir.join("root")).map_err(failed)?;
    let dir = dir.canonicalize().map_err(failed)?;
    let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(failed)?;
    let from = Instant::now();
    while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(failed(error.into()));
        }
        if from.elapsed() > LOCK_WAIT_MAX {
            return Err(JailError::InUse(dir.display().to_string()));
        }
        crate::sys::pause(LOCK_PAUSE);
    }
    Ok((dir, lock))
}

/// The same for the same directory, another for another: FNV-1a, which every version of the program agrees on.
pub(crate) fn instance_name(state_dir: &Path) -> String {
    let bytes = state_dir.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    format!("dormouse-{hash:016x}")
}
