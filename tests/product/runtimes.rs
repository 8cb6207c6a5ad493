//! Promise: the official runtime clients run unmodified, and what a function finds beside its code is what it relies on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use dormouse_tests::{Client, Dormouse, Options, Output};

super::shown_in_python! { "runtimes" on Options::default() =>
    the_official_python_client_answers,
    errors_of_the_official_python_client,
    what_fails_in_init_is_said_as_by_the_official_client,
    another_version_than_the_one_asked_for_is_named,
    the_sdk_is_there_for_python,
    the_sdk_is_there_for_nodejs,
}

#[test]
fn the_rust_client_answers() -> anyhow::Result<()> {
    with_the_rust_function("the_rust_client_answers")
}

#[test]
fn errors_and_panics_of_the_rust_client() -> anyhow::Result<()> {
    with_the_rust_function("errors_and_panics_of_the_rust_client")
}

fn with_the_rust_function(function: &str) -> anyhow::Result<()> {
    let bootstrap = rust_function()?;
    let platform = Dormouse::start()?;
    let variables = [("RUST_BOOTSTRAP", bootstrap.display().to_string())];
    Client::of(&platform).python_with("runtimes", function, &variables)
}

/// The program of `tests/clients/rust`, built once for all tests that want it, where cargo keeps what tests make.
fn rust_function() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_rust_function().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("the Rust function could not be built: {error}"))
}

fn build_rust_function() -> anyhow::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/rust/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust-function");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(source).arg("--target-dir").arg(&target);
    let output = Output::of(&mut cargo)?;
    anyhow::ensure!(output.code == 0, "{}", output.stderr);
    Ok(target.join("debug/bootstrap"))
}
