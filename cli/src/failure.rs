use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// Why a command did not do what it was asked for: one sentence and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    code: u8,
}

impl Failure {
    /// Exit code 1: a function or a service failed, or this machine did.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 1 }
    }

    /// Exit code 2: the command line says something that cannot be meant.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 2 }
    }

    /// Exit code 1 without a message, because all has been said.
    pub(crate) fn said() -> Self {
        Self { message: String::new(), code: 1 }
    }

    /// Writing to stdout failed. Whoever reads us has seen enough when the pipe is closed: that is no failure.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { message: String::new(), code: 0 },
            _ => Self::failed(format!("cannot write to standard output: {error}")),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::failed(error)
    }
}
