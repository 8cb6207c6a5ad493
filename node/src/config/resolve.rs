use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::declare::Setting;
use super::sections::Config;
use super::sources::{Given, Sources, collect, data_dir_default};
use super::values::Value;

/// A sandbox hands its sockets to the node in one message, which has room for about a hundred.
const EGRESS_PORTS: usize = 64;

/// Who said what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// A variable.
    Environment(String),
    /// A flag, such as `--listen`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("{}: the configuration file cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{}:{line}: not TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// Nothing is called that.
    #[error("{origin}: there is no setting {key}; the nearest is {nearest}")]
    UnknownKey {
        /// Who named it.
        origin: Origin,
        /// The name.
        key: String,
        /// The known name that is most like it.
        nearest: String,
    },
    /// The value does not fit.
    #[error("{origin}: {key} cannot be {given:?}: {allowed}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Who set it.
        origin: Origin,
        /// What was given; a secret is not repeated.
        given: String,
        /// What is allowed.
        allowed: String,
    },
    /// Two settings do not go together.
    #[error("{0}")]
    Together(&'static str),
}

/// All that is wrong with the configuration, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Problem>);

impl ConfigError {
    pub(crate) fn unreadable(path: PathBuf, error: std::io::Error) -> Self {
        Self(vec![Problem::Unreadable { path, reason: error.to_string() }])
    }
}

/// What one setting is, and why.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Its row of the registry.
    pub setting: &'static Setting,
    /// The value, printed; a secret is `(set)` or empty.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
}

/// The configuration, and what `dormouse config` prints of it.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The typed values.
    pub config: Config,
    /// Every setting, in the order of the registry.
    pub values: Vec<Resolved>,
}

/// Hands out typed values and remembers what was wrong.
pub(crate) struct Reader {
    given: BTreeMap<&'static str, Given>,
    data_dir_default: String,
    problems: Vec<Problem>,
    values: Vec<Resolved>,
}

impl Reader {
    /// The value of a setting; the default where what was given does not fit, so that all problems are found at once.
    pub(crate) fn take<T: Value>(&mut self, setting: &'static Setting) -> T {
        let default = if setting.key == "data_dir" { self.data_dir_default.as_str() } else { setting.default };
        let (value, origin) = match self.given.remove(setting.key) {
            None => (default_of::<T>(setting, default), Origin::Default),
            Some(given) => match fitting(setting, &given.text) {
                Ok(value) => (value, given.origin),
                Err(allowed) => {
                    let text = if setting.secret { "(a secret)".to_owned() } else { given.text };
                    let problem = Problem::Value { key: setting.key, origin: given.origin, given: text, allowed };
                    self.problems.push(problem);
                    (default_of(setting, default), Origin::Default)
                }
            },
        };
        let shown = value.show();
        let value_text = if setting.secret && !shown.is_empty() { "(set)".to_owned() } else { shown };
        self.values.push(Resolved { setting, value: value_text, origin });
        value
    }
}

fn default_of<T: Value>(setting: &Setting, default: &str) -> T {
    fitting(setting, default).expect("a default fits its setting; a test reads them all")
}

fn fitting<T: Value>(setting: &Setting, text: &str) -> Result<T, String> {
    let value = T::parse(text)?;
    match (setting.range, value.number()) {
        (Some((least, most)), Some(number)) if !(least..=most).contains(&number) => {
            let unit = if setting.unit.is_empty() { String::new() } else { format!(" {}", setting.unit) };
            Err(format!("it takes {least} to {most}{unit}"))
        }
        _ => Ok(value),
    }
}

/// Resolves flags over environment over file over defaults.
///
/// # Errors
/// Every problem found: unknown keys, values that do not fit, settings that do not go together.
pub fn resolve(sources: &Sources) -> Result<Resolution, ConfigError> {
    let mut problems = Vec::new();
    let given = collect(sources, &Config::settings(), &mut problems);
    let data_dir_default = data_dir_default(sources).display().to_string();
    let mut reader = Reader { given, data_dir_default, problems, values: Vec::new() };
    let config = Config::read(&mut reader);
    let mut problems = reader.problems;
    problems.extend(contradictions(&config));
    if problems.is_empty() { Ok(Resolution { config, values: reader.values }) } else { Err(ConfigError(problems)) }
}

fn contradictions(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    if config.tls.cert.is_some() != config.tls.key.is_some() {
        found.push(Problem::Together("tls.cert and tls.key go together: set both, or neither for plain HTTP"));
    }
    if config.root_access_key_id.is_some() != config.root_secret_access_key.is_some() {
        found.push(Problem::Together(
            "root_access_key_id and root_secret_access_key go together: set both, or neither to have a key made",
        ));
    }
    if config.sandbox.egress_ports.len() > EGRESS_PORTS {
        found.push(Problem::Together("sandbox.egress_ports lists more than 64 ports; each is a socket in a sandbox"));
    }
    found
}

#[cfg(test)]
mod tests;
