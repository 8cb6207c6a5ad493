//! Unpacks the bootstraps, which are part of this program, and compiles them for the interpreters that run them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::ProcessError;
use crate::interpreter::Interpreter;
use crate::runtimes::Managed;

/// The bootstraps by their file names.
const BOOTSTRAPS: [(&str, &str); 2] = [
    ("bootstrap.py", include_str!("../bootstraps/python/bootstrap.py")),
    ("bootstrap.cjs", include_str!("../bootstraps/nodejs/bootstrap.cjs")),
];

/// Directories that become `/var/runtime`, one for each interpreter.
#[derive(Debug)]
pub(crate) struct Provision {
    state_dir: PathBuf,
    /// By executable: the directory, and the name of the file to run in it.
    ready: Mutex<HashMap<PathBuf, (PathBuf, String)>>,
}

impl Provision {
    /// Starts from nothing: bootstraps of an earlier version of this program do not stay.
    pub(crate) fn new(state_dir: &Path) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::State { path: state_dir.to_owned(), source };
        std::fs::create_dir_all(state_dir).map_err(failed)?;
        let state_dir = state_dir.canonicalize().map_err(failed)?.join("runtime");
        match std::fs::remove_dir_all(&state_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::create_dir_all(&state_dir).map_err(failed)?;
        Ok(Self { state_dir, ready: Mutex::default() })
    }

    /// The directory for this interpreter and the bootstrap's file name in it. Slow once, then a look-up.
    pub(crate) fn of(&self, interpreter: &Interpreter, managed: &Managed) -> Result<(PathBuf, String), ProcessError> {
        // Held while a directory is made, so that two first starts do not make it twice.
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ready.get(&interpreter.executable) {
            return Ok(known.clone());
        }
        let dir = self.state_dir.join(format!("{}-{}", ready.len(), interpreter.version));
        let made = unpack(&dir, interpreter, managed)?;
        ready.insert(interpreter.executable.clone(), (dir.clone(), made.clone()));
        Ok((dir, made))
    }
}

fn unpack(dir: &Path, interpreter: &Interpreter, managed: &Managed) -> Result<String, ProcessError> {
    let failed = |source| ProcessError::State { path: dir.to_owned(), source };
    let unknown = || failed(std::io::Error::other(format!("no bootstrap is called {}", managed.bootstrap)));
    let (name, text) = BOOTSTRAPS.iter().find(|(name, _)| *name == managed.bootstrap).ok_or_else(unknown)?;
    // The SDK is mounted on a directory in what is mounted read-only.
    std::fs::create_dir_all(dir.join("sdk")).map_err(failed)?;
    let source = dir.join(name);
    std::fs::write(&source, text).map_err(failed)?;
    let file = match &managed.compiled {
        Some(compiled) if compile(interpreter, managed, &source, &dir.join(compiled)) => compiled,
        _ => &managed.bootstrap,
    };
    open_to_all(dir).map_err(failed)?;
    Ok(file.clone())
}

/// The program in a sandbox has no rights of the node's user.
fn open_to_all(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let mode = if entry.file_type()?.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode))?;
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))
}

/// Whether the interpreter compiled the bootstrap; without it the start is some milliseconds slower, nothing else.
fn compile(interpreter: &Interpreter, managed: &Managed, source: &Path, destination: &Path) -> bool {
    let mut command = Command::new(&interpreter.executable);
    command.args(&managed.compile).arg(source).arg(destination).env_clear();
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let compiled = quiet.status().is_ok_and(|status| status.success()) && destination.is_file();
    if !compiled {
        tracing::warn!(interpreter = %interpreter.executable.display(), "the bootstrap could not be compiled ahead");
    }
    compiled
}
