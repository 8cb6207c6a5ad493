//! The files of usage, one for each day, UTC.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dormouse_model::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{DAY_MS, Rows};
use crate::frame;
use crate::{UsageKey, UsageRow, UsageSums};

/// A row as it lies in a file. A change here is a change of the format on disk.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    hour: Timestamp,
    #[serde(flatten)]
    key: UsageKey,
    #[serde(flatten)]
    sums: UsageSums,
}

/// A day, counted from the epoch. Its file is named by its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(u64);

impl Day {
    pub(super) fn of(time: Timestamp) -> Self {
        Self(time.0 / DAY_MS)
    }

    pub(super) fn path(self, directory: &Path) -> PathBuf {
        let date = Timestamp(self.0 * DAY_MS).to_string();
        directory.join(format!("{}.usage", date.split('T').next().unwrap_or(&date)))
    }
}

/// Appends one row in a frame.
pub(super) fn write_row(out: &mut Vec<u8>, hour: Timestamp, key: &UsageKey, sums: &UsageSums) {
    let on_disk = OnDisk { hour, key: key.clone(), sums: *sums };
    // Strings, numbers and fixed keys: there is nothing in it that JSON cannot say.
    if let Ok(body) = serde_json::to_vec(&on_disk) {
        frame::write(out, &body);
    }
}

/// Adds the rows of one file that `wanted` says yes to. A file that is not there has none.
fn add_file(rows: &mut Rows, path: &Path, wanted: impl Fn(Timestamp, &UsageKey) -> bool) -> io::Result<()> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => BufReader::with_capacity(64 << 10, file?),
    };
    let (mut line, mut torn) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        file.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            break;
        }
        match frame::body(&line).and_then(|body| serde_json::from_slice::<OnDisk>(body).ok()) {
            Some(row) if wanted(row.hour, &row.key) => rows.entry((row.hour, row.key)).or_default().add(&row.sums),
            Some(_) => {}
            None => torn += 1,
        }
    }
    if torn > 0 {
        tracing::debug!(path = %path.display(), torn, "lines of usage that are not whole were passed over");
    }
    Ok(())
}

/// All rows whose hours begin in the range, of one account or of all.
pub(super) fn read(
    directory: &Path,
    account: Option<&AccountId>,
    from: Timestamp,
    to: Timestamp,
) -> io::Result<Vec<UsageRow>> {
    let mut rows = Rows::new();
    for path in files(directory)? {
        let day = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if day < date(from) || (to < Timestamp(u64::MAX) && day > date(to)) {
            continue;
        }
        add_file(&mut rows, &path, |hour, key| {
            (from..to).contains(&hour) && account.is_none_or(|account| *account == key.account)
        })?;
    }
    Ok(rows.into_iter().map(|((hour, key), sums)| UsageRow { key, hour, sums }).collect())
}

fn date(time: Timestamp) -> String {
    time.to_string().split('T').next().unwrap_or_default().to_owned()
}

/// The files of all days, in order.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        paths.extend(path.extension().is_some_and(|kind| kind == "usage").then_some(path));
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Writes one row for each key and hour in place of many. Returns the new length. Atomic, also for readers.
pub(super) fn fold(path: &Path) -> io::Result<u64> {
    let mut rows = Rows::new();
    add_file(&mut rows, path, |_, _| true)?;
    let mut frames = Vec::new();
    for ((hour, key), sums) in &rows {
        write_row(&mut frames, *hour, key, sums);
    }
    let folded = path.with_extension("folding");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&folded)?;
    file.write_all(&frames)?;
    file.sync_all()?;
    std::fs::rename(&folded, path)?;
    Ok(frames.len() as u64)
}

/// Removes days before `oldest`.
pub(super) fn expire(directory: &Path, oldest: Timestamp) -> io::Result<()> {
    for path in files(directory)? {
        let day = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if day < date(oldest).as_str() {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}
