use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};

use crate::Dormouse;
use crate::platform::pause;

/// How long a client may take, in seconds; the crash loop takes the longest, and soaks for ten minutes.
const CLIENT_SECS_MAX: &str = "900";

/// Real clients, with the keys of one platform.
pub struct Client<'a> {
    platform: &'a Dormouse,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; 128 and more for a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Result<Self> {
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Self {
            code: output.status.code().unwrap_or(128),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl<'a> Client<'a> {
    /// Clients of this platform.
    pub fn of(platform: &'a Dormouse) -> Self {
        Self { platform }
    }

    /// Runs `tests/clients/MODULE.py`'s function; what it prints is shown when it fails.
    pub fn python(&self, module: &str, function: &str) -> Result<()> {
        self.python_with(module, function, &[])
    }

    /// [`Client::python`] with further environment variables.
    pub fn python_with(&self, module: &str, function: &str, variables: &[(&str, String)]) -> Result<()> {
        let mut command = self.script(module, function)?;
        command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
        let output = Output::of(&mut command)?;
        if output.code != 0 {
            bail!("{module}.{function} failed\n{}{}", output.stdout, output.stderr);
        }
        Ok(())
    }

    /// Starts a function of a module that prints lines until it ends by itself.
    pub fn python_lines(&self, module: &str, function: &str, variables: &[(&str, &str)]) -> Result<Lines> {
        let mut command = self.script(module, function)?;
        let mut child = command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let lines = lines.clone();
            move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    lines.lock().expect("no reader panics").push(line);
                }
            }
        });
        Ok(Lines { child, lines, reader })
    }

    fn script(&self, module: &str, function: &str) -> Result<Command> {
        // One that hangs fails, instead of holding everything up.
        let mut command = self.command(Path::new("timeout"));
        command.args(["--kill-after=5", CLIENT_SECS_MAX]).arg(venv()?.join("bin/python"));
        command.args(["-m", "run", module, function]).current_dir(clients_dir());
        Ok(command)
    }

    /// Runs the aws cli.
    pub fn aws(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.command(&venv()?.join("bin/aws"));
        Output::of(command.args(args).env("AWS_PAGER", ""))
    }

    /// Runs `dormouse` itself.
    pub fn dormouse(&self, args: &[&str]) -> Result<Output> {
        Output::of(&mut self.platform.command(args))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = self.platform.command(&[]);
        let mut outer = Command::new(program);
        outer.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        outer.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
        outer.env("PYTHONDONTWRITEBYTECODE", "1").env("DORMOUSE_BIN", command.get_program());
        outer.env("DORMOUSE_DATA_DIR", self.platform.data_dir()).env("DORMOUSE_PID", self.platform.pid().to_string());
        if let Some(value) = std::env::var_os("DORMOUSE_TEST_WRITE_GOLDEN") {
            outer.env("DORMOUSE_TEST_WRITE_GOLDEN", value);
        }
        command.env_clear();
        outer
    }
}

/// The lines of a client that runs beside the test.
pub struct Lines {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Lines {
    /// Waits until it has printed so many, or has ended.
    pub fn wait_for_lines(&self, count: usize) {
        while self.lines.lock().expect("no reader panics").len() < count && !self.reader.is_finished() {
            pause();
        }
    }

    /// Ends its standard input, which the client takes as the word to come to an end, and waits for that.
    pub fn end(mut self) -> Result<Vec<String>> {
        drop(self.child.stdin.take());
        self.finish()
    }

    /// Waits for its end, and answers all that it printed.
    pub fn finish(mut self) -> Result<Vec<String>> {
        let status = self.child.wait()?;
        self.reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        anyhow::ensure!(status.success(), "the client ended with {status}");
        Ok(std::mem::take(&mut *self.lines.lock().expect("the reader has ended")))
    }
}

/// Where the Python sides of the tests are.
fn clients_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// The Python environment with the clients, which `make test` installs.
fn venv() -> Result<PathBuf> {
    let path = std::env::var_os("DORMOUSE_TEST_VENV")
        .context("DORMOUSE_TEST_VENV names no Python environment: run the tests by `make test`, which installs one")?;
    Ok(PathBuf::from(path))
}
