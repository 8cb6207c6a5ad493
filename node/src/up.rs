//! `up`: builds the node from its configuration, runs it, and takes it down in the same order.
//!
//! ```text
//! socket, data directory        so that what is in use is said before anything is changed
//!   store -> identity           the root key exists from here on
//!   logs, usage, audit, blobs
//!   spawner -> driver -> functions engine
//!   edges -> front door         connections are taken from here on
//! announce, endpoint file
//! ... until SIGTERM or SIGINT, or until something that cannot be gone without is gone ...
//! front door: no new requests, those in progress end; functions: drain; spawner: stop; logs and usage are written;
//! store: close
//! ```

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dormouse_blob::FilesystemBlobs;
use dormouse_edge_admin::AdminSurface;
use dormouse_edge_aws::AwsEdge;
use dormouse_edge_aws::code_link::{CodeLinks, LinkKey};
use dormouse_front::{Front, Listener, Surface, Surfaces, raise_open_files};
use dormouse_functions::{Functions, SystemRandomness};
use dormouse_identity::accounts::{FirstStart, RootKey};
use dormouse_identity::{FileAudit, Identity, MasterKey};
use dormouse_jail::{Jailer, JailerConfig, LayerState};
use dormouse_model::{Clock, SystemClock};
use dormouse_process::{Doors, PlatformEndpoint, ProcessDriver};
use dormouse_store::Store;
use dormouse_store_sqlite::{FILE_NAME, SqliteStore};
use dormouse_telemetry::{FileLogs, FileUsage, FunctionLogs, Metrics, UsageRecords, names};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Endpoint};
use crate::doctor::{is_required, spawner_command, unknown_layer};
use crate::doors::BackDoor;
use crate::egress::HostEgress;
use crate::roles::LambdaRoles;
use crate::runtimes::HostRuntimes;
use crate::seals::VariableSeals;
use crate::settings;

/// What `up` says once it accepts connections.
#[derive(Clone)]
pub struct Announcement {
    /// Such as `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// The region that the node answers for.
    pub region: String,
    /// The account that the root key belongs to.
    pub account_id: String,
    /// The root key.
    pub access_key_id: String,
    /// Its secret: when it was made, and when the operator set it.
    pub secret_access_key: Option<String>,
}

/// Everything of a running node that has to be taken down in order.
struct Node {
    front: Front,
    functions: Functions,
    jailer: Jailer,
    logs: Arc<FileLogs>,
    usage: Arc<FileUsage>,
    store: Arc<SqliteStore>,
}

/// Runs a node until it is told to stop. Needs a multi-threaded tokio runtime.
///
/// # Errors
/// A sentence for the operator: what cannot be opened, what is in use, which layer of isolation is missing.
pub async fn up(config: Config, announce: impl FnOnce(&Announcement)) -> Result<()> {
    let mut stop = StopSignals::new()?;
    raise_open_files();
    let listener = Listener::bind(config.listen)?;
    private_dir(&config.data_dir)?;
    let address = SocketAddr::new(config.listen.ip(), listener.address().port());
    let endpoint = public_endpoint(&config, address);
    let (node, first) = build(&config, &endpoint).await?;
    node.front.accept_from(listener);
    let announcement = announcement(&config, &endpoint, &first)?;
    announce(&announcement);
    tracing::info!(endpoint = announcement.endpoint, data_dir = %config.data_dir.display(), "accepting connections");
    let ended = tokio::select! {
        () = stop.told() => Ok(()),
        () = node.jailer.closed() => Err(anyhow::anyhow!("the process that makes sandboxes has ended; start the node again")),
    };
    node.take_down(&config).await;
    ended
}

async fn build(config: &Config, endpoint: &PlatformEndpoint) -> Result<(Node, FirstStart)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::new());
    metrics.gauge(&names::BUILD).with([env!("CARGO_PKG_VERSION")]).set(1);
    metrics.gauge(&names::STARTED).with([]).set(i64::try_from(clock.now().as_secs()).unwrap_or(i64::MAX));
    // Before the store is there, so that a store without a key is never a start that was cut short.
    let master = master_key(config)?;
    let data_dir = config.data_dir.clone();
    let store = tokio::task::spawn_blocking(move || SqliteStore::open(&data_dir, Default::default())).await??;
    let sqlite = Arc::new(store);
    let store: Arc<dyn Store> = sqlite.clone();
    let (identity, first) = open_identity(config, &master, &store, &clock).await?;
    let logs = Arc::new(FileLogs::open(settings::logs(config), Arc::clone(&clock), &metrics)?);
    let usage = Arc::new(FileUsage::open(settings::usage(config), &metrics)?);
    let audit_dir = private_dir(&config.data_dir.join("audit"))?;
    let audit = Arc::new(FileAudit::open(&audit_dir).with_context(|| format!("cannot write {}", audit_dir.display()))?);
    let blobs = Arc::new(FilesystemBlobs::open(&config.blobs_dir())?);

    let sandboxes = config.data_dir.join("sandboxes");
    let jailer = start_jailer(config, &sandboxes).await?;
    let back_door = Arc::new(BackDoor::default());
    let doors = Doors {
        platform: Some(back_door.clone()),
        egress: Some(Arc::new(HostEgress::new(config.sandbox.egress_ports.0.clone()))),
    };
    let process = settings::process(config, &sandboxes, endpoint.clone());
    let driver = ProcessDriver::new(jailer.clone(), process, doors)?;

    let parts = dormouse_functions::Parts {
        region: config.region.clone(),
        store: Arc::clone(&store),
        blobs,
        driver: Arc::new(driver.clone()),
        roles: Arc::new(LambdaRoles(identity.clone())),
        sealer: Arc::new(VariableSeals::new(&master)),
        logs: logs.clone() as Arc<dyn FunctionLogs>,
        usage: usage.clone() as Arc<dyn UsageRecords>,
        metrics: Arc::clone(&metrics),
        clock: Arc::clone(&clock),
        randomness: Arc::new(SystemRandomness),
    };
    let functions = Functions::open(parts, settings::functions(config, host_memory_mb())).await?;
    let aws = Arc::new(dormouse_edge_aws::Parts {
        region: config.region.clone(),
        identity: identity.clone(),
        functions: functions.clone(),
        audit: audit.clone(),
        clock: Arc::clone(&clock),
        link_key: LinkKey::new(*master.key_for("links to code")),
    });
    let admin: Arc<dyn Surface> = Arc::new(AdminSurface::new(dormouse_edge_admin::Parts {
        region: config.region.clone(),
        operator: config.account_id.clone(),
        version: env!("CARGO_PKG_VERSION"),
        identity: identity.clone(),
        functions: functions.clone(),
        logs: logs.clone(),
        usage: usage.clone(),
        metrics: (*metrics).clone(),
        public_metrics: config.metrics.public,
        audit,
        clock: Arc::clone(&clock),
        runtimes: Arc::new(HostRuntimes(driver)),
    }));
    let surfaces =
        Surfaces { admin: Arc::new(CodeLinks::before(admin, Arc::clone(&aws))), aws: Arc::new(AwsEdge::new(aws)) };
    let front = Front::new(settings::front(config), settings::tls(config), surfaces, clock, &metrics)?;
    back_door.lead_to(front.clone());
    tokio::spawn(identity.keep_fresh());
    Ok((Node { front, functions, jailer, logs, usage, store: sqlite }, first))
}

/// The key that the operator names, or the one beside the data. One is made for a new data directory only: a new key opens
/// nothing of an old one, and would lie where the right one belongs.
fn master_key(config: &Config) -> Result<MasterKey> {
    let path = config.master_key_path();
    if config.master_key_file.is_some() {
        return Ok(MasterKey::read(&path)?);
    }
    if config.data_dir.join(FILE_NAME).exists() && !path.exists() {
        bail!(
            "there is no master key at {}, and the data beside it is sealed under one: put its copy there with mode 0600, \
             or name it with --master-key-file",
            path.display()
        );
    }
    Ok(MasterKey::read_or_create(&path)?)
}

async fn open_identity(
    config: &Config,
    master: &MasterKey,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
) -> Result<(Identity, FirstStart)> {
    let identity = Identity::open(Arc::clone(store), Arc::clone(clock), master).await?;
    let set = match (&config.root_access_key_id, &config.root_secret_access_key) {
        (Some(access_key_id), Some(secret)) => {
            Some(RootKey { access_key_id: access_key_id.clone(), secret_access_key: secret.0.clone().into() })
        }
        (None, None) => None,
        _ => bail!("root_access_key_id and root_secret_access_key go together: set both, or neither"),
    };
    let first = identity.bootstrap(&config.account_id, set).await?;
    Ok((identity, first))
}

/// Starts the spawner and checks that every layer that must hold does.
async fn start_jailer(config: &Config, state_dir: &Path) -> Result<Jailer> {
    let sandbox = &config.sandbox;
    let jail =
        JailerConfig { uid_base: sandbox.uid_base, uid_count: sandbox.uid_count, ..JailerConfig::new(state_dir) };
    let jailer = Jailer::start(spawner_command(), jail).await?;
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if let Some(unknown) = unknown_layer(config, jailer.layers()) {
        bail!(
            "sandbox.require names {unknown:?}, and there is no layer of that name; `dormouse doctor` names them all"
        );
    }
    for layer in jailer.layers() {
        let why = match &layer.state {
            LayerState::Holds => continue,
            LayerState::Weaker(why) | LayerState::Missing(why) => why,
        };
        if is_required(config, layer, root) {
            bail!(
                "the layer {} of sandboxes does not hold on this host: {why}; to change that: {}. To start without it, list in \
                 sandbox.require only the layers that must hold; `dormouse doctor` names them all",
                layer.name,
                layer.remedy.as_deref().unwrap_or("see `dormouse doctor`")
            );
        }
        tracing::warn!(layer = layer.name, why, "a layer of sandboxes does not hold on this host");
    }
    Ok(jailer)
}

impl Node {
    async fn take_down(self, config: &Config) {
        tracing::info!("stopping");
        let limit = Duration::from_secs(config.functions.drain_timeout_secs.0);
        let (requests, ()) = tokio::join!(self.front.drain(limit), self.functions.drain(limit));
        if !requests.complete {
            tracing::warn!(connections = requests.cut_connections, "connections were cut at the limit of the drain");
        }
        self.jailer.stop().await;
        tokio::join!(self.logs.flush(), self.usage.flush());
        self.store.close().await;
        tracing::info!("stopped");
    }
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Under which name clients reach this node, in sandboxes too.
fn public_endpoint(config: &Config, address: SocketAddr) -> PlatformEndpoint {
    let scheme = if config.tls.cert.is_some() { "https" } else { "http" };
    let host = match (config.domain.as_str(), address.ip()) {
        ("localhost", ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        ("localhost", ip) => ip.to_string(),
        (domain, _) => domain.to_owned(),
    };
    let port = address.port();
    let url_host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    PlatformEndpoint { url: format!("{scheme}://{url_host}:{port}"), host, port }
}

fn announcement(config: &Config, endpoint: &PlatformEndpoint, first: &FirstStart) -> Result<Announcement> {
    let announcement = Announcement {
        endpoint: endpoint.url.clone(),
        region: config.region.to_string(),
        account_id: config.account_id.to_string(),
        access_key_id: first.access_key_id.clone(),
        secret_access_key: first.secret_access_key.as_ref().map(|secret| secret.to_string()),
    };
    let file = Endpoint {
        endpoint: announcement.endpoint.clone(),
        region: announcement.region.clone(),
        account_id: announcement.account_id.clone(),
        access_key_id: announcement.access_key_id.clone(),
        secret_access_key: first.kept_secret.as_ref().map(|secret| secret.to_string()).unwrap_or_default(),
    };
    file.write(&config.data_dir)?;
    Ok(announcement)
}

/// Makes a directory that only this user can enter. What sandboxes see of it is mounted for them, so they need not pass
/// through it.
fn private_dir(dir: &Path) -> Result<std::path::PathBuf> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("{} cannot be made; name another directory with --data-dir", dir.display()))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).with_context(|| {
        format!(
            "{} cannot be used: it has to be writable and to belong to this user; name another with --data-dir",
            dir.display()
        )
    })?;
    Ok(dir.to_owned())
}

/// All memory of the machine, in MB.
fn host_memory_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kb = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kb.unwrap_or(4 << 20) / 1024
}
