use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_jail::{JailError, Jailer, Listen, Mount, Running};
use dormouse_model::EgressGrant;
use dormouse_runtime_api::{InitOutcome, Limits, Session};
use dormouse_sandbox::{Driver, InitReport, Instance, LogLine, RuntimeState, StartError, StartSpec, Stream};

use crate::base::system_mounts;
use crate::config::{ProcessConfig, ProcessError};
use crate::deadline::{quota_millicores, status_text};
use crate::door::{EgressDoor, EgressPlan, InstanceIdentity, PlatformDoor, Serving, accept_platform};
use crate::entrypoint;
use crate::instance::{ProcessInstance, leave};
use crate::interpreter::{Choice, Interpreters, place};
use crate::output::Output;
use crate::plan::{Planned, Program, RUNTIME_DIR, Sockets, own_ports, plan, read_only};
use crate::provision::Provision;
use crate::runtimes::{Channel, Managed, Runtime, Runtimes};

/// What the node plugs in.
#[derive(Clone, Default)]
pub struct Doors {
    /// Serves the platform's endpoint inside sandboxes.
    pub platform: Option<Arc<dyn PlatformDoor>>,
    /// Carries granted traffic out of them.
    pub egress: Option<Arc<dyn EgressDoor>>,
}

/// Runs functions as Linux processes in sandboxes of the jail.
#[derive(Clone)]
pub struct ProcessDriver(Arc<Inner>);

struct Inner {
    jailer: Jailer,
    config: ProcessConfig,
    doors: Doors,
    runtimes: Runtimes,
    interpreters: Interpreters,
    provision: Provision,
    /// The same in every sandbox.
    system: Vec<Mount>,
    /// Programs of managed runtimes, each for the interpreter that it was made for.
    programs: Mutex<HashMap<String, (PathBuf, Program)>>,
}

/// An instance on its way.
struct Starting {
    running: Arc<Running>,
    session: Session,
    output: Output,
    serving: Serving,
    began: Instant,
}

impl ProcessDriver {
    /// A driver that makes its sandboxes with this jailer.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub fn new(jailer: Jailer, config: ProcessConfig, doors: Doors) -> Result<Self, ProcessError> {
        Ok(Self(Arc::new(Inner {
            jailer,
            doors,
            runtimes: Runtimes::embedded()?,
            interpreters: Interpreters::default(),
            provision: Provision::new(&config.state_dir)?,
            system: system_mounts(),
            programs: Mutex::default(),
            config,
        })))
    }

    /// Every runtime that this driver knows, and what this host has for it. Takes some tenths of a second when nothing
    /// is known yet.
    pub fn runtimes(&self) -> Vec<(String, RuntimeState)> {
        let names = self.0.runtimes.names();
        names.filter_map(|name| Some((name.to_owned(), self.0.state(name)?))).collect()
    }
}

#[async_trait]
impl Driver for ProcessDriver {
    fn runtime(&self, name: &str) -> Option<RuntimeState> {
        self.0.state(name)
    }

    fn expect(&self, runtime: &str, ephemeral_storage_mb: u32) {
        self.0.jailer.expect(ephemeral_storage_mb);
        let Some(runtime) = self.0.runtimes.get(runtime).filter(|runtime| self.0.known_program(runtime).is_none())
        else {
            return;
        };
        let (inner, runtime) = (Arc::clone(&self.0), Arc::clone(runtime));
        tokio::task::spawn_blocking(move || {
            // A start that has to do without it is told why.
            runtime.managed.as_ref().map(|managed| inner.managed_program(&runtime, managed).is_ok());
        });
    }

    async fn start(&self, spec: StartSpec) -> Result<(Box<dyn Instance>, InitReport), StartError> {
        let unknown = || StartError::RuntimeMissing(format!("the runtime {} is not known", spec.runtime));
        let runtime = Arc::clone(self.0.runtimes.get(&spec.runtime).ok_or_else(unknown)?);
        let (program, runtime_version) = self.program(&spec, &runtime).await?;
        let egress = self.0.egress_plan(&spec, runtime.channel);
        let planned = plan(&spec, &runtime, program, &self.0.config, &self.0.system, egress);
        let starting = self.0.launch(&spec, runtime.channel, planned).await?;
        let (instance, duration) = starting.init(&spec).await?;
        Ok((Box::new(instance), InitReport { duration, runtime_version }))
    }
}

impl ProcessDriver {
    /// What is executed, and what it is called in the INIT line.
    async fn program(&self, spec: &StartSpec, runtime: &Arc<Runtime>) -> Result<(Program, String), StartError> {
        let Some(managed) = &runtime.managed else {
            let path = entrypoint::find(&spec.code, &spec.layers).map_err(invalid_entrypoint)?;
            let program = Program { path, arguments: Vec::new(), mounts: Vec::new() };
            let version = runtime.version.trim_start_matches('.');
            let version = if version.is_empty() { "al1" } else { version };
            return Ok((program, format!("{}:{version}", runtime.label)));
        };
        if let Some(known) = self.0.known_program(runtime) {
            return Ok(known);
        }
        // Looking for interpreters and compiling bootstraps executes programs, the first time.
        let (inner, sought) = (Arc::clone(&self.0), Arc::clone(runtime));
        let managed = managed.clone();
        let search = tokio::task::spawn_blocking(move || inner.managed_program(&sought, &managed));
        search.await.map_err(|error| StartError::Platform(format!("the search for the runtime failed: {error}")))?
    }
}

impl Inner {
    fn state(&self, name: &str) -> Option<RuntimeState> {
        let runtime = self.runtimes.get(name)?;
        let Some(managed) = &runtime.managed else {
            let version = runtime.name.replacen('.', ":", 1);
            return Some(RuntimeState { version: Some(version), exact: true, remedy: None });
        };
        Some(match self.interpreters.choose(runtime, managed) {
            Some(Choice { interpreter, exact }) => {
                let version = Some(format!("{}:{}", runtime.label, interpreter.version));
                RuntimeState { version, exact, remedy: (!exact).then(|| runtime.install.clone()) }
            }
            None => RuntimeState { version: None, exact: false, remedy: Some(self.remedy(runtime)) },
        })
    }

    /// What to do when nothing on this host runs a runtime.
    fn remedy(&self, runtime: &Runtime) -> String {
        match self.interpreters.silent(&runtime.name) {
            Some(program) => format!(
                "{} did not tell its version in time: see whether it runs, and ask again in a minute",
                program.display()
            ),
            None => format!("{}; for exactly this version: {}", runtime.install_any, runtime.install),
        }
    }

    /// What [`Inner::managed_program`] found earlier, without waiting for anything.
    fn known_program(&self, runtime: &Arc<Runtime>) -> Option<(Program, String)> {
        let interpreter = self.interpreters.known(&runtime.name)?.interpreter;
        let (executable, program) = lock(&self.programs).get(&runtime.name).cloned()?;
        (executable == interpreter.executable).then(|| (program, format!("{}:{}", runtime.label, interpreter.version)))
    }

    fn managed_program(&self, runtime: &Arc<Runtime>, managed: &Managed) -> Result<(Program, String), StartError> {
        let missing = || {
            let Runtime { name, label, .. } = &**runtime;
            let remedy = self.remedy(runtime);
            StartError::RuntimeMissing(format!("{name} needs a {label} interpreter on this host: {remedy}"))
        };
        let Choice { interpreter, .. } = self.interpreters.choose(runtime, managed).ok_or_else(missing)?;
        let version = format!("{}:{}", runtime.label, interpreter.version);
        if let Some(known) = self.known_program(runtime) {
            return Ok(known);
        }
        let failed = |error: ProcessError| StartError::Platform(error.to_string());
        let (dir, bootstrap) = self.provision.of(&interpreter, managed).map_err(failed)?;
        let placement = place(&interpreter, managed);
        let mut mounts: Vec<Mount> = placement.binds.iter().map(|(from, to)| read_only(from, to)).collect();
        mounts.push(read_only(&dir, RUNTIME_DIR));
        let arguments = managed.arguments.iter().map(|text| text.replace("{bootstrap}", &bootstrap)).collect();
        let program = Program { path: placement.program, arguments, mounts };
        // Never held while something slow happens: making a program twice is harmless.
        lock(&self.programs).insert(runtime.name.clone(), (interpreter.executable.clone(), program.clone()));
        Ok((program, version))
    }

    /// A grant of nothing has a plan as well: what was asked for in vain is told to the log.
    fn egress_plan(&self, spec: &StartSpec, channel: Channel) -> EgressPlan {
        let say = |text: String| {
            spec.log.line(LogLine { stream: Stream::Platform, request_id: None, text: text.into() });
        };
        let Some(door) = &self.doors.egress else {
            if spec.egress != EgressGrant::None {
                say("EGRESS is granted by dormouse:egress, but this node carries none: nothing is reached.".to_owned());
            }
            return EgressPlan::default();
        };
        let mut plan = door.plan(&spec.egress);
        let ours = own_ports(channel, self.config.platform.as_ref());
        plan.sockets.retain(|socket| match socket {
            Listen::Tcp(address) if ours.contains(&address.port()) => {
                say(format!(
                    "EGRESS to port {0} is granted by dormouse:egress, but inside the sandbox the platform itself listens on \
                     port {0}: it is not reached.",
                    address.port()
                ));
                false
            }
            _ => true,
        });
        plan
    }

    async fn launch(&self, spec: &StartSpec, channel: Channel, planned: Planned) -> Result<Starting, StartError> {
        let Planned { plan, exec, sockets, own_program } = planned;
        let mut running = self.jailer.run(plan, exec).await.map_err(|error| jail_error(error, own_program))?;
        let began = running.assembled;
        let mut opened = std::mem::take(&mut running.sockets).into_iter();
        let session = match channel {
            Channel::Framed => Session::framed(taken(running.channel.take())?, Limits::default()),
            Channel::Http => Session::http(taken(opened.next())?, Limits::default()),
        };
        let session = session.map_err(|error| platform("the Runtime API could not be served", &error))?;
        let serving = self.serve(spec, sockets, opened);
        let (out, err) = (taken(running.stdout.take())?, taken(running.stderr.take())?);
        let output = Output::new(out, err, Arc::clone(&spec.log), &self.config);
        let output = output.map_err(|error| platform("the output could not be read", &error))?;
        Ok(Starting { running: Arc::new(running), session, output, serving, began })
    }

    /// Serves the sandbox's other sockets.
    fn serve(&self, spec: &StartSpec, sockets: Sockets, mut opened: impl Iterator<Item = OwnedFd>) -> Serving {
        let identity = Arc::new(InstanceIdentity {
            instance: spec.instance.clone(),
            function: spec.function.clone(),
            version: spec.version,
        });
        let mut serving = Serving::default();
        let platform = if sockets.platform { opened.next() } else { None };
        if let (Some(socket), Some(door)) = (platform, &self.doors.platform) {
            let (listener, most) = (TcpListener::from(socket), self.config.platform_connections);
            serving.push(accept_platform(listener, Arc::clone(door), Arc::clone(&identity), most));
        }
        let rest: Vec<OwnedFd> = opened.take(sockets.egress).collect();
        if let Some(door) = self.doors.egress.as_ref().filter(|_| !rest.is_empty()) {
            let (door, grant, log) = (Arc::clone(door), spec.egress.clone(), Arc::clone(&spec.log));
            serving.push(async move { door.serve(rest, grant, identity, log).await });
        }
        serving
    }
}

impl Starting {
    /// Waits for the end of the init phase.
    async fn init(mut self, spec: &StartSpec) -> Result<(ProcessInstance, std::time::Duration), StartError> {
        let limit = spec.init_timeout;
        let outcome = tokio::select! {
            biased;
            outcome = self.session.ready() => outcome,
            _ = self.running.wait() => InitOutcome::Closed { reason: "the runtime ended".to_owned() },
            () = tokio::time::sleep_until((self.began + limit).into()) => {
                self.running.kill().await;
                self.output.end();
                return Err(StartError::Timeout { limit });
            }
        };
        let duration = self.began.elapsed();
        match outcome {
            InitOutcome::Done => {
                // All that was printed so far belongs to the init phase.
                self.output.end();
                if let Err(error) = self.running.set_cpu(quota_millicores(spec.memory_mb)) {
                    self.running.kill().await;
                    return Err(StartError::Platform(error.to_string()));
                }
                let Self { running, session, output, serving, .. } = self;
                Ok((ProcessInstance { running, session, output, serving }, duration))
            }
            InitOutcome::Error { error_type, message, body } => {
                leave(&self.running).await;
                self.output.end();
                Err(StartError::Function { error_type, message, body, duration })
            }
            InitOutcome::Closed { .. } => {
                let (ended, _) = leave(&self.running).await;
                self.output.end();
                if ended.out_of_memory {
                    return Err(StartError::OutOfMemory { duration });
                }
                let message = match status_text(ended.exit).as_str() {
                    "exit status 0" => "Runtime exited without providing a reason".to_owned(),
                    status => format!("Runtime exited with error: {status}"),
                };
                Err(function_error("Runtime.ExitError", message, duration))
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Maps of finished findings: whole at every moment, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A descriptor that the jail promised.
fn taken<T: From<OwnedFd>>(fd: Option<OwnedFd>) -> Result<T, StartError> {
    fd.map(T::from).ok_or_else(|| StartError::Platform("the jail gave fewer descriptors than planned".to_owned()))
}

fn platform(what: &str, error: &std::io::Error) -> StartError {
    StartError::Platform(format!("{what}: {error}"))
}

fn function_error(error_type: &str, message: String, duration: std::time::Duration) -> StartError {
    let body = serde_json::json!({ "errorType": error_type, "errorMessage": message }).to_string();
    StartError::Function { error_type: error_type.to_owned(), message, body: Bytes::from(body), duration }
}

fn invalid_entrypoint(message: String) -> StartError {
    function_error("Runtime.InvalidEntrypoint", message, std::time::Duration::ZERO)
}

/// Whose failure it is: the function's, when the program that cannot be executed is its own.
fn jail_error(error: JailError, own_program: bool) -> StartError {
    match error {
        JailError::Exec { program, reason } if own_program => invalid_entrypoint(format!("{program}: {reason}")),
        other => StartError::Platform(other.to_string()),
    }
}
