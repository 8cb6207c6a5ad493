use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::ProcessError;

/// The descriptions that are part of this program, one file a family.
const FILES: [(&str, &str); 3] = [
    ("python.toml", include_str!("../runtimes/python.toml")),
    ("nodejs.toml", include_str!("../runtimes/nodejs.toml")),
    ("provided.toml", include_str!("../runtimes/provided.toml")),
];

/// How the node talks to a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// By frames on an inherited socket.
    Framed,
    /// By the Runtime API over HTTP.
    Http,
}

/// A description as its file has it; `{version}` is not yet replaced.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    versions: Vec<String>,
    label: String,
    channel: Channel,
    install: String,
    /// Of what has an interpreter only.
    #[serde(default)]
    install_any: String,
    #[serde(default)]
    interpreter: Option<InterpreterFile>,
    #[serde(default)]
    program: Option<ProgramFile>,
    environment: BTreeMap<String, String>,
    #[serde(default)]
    sdk: SdkFile,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct InterpreterFile {
    candidates: Vec<String>,
    probe: Vec<String>,
    parts: Vec<String>,
    #[serde(default)]
    libraries: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramFile {
    arguments: Vec<String>,
    bootstrap: String,
    #[serde(default)]
    compile: Vec<String>,
    #[serde(default)]
    compiled: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SdkFile {
    #[serde(default)]
    variable: Option<String>,
    #[serde(default)]
    link: Option<[String; 2]>,
}

/// One runtime, such as `python3.12`.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// As functions ask for it.
    pub(crate) name: String,
    /// `3.12`; what an interpreter's version starts with to be exact.
    pub(crate) version: String,
    /// The family, as it is printed before a version.
    pub(crate) label: String,
    pub(crate) channel: Channel,
    /// What to install when nothing on the host can run it; another version of the family stands in.
    pub(crate) install_any: String,
    /// What to install to have exactly this version.
    pub(crate) install: String,
    /// Absent when the function brings its own program.
    pub(crate) managed: Option<Managed>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Names the variable that tells the bootstrap of the SDK.
    pub(crate) sdk_variable: Option<String>,
    /// A symbolic link to make when there is an SDK: where, and what it says.
    pub(crate) sdk_link: Option<[String; 2]>,
}

/// What runs the handler of a managed runtime.
#[derive(Debug, Clone)]
pub(crate) struct Managed {
    /// Candidates for the interpreter of each version of the family, this one's first.
    pub(crate) candidates: Vec<String>,
    pub(crate) family_candidates: Vec<String>,
    pub(crate) probe: Vec<String>,
    pub(crate) parts: Vec<String>,
    pub(crate) libraries: Vec<String>,
    pub(crate) arguments: Vec<String>,
    /// File name of the bootstrap.
    pub(crate) bootstrap: String,
    pub(crate) compile: Vec<String>,
    pub(crate) compiled: Option<String>,
}

/// Every runtime that this driver knows, by name.
#[derive(Debug, Clone)]
pub struct Runtimes(BTreeMap<String, Arc<Runtime>>);

impl Runtimes {
    /// Reads the descriptions that are part of this program.
    ///
    /// # Errors
    /// When one is wrong, which a test rules out.
    pub fn embedded() -> Result<Self, ProcessError> {
        let mut all = BTreeMap::new();
        for (file, text) in FILES {
            let described = read(text).map_err(|reason| ProcessError::Description { file, reason })?;
            all.extend(described.into_iter().map(|runtime| (runtime.name.clone(), Arc::new(runtime))));
        }
        Ok(Self(all))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Runtime>> {
        self.0.get(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn read(text: &str) -> Result<Vec<Runtime>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.interpreter.is_some() != file.program.is_some() {
        return Err("interpreter and program go together".to_owned());
    }
    Ok(file.versions.iter().map(|version| file.runtime(version)).collect())
}

impl File {
    fn runtime(&self, version: &str) -> Runtime {
        let fill = |text: &String| text.replace("{version}", version);
        let managed = self.interpreter.as_ref().zip(self.program.as_ref()).map(|(interpreter, program)| {
            let of = |v: &String| -> Vec<String> {
                interpreter.candidates.iter().map(|text| text.replace("{version}", v)).collect()
            };
            Managed {
                candidates: interpreter.candidates.iter().map(fill).collect(),
                family_candidates: self.versions.iter().flat_map(of).collect(),
                probe: interpreter.probe.clone(),
                parts: interpreter.parts.clone(),
                libraries: interpreter.libraries.clone(),
                arguments: program.arguments.clone(),
                bootstrap: program.bootstrap.clone(),
                compile: program.compile.clone(),
                compiled: program.compiled.clone(),
            }
        });
        Runtime {
            name: fill(&self.name),
            version: version.to_owned(),
            label: self.label.clone(),
            channel: self.channel,
            install_any: self.install_any.clone(),
            install: fill(&self.install),
            managed,
            environment: self.environment.iter().map(|(name, value)| (name.clone(), fill(value))).collect(),
            sdk_variable: self.sdk.variable.clone(),
            sdk_link: self.sdk.link.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_description_reads_and_names_what_the_contract_names() {
        let all = Runtimes::embedded().expect("the descriptions are right");
        for name in ["python3.8", "python3.14", "nodejs16.x", "nodejs24.x", "provided", "provided.al2023"] {
            assert!(all.get(name).is_some(), "{name} is not described");
        }
        let python = all.get("python3.12").expect("described");
        assert_eq!(python.environment["AWS_EXECUTION_ENV"], "AWS_Lambda_python3.12");
        let managed = python.managed.as_ref().expect("managed");
        assert!(managed.candidates.iter().any(|path| path == "/usr/bin/python3.12"));
        assert!(all.get("python3").is_none() && all.get("ruby3.3").is_none());
    }

    #[test]
    fn an_unknown_field_in_a_description_is_an_error() {
        assert!(
            read("name='x'\nversions=['']\nlabel='x'\nchannel='http'\ninstall=''\ncolour=1\n[environment]").is_err()
        );
    }
}
