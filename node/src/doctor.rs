//! What `dormouse doctor` finds: the layers of isolation, the runtimes, the SDKs, the data directory, the port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use dormouse_jail::{Jailer, JailerConfig, Layer, LayerState, SpawnerCommand};
use dormouse_process::{Doors, ProcessConfig, ProcessDriver};
use dormouse_sandbox::RuntimeState;

use crate::config::{Config, Endpoint};

/// The hidden argument on which the program becomes the spawner.
pub const SPAWNER_ARGUMENT: &str = "__spawner";

/// Layers that need root or a delegated cgroup: an ordinary user's node starts without them.
const NEEDS_ROOT: [&str; 6] = ["memory-limit", "cpu-limit", "pids-limit", "freezer", "own-uid", "tmp-on-disk"];

/// What an older kernel has of it is enough where no list asks for all: files are protected by it as by a newer one, and the
/// signals and abstract sockets that it does not know stay inside by the namespaces.
const ENOUGH_WHEN_WEAKER: [&str; 1] = ["landlock"];

/// How far something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In full.
    Holds,
    /// Something lesser stands in.
    Weaker,
    /// Not at all.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Check {
    /// `sandbox`, `runtime`, `sdk`, `data` or `port`.
    pub group: &'static str,
    /// Such as `seccomp` or `python3.12`.
    pub name: String,
    /// What was found.
    pub state: State,
    /// Whether `up` refuses to start without it.
    pub required: bool,
    /// What it is on this host, or what is wrong.
    pub detail: String,
    /// What to change, when it does not hold.
    pub remedy: Option<String>,
}

/// How this program is executed again to become the spawner.
pub fn spawner_command() -> SpawnerCommand {
    SpawnerCommand { program: PathBuf::from("/proc/self/exe"), args: vec![SPAWNER_ARGUMENT.into()] }
}

/// Whether a node with this configuration refuses to start unless the layer holds: what `sandbox.require` lists, or without
/// a list every layer as root, and all but those that need root otherwise.
pub fn is_required(config: &Config, layer: &Layer, root: bool) -> bool {
    let (listed, name) = (&config.sandbox.require.0, layer.name.as_str());
    if !listed.is_empty() {
        return listed.iter().any(|listed| listed == name);
    }
    let is_enough = matches!(layer.state, LayerState::Weaker(_)) && ENOUGH_WHEN_WEAKER.contains(&name);
    !is_enough && (root || !NEEDS_ROOT.contains(&name))
}

/// A name in `sandbox.require` that is no layer's: the node must not take it for one that holds.
pub(crate) fn unknown_layer<'a>(config: &'a Config, layers: &[Layer]) -> Option<&'a str> {
    let is_known = |name: &String| layers.iter().any(|layer| layer.name == *name);
    config.sandbox.require.0.iter().find(|name| !is_known(name)).map(String::as_str)
}

/// Looks at everything. Makes and removes a directory of its own for trying out a sandbox.
///
/// # Errors
/// When that directory cannot be made.
pub async fn examine(config: &Config) -> anyhow::Result<Vec<Check>> {
    let root = Path::new("/proc/self").metadata().is_ok_and(|entry| std::os::unix::fs::MetadataExt::uid(&entry) == 0);
    let place = place_to_try(&config.data_dir)?;
    let mut checks = Vec::new();
    match Jailer::start(spawner_command(), JailerConfig::new(place.join("jail"))).await {
        Ok(jailer) => {
            checks.extend(jailer.layers().iter().map(|layer| layer_check(layer, is_required(config, layer, root))));
            checks.extend(runtime_checks(&jailer, config, &place));
            jailer.stop().await;
        }
        Err(error) => checks.push(Check {
            group: "sandbox",
            name: "spawner".to_owned(),
            state: State::Missing,
            required: true,
            detail: error.to_string(),
            remedy: Some("allow user namespaces for this user, or run as root".to_owned()),
        }),
    }
    checks.extend(unknown_requirements(config, &checks));
    checks
        .extend([sdk_check("python", config.sdk.python.as_deref()), sdk_check("nodejs", config.sdk.nodejs.as_deref())]);
    checks.push(data_check(&config.data_dir));
    checks.push(port_check(config));
    if let Err(error) = std::fs::remove_dir_all(&place) {
        tracing::warn!(%error, dir = %place.display(), "what the doctor made could not be removed");
    }
    Ok(checks)
}

/// A new directory, on the file system of the data when that can be written to.
fn place_to_try(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let name = format!(".dormouse-doctor-{}", std::process::id());
    let near = data_dir.ancestors().find(|dir| dir.is_dir()).map(|dir| dir.join(&name));
    if let Some(near) = near.filter(|near| std::fs::create_dir(near).is_ok()) {
        return Ok(near);
    }
    let place = std::env::temp_dir().join(name);
    match std::fs::create_dir(&place) {
        Ok(()) => Ok(place),
        Err(error) => anyhow::bail!("{} cannot be made: {error}; set TMPDIR to another directory", place.display()),
    }
}

fn layer_check(layer: &Layer, required: bool) -> Check {
    let (state, detail) = match &layer.state {
        LayerState::Holds => (State::Holds, String::new()),
        LayerState::Weaker(what) => (State::Weaker, what.clone()),
        LayerState::Missing(why) => (State::Missing, why.clone()),
    };
    Check { group: "sandbox", name: layer.name.clone(), state, required, detail, remedy: layer.remedy.clone() }
}

fn unknown_requirements(config: &Config, checks: &[Check]) -> Vec<Check> {
    let known = |name: &str| checks.iter().any(|check| check.name == name);
    let unknown = config.sandbox.require.0.iter().filter(|name| !known(name));
    unknown
        .map(|name| Check {
            group: "sandbox",
            name: name.clone(),
            state: State::Missing,
            required: true,
            detail: "sandbox.require names it, and there is no layer of that name".to_owned(),
            remedy: Some("name layers as this table does".to_owned()),
        })
        .collect()
}

fn runtime_checks(jailer: &Jailer, config: &Config, place: &Path) -> Vec<Check> {
    let mut process = ProcessConfig::new(place.join("runtimes"));
    process.sdk.python.clone_from(&config.sdk.python);
    process.sdk.nodejs.clone_from(&config.sdk.nodejs);
    match ProcessDriver::new(jailer.clone(), process, Doors::default()) {
        Ok(driver) => driver.runtimes().iter().map(|(name, state)| runtime_check(name, state)).collect(),
        Err(error) => vec![Check {
            group: "runtime",
            name: "all".to_owned(),
            state: State::Missing,
            required: true,
            detail: error.to_string(),
            remedy: None,
        }],
    }
}

fn runtime_check(name: &str, runtime: &RuntimeState) -> Check {
    let (state, detail) = match &runtime.version {
        Some(version) if runtime.exact => (State::Holds, version.clone()),
        Some(version) => (State::Weaker, format!("{version} stands in")),
        None => (State::Missing, "nothing on this host runs it".to_owned()),
    };
    let remedy = runtime.remedy.as_ref().map(|install| match state {
        State::Weaker => format!("nothing, unless code needs exactly that version; then {install}"),
        _ => install.clone(),
    });
    Check { group: "runtime", name: name.to_owned(), state, required: false, detail, remedy }
}

fn sdk_check(name: &'static str, dir: Option<&Path>) -> Check {
    let (state, detail, remedy) = match (dir, name) {
        (Some(dir), _) if dir.is_dir() => (State::Holds, dir.display().to_string(), None),
        (Some(dir), _) => {
            let remedy = format!("make it, or change sdk.{name}");
            (State::Missing, format!("{} is no directory", dir.display()), Some(remedy))
        }
        (None, "python") => (
            State::Missing,
            "no directory is named".to_owned(),
            Some("python3 -m pip install --target DIR boto3, and set sdk.python to DIR".to_owned()),
        ),
        (None, _) => (
            State::Missing,
            "no directory is named".to_owned(),
            Some("npm install --prefix DIR the @aws-sdk clients that code needs, and set sdk.nodejs to DIR".to_owned()),
        ),
    };
    Check { group: "sdk", name: name.to_owned(), state, required: false, detail, remedy }
}

fn data_check(dir: &Path) -> Check {
    // What does not exist yet is made by `up` in the nearest directory that does.
    let nearest = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("."));
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    if !nearest.is_dir() {
        let detail = format!("{} is no directory", nearest.display());
        let remedy = Some("name another with --data-dir".to_owned());
        return Check {
            group: "data",
            name: "data_dir".to_owned(),
            state: State::Missing,
            required: true,
            detail,
            remedy,
        };
    }
    let probe = nearest.join(format!(".dormouse-doctor-{}.probe", std::process::id()));
    let (state, detail, remedy) = match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => (State::Holds, dir.display().to_string(), None),
        Err(error) => {
            let remedy =
                format!("give this user the right to write to {}, or name another with --data-dir", nearest.display());
            (State::Missing, format!("{} cannot be written to: {error}", nearest.display()), Some(remedy))
        }
    };
    Check { group: "data", name: "data_dir".to_owned(), state, required: true, detail, remedy }
}

fn port_check(config: &Config) -> Check {
    let listen = config.listen;
    let ours = Endpoint::read(&config.data_dir).ok().flatten();
    let ours = ours.is_some_and(|left| left.endpoint.ends_with(&format!(":{}", listen.port())));
    let (state, required, detail, remedy) = match TcpListener::bind(listen) {
        Ok(_) => (State::Holds, true, listen.to_string(), None),
        Err(_) if ours => {
            (State::Holds, true, format!("{listen}: the platform of this data directory runs there"), None)
        }
        Err(error) => {
            (State::Missing, true, format!("{listen}: {error}"), Some("choose another with --listen".to_owned()))
        }
    };
    Check { group: "port", name: "listen".to_owned(), state, required, detail, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, resolve};

    fn config(environment: &[(&str, &str)]) -> Config {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        resolve(&Sources { environment, ..Sources::default() }).expect("it fits").config
    }

    #[test]
    fn root_requires_all_and_an_ordinary_user_what_it_can_have() {
        let config = config(&[]);
        let weaker = || LayerState::Weaker(String::new());
        assert!(is_required(&config, &layer("memory-limit", weaker()), true));
        assert!(!is_required(&config, &layer("memory-limit", weaker()), false));
        assert!(is_required(&config, &layer("seccomp", LayerState::Holds), false));
    }

    #[test]
    fn an_older_kernels_landlock_is_enough_unless_a_list_names_it() {
        let missing = || LayerState::Missing(String::new());
        let weaker = || LayerState::Weaker(String::new());
        let listed = config(&[("DORMOUSE_SANDBOX__REQUIRE", "landlock")]);
        for root in [true, false] {
            assert!(!is_required(&config(&[]), &layer("landlock", weaker()), root));
            assert!(is_required(&config(&[]), &layer("landlock", missing()), root));
            assert!(is_required(&listed, &layer("landlock", weaker()), root));
        }
    }

    #[test]
    fn a_list_is_what_is_required() {
        let config = config(&[("DORMOUSE_SANDBOX__REQUIRE", "seccomp,nonsense")]);
        let (seccomp, landlock) = (layer("seccomp", LayerState::Holds), layer("landlock", LayerState::Holds));
        assert!(is_required(&config, &seccomp, true) && !is_required(&config, &landlock, true));
        let unknown = unknown_requirements(&config, &[layer_check(&seccomp, true)]);
        assert_eq!(unknown.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(), ["nonsense"]);
    }

    fn layer(name: &str, state: LayerState) -> Layer {
        Layer { name: name.to_owned(), state, remedy: None }
    }

    #[test]
    fn a_port_in_use_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let listen = taken.local_addr().expect("an address").to_string();
        let dir = tempfile::tempdir().expect("a directory");
        let data_dir = dir.path().display().to_string();
        let check = port_check(&config(&[("DORMOUSE_LISTEN", &listen), ("DORMOUSE_DATA_DIR", &data_dir)]));
        assert_eq!((check.state, check.required), (State::Missing, true));
        assert!(check.detail.contains(&listen), "{}", check.detail);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_fine_where_it_can_be_made() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(data_check(&dir.path().join("a/b")).state, State::Holds);
        assert_eq!(data_check(Path::new("not-there-yet")).state, State::Holds);
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for dir in [file.path().to_owned(), file.path().join("below")] {
            let check = data_check(&dir);
            assert_eq!(check.state, State::Missing, "{}", dir.display());
            assert!(check.detail.ends_with("is no directory"), "{}", check.detail);
        }
    }
}
