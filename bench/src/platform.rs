//! The platform under measurement, started from its release binary in a temporary directory.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

/// One running `dormouse up`. Dropping it stops it.
pub(crate) struct Platform {
    child: Child,
    home: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

impl Platform {
    /// Starts one with settings such as `("DORMOUSE_LOG__LEVEL", "warn")`.
    pub(crate) fn start(binary: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("dormouse-bench-").tempdir()?;
        let log = std::fs::File::create(home.path().join("stderr.log"))?;
        let mut child = Command::new(binary)
            .args(["up", "--listen", "127.0.0.1:0", "--output", "json", "--data-dir"])
            .arg(home.path().join("data"))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            let log = std::fs::read_to_string(home.path().join("stderr.log")).unwrap_or_default();
            bail!("dormouse up did not start:\n{log}");
        }
        let announced: Value = serde_json::from_str(&line)?;
        let text = |key: &str| announced.get(key).and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
        let address = text("endpoint").rsplit('/').next().unwrap_or_default().parse()?;
        Ok(Self {
            child,
            home,
            address,
            access_key_id: text("access_key_id"),
            secret_access_key: text("secret_access_key"),
        })
    }

    /// Resident memory of the platform's own processes (the node and its spawner), in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let mut total = 0;
        for pid in std::iter::once(self.child.id()).chain(children(self.child.id())) {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
            let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
            total += kilobytes * 1024;
        }
        Ok(total)
    }

    /// All processes below the platform, its spawner included.
    pub(crate) fn descendants(&self) -> Vec<u32> {
        let mut found = vec![];
        let mut open = vec![self.child.id()];
        while let Some(pid) = open.pop() {
            let below = children(pid);
            found.extend(&below);
            open.extend(below);
        }
        found
    }

    /// Its directory.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

impl Drop for Platform {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
