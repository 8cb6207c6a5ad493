//! Finds the interpreters of the host, through shims, and what of the host they need.

use std::collections::HashMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::runtimes::{Managed, Runtime};

/// How long a host without the version that was asked for is not searched again. The search goes on beside the starts.
const SEARCH_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How long a program may take to tell its version. On a busy machine the first read of a large one from disk has taken more
/// than ten seconds.
const PROBE_LIMIT: Duration = Duration::from_secs(30);
/// How often a probe is looked at.
const PROBE_POLL: Duration = Duration::from_millis(2);
/// Directories that every sandbox has; libraries in them need no mount of their own.
const SYSTEM_LIBRARIES: [&str; 4] = ["/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"];
/// Prefixes that an interpreter shares with others.
const SHARED_PREFIXES: [&str; 3] = ["/", "/usr/local", "/opt"];

/// An interpreter of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Such as `3.12.1`.
    pub(crate) version: String,
    /// Where its library lies; the executable is in it.
    pub(crate) prefix: PathBuf,
    /// The real one, never a shim.
    pub(crate) executable: PathBuf,
    /// Shared libraries outside the prefix and the system's directories.
    pub(crate) libraries: Vec<PathBuf>,
}

/// What will run for a runtime.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) interpreter: Arc<Interpreter>,
    /// Whether it is of the version that was asked for.
    pub(crate) exact: bool,
}

/// Finds interpreters and remembers them. Clones remember the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interpreters {
    probed: Arc<Mutex<HashMap<PathBuf, Probed>>>,
    chosen: Arc<Mutex<HashMap<String, Chosen>>>,
    /// Programs that were still silent at the limit, by the runtime that they were looked at for.
    silent: Arc<Mutex<HashMap<String, PathBuf>>>,
}

/// Why it is not known what a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoAnswer {
    /// It is none of the family, or cannot be executed.
    Other,
    /// It did not answer in time.
    Silent,
}

/// What a program is, as far as it told.
type Probed = Result<Arc<Interpreter>, NoAnswer>;

/// When a runtime's interpreter was looked for, and what was found.
type Chosen = (Instant, Option<Choice>);

impl Interpreters {
    /// The interpreter for a managed runtime: one of its version, else the nearest of the family, else none. Blocks when
    /// nothing was found yet, and only then.
    pub(crate) fn choose(&self, runtime: &Arc<Runtime>, managed: &Managed) -> Option<Choice> {
        if let Some(choice) = self.known(&runtime.name) {
            if self.is_time_to_search(&runtime.name) {
                let (again, runtime) = (self.clone(), Arc::clone(runtime));
                std::thread::spawn(move || {
                    runtime.managed.as_ref().map(|managed| again.search_anew(&runtime, managed))
                });
            }
            return Some(choice);
        }
        self.search_anew(runtime, managed)
    }

    /// What was chosen earlier.
    pub(crate) fn known(&self, name: &str) -> Option<Choice> {
        lock(&self.chosen).get(name).and_then(|(_, choice)| choice.clone())
    }

    /// A program that may well run this, and did not tell its version in time.
    pub(crate) fn silent(&self, name: &str) -> Option<PathBuf> {
        lock(&self.silent).get(name).cloned()
    }

    /// Whether somebody may have installed the exact version since; says so once.
    fn is_time_to_search(&self, name: &str) -> bool {
        let mut chosen = lock(&self.chosen);
        let Some((at, choice)) = chosen.get_mut(name) else { return true };
        let settled = choice.as_ref().is_some_and(|choice| choice.exact);
        let due = !settled && at.elapsed() >= SEARCH_AGAIN_AFTER;
        if due {
            *at = Instant::now();
        }
        due
    }

    fn search_anew(&self, runtime: &Runtime, managed: &Managed) -> Option<Choice> {
        let nothing_new = lock(&self.chosen)
            .get(&runtime.name)
            .is_some_and(|(at, choice)| choice.is_none() && at.elapsed() < SEARCH_AGAIN_AFTER);
        if nothing_new {
            return None;
        }
        if lock(&self.chosen).contains_key(&runtime.name) {
            lock(&self.probed).clear();
        }
        lock(&self.silent).remove(&runtime.name);
        let choice = self.search(runtime, managed);
        lock(&self.chosen).insert(runtime.name.clone(), (Instant::now(), choice.clone()));
        choice
    }

    fn search(&self, runtime: &Runtime, managed: &Managed) -> Option<Choice> {
        let exact = managed.candidates.iter().flat_map(|pattern| expand(pattern)).find_map(|path| {
            self.probe(&path, runtime, managed).filter(|found| is_version(&found.version, &runtime.version))
        });
        if let Some(interpreter) = exact {
            return Some(Choice { interpreter, exact: true });
        }
        let family = managed.family_candidates.iter().flat_map(|pattern| expand(pattern));
        let found = family.filter_map(|path| self.probe(&path, runtime, managed));
        let interpreter = found.min_by_key(|found| distance(&runtime.version, &found.version))?;
        Some(Choice { interpreter, exact: false })
    }

    fn probe(&self, path: &Path, runtime: &Runtime, managed: &Managed) -> Option<Arc<Interpreter>> {
        let path = in_real_directory(path);
        let known = lock(&self.probed).get(&path).cloned();
        let probed = known.unwrap_or_else(|| {
            let probed = probe(&path, managed).map(Arc::new);
            lock(&self.probed).insert(path.clone(), probed.clone());
            probed
        });
        if matches!(probed, Err(NoAnswer::Silent)) {
            lock(&self.silent).insert(runtime.name.clone(), path);
        }
        probed.ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Maps of finished findings: whole at every moment, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `3.12.1` is of `3.12`, `3.1` is not.
fn is_version(full: &str, asked: &str) -> bool {
    full.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// How far a version is from the one that was asked for; of two equally far the newer is nearer.
fn distance(asked: &str, found: &str) -> (u64, u64) {
    let numbers = |text: &str| -> Vec<u64> { text.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    let (asked, found) = (numbers(asked), numbers(found));
    // As many places as were asked for: 3.12 counts minors, 20 counts majors.
    let place = |numbers: &[u64]| numbers.iter().take(asked.len()).fold(0, |sum, part| sum * 1000 + part);
    let (asked_at, found_at) = (place(&asked), place(&found));
    let patch = found.get(asked.len()).copied().unwrap_or(0);
    (asked_at.abs_diff(found_at) * 2 + u64::from(found_at < asked_at), u64::MAX - patch)
}

/// The existing files that a candidate stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains('/') {
        let path = std::env::var_os("PATH").unwrap_or_default();
        return std::env::split_paths(&path).map(|dir| dir.join(pattern)).filter(|file| file.is_file()).collect();
    }
    let mut found = match pattern.split_once('/') {
        Some(("", _)) => vec![PathBuf::from("/")],
        Some(("~", _)) => std::env::home_dir().into_iter().collect(),
        Some((variable, _)) => {
            let value = variable.strip_prefix('$').and_then(std::env::var_os);
            value.map(PathBuf::from).into_iter().collect()
        }
        None => Vec::new(),
    };
    for part in pattern.split('/').skip(1) {
        found = match part.split_once('*') {
            None => found.into_iter().map(|dir| dir.join(part)).collect(),
            Some((start, end)) => found.iter().flat_map(|dir| matching(dir, start, end)).collect(),
        };
    }
    found.retain(|file| file.is_file());
    found
}

/// Entries of a directory by the start and the end of their names, the last in order first.
fn matching(dir: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let named = |name: &str| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
    let paths = entries.filter_map(Result::ok).filter(|entry| entry.file_name().to_str().is_some_and(named));
    let mut paths: Vec<PathBuf> = paths.map(|entry| entry.path()).collect();
    paths.sort_by(|a, b| b.cmp(a));
    paths
}

/// One name for `/bin/node` and `/usr/bin/node` where both are the same directory. The file itself keeps its name: a shim
/// goes by it.
fn in_real_directory(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|dir| dir.canonicalize().ok());
    directory.zip(path.file_name()).map_or_else(|| path.to_owned(), |(dir, name)| dir.join(name))
}

/// Asks a program, or a shim before it, what it is.
fn probe(path: &Path, managed: &Managed) -> Result<Interpreter, NoAnswer> {
    let said = output_of(Command::new(path).args(&managed.probe), PROBE_LIMIT)?;
    described(&said, managed).ok_or(NoAnswer::Other)
}

/// What a program said of itself.
fn described(said: &str, managed: &Managed) -> Option<Interpreter> {
    let mut lines = said.lines();
    let (version, prefix, executable) = (lines.next()?, lines.next()?, lines.next()?);
    if !version.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let executable = Path::new(executable).canonicalize().ok()?;
    let prefix = Path::new(prefix).canonicalize().ok()?;
    let version_places: Vec<&str> = version.split('.').take(2).collect();
    let mut files = vec![executable.clone()];
    for pattern in &managed.libraries {
        let pattern = pattern.replace("{version}", &version_places.join("."));
        files.extend(expand(&format!("{}/{pattern}", prefix.display())));
    }
    let libraries = if prefix == Path::new("/usr") { Vec::new() } else { foreign_libraries(&files, &prefix) };
    Some(Interpreter { version: version.to_owned(), prefix, executable, libraries })
}

/// The standard output of a program that ends well within a limit. Blocking.
#[expect(clippy::disallowed_methods, reason = "this is called on threads for blocking work only")]
fn output_of(command: &mut Command, limit: Duration) -> Result<String, NoAnswer> {
    let other = |_: std::io::Error| NoAnswer::Other;
    let started = Instant::now();
    let command = command.env_remove("PYTHONHOME").env_remove("PYTHONPATH").env_remove("NODE_OPTIONS");
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // With whatever it starts: many an interpreter on a path is a script that looks for the real one.
    let mut child = quiet.process_group(0).spawn().map_err(other)?;
    loop {
        match child.try_wait().map_err(other)? {
            Some(status) if status.success() => break,
            Some(_) => return Err(NoAnswer::Other),
            None if started.elapsed() > limit => {
                // They are ours and hang; what it is remains unknown.
                let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
                drop(child.wait());
                let program = Path::new(quiet.get_program()).display();
                tracing::warn!(%program, ?limit, "it did not tell its version in time, and is taken for none");
                return Err(NoAnswer::Silent);
            }
            None => std::thread::sleep(PROBE_POLL),
        }
    }
    let mut said = String::new();
    let mut stdout = child.stdout.take().ok_or(NoAnswer::Other)?;
    std::io::Read::read_to_string(&mut stdout, &mut said).map_err(other)?;
    Ok(said)
}

/// Shared libraries that these files load from outside the prefix and the system's directories, as `ldd` tells.
fn foreign_libraries(files: &[PathBuf], prefix: &Path) -> Vec<PathBuf> {
    let said = output_of(Command::new("ldd").args(files), PROBE_LIMIT).unwrap_or_default();
    let mut found: Vec<PathBuf> = loaded_paths(&said)
        .filter(|path| !SYSTEM_LIBRARIES.iter().any(|dir| path.starts_with(dir)))
        .map(PathBuf::from)
        .filter(|path| !path.starts_with(prefix))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The paths in what `ldd` prints: `name => path (address)` or `path (address)`.
fn loaded_paths(said: &str) -> impl Iterator<Item = &str> {
    let lines = said.lines().filter(|line| line.starts_with(char::is_whitespace));
    lines.filter_map(|line| {
        let line = line.trim();
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = path.split_once(" (").map_or(path, |(path, _)| path);
        path.starts_with('/').then_some(path)
    })
}

/// Where an interpreter is inside a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The program to execute.
    pub(crate) program: PathBuf,
    /// Sources on the host with their targets inside.
    pub(crate) binds: Vec<(PathBuf, PathBuf)>,
}

/// Decides what of the host is mounted where. The system's own interpreters stay in place, others come to `/var/lang`.
pub(crate) fn place(interpreter: &Interpreter, managed: &Managed) -> Placement {
    let lang = Path::new(crate::plan::LANG_DIR);
    let Interpreter { version, prefix, executable, libraries } = interpreter;
    let mut binds: Vec<(PathBuf, PathBuf)> = libraries.iter().map(|path| (path.clone(), path.clone())).collect();
    if prefix == Path::new("/usr") && executable.starts_with("/usr/bin") {
        return Placement { program: executable.clone(), binds };
    }
    let Ok(inside) = executable.strip_prefix(prefix) else {
        let program = lang.join("bin").join(executable.file_name().unwrap_or_default());
        binds.push((executable.clone(), program.clone()));
        return Placement { program, binds };
    };
    if SHARED_PREFIXES.iter().any(|shared| prefix == Path::new(shared)) {
        let places: Vec<&str> = version.split('.').take(2).collect();
        let parts = managed.parts.iter().map(|part| part.replace("{version}", &places.join(".")));
        binds.extend(parts.map(|part| (prefix.join(&part), lang.join(&part))).filter(|(source, _)| source.exists()));
    } else {
        binds.push((prefix.clone(), lang.to_owned()));
    }
    Placement { program: lang.join(inside), binds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtimes::Runtimes;

    #[test]
    fn the_nearest_version_is_chosen_and_of_two_the_newer() {
        let nearest = |asked: &str, found: &[&str]| -> String {
            (*found.iter().min_by_key(|version| distance(asked, version)).expect("some")).to_owned()
        };
        assert_eq!(nearest("3.14", &["3.8.18", "3.13.0", "3.11.7"]), "3.13.0");
        assert_eq!(nearest("3.10", &["3.9.1", "3.11.2"]), "3.11.2");
        assert_eq!(nearest("20", &["18.0.0", "22.1.0"]), "22.1.0");
        assert_eq!(nearest("3.12", &["3.11.2", "3.11.7"]), "3.11.7");
    }

    #[test]
    fn a_version_is_matched_by_whole_places() {
        assert!(is_version("3.1.2", "3.1") && is_version("20.1.0", "20"));
        assert!(!is_version("3.12.1", "3.1") && !is_version("2.0.0", "20"));
    }

    #[test]
    fn paths_are_read_from_what_ldd_prints() {
        let said = "/usr/bin/x:\n\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\tliby.so => not found\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x3)\n\tlibz.so => /opt/a b/libz.so (0x4)\n";
        let paths: Vec<&str> = loaded_paths(said).collect();
        assert_eq!(paths, ["/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2", "/opt/a b/libz.so"]);
    }

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        let dir = tempfile::tempdir().expect("a directory");
        for version in ["3.12.1", "3.12.10", "3.1.2"] {
            let bin = dir.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).expect("made");
            std::fs::write(bin.join("python"), "").expect("written");
        }
        let found = expand(&format!("{}/3.12.*/bin/python", dir.path().display()));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_program_that_is_silent_is_told_from_one_that_is_none() {
        let shell = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            output_of(&mut command, Duration::from_millis(200))
        };
        assert_eq!(shell("exec sleep 60"), Err(NoAnswer::Silent));
        let dir = tempfile::tempdir().expect("a directory");
        let told = dir.path().join("pid");
        assert_eq!(shell(&format!("sleep 60 & echo $! > {}; wait", told.display())), Err(NoAnswer::Silent));
        let pid = std::fs::read_to_string(told).expect("the pid of what it started");
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let ended = || state().is_empty() || state().contains(") Z ");
        let from = Instant::now();
        while !ended() {
            assert!(from.elapsed() < Duration::from_secs(10), "what it started lives on: {}", state());
            std::thread::yield_now();
        }
        assert_eq!(shell("exit 1"), Err(NoAnswer::Other));
        assert_eq!(output_of(&mut Command::new("/nonexistent"), PROBE_LIMIT), Err(NoAnswer::Other));
    }

    #[test]
    fn a_directory_with_two_names_is_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let real = dir.path().canonicalize().expect("there").join("usr-bin");
        std::fs::create_dir(&real).expect("made");
        std::os::unix::fs::symlink(&real, dir.path().join("bin")).expect("linked");
        std::os::unix::fs::symlink("shim", real.join("node")).expect("linked");
        assert_eq!(in_real_directory(&dir.path().join("bin/node")), real.join("node"));
    }

    #[test]
    fn an_interpreter_is_placed_by_its_prefix() {
        let all = Runtimes::embedded().expect("right");
        let managed = all.get("python3.12").and_then(|r| r.managed.clone()).expect("managed");
        let at = |prefix: &str, executable: &str| {
            let interpreter = Interpreter {
                version: "3.12.1".to_owned(),
                prefix: prefix.into(),
                executable: executable.into(),
                libraries: Vec::new(),
            };
            place(&interpreter, &managed)
        };
        let system = at("/usr", "/usr/bin/python3.12");
        assert_eq!(system, Placement { program: "/usr/bin/python3.12".into(), binds: vec![] });
        let own = at("/home/u/.pyenv/versions/3.12.1", "/home/u/.pyenv/versions/3.12.1/bin/python3.12");
        assert_eq!(own.program, Path::new("/var/lang/bin/python3.12"));
        assert_eq!(own.binds[0].1, Path::new("/var/lang"));
        let outside = at("/home/u/python", "/snap/python3.12");
        assert_eq!(outside.program, Path::new("/var/lang/bin/python3.12"));
    }
}
