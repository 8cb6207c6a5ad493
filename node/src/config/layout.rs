//! Where things lie in the data directory that more than one part of the node names.

use std::path::PathBuf;

use super::Config;

impl Config {
    /// The directory in whose `blobs/` uploaded code lies.
    pub fn blobs_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    /// The key under which secrets are sealed: the operator's own file, or ours beside the data.
    pub fn master_key_path(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.data_dir.join("master.key"))
    }
}
