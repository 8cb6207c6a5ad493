//! The command line, as clap reads and explains it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use dormouse_model::AccountId;

use crate::output::Format;
use crate::since::Since;

/// A serverless platform in one program: functions in isolated sandboxes, called over the AWS Lambda API
#[derive(Debug, Parser)]
#[command(name = "dormouse", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    /// Start a project from a template
    Init(Init),
    Deploy(Deploy),
    Invoke(Invoke),
    /// Print the log of a function
    Logs(Logs),
    /// List the functions
    Functions(Functions),
    /// Look at asynchronous events that came to no good end
    Events(Events),
    /// Print what functions used, and what it costs by a tariff
    Usage(Usage),
    /// List or create accounts
    Accounts(Accounts),
    /// List, create or revoke access keys
    Keys(Keys),
    /// Delete functions, or all that a stack deployed
    Delete(Delete),
    /// Check what this host offers and say what to change
    Doctor(Doctor),
    /// Print the configuration and who said what
    Config(ConfigArgs),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Copy all data of a platform to a file, also while it runs
    Backup(Backup),
    /// Fill an empty data directory from a backup
    Restore(Restore),
}

/// Which platform to talk to, and how to answer.
#[derive(Debug, Default, Args)]
pub(crate) struct Connection {
    /// The platform's address; else AWS_ENDPOINT_URL, else what `up` left in the data directory
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub(crate) endpoint: Option<String>,
    /// The region to sign for; else AWS_REGION, else the platform's
    #[arg(long, value_name = "NAME", help_heading = "Connection")]
    pub(crate) region: Option<String>,
    /// Where `up` keeps its data; else DORMOUSE_DATA_DIR, else its default
    #[arg(long, value_name = "DIR", help_heading = "Connection")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) out: Out,
}

/// How to answer.
#[derive(Debug, Default, Args)]
pub(crate) struct Out {
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
}

impl Out {
    pub(crate) fn json(&self) -> bool {
        self.output == Format::Json
    }
}

/// The settings that have flags, and the file with the others.
#[derive(Debug, Default, Args)]
pub(crate) struct Settings {
    /// Where everything is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Where to accept connections [default: 127.0.0.1:4566]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The region to answer for [default: us-east-1]
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// The account of the root key, 12 digits [default: 000000000000]
    #[arg(long, value_name = "DIGITS")]
    pub(crate) account_id: Option<String>,
    /// The DNS name under which clients reach the platform [default: localhost]
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Option<String>,
    /// A file with the key under which secrets are sealed
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: Option<String>,
    /// The configuration file, in TOML; else DORMOUSE_CONFIG
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) out: Out,
}

/// Run the platform in the foreground
///
/// Logs go to stderr. Once connections are accepted, one line goes to stdout: endpoint, region, account id, access key
/// id and, on the first start only, the secret. SIGTERM and Ctrl-C stop it after the calls in progress.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The template to start from
    #[arg(value_enum, value_name = "python|nodejs|provided")]
    pub(crate) template: crate::templates::Template,
    /// The directory to make [default: hello-TEMPLATE]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) out: Out,
}

/// Create or update the functions of a SAM template
///
/// A function is named by its FunctionName, else STACK-LOGICALID. Code that has not changed is not sent again.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The project's directory
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// The template, below the directory
    #[arg(long, default_value = "template.yaml", value_name = "FILE")]
    pub(crate) template: PathBuf,
    /// The stack's name [default: the directory's]
    #[arg(long, value_name = "STACK")]
    pub(crate) name: Option<String>,
    /// A value for a parameter of the template; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Call a function and print its answer
///
/// The answer alone goes to stdout. Exit code 0: the function answered; 1: the function or the service failed; 2: the
/// command line cannot be meant.
#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// The function's name or ARN
    pub(crate) name: String,
    /// The event: JSON, @FILE, or - for stdin
    #[arg(long, default_value = "{}", value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub(crate) payload: String,
    /// A version number or an alias
    #[arg(long, value_name = "QUALIFIER")]
    pub(crate) qualifier: Option<String>,
    /// Return once the event is on disk; do not wait for the answer
    #[arg(long = "async")]
    pub(crate) asynchronous: bool,
    /// Print the end of the call's log to stderr
    #[arg(long, conflicts_with = "asynchronous")]
    pub(crate) tail: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The function's name
    pub(crate) name: String,
    /// Go on printing as lines come
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// From when on: 90s, 10m, 2h, 3d ago, or a time such as 2026-11-23T05:28:44Z
    #[arg(long, value_name = "TIME", value_parser = Since::parse)]
    pub(crate) since: Option<Since>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Functions {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(subcommand)]
    pub(crate) action: EventsAction,
}

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(crate) enum EventsAction {
    /// List exhausted events, with reason and attempts
    List {
        /// Only of this function
        #[arg(long, value_name = "NAME")]
        function: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show one event with its payload
    Show {
        /// The event's id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Send events again, as if they had just come
    Redrive {
        /// The events' ids
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Give events up for good
    Drop {
        /// The events' ids
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// Prices, in TOML; packaging/tariff.example.toml shows how
    #[arg(long, value_name = "FILE")]
    pub(crate) tariff: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Accounts {
    #[command(subcommand)]
    pub(crate) action: AccountsAction,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountsAction {
    /// Create an account and its root key; the secret is shown this once
    Create {
        /// Twelve digits [default: free ones]
        #[arg(long, value_name = "DIGITS")]
        id: Option<AccountId>,
        /// What people call it
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the accounts
    List {
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    pub(crate) action: KeysAction,
}

/// What to do with access keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysAction {
    /// Create an access key; the secret is shown this once
    Create {
        /// The account that it is for [default: your own]
        #[arg(long, value_name = "DIGITS")]
        account: Option<AccountId>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the access keys
    List {
        /// The account whose keys to list [default: your own]
        #[arg(long, value_name = "DIGITS")]
        account: Option<AccountId>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make access keys invalid at once
    Revoke {
        /// The ids of the keys
        #[arg(required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The functions' names
    #[arg(required_unless_present = "stack", conflicts_with = "stack")]
    pub(crate) names: Vec<String>,
    /// Delete all that `deploy` made under this name
    #[arg(long, value_name = "STACK")]
    pub(crate) stack: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Print an example file with every setting instead
    #[arg(long)]
    pub(crate) example: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "bash|elvish|fish|powershell|zsh", hide_possible_values = true)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write; it must not be there yet
    pub(crate) path: PathBuf,
    /// Put the master key into it too: whoever has the file can then be anyone
    #[arg(long)]
    pub(crate) with_master_key: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup to read
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn negative_numbers_are_payloads_too() {
        let cli = Cli::try_parse_from(["dormouse", "invoke", "f", "--payload", "-1"]).expect("a command");
        assert!(matches!(cli.command, Command::Invoke(Invoke { payload, .. }) if payload == "-1"));
    }
}
