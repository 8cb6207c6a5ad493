//! Adds frames to the end of a file. The file is open only while this runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::frame;

/// Readable by the owner only: logs hold what users print.
const FILE_MODE: u32 = 0o600;

/// How an append went. Frames of which the newline was written are there for good, whatever happened to the rest.
pub(crate) struct Appended {
    /// How many of the frames are in the file, from the first.
    pub(crate) frames: usize,
    /// How long the file is now, as far as known.
    pub(crate) length: u64,
    /// Why the rest are not.
    pub(crate) result: io::Result<()>,
}

/// Appends whole frames; `sync` waits until they are on the disk itself.
pub(crate) fn append(path: &Path, frames: &[u8], sync: bool) -> Appended {
    let (mut file, before) = match open(path) {
        Ok(opened) => opened,
        Err(error) => return Appended { frames: 0, length: 0, result: Err(error) },
    };
    let mut written = 0;
    let mut result = Ok(());
    while written < frames.len() {
        match file.write(&frames[written..]) {
            Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => result = Err(error),
        }
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() && sync {
        result = file.sync_data();
    }
    let whole = frames[..written].iter().filter(|byte| **byte == b'\n').count();
    Appended { frames: whole, length: before + written as u64, result }
}

/// Opens the file at its end, behind a newline.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(path)?;
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok((file, 0));
    }
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    if last[0] == b'\n' {
        return Ok((file, length));
    }
    file.write_all(frame::MEND)?;
    Ok((file, length + frame::MEND.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_end_is_mended_before_anything_is_added() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        let mut one = Vec::new();
        frame::write(&mut one, b"one");
        std::fs::write(&path, &one[..one.len() - 1]).expect("a torn file");
        let appended = append(&path, &one, true);
        assert!(appended.result.is_ok() && appended.frames == 1);
        let file = std::fs::read(&path).expect("the file");
        assert_eq!(appended.length, file.len() as u64);
        let bodies: Vec<_> = file.split(|b| *b == b'\n').filter_map(frame::body).collect();
        assert_eq!(bodies, [b"one"], "the torn frame came back to life: {}", String::from_utf8_lossy(&file));
    }

    /// `/dev/full` fails every write as a full disk does.
    #[test]
    fn a_full_disk_is_reported_and_counts_nothing() {
        let appended = append(Path::new("/dev/full"), b"x\n", false);
        assert_eq!(appended.frames, 0);
        assert_eq!(appended.result.expect_err("full").kind(), io::ErrorKind::StorageFull);
    }
}
