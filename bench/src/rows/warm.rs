//! Warm synchronous calls, beside the official client on the bare Runtime API program.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::api::{self, File, Function};
use crate::bare::Bare;
use crate::load;
use crate::measure::{Better, ROUNDS, Rounds, Row};
use crate::platform::Platform;

/// How long each side of a round is under load.
const ROUND: Duration = Duration::from_secs(2);
/// Connections, and so instances, of the throughput rows.
const WIDE: usize = 8;
/// Memory that gives one whole core.
const ONE_CORE_MB: u32 = 1769;
const PYTHON: (&str, &str) = ("index.py", "def handler(event, context):\n    return {'ok': True}\n");
const NODEJS: (&str, &str) = ("index.js", "exports.handler = async () => ({ ok: true });\n");

/// `warm-ric`: the official Python client in our sandbox, beside the same client on the bare program.
pub(crate) async fn official(dormouse: &Path) -> Result<Vec<Row>> {
    let Some(python) = Python::find()? else {
        return Ok(vec![Row::null("warm-ric", "warm call, official Python client", Python::MISSING)]);
    };
    // The client goes into the package, as people ship it; the interpreter is the host's.
    let mut files = python.package()?;
    let interpreter = python.interpreter.display();
    files.push(File {
        path: "bootstrap".to_owned(),
        content: format!("#!/bin/sh\nexec {interpreter} -m awslambdaric \"$_HANDLER\"\n").into_bytes(),
        executable: true,
    });
    let function = Function {
        name: "official",
        runtime: "provided.al2023",
        handler: "index.handler",
        memory_mb: ONE_CORE_MB,
        files: &files,
    };
    compare("warm-ric", "official Python client", dormouse, &python.client(), &function, Goal::NoSlowerThan(1.3)).await
}

/// `warm-own`: our own bootstraps in our sandbox, each beside its language's official client on the bare program.
pub(crate) async fn own(dormouse: &Path) -> Result<Vec<Row>> {
    let python = Python::find()?.map(|python| (python.client(), python.runtime)).ok_or(Python::MISSING);
    let nodejs = nodejs_client()?.map(|client| (client, "nodejs20.x".to_owned())).ok_or(NODEJS_MISSING);
    let mut rows = Vec::new();
    for (language, found) in [("Python", python), ("Node.js", nodejs)] {
        let what = format!("our {language} bootstrap");
        match found {
            Ok((client, runtime)) => {
                let files = [File::text(client.handler.0, client.handler.1)];
                let (name, handler) = ("own", "index.handler");
                let function = Function { name, runtime: &runtime, handler, memory_mb: ONE_CORE_MB, files: &files };
                rows.extend(compare("warm-own", &what, dormouse, &client, &function, Goal::FasterBy(1.3)).await?);
            }
            Err(why) => rows.push(Row::null("warm-own", format!("warm call, {what}"), why)),
        }
    }
    Ok(rows)
}

#[derive(Debug, Clone, Copy)]
enum Goal {
    /// p50 and req/s within this factor.
    NoSlowerThan(f64),
    /// req/s at least this factor.
    FasterBy(f64),
}

async fn compare(
    id: &'static str,
    what: &str,
    dormouse: &Path,
    client: &Client,
    function: &Function<'_>,
    goal: Goal,
) -> Result<Vec<Row>> {
    let bare = Bare::start().await?;
    let work = tempfile::tempdir()?;
    std::fs::write(work.path().join(client.handler.0), client.handler.1)?;
    let platform = Platform::start(dormouse, &[("DORMOUSE_LOG__LEVEL", "warn")])?;
    let role = api::role(&platform).await?;
    api::create(&platform, &role, function).await?;
    let bare_request =
        format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 2\r\n\r\n{{}}", bare.invoke).into_bytes();
    let mut alone = Rounds::default();
    let mut wide = Rounds::default();
    // Each connection has a runtime of its own on the bare program, as each has an instance on ours.
    let mut runtimes = vec![client.run(bare.runtime_api, &work)?];
    for _ in 0..ROUNDS {
        alone.reference.push(load::run(bare.invoke, &bare_request, 1, ROUND, 200).await?.p50_us);
        let request = api::invocation(&platform, function.name)?;
        alone.ours.push(load::run(platform.address, &request, 1, ROUND, 200).await?.p50_us);
    }
    for _ in 1..WIDE {
        runtimes.push(client.run(bare.runtime_api, &work)?);
    }
    let request = api::invocation(&platform, function.name)?;
    load::run(platform.address, &request, WIDE, ROUND, 200).await?;
    load::run(bare.invoke, &bare_request, WIDE, ROUND, 200).await?;
    for _ in 0..ROUNDS {
        wide.reference.push(load::run(bare.invoke, &bare_request, WIDE, ROUND, 200).await?.per_second);
        let request = api::invocation(&platform, function.name)?;
        wide.ours.push(load::run(platform.address, &request, WIDE, ROUND, 200).await?.per_second);
    }
    drop(runtimes);
    let (p50, rate) = (format!("warm call, {what}: p50 at 1"), format!("warm call, {what}: rate at {WIDE}"));
    Ok(match goal {
        Goal::NoSlowerThan(factor) => vec![
            Row::ratio(id, p50, "us", Better::Lower, factor, &alone),
            Row::ratio(id, rate, "req/s", Better::Higher, 1.0 / factor, &wide),
        ],
        Goal::FasterBy(factor) => vec![Row::ratio(id, rate, "req/s", Better::Higher, factor, &wide)],
    })
}

/// An official client, as it is run bare.
struct Client {
    /// Name and text of the file with the handler `index.handler`.
    handler: (&'static str, &'static str),
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl Client {
    /// Runs it against a Runtime API on the loopback.
    fn run(&self, api: SocketAddr, work: &TempDir) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("index.handler").current_dir(work.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("AWS_LAMBDA_RUNTIME_API", api.to_string());
        command.env("LAMBDA_TASK_ROOT", work.path()).env("AWS_LAMBDA_FUNCTION_NAME", "bare");
        command.env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST").env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769");
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        command.spawn().context("cannot start the official client")
    }
}

const NODEJS_MISSING: &str = "the official Node.js client was not built: run this by `make bench`";

/// The official Node.js client, as the benchmark's installation built it.
fn nodejs_client() -> Result<Option<Client>> {
    let Some(package) = std::env::var_os("DORMOUSE_TEST_NODE_CLIENT").map(PathBuf::from) else { return Ok(None) };
    let main = package.join("bin/index.mjs");
    let arguments = vec![main.clone().into_os_string()];
    Ok(main.is_file().then(|| Client { handler: NODEJS, program: "node".into(), arguments, environment: Vec::new() }))
}

/// The official Python client, as it is installed in the tests' environment.
struct Python {
    site_packages: PathBuf,
    /// The host's interpreter of the environment's version. Every sandbox sees `/usr`, so that both sides run this one.
    interpreter: PathBuf,
    /// The managed runtime of the same version.
    runtime: String,
}

impl Python {
    const MISSING: &str = "no environment with awslambdaric for an interpreter under /usr: run this by `make bench`";

    fn find() -> Result<Option<Self>> {
        let Some(venv) = std::env::var_os("DORMOUSE_TEST_VENV").map(PathBuf::from) else { return Ok(None) };
        let lib = venv.join("lib").read_dir()?.flatten().next().context("an environment has lib/pythonX.Y")?;
        let version = lib.file_name().to_string_lossy().into_owned();
        let interpreter = Path::new("/usr/bin").join(&version);
        let site_packages = lib.path().join("site-packages");
        if !interpreter.is_file() || !site_packages.join("awslambdaric").is_dir() {
            return Ok(None);
        }
        Ok(Some(Self { site_packages, interpreter, runtime: version }))
    }

    fn client(&self) -> Client {
        Client {
            handler: PYTHON,
            program: self.interpreter.clone(),
            arguments: vec!["-m".into(), "awslambdaric".into()],
            environment: vec![("PYTHONPATH", self.site_packages.clone().into_os_string())],
        }
    }

    /// The handler and the client, as files of a package.
    fn package(&self) -> Result<Vec<File>> {
        let mut files = vec![File::text(PYTHON.0, PYTHON.1)];
        for entry in self.site_packages.read_dir()?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = ["awslambdaric", "simplejson", "snapshot_restore_py", "runtime_client"]
                .iter()
                .any(|package| name.starts_with(package));
            if is_ours {
                collect(&self.site_packages, &entry.path(), &mut files)?;
            }
        }
        Ok(files)
    }
}

fn collect(root: &Path, path: &Path, files: &mut Vec<File>) -> Result<()> {
    if path.is_dir() {
        for entry in path.read_dir()?.flatten().filter(|entry| entry.file_name() != "__pycache__") {
            collect(root, &entry.path(), files)?;
        }
        return Ok(());
    }
    files.push(File {
        path: path.strip_prefix(root)?.to_string_lossy().into_owned(),
        content: std::fs::read(path)?,
        executable: false,
    });
    Ok(())
}
