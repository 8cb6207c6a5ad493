//! Reading every byte of a zip, to check it or to put it on disk.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use super::plan::{Archive, Kind, Plan, ZipLimits, ZipRefusal, plan};

const READABLE: u32 = 0o444;
const EXECUTABLE: u32 = 0o555;
/// Sandboxes mount it read-only. On the host its owner may write, so that `rm -r` removes a data directory of an ordinary
/// user as it does root's.
const DIRECTORY: u32 = 0o755;

/// Why a zip was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error(transparent)]
    Refused(#[from] ZipRefusal),
    #[error("the code cache cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// Reads the whole zip, with its checksums, and returns how many bytes it unpacks to. Blocks; bounded by the limits.
pub(crate) fn check(zip: &[u8], limits: ZipLimits) -> Result<u64, ZipRefusal> {
    let (mut archive, plan) = plan(zip, limits)?;
    let mut left = limits.unpacked_bytes;
    for (kind, index) in plan.entries.values() {
        if let (Kind::File { .. }, Some(index)) = (kind, index) {
            match copy(&mut archive, *index, &mut io::sink(), &mut left, limits) {
                Ok(()) => {}
                Err(UnpackError::Refused(refusal)) => return Err(refusal),
                Err(UnpackError::Disk(error)) => return Err(ZipRefusal::Broken(error.to_string())),
            }
        }
    }
    Ok(limits.unpacked_bytes - left)
}

/// Unpacks into a directory that exists and is empty; all files end up read-only. Returns the bytes of all files.
pub(crate) fn unpack(zip: &[u8], limits: ZipLimits, into: &Path) -> Result<u64, UnpackError> {
    let (mut archive, plan) = plan(zip, limits)?;
    let mut left = limits.unpacked_bytes;
    // In the order of paths a directory comes before what is in it. Links come last, so that nothing is written
    // through one.
    for (path, (kind, index)) in &plan.entries {
        match (kind, index) {
            (Kind::Directory, _) => fs::create_dir(into.join(path))?,
            (Kind::File { executable }, Some(index)) => {
                let mode = if *executable { EXECUTABLE } else { READABLE };
                let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(into.join(path))?;
                copy(&mut archive, *index, &mut file, &mut left, limits)?;
                file.set_permissions(fs::Permissions::from_mode(mode))?;
            }
            (Kind::File { .. } | Kind::Link { .. }, _) => {}
        }
    }
    for (path, (kind, _)) in &plan.entries {
        if let Kind::Link { target } = kind {
            symlink(target, into.join(path))?;
        }
    }
    open_directories(&plan, into)?;
    Ok(limits.unpacked_bytes - left)
}

/// Whatever the umask is, sandboxes under other uids pass through.
fn open_directories(plan: &Plan, root: &Path) -> io::Result<()> {
    let directories = plan.entries.iter().rev().filter(|(_, (kind, _))| *kind == Kind::Directory);
    for (path, _) in directories {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(DIRECTORY))?;
    }
    fs::set_permissions(root, fs::Permissions::from_mode(DIRECTORY))
}

/// Copies one file and takes its real size from what is left.
fn copy(
    archive: &mut Archive<'_>,
    index: usize,
    to: &mut impl Write,
    left: &mut u64,
    limits: ZipLimits,
) -> Result<(), UnpackError> {
    let mut file = archive.by_index(index).map_err(ZipRefusal::from)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(|error| ZipRefusal::Broken(error.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        *left = left.checked_sub(read as u64).ok_or(ZipRefusal::TooLarge(limits.unpacked_bytes))?;
        to.write_all(&buffer[..read])?;
    }
}

/// Removes a tree whatever the modes of its directories are. Links are removed, never followed.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?;
    if kind.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(path)? {
            remove_tree(&entry?.path())?;
        }
        return fs::remove_dir(path);
    }
    fs::remove_file(path)
}
