//! Decides what a sandbox is made of and what runs in it. Looks at the host's files, changes nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use dormouse_jail::{Exec, Listen, LocalRange, Mount, Plan};
use dormouse_sandbox::StartSpec;

use crate::base;
use crate::config::{PlatformEndpoint, ProcessConfig};
use crate::deadline::init_millicores;
use crate::door::EgressPlan;
use crate::environment::{Surroundings, environment};
use crate::runtimes::{Channel, Runtime};

pub(crate) const TASK_ROOT: &str = "/var/task";
pub(crate) const RUNTIME_DIR: &str = "/var/runtime";
pub(crate) const SDK_DIR: &str = "/var/runtime/sdk";
pub(crate) const LANG_DIR: &str = "/var/lang";
const LAYERS_DIR: &str = "/opt";
const HOST_NAME: &str = "sandbox";
/// Where programs find the Runtime API by HTTP. The port is the one that the contract keeps for it.
const RUNTIME_API: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9001);
const RUNTIME_API_TEXT: &str = "127.0.0.1:9001";
/// The descriptor on which a bootstrap finds its channel.
const CHANNEL_FD: i32 = 3;
/// A script of the function's that starts the runtime in its place. Source: the developer guide on wrapper scripts.
const EXEC_WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// What the runtime of a spec comes to on this host.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Inside the sandbox.
    pub(crate) path: PathBuf,
    /// After the program's name.
    pub(crate) arguments: Vec<String>,
    /// Of the interpreter and its bootstrap.
    pub(crate) mounts: Vec<Mount>,
}

/// How many sockets of a plan belong to whom, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sockets {
    pub(crate) runtime_api: bool,
    pub(crate) platform: bool,
    pub(crate) egress: usize,
}

/// A sandbox's plan, what runs in it, and whose its sockets are.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) exec: Exec,
    pub(crate) sockets: Sockets,
    /// Whether the program to execute comes from the function.
    pub(crate) own_program: bool,
}

/// Puts everything together.
pub(crate) fn plan(
    spec: &StartSpec,
    runtime: &Runtime,
    program: Program,
    config: &ProcessConfig,
    system: &[Mount],
    egress: EgressPlan,
) -> Planned {
    let platform = config.platform.as_ref();
    let sdk = config.sdk.of(&runtime.label);
    let http = runtime.channel == Channel::Http;
    let around = Surroundings {
        endpoint_url: platform.map(|platform| platform.url.as_str()),
        runtime_api: http.then_some(RUNTIME_API_TEXT),
        sdk: sdk.is_some(),
    };
    let mut mounts = system.to_vec();
    mounts.extend(base::etc_files(HOST_NAME, platform.map(|platform| platform.host.as_str())));
    mounts.extend(program.mounts);
    if let Some(dir) = sdk {
        mounts.push(read_only(dir, SDK_DIR));
        let link = runtime.sdk_link.as_ref();
        mounts.extend(link.map(|[at, to]| Mount::Symlink { target: at.into(), to: to.into() }));
    }
    mounts.push(read_only(&spec.code, TASK_ROOT));
    mounts.push(layers(&spec.layers));
    mounts.extend(egress.mounts);

    let sockets = Sockets { runtime_api: http, platform: platform.is_some(), egress: egress.sockets.len() };
    let mut listen = Vec::with_capacity(3);
    if http {
        listen.push(Listen::Tcp(SocketAddr::from(RUNTIME_API)));
    }
    let mut local_ranges = egress.local_ranges;
    if let Some(platform) = platform {
        let (address, range) = platform_address(platform);
        listen.push(Listen::Tcp(address));
        local_ranges.extend(range);
    }
    listen.extend(egress.sockets);

    let wrapper = spec.environment.get(EXEC_WRAPPER).filter(|_| runtime.managed.is_some());
    let (path, argv) = command(&program.path, program.arguments, wrapper.map(String::as_str));
    let exec = Exec {
        mounts: Vec::new(),
        program: path,
        argv,
        env: environment(spec, runtime, &around).iter().map(|(name, value)| format!("{name}={value}")).collect(),
        cwd: TASK_ROOT.into(),
        channel_fd: (!http).then_some(CHANNEL_FD),
    };
    let plan = Plan {
        name: spec.instance.clone(),
        mounts,
        tmp_mb: spec.ephemeral_storage_mb,
        shm_mb: config.shm_mb,
        memory_bytes: u64::from(spec.memory_mb) * 1024 * 1024,
        cpu_millicores: init_millicores(spec.memory_mb),
        pids_max: config.pids_max,
        nofile: config.nofile,
        hostname: HOST_NAME.to_owned(),
        sockets: listen,
        local_ranges,
    };
    Planned { plan, exec, sockets, own_program: http || wrapper.is_some() }
}

/// The program and its arguments; a wrapper gets the whole command as its own arguments.
fn command(program: &Path, arguments: Vec<String>, wrapper: Option<&str>) -> (PathBuf, Vec<String>) {
    let mut argv = vec![program.display().to_string()];
    argv.extend(arguments);
    match wrapper {
        Some(wrapper) => {
            argv.insert(0, wrapper.to_owned());
            (wrapper.into(), argv)
        }
        None => (program.to_owned(), argv),
    }
}

pub(crate) fn read_only(source: &Path, target: impl Into<PathBuf>) -> Mount {
    Mount::Bind { source: source.to_owned(), target: target.into(), writable: false }
}

fn layers(layers: &[PathBuf]) -> Mount {
    let mut sources: Vec<PathBuf> = Vec::new();
    for layer in layers {
        // A layer that is named twice counts where it is named last.
        sources.retain(|known| known != layer);
        sources.push(layer.clone());
    }
    match sources.as_slice() {
        [] => Mount::Dir { target: LAYERS_DIR.into() },
        [only] => read_only(only, LAYERS_DIR),
        _ => Mount::Merged { sources, target: LAYERS_DIR.into() },
    }
}

/// Ports on which the platform listens in a sandbox, so that nothing else can.
pub(crate) fn own_ports(channel: Channel, platform: Option<&PlatformEndpoint>) -> Vec<u16> {
    let runtime_api = (channel == Channel::Http).then_some(RUNTIME_API.1);
    runtime_api.into_iter().chain(platform.map(|platform| platform.port)).collect()
}

/// Where the sandbox listens for what is meant for the platform. An address that is not a loopback one is made the
/// sandbox's own.
fn platform_address(platform: &PlatformEndpoint) -> (SocketAddr, Option<LocalRange>) {
    match platform.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if !address.is_loopback() && !address.is_unspecified() => {
            let range = LocalRange { base: address, prefix: 32 };
            (SocketAddr::from((Ipv4Addr::UNSPECIFIED, platform.port)), Some(range))
        }
        Ok(IpAddr::V6(address)) if address.is_loopback() => (SocketAddr::from((address, platform.port)), None),
        _ => (SocketAddr::from((Ipv4Addr::LOCALHOST, platform.port)), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_layer_counts_once_and_last() {
        let named = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert!(matches!(layers(&[]), Mount::Dir { .. }));
        assert!(matches!(layers(&named(&["/a", "/a"])), Mount::Bind { .. }));
        let Mount::Merged { sources, .. } = layers(&named(&["/a", "/b", "/a"])) else { panic!("not merged") };
        assert_eq!(sources, named(&["/b", "/a"]));
    }

    #[test]
    fn a_wrapper_is_given_the_command() {
        let (program, argv) = command(Path::new("/usr/bin/python3"), vec!["-S".to_owned()], Some("/opt/wrap"));
        assert_eq!(program, Path::new("/opt/wrap"));
        assert_eq!(argv, ["/opt/wrap", "/usr/bin/python3", "-S"]);
    }

    #[test]
    fn a_public_address_of_the_platform_is_the_sandboxs_own() {
        let at =
            |host: &str| platform_address(&PlatformEndpoint { url: String::new(), host: host.to_owned(), port: 4566 });
        assert_eq!(at("api.example.org"), (SocketAddr::from(([127, 0, 0, 1], 4566)), None));
        assert_eq!(at("192.0.2.7").0, SocketAddr::from(([0, 0, 0, 0], 4566)));
        assert_eq!(at("192.0.2.7").1.map(|range| range.prefix), Some(32));
    }
}
