use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::Dormouse;
use crate::platform::pause;

/// What a platform could leave behind on the host. Other platforms run beside it, so everything is told apart by the
/// platform's own directory.
pub struct Residue {
    home: PathBuf,
}

impl Residue {
    /// Of this platform, to be looked for after its end.
    pub fn of(platform: &Dormouse) -> Self {
        Self { home: platform.home().to_owned() }
    }

    /// No process, mount, loop device or cgroup of the platform is left. The kernel takes a moment to reap what was killed.
    pub fn is_gone(&self) -> Result<()> {
        let mut left = self.left();
        for _ in 0..500 {
            if left.is_empty() {
                break;
            }
            pause();
            left = self.left();
        }
        ensure!(left.is_empty(), "left behind: {left:#?}");
        Ok(())
    }

    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for pid in numbered(Path::new("/proc")) {
            let command = std::fs::read(pid.join("cmdline")).unwrap_or_default();
            let mounts = std::fs::read_to_string(pid.join("mountinfo")).unwrap_or_default();
            let is_ours = self.is_named_in(&String::from_utf8_lossy(&command)) || self.is_named_in(&mounts);
            if is_ours && !command.is_empty() {
                left.push(format!(
                    "process {}: {}",
                    pid.display(),
                    String::from_utf8_lossy(&command).replace('\0', " ")
                ));
            }
        }
        for device in entries(Path::new("/sys/block")) {
            let file = std::fs::read_to_string(device.join("loop/backing_file")).unwrap_or_default();
            if self.is_named_in(&file) {
                left.push(format!("{} on {}", device.display(), file.trim()));
            }
        }
        // The platform writes down where it makes cgroups before it makes any.
        let recorded = std::fs::read(self.home.join("data/sandboxes/cgroups.json")).unwrap_or_default();
        let made: Vec<PathBuf> = serde_json::from_slice(&recorded).unwrap_or_default();
        left.extend(made.iter().filter(|dir| dir.exists()).map(|dir| format!("cgroup {}", dir.display())));
        left
    }

    fn is_named_in(&self, text: &str) -> bool {
        text.contains(&*self.home.to_string_lossy())
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn numbered(dir: &Path) -> Vec<PathBuf> {
    let is_number =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    entries(dir).into_iter().filter(is_number).collect()
}
