//! One file for each command.

pub(crate) mod accounts;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod delete;
pub(crate) mod deploy;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod functions;
pub(crate) mod init;
pub(crate) mod invoke;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod restore;
pub(crate) mod up;
pub(crate) mod usage;

use crate::args::Connection;
use crate::client::{Client, Target};
use crate::failure::Failure;

fn connect(connection: &Connection) -> Result<Client, Failure> {
    Client::new(Target::find(connection)?)
}
