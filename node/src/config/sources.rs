use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::declare::Setting;
use super::resolve::{ConfigError, Origin, Problem};

/// The variable that names the configuration file when the flag `--config` does not.
pub const CONFIG_VARIABLE: &str = "DORMOUSE_CONFIG";

/// Beginnings of variables that are no settings: what a Kubernetes service called dormouse puts into every pod, and what
/// our own tests are told by.
const FOREIGN_VARIABLES: [&str; 7] = [
    CONFIG_VARIABLE,
    "DORMOUSE_SERVICE_",
    "DORMOUSE_PORT",
    "DORMOUSE_TEST_",
    "DORMOUSE_SOAK_",
    "DORMOUSE_BIN",
    "DORMOUSE_PID",
];

/// What values are read from. The environment comes in as a value so that a test need not change its own.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Path and text of the file.
    pub file: Option<(PathBuf, String)>,
    /// Every variable of the process; only those that begin with `DORMOUSE_` are looked at.
    pub environment: Vec<(String, String)>,
    /// (setting, flag as the user wrote it, value).
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// The process's environment, and the file that `config` or the variable `DORMOUSE_CONFIG` names.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of_process(config: Option<&Path>) -> Result<Self, ConfigError> {
        // A variable that is not UTF-8 is none of ours: every setting is text.
        let environment: Vec<_> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let named = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE).map(|(_, path)| PathBuf::from(path));
        let file = match config.map(Path::to_path_buf).or(named) {
            None => None,
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Some((path, text)),
                Err(error) => return Err(ConfigError::unreadable(path, error)),
            },
        };
        Ok(Self { file, environment, flags: Vec::new() })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A value as it was given, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// `functions.idle_expiry_secs` is `DORMOUSE_FUNCTIONS__IDLE_EXPIRY_SECS`.
pub fn env_name(key: &str) -> String {
    format!("DORMOUSE_{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Where everything is kept when nothing else is said.
pub fn data_dir_default(sources: &Sources) -> PathBuf {
    let variable = |name| sources.variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = || is_root().then(|| PathBuf::from("/var/lib/dormouse"));
    let share = || variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    root().or_else(|| share().map(|share| share.join("dormouse"))).unwrap_or_else(|| PathBuf::from("dormouse-data"))
}

/// Whether the process runs as root, by the owner of its own entry in /proc.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

/// All values that were given, the strongest source last and winning.
pub(crate) fn collect(
    sources: &Sources,
    settings: &[&'static Setting],
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'static str, Given> {
    let mut given = BTreeMap::new();
    if let Some((path, text)) = &sources.file {
        from_file(path, text, settings, &mut given, problems);
    }
    from_environment(&sources.environment, settings, &mut given, problems);
    for (key, flag, value) in &sources.flags {
        given.insert(*key, Given { text: value.clone(), origin: Origin::Flag(flag) });
    }
    given
}

fn from_environment(
    environment: &[(String, String)],
    settings: &[&'static Setting],
    given: &mut BTreeMap<&'static str, Given>,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with("DORMOUSE_")) {
        if let Some(setting) = settings.iter().find(|setting| env_name(setting.key) == *name) {
            given.insert(setting.key, Given { text: value.clone(), origin: Origin::Environment(name.clone()) });
        } else if !FOREIGN_VARIABLES.iter().any(|foreign| name.starts_with(foreign)) {
            let known = settings.iter().map(|setting| env_name(setting.key));
            let nearest = nearest(name, known).unwrap_or_default();
            problems.push(Problem::UnknownKey {
                origin: Origin::Environment(name.clone()),
                key: name.clone(),
                nearest,
            });
        }
    }
}

fn from_file(
    path: &Path,
    text: &str,
    settings: &[&'static Setting],
    given: &mut BTreeMap<&'static str, Given>,
    problems: &mut Vec<Problem>,
) {
    match DeTable::parse(text) {
        Ok(table) => Walk { path, text, settings, given, problems }.table("", table.get_ref()),
        Err(error) => problems.push(Problem::Syntax {
            path: path.to_path_buf(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().to_owned(),
        }),
    }
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    settings: &'a [&'static Setting],
    given: &'a mut BTreeMap<&'static str, Given>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        // The parser sorts keys; problems are told in the order of the file.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let key = format!("{prefix}{}", name.get_ref());
            let origin = Origin::File { path: self.path.to_path_buf(), line: line_of(self.text, name.span().start) };
            let setting = self.settings.iter().find(|setting| setting.key == key).copied();
            let is_section = self.settings.iter().any(|setting| setting.key.starts_with(&format!("{key}.")));
            match (setting, value.get_ref()) {
                (Some(setting), value) => self.value(setting, value, origin),
                (None, DeValue::Table(inner)) if is_section => self.table(&format!("{key}."), inner),
                (None, DeValue::Table(_)) => self.unknown(key, origin, true),
                (None, _) => self.unknown(key, origin, false),
            }
        }
    }

    fn value(&mut self, setting: &'static Setting, value: &DeValue<'_>, origin: Origin) {
        match text_of(value) {
            Some(text) => {
                self.given.insert(setting.key, Given { text, origin });
            }
            None => self.problems.push(Problem::Value {
                key: setting.key,
                origin,
                given: "a table or a date".to_owned(),
                allowed: format!("it takes {}", setting.kind),
            }),
        }
    }

    fn unknown(&mut self, key: String, origin: Origin, table: bool) {
        let sections =
            self.settings.iter().filter_map(|setting| setting.key.rsplit_once('.').map(|(s, _)| s.to_owned()));
        let keys = || self.settings.iter().map(|setting| setting.key.to_owned());
        // Who has the section right looks for a setting of it.
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        let beside = keys().filter(|known| known.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')));
        let nearest = match table {
            true => nearest(&key, sections),
            false => nearest(&key, beside).or_else(|| nearest(&key, keys())),
        };
        let nearest = nearest.unwrap_or_default();
        self.problems.push(Problem::UnknownKey { origin, key, nearest });
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some(number.to_string()),
            Err(_) => Some(number.to_string()),
        },
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(|item| text_of(item.get_ref())).collect();
            texts.map(|texts| texts.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn nearest(key: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known.min_by_key(|candidate| strsim::damerau_levenshtein(key, candidate))
}
