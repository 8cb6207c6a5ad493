//! Cold starts, beside the plain start of the same runtime.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::api::{self, File, Function};
use crate::load::Connection;
use crate::measure::{Better, ROUNDS, Rounds, Row, quantile, sorted};
use crate::platform::Platform;

/// Functions that are called for the first time in each round, each after a rest and as many without one.
const STARTS: usize = 10;
/// Before a start, ours or the reference's: a first call seldom follows another at once.
const REST: Duration = Duration::from_millis(150);

/// One runtime to start: ours by its name, the plain one by a program that prints one line.
struct Plain {
    what: &'static str,
    runtime: &'static str,
    file: (&'static str, &'static str),
    command: &'static [&'static str],
}

const PLAIN: [Plain; 2] = [
    Plain {
        what: "Python",
        runtime: "python3.11",
        file: ("index.py", "def handler(event, context):\n    return {'ok': True}\n"),
        command: &["/usr/bin/python3", "-c", "import json, sys; print(json.dumps({'ok': True}))"],
    },
    Plain {
        what: "Node.js",
        runtime: "nodejs20.x",
        file: ("index.js", "exports.handler = async () => ({ ok: true });\n"),
        command: &["node", "-e", "console.log(JSON.stringify({ ok: true }))"],
    },
];

/// `cold-plain`: the first call of a function, nothing waiting, beside the runtime started by hand.
pub(crate) async fn plain(dormouse: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for plain in &PLAIN {
        let name = format!("first call, {}: p50", plain.what);
        if Command::new(plain.command[0]).arg("--version").stdout(Stdio::null()).status().is_err() {
            rows.push(Row::null("cold-plain", name, format!("{} is not installed", plain.command[0])));
            continue;
        }
        let platform = Platform::start(dormouse, &[("DORMOUSE_LOG__LEVEL", "warn")])?;
        let role = api::role(&platform).await?;
        let (mut rounds, mut at_once) = (Rounds::default(), Vec::new());
        for round in 0..ROUNDS {
            rounds.reference.push(median_by_hand(plain).await?);
            let names: Vec<String> = (0..2 * STARTS).map(|n| format!("cold-{round}-{n}")).collect();
            for name in &names {
                let files = [File::text(plain.file.0, plain.file.1)];
                let function =
                    Function { name, runtime: plain.runtime, handler: "index.handler", memory_mb: 1769, files: &files };
                api::create(&platform, &role, &function).await?;
            }
            let (alone, together) = names.split_at(STARTS);
            rounds.ours.push(median_of_first_calls(&platform, alone, REST).await?);
            at_once.push(median_of_first_calls(&platform, together, Duration::ZERO).await?);
        }
        rows.push(Row::ratio("cold-plain", name, "ms", Better::Lower, 1.15, &rounds));
        let name = format!("first call, {}, right behind another: p50", plain.what);
        rows.push(Row::beside("cold-plain", name, "ms", Better::Lower, &at_once));
    }
    Ok(rows)
}

/// Calls each for the first time, a rest before each. Milliseconds.
async fn median_of_first_calls(platform: &Platform, names: &[String], rest: Duration) -> Result<f64> {
    let mut figures = Vec::new();
    for name in names {
        tokio::time::sleep(rest).await;
        let request = api::invocation(platform, name)?;
        let mut connection = Connection::open(platform.address).await?;
        let start = Instant::now();
        let answer = connection.send(&request).await?;
        figures.push(start.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.status == 200 && answer.body == b"{\"ok\": true}" || answer.body == b"{\"ok\":true}");
    }
    Ok(quantile(&sorted(&figures), 0.5))
}

async fn median_by_hand(plain: &Plain) -> Result<f64> {
    let mut figures = Vec::new();
    for _ in 0..STARTS {
        tokio::time::sleep(REST).await;
        figures.push(started_by_hand(plain)?);
    }
    Ok(quantile(&sorted(&figures), 0.5))
}

/// Milliseconds from the fork to the first byte, and the end, of the program.
fn started_by_hand(plain: &Plain) -> Result<f64> {
    use std::io::Read;
    let start = Instant::now();
    // Variables of whoever measures (such as one that makes Node.js read certificates) are no part of a plain start.
    let mut child = Command::new(plain.command[0])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(&plain.command[1..])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().context("its output is piped")?;
    let mut first = [0; 1];
    let read = stdout.read(&mut first)?;
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    std::io::copy(&mut stdout, &mut std::io::sink())?;
    child.wait()?;
    ensure!(read == 1, "{:?} printed nothing", plain.command);
    Ok(elapsed)
}
