//! The one binary: `up` runs the platform, everything else talks to one over HTTP.

mod args;
mod client;
mod commands;
mod deploy;
mod failure;
mod output;
mod payload;
mod since;
mod templates;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use dormouse_node::doctor::SPAWNER_ARGUMENT;
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // `up` runs this same program again to make its sandboxes, in a process that has never had a second thread.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == SPAWNER_ARGUMENT) {
        dormouse_jail::spawner::main();
    }
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                output::error(&failure.message);
            }
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(up) => commands::up::run(&up),
        Command::Init(init) => commands::init::run(&init),
        Command::Deploy(deploy) => commands::deploy::run(&deploy),
        Command::Invoke(invoke) => commands::invoke::run(&invoke),
        Command::Logs(logs) => commands::logs::run(&logs),
        Command::Functions(functions) => commands::functions::run(&functions),
        Command::Events(events) => commands::events::run(&events.action),
        Command::Usage(usage) => commands::usage::run(&usage),
        Command::Accounts(accounts) => commands::accounts::run(&accounts.action),
        Command::Keys(keys) => commands::keys::run(&keys.action),
        Command::Delete(delete) => commands::delete::run(&delete),
        Command::Doctor(doctor) => commands::doctor::run(&doctor),
        Command::Config(config) => commands::config::run(&config),
        Command::Completions(completions) => commands::completions::run(&completions),
        Command::Backup(backup) => commands::backup::run(&backup),
        Command::Restore(restore) => commands::restore::run(&restore),
    }
}
