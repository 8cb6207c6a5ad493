use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::Dormouse;

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
        let mut command = self.command(&venv()?.join("bin/python"));
        command.args(["-m", "run", module, function]).current_dir(clients_dir());
        command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
        let output = Output::of(&mut command)?;
        if output.code != 0 {
            bail!("{module}.{function} failed\n{}{}", output.stdout, output.stderr);
        }
        Ok(())
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
        command.env_clear();
        outer
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
