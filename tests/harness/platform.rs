use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long a platform may take to accept connections or to stop, on a machine that builds something else beside it.
const PATIENCE: Duration = Duration::from_secs(60);
/// An ordinary user, when the tests run as root.
const ORDINARY_UID: u32 = 65_534;

/// Who runs the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum User {
    /// Whoever runs the tests.
    #[default]
    Same,
    /// Somebody without privileges, also when the tests run as root.
    Ordinary,
}

/// What a test wants of its platform.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Settings as environment variables: `("DORMOUSE_FUNCTIONS__IDLE_EXPIRY_SECS", "1")`.
    pub settings: Vec<(String, String)>,
    /// Who runs it.
    pub user: User,
    /// Shell commands that run first, in the directory that holds `data` and in a mount namespace of the platform's own.
    /// Takes root.
    pub mounts: Option<String>,
}

impl Options {
    /// Adds one setting by its dotted name.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        let variable = format!("DORMOUSE_{}", name.replace('.', "__").to_uppercase());
        self.settings.push((variable, value.to_string()));
        self
    }

    /// Over other file systems, such as one that is small.
    pub fn mounting(mut self, commands: &str) -> Self {
        self.mounts = Some(commands.to_owned());
        self
    }

    /// Run by an ordinary user.
    pub fn ordinary(mut self) -> Self {
        self.user = User::Ordinary;
        self
    }
}

/// One running platform. Dropping it stops it hard and removes its directory.
pub struct Dormouse {
    child: Child,
    options: Options,
    home: TempDir,
    announcement: Value,
}

impl Dormouse {
    /// Starts one with its defaults.
    pub fn start() -> Result<Self> {
        Self::start_with(Options::default())
    }

    /// Starts one in a new directory.
    pub fn start_with(options: Options) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("dormouse-test-").tempdir()?;
        if options.user == User::Ordinary && rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(home.path(), Some(ORDINARY_UID), Some(ORDINARY_UID))?;
        }
        let (child, announcement) = launch(&options, home.path(), "127.0.0.1:0")?;
        Ok(Self { child, options, home, announcement })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        self.announced("endpoint")
    }

    /// The root access key id.
    pub fn access_key_id(&self) -> &str {
        self.announced("access_key_id")
    }

    /// The root secret, which is announced on the first start only.
    pub fn secret_access_key(&self) -> &str {
        self.announced("secret_access_key")
    }

    fn announced(&self, key: &str) -> &str {
        self.announcement.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The directory that it was given for everything.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("stderr.log")).unwrap_or_default()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("cannot send {signal:?}"))
    }

    /// SIGTERM, then waits for its end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!("dormouse did not end within {PATIENCE:?}; its log:\n{}", self.log());
            }
            pause();
        }
    }

    /// Kills it as a power cut of the process would, and starts it again on the same data and port.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.restart()
    }

    /// Starts it again on the same data and port, after its end.
    pub fn restart(&mut self) -> Result<()> {
        let listen = self.endpoint().rsplit('/').next().unwrap_or_default().to_owned();
        let (child, announcement) = launch(&self.options, self.home.path(), &listen)?;
        self.child = child;
        let secret = self.announcement.get("secret_access_key").cloned();
        self.announcement = announcement;
        if let (Some(secret), Some(now)) = (secret, self.announcement.as_object_mut()) {
            now.entry("secret_access_key").or_insert(secret);
        }
        Ok(())
    }

    /// A `dormouse` command that talks to this platform.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).env_clear().env("PATH", path()).env("HOME", self.home.path());
        command.env("AWS_ENDPOINT_URL", self.endpoint());
        command.env("AWS_ACCESS_KEY_ID", self.access_key_id());
        command.env("AWS_SECRET_ACCESS_KEY", self.secret_access_key());
        command.env("AWS_REGION", self.announced("region"));
        command.current_dir(self.home.path());
        command
    }
}

impl Drop for Dormouse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the platform on {} ---\n{}", self.endpoint(), self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `dormouse` that the workspace built, copied to where an ordinary user can run it.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BINARY.get_or_init(|| copy_of_binary().expect("a dormouse to test"));
    path
}

fn copy_of_binary() -> Result<(TempDir, PathBuf)> {
    let built = match std::env::var_os("DORMOUSE_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let test = std::env::current_exe()?;
            let profile_dir = test.ancestors().nth(2).context("a test binary lies in target/PROFILE/deps")?;
            profile_dir.join("dormouse")
        }
    };
    let dir = tempfile::Builder::new().prefix("dormouse-bin-").tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    let path = dir.path().join("dormouse");
    // A hard link is enough on one file system, and is made at once.
    if std::fs::hard_link(&built, &path).is_err() {
        // Another process makes the copy: were it open for writing here, a program that another test starts at this
        // moment would hold it open too, and it could not be run.
        let copied = Command::new("cp").arg(&built).arg(&path).status()?;
        ensure!(copied.success(), "{} is missing: build it with `cargo build -p dormouse`", built.display());
    }
    Ok((dir, path))
}

fn path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned())
}

fn launch(options: &Options, home: &Path, listen: &str) -> Result<(Child, Value)> {
    let data_dir = home.join("data");
    let stderr = std::fs::OpenOptions::new().create(true).append(true).open(home.join("stderr.log"))?;
    let mut command = match &options.mounts {
        None => Command::new(binary()),
        Some(commands) => {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-e", "-c"]);
            // What is executed at last keeps the process id of the first.
            command.arg(format!("{commands}\nexec \"$0\" \"$@\"")).arg(binary());
            command
        }
    };
    command.arg("up").arg("--data-dir").arg(&data_dir).args(["--listen", listen, "--output", "json"]);
    command.env_clear().env("PATH", path()).env("HOME", home).current_dir(home);
    for name in ["DORMOUSE_SDK__PYTHON", "DORMOUSE_SDK__NODEJS"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for (name, value) in &options.settings {
        command.env(name, value);
    }
    if options.user == User::Ordinary && rustix::process::geteuid().is_root() {
        command.uid(ORDINARY_UID).gid(ORDINARY_UID);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn()?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        let status = child.wait()?;
        let log = std::fs::read_to_string(home.join("stderr.log")).unwrap_or_default();
        bail!("dormouse up ended with {status} before it announced itself; its log:\n{log}");
    }
    let announcement = serde_json::from_str(&line).with_context(|| format!("announced {line:?}"))?;
    Ok((child, announcement))
}

/// One step of a wait that ends by what is waited for.
#[expect(clippy::disallowed_methods, reason = "tests wait on other processes, which tell us nothing by themselves")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
