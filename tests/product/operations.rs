//! Promise: it starts, stops and fails in ways that an operator understands, and leaves nothing behind.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use dormouse_tests::{Client, Dormouse, Options, Output, Residue};

#[test]
fn it_announces_itself_and_stops_cleanly() -> Result<()> {
    let mut platform = Dormouse::start()?;
    let residue = Residue::of(&platform);
    Client::of(&platform).python("operations", "call_some_functions")?;
    let endpoint = platform.data_dir().join("endpoint.json");
    let mode = std::fs::metadata(&endpoint)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{} has mode {mode:o}", endpoint.display());
    let status = platform.stop()?;
    ensure!(status.success(), "ended with {status}; its log:\n{}", platform.log());
    for beside in ["store.db-wal", "store.db-shm"] {
        ensure!(!platform.data_dir().join(beside).exists(), "{beside} is left: not all is in the database itself");
    }
    residue.is_gone()
}

#[test]
fn kill_nine_leaves_nothing_after_the_next_start() -> Result<()> {
    let mut platform = Dormouse::start()?;
    let residue = Residue::of(&platform);
    Client::of(&platform).python("operations", "call_some_functions")?;
    platform.crash_and_restart()?;
    platform.stop()?;
    residue.is_gone()
}

#[test]
fn a_busy_platform_finishes_what_it_has_begun() -> Result<()> {
    let platform = Dormouse::start()?;
    Client::of(&platform).python("operations", "sigterm_during_a_call")
}

#[test]
fn a_second_platform_on_one_directory_is_refused() -> Result<()> {
    let platform = Dormouse::start()?;
    let data_dir = platform.data_dir().display().to_string();
    let output = Output::of(&mut platform.command(&["up", "--data-dir", &data_dir, "--listen", "127.0.0.1:0"]))?;
    ensure!(output.code == 1, "{output:?}");
    ensure!(output.stderr.contains("in use"), "{}", output.stderr);
    Ok(())
}

#[test]
fn a_port_in_use_is_named() -> Result<()> {
    let platform = Dormouse::start()?;
    let listen = platform.endpoint().trim_start_matches("http://").to_owned();
    let other = tempfile::tempdir()?;
    let data_dir = other.path().display().to_string();
    let output = Output::of(&mut platform.command(&["up", "--data-dir", &data_dir, "--listen", &listen]))?;
    ensure!(output.code == 1, "{output:?}");
    ensure!(output.stderr.contains(&listen), "{}", output.stderr);
    Ok(())
}

#[test]
fn a_corrupt_store_is_named_and_not_touched() -> Result<()> {
    let mut platform = Dormouse::start()?;
    platform.stop()?;
    let mut damaged = Vec::new();
    for entry in std::fs::read_dir(platform.data_dir())? {
        let path = entry?.path();
        // The log holds what was written last, which may be all there is: the file could be made anew from it.
        if path.to_string_lossy().ends_with(".db-wal") || path.to_string_lossy().ends_with(".db-shm") {
            std::fs::remove_file(&path)?;
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "sqlite3" || extension == "db") {
            std::fs::write(&path, b"this is no database, and has never been one".repeat(200))?;
            damaged.push(path);
        }
    }
    ensure!(!damaged.is_empty(), "no database was found to damage");
    let before = std::fs::read(&damaged[0])?;
    let error = platform.restart().err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains(&damaged[0].file_name().unwrap_or_default().to_string_lossy().into_owned()), "{error}");
    ensure!(std::fs::read(&damaged[0])? == before, "the damaged file was changed");
    Ok(())
}

/// What is secret is readable for nobody else, and nobody else gets into the directory at all.
#[test]
fn secrets_are_closed_to_others() -> Result<()> {
    let platform = Dormouse::start()?;
    Client::of(&platform).python("operations", "call_some_functions")?;
    let data_dir = platform.data_dir();
    for (name, expected) in [
        ("", 0o700),
        ("store.db", 0o600),
        ("store.db-wal", 0o600),
        ("store.db-shm", 0o600),
        ("master.key", 0o600),
        ("endpoint.json", 0o600),
        ("audit", 0o700),
        ("audit/audit.jsonl", 0o600),
    ] {
        let mode = std::fs::metadata(data_dir.join(name))?.permissions().mode() & 0o777;
        ensure!(mode == expected, "data/{name} has mode {mode:o}");
    }
    Ok(())
}

#[test]
fn a_read_only_directory_is_named() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: mounting takes root");
        return Ok(());
    }
    let read_only = "mkdir -p data; mount --bind data data; mount -o remount,bind,ro data";
    let error = Dormouse::start_with(Options::default().mounting(read_only)).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("/data") && error.contains("writable"), "{error}");
    Ok(())
}

#[test]
fn a_full_disk_is_refused_and_recovers() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: mounting takes root");
        return Ok(());
    }
    let small = "mkdir -p data; mount -t tmpfs -o size=96m,mode=0700 small data";
    let options = Options::default().mounting(small).with("functions.async.lease_secs", 2);
    let platform = Dormouse::start_with(options)?;
    Client::of(&platform).python("operations", "full_disk_is_refused_and_recovers")
}

#[test]
fn it_serves_tls_and_takes_up_a_new_certificate() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    for suffix in ["", ".next"] {
        let mut openssl = std::process::Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", "/CN=dormouse", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
        openssl.args(["-out", &format!("{}{suffix}", certificate.display())]);
        let output = Output::of(openssl.args(["-keyout", &format!("{}{suffix}", key.display())]))?;
        ensure!(output.code == 0, "{output:?}");
    }
    let options = Options::default().with("tls.cert", certificate.display()).with("tls.key", key.display());
    let platform = Dormouse::start_with(options.with("tls.reload_secs", 1))?;
    let variables = [
        ("AWS_CA_BUNDLE", certificate.display().to_string()),
        ("CERTIFICATE", certificate.display().to_string()),
        ("KEY", key.display().to_string()),
    ];
    Client::of(&platform).python_with("operations", "served_over_tls", &variables)
}

/// Not frozen before it has ended by itself, and looked at soon after.
#[test]
fn an_instance_that_ended_is_not_used_again() -> Result<()> {
    let platform = Dormouse::start_with(Options::default().with("functions.freeze_after_ms", 1_500))?;
    Client::of(&platform).python("operations", "an_instance_that_ended_is_not_used_again")
}

#[test]
fn slow_clients_are_cut_and_hold_up_nobody() -> Result<()> {
    let options = Options::default().with("front.header_timeout_ms", 2_000).with("front.body_timeout_ms", 2_000);
    let platform = Dormouse::start_with(options)?;
    Client::of(&platform).python("operations", "slow_clients_are_cut_and_hold_up_nobody")
}

#[test]
fn large_uploads_wait_for_each_other() -> Result<()> {
    let platform = Dormouse::start_with(Options::default().with("front.body_memory_mb", 16))?;
    Client::of(&platform).python("operations", "large_uploads_wait_for_each_other")
}

/// Of a log that becomes too large the oldest lines go; of one that becomes too old, all.
#[test]
fn logs_are_kept_as_much_and_as_long_as_is_set() -> Result<()> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let options = Options::default().with("logs.max_bytes", 1 << 20).with("logs.retention_days", 1);
    let mut platform = Dormouse::start_with(options)?;
    Client::of(&platform).python("operations", "old_lines_give_way_to_new_ones")?;
    platform.stop()?;
    let files = files_below(&platform.data_dir().join("logs"))?;
    let kept: u64 = files.iter().map(|path| Ok(path.metadata()?.len())).sum::<Result<_>>()?;
    ensure!((1 << 19..3 << 19).contains(&kept), "{kept} bytes are kept, and a MiB was to be");
    for path in files {
        std::fs::File::options().write(true).open(path)?.set_modified(SystemTime::now() - 2 * DAY)?;
    }
    platform.restart()?;
    Client::of(&platform).python("operations", "old_logs_are_gone")
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files_below(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

#[test]
fn unknown_settings_are_refused() -> Result<()> {
    let error = Dormouse::start_with(Options::default().with("functions.no_such_setting", 1)).err();
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("DORMOUSE_FUNCTIONS__NO_SUCH_SETTING"), "{error}");
    Ok(())
}

#[test]
fn fixed_root_keys_work() -> Result<()> {
    let options = Options {
        settings: vec![
            ("DORMOUSE_ROOT_ACCESS_KEY_ID".to_owned(), "AKIAFIXEDFIXEDFIXED0".to_owned()),
            ("DORMOUSE_ROOT_SECRET_ACCESS_KEY".to_owned(), "a-secret-that-scripts-know-0123456789".to_owned()),
        ],
        ..Options::default()
    };
    let platform = Dormouse::start_with(options)?;
    ensure!(platform.access_key_id() == "AKIAFIXEDFIXEDFIXED0");
    let variables = [("AWS_SECRET_ACCESS_KEY", "a-secret-that-scripts-know-0123456789".to_owned())];
    Client::of(&platform).python_with("identity", "who_am_i", &variables)
}

super::shown_in_python! { "operations" on Options::default() =>
    a_client_that_hangs_up_does_not_stop_a_call,
    slow_and_broken_clients_hurt_nobody,
    ten_thousand_connections,
    the_aws_cli_works,
    logs_usage_and_metrics,
    control_plane_calls_are_recorded,
    calls_are_billed,
    backup_under_load_restores,
}
