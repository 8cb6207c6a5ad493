//! Removal of what a node that was killed left behind in a state directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Names the directories in which cgroups were made.
const RECORD: &str = "cgroups.json";
/// How long the killed processes of an earlier node may take to end.
const CLEARING_MAX: Duration = Duration::from_secs(10);

/// Adds directories to those that a later sweep looks into. Before anything is made in them.
pub(crate) fn record(state_dir: &Path, bases: &[PathBuf]) -> std::io::Result<()> {
    let text = serde_json::to_vec(bases).map_err(std::io::Error::other)?;
    let draft = state_dir.join("cgroups.json.new");
    std::fs::write(&draft, text)?;
    std::fs::rename(draft, state_dir.join(RECORD))
}

/// Kills what is left of the sandboxes of an earlier node, and removes their cgroups and files. The caller holds the
/// lock of the directory, so that none of it belongs to a live node. Mounts, loop devices and namespaces went with the
/// processes. Returns the directories that could not be cleared.
pub(crate) fn sweep(state_dir: &Path) -> Vec<PathBuf> {
    let recorded = std::fs::read(state_dir.join(RECORD)).unwrap_or_default();
    let bases: Vec<PathBuf> = serde_json::from_slice(&recorded).unwrap_or_default();
    for entry in std::fs::read_dir(state_dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("draft-") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    clear(bases)
}

/// Clears cgroups, waiting for killed processes to end.
pub(crate) fn clear(mut bases: Vec<PathBuf>) -> Vec<PathBuf> {
    let from = Instant::now();
    loop {
        bases.retain(|base| !crate::cgroup::clear(base));
        if bases.is_empty() || from.elapsed() > CLEARING_MAX {
            return bases;
        }
        crate::sys::pause(Duration::from_millis(2));
    }
}
