//! What the tests of sandboxes have in common.
#![allow(dead_code, unreachable_pub)]

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use dormouse_jail::{Ended, Exec, Jailer, JailerConfig, Mount, Plan, Running, SpawnerCommand};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// An ordinary user that every Debian has.
pub const NOBODY: u32 = 65_534;
const AS_USER: &str = "DORMOUSE_TEST_AS_USER";
const TOOLS: &str = "DORMOUSE_TEST_TOOLS";

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The spawner and the compiled attempts, in a directory that every user can read.
pub struct Tools {
    pub dir: PathBuf,
    _owned: Option<tempfile::TempDir>,
}

impl Tools {
    pub fn new() -> Self {
        if let Some(dir) = std::env::var_os(TOOLS) {
            return Self { dir: dir.into(), _owned: None };
        }
        let owned = tempfile::Builder::new().prefix("jail-tools").tempdir().expect("a temporary directory");
        let dir = owned.path().to_owned();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).expect("permissions");
        copy_program(env!("CARGO_BIN_EXE_jail-test-spawner").as_ref(), &dir.join("spawner"));
        write_program(attempts(), &dir.join("attempt"));
        Self { dir, _owned: Some(owned) }
    }

    /// This test's own program, where every user can execute it.
    pub fn copy_of_this_test(&self) -> PathBuf {
        let program = self.dir.join("test");
        copy_program(&std::env::current_exe().expect("a program"), &program);
        program
    }

    /// Has another process use these instead of making its own.
    pub fn lend<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(TOOLS, &self.dir)
    }

    pub fn spawner(&self) -> SpawnerCommand {
        SpawnerCommand { program: self.dir.join("spawner"), args: Vec::new() }
    }
}

/// Runs the body as this user; and, when this is root, the same test again as an ordinary one.
pub fn as_each_user(test: &str, body: impl AsyncFnOnce(House)) {
    let tools = Tools::new();
    if is_root() && std::env::var_os(AS_USER).is_none() {
        as_ordinary_user(test, &tools);
    }
    run(tools, body);
}

/// Runs the body as root only; says so when this is not root.
pub fn as_root(body: impl AsyncFnOnce(House)) {
    if is_root() { run(Tools::new(), body) } else { eprintln!("skipped: only root has what this test is about") }
}

fn run(tools: Tools, body: impl AsyncFnOnce(House)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let house = House::open(tools).await;
        body(house).await;
    });
}

/// Another process makes the copy: were it open for writing here, a program that another test starts at this moment would
/// hold it open too, and it could not be run.
fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().expect("cp");
    assert!(copied.success(), "{} could not be copied to {}", from.display(), to.display());
}

/// The program of the attempts, compiled once for all tests of this process.
fn attempts() -> &'static [u8] {
    static COMPILED: OnceLock<Vec<u8>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let program = dir.path().join("attempt");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/attempt.c");
        let compiler = Command::new("cc").args(["-O1", "-w", "-static", "-o"]).args([&program, &source]).status();
        let compiled = compiler.expect("cc is needed by this test: apt-get install gcc libc6-dev");
        assert!(compiled.success(), "attempt.c does not compile");
        std::fs::read(program).expect("what was compiled")
    })
}

/// As [`copy_program`], of what is in memory.
fn write_program(bytes: &[u8], to: &Path) {
    let mut copy = Command::new("cp").arg("/dev/stdin").arg(to).stdin(Stdio::piped()).spawn().expect("cp");
    copy.stdin.take().expect("a pipe").write_all(bytes).expect("a program is written");
    assert!(copy.wait().expect("cp").success(), "{} could not be written", to.display());
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

fn as_ordinary_user(test: &str, tools: &Tools) {
    let out = tools
        .lend(Command::new(tools.copy_of_this_test()).args([test, "--exact", "--nocapture"]))
        .env(AS_USER, "1")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .expect("the test as an ordinary user");
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && stdout.contains("1 passed"), "as an ordinary user:\n{stdout}\n{stderr}");
}

/// A jailer with its directory.
pub struct House {
    pub tools: Tools,
    pub jailer: Jailer,
    pub dir: tempfile::TempDir,
}

impl House {
    pub async fn open(tools: Tools) -> Self {
        let dir = tempfile::Builder::new().prefix("jail-test").tempdir().expect("a temporary directory");
        let config = JailerConfig::new(dir.path().join("jail"));
        let jailer = Jailer::start(tools.spawner(), config).await.expect("a jailer");
        Self { tools, jailer, dir }
    }

    /// A sandbox with the host's programs and our attempts in it.
    pub fn plan(&self, name: &str) -> Plan {
        let link = |at: &str, to: &str| Mount::Symlink { target: at.into(), to: to.into() };
        Plan {
            name: name.to_owned(),
            mounts: vec![
                Mount::Bind { source: "/usr".into(), target: "/usr".into(), writable: false },
                link("/bin", "usr/bin"),
                link("/lib", "usr/lib"),
                link("/lib64", "usr/lib64"),
                Mount::File { target: "/etc/hosts".into(), content: "127.0.0.1 localhost\n".into(), executable: false },
                Mount::Bind { source: self.tools.dir.clone(), target: "/tools".into(), writable: false },
                Mount::Dir { target: "/var/task".into() },
            ],
            tmp_mb: 16,
            shm_mb: 4,
            memory_bytes: 64 << 20,
            cpu_millicores: 1_000,
            pids_max: 32,
            nofile: 256,
            hostname: "sandbox".to_owned(),
            sockets: Vec::new(),
            local_ranges: Vec::new(),
        }
    }

    pub async fn start(&self, plan: Plan, words: &[&str]) -> Running {
        self.jailer.prepare(plan).await.expect("a sandbox").run(exec(words)).await.expect("a running program")
    }

    /// Runs a program to its end: what it printed, and how it ended.
    pub async fn run(&self, plan: Plan, words: &[&str]) -> (String, Ended) {
        let mut running = self.start(plan, words).await;
        let stdout = read_all(running.stdout.take());
        let stderr = read_all(running.stderr.take());
        let (mut out, err) = tokio::join!(stdout, stderr);
        out.push_str(&err);
        (out, running.wait().await)
    }
}

pub fn exec(words: &[&str]) -> Exec {
    Exec {
        mounts: Vec::new(),
        program: words[0].into(),
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
        env: vec!["PATH=/usr/bin".to_owned()],
        cwd: "/var/task".into(),
        channel_fd: None,
    }
}

/// Runs an attempt by name.
pub fn attempt<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["/tools/attempt"], rest].concat()
}

pub fn shell(script: &str) -> [&str; 3] {
    ["/bin/sh", "-c", script]
}

pub async fn read_all(fd: Option<OwnedFd>) -> String {
    let mut text = Vec::new();
    let mut from = pipe::Receiver::from_owned_fd(fd.expect("a pipe")).expect("a pipe");
    from.read_to_end(&mut text).await.expect("all of the output");
    String::from_utf8_lossy(&text).into_owned()
}

/// What shows whose a trace is: the name of a jailer's cgroups, and its directory.
pub fn marks(state_dir: &Path) -> Vec<String> {
    let record = std::fs::read_to_string(state_dir.join("cgroups.json")).expect("a record of cgroups");
    let name = record.find("/dormouse-").map(|at| record[at..at + 26].to_owned());
    name.into_iter().chain([state_dir.display().to_string()]).collect()
}

/// Mounts, cgroups and loop devices of this machine that carry a mark.
pub fn traces(marks: &[String]) -> Vec<String> {
    let marked = |text: &str| marks.iter().any(|mark| text.contains(mark.as_str()));
    let mut found = Vec::new();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    found.extend(mounts.lines().filter(|line| marked(line)).map(|line| format!("mount {line}")));
    let cgroups = directories("/sys/fs/cgroup".as_ref()).into_iter().map(|dir| dir.display().to_string());
    found.extend(cgroups.filter(|path| marked(path)).map(|path| format!("cgroup {path}")));
    for entry in std::fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = std::fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if marked(&file) {
            found.push(format!("loop {} on {}", entry.path().display(), file.trim()));
        }
    }
    found
}

/// All directories below one, those that are deeper after those that hold them.
pub fn directories(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut next = 0;
    while next < found.len() {
        let entries = std::fs::read_dir(&found[next]).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let dirs: Vec<PathBuf> = dirs.map(|entry| entry.path()).collect();
        found.extend(dirs);
        next += 1;
    }
    found.remove(0);
    found
}
