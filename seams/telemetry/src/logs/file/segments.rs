//! The files of one function.

use std::io;
use std::path::{Path, PathBuf};

use dormouse_model::Timestamp;

use crate::FunctionKey;

/// A file of a log. Ordered by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    /// The time of its making in milliseconds, or one more than the segment before.
    pub(super) number: u64,
}

impl Segment {
    /// The one to write after `last`.
    pub(super) fn after(last: Option<Self>, now: Timestamp) -> Self {
        Self { number: last.map_or(now.0, |last| now.0.max(last.number + 1)) }
    }

    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(format!("{:016x}.log", self.number))
    }

    fn of(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
        u64::from_str_radix(digits, 16).ok().map(|number| Self { number })
    }
}

/// The directory of a function. Names of accounts and functions hold neither dots nor slashes.
pub(super) fn directory(root: &Path, function: &FunctionKey) -> PathBuf {
    root.join(function.account.as_str()).join(function.function.as_str())
}

/// All segments in order; none when there is no directory. What is not a segment is not looked at.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Segment>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        segments.extend(entry?.file_name().to_str().and_then(Segment::of));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Removes the oldest segments until no more than `keep_bytes` are left, but never the last.
pub(super) fn trim(directory: &Path, keep_bytes: u64) -> io::Result<()> {
    let mut sizes = Vec::new();
    for segment in list(directory)? {
        let path = segment.path(directory);
        sizes.push((std::fs::metadata(&path)?.len(), path));
    }
    let mut total: u64 = sizes.iter().map(|(size, _)| size).sum();
    sizes.pop();
    for (size, path) in sizes {
        if total <= keep_bytes {
            break;
        }
        std::fs::remove_file(path)?;
        total -= size;
    }
    Ok(())
}

/// Removes segments that were last written before `oldest`, then the directory if nothing is left in it.
pub(super) fn expire(directory: &Path, oldest: std::time::SystemTime) -> io::Result<()> {
    for segment in list(directory)? {
        let path = segment.path(directory);
        if std::fs::metadata(&path)?.modified()? < oldest {
            std::fs::remove_file(path)?;
        }
    }
    match std::fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_whatever_the_clock_does() {
        let first = Segment::after(None, Timestamp(100));
        assert_eq!(first.number, 100);
        assert_eq!(Segment::after(Some(first), Timestamp(100)).number, 101);
        assert_eq!(Segment::after(Some(first), Timestamp(7)).number, 101);
        assert_eq!(Segment::after(Some(first), Timestamp(500)).number, 500);
    }

    #[test]
    fn only_segments_are_listed_and_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        for number in [300, 2, 71] {
            std::fs::write(Segment { number }.path(dir.path()), "x").expect("a file");
        }
        for other in ["x.log", "0000000000000001.tmp", "notes"] {
            std::fs::write(dir.path().join(other), "x").expect("a file");
        }
        let numbers: Vec<_> = list(dir.path()).expect("a list").iter().map(|segment| segment.number).collect();
        assert_eq!(numbers, [2, 71, 300]);
        assert!(list(&dir.path().join("absent")).expect("a list").is_empty());
    }

    #[test]
    fn the_oldest_go_first_and_the_last_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        for number in 1..=4 {
            std::fs::write(Segment { number }.path(dir.path()), [0; 10]).expect("a file");
        }
        trim(dir.path(), 25).expect("trimmed");
        assert_eq!(list(dir.path()).expect("a list"), [Segment { number: 3 }, Segment { number: 4 }]);
        trim(dir.path(), 0).expect("trimmed");
        assert_eq!(list(dir.path()).expect("a list"), [Segment { number: 4 }]);
    }

    #[test]
    fn what_is_too_old_goes_with_its_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let own = dir.path().join("f");
        std::fs::create_dir(&own).expect("a directory");
        std::fs::write(Segment { number: 1 }.path(&own), "x").expect("a file");
        expire(&own, std::time::UNIX_EPOCH).expect("expired");
        assert_eq!(list(&own).expect("a list").len(), 1);
        expire(&own, std::time::SystemTime::now() + std::time::Duration::from_secs(60)).expect("expired");
        assert!(!own.exists());
    }
}
