//! Promise: what the command line prints is what it printed before, unless somebody meant to change it.
//!
//! Run with `DORMOUSE_TEST_WRITE_GOLDEN=1` to write the files anew, and read the difference.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `dormouse` in an environment of its own, in which no platform is known.
fn dormouse(home: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dormouse"));
    command.args(args).current_dir(home).env_clear().env("HOME", home).env("COLUMNS", "100");
    command.env("DORMOUSE_DATA_DIR", "/nowhere/data").envs(environment.iter().copied());
    command.output().expect("dormouse runs")
}

fn told(output: &Output) -> String {
    let code = output.status.code().expect("an exit code");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut told = format!("exit code {code}\n");
    for (name, text) in [("stdout", text(&output.stdout)), ("stderr", text(&output.stderr))] {
        if !text.is_empty() {
            told.push_str(&format!("--- {name}\n{text}"));
        }
    }
    told
}

fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("DORMOUSE_TEST_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the golden file is written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs; run with DORMOUSE_TEST_WRITE_GOLDEN=1 if it is meant to. It is now:\n{text}",
        path.display()
    );
}

fn check(name: &str, args: &[&str], environment: &[(&str, &str)]) {
    let home = tempfile::tempdir().expect("a directory");
    golden(name, &told(&dormouse(home.path(), args, environment)));
}

/// Like [`check`], with files in the directory.
fn check_in(name: &str, files: &[(&str, &str)], args: &[&str]) {
    let home = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        std::fs::write(home.path().join(path), text).expect("written");
    }
    golden(name, &told(&dormouse(home.path(), args, &[])));
}

#[test]
fn help_reads_well() {
    check("help", &["--help"], &[]);
    let commands = [
        "up",
        "init",
        "deploy",
        "invoke",
        "logs",
        "functions",
        "events",
        "usage",
        "accounts",
        "keys",
        "delete",
        "doctor",
        "config",
        "completions",
        "backup",
        "restore",
    ];
    for command in commands {
        check(&format!("help-{command}"), &[command, "--help"], &[]);
    }
}

#[test]
fn the_configuration_is_printed_with_origins() {
    let environment = [("DORMOUSE_FUNCTIONS__IDLE_EXPIRY_SECS", "5"), ("DORMOUSE_BIN", "x")];
    check("config", &["config", "--listen", "127.0.0.1:0"], &environment);
    check("config-json", &["config", "--output", "json"], &environment);
}

#[test]
fn mistakes_of_the_configuration_are_told() {
    let file = "listen = 4566\n[functions]\nidle_expiry = 3\n";
    check_in("config-mistakes", &[("d.toml", file)], &["config", "--config", "d.toml"]);
    check("config-unreadable", &["config", "--config", "no.toml"], &[]);
    check("up-mistake", &["up", "--account-id", "12"], &[]);
}

#[test]
fn mistakes_of_the_command_line_are_told() {
    check("usage-none", &["invoke"], &[]);
    check("usage-payload", &["invoke", "f", "--payload", "{a}"], &[]);
    check("usage-since", &["logs", "f", "--since", "yesterday"], &[]);
    check(
        "usage-endpoint",
        &["functions", "--endpoint", "here"],
        &[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")],
    );
}

#[test]
fn a_platform_that_is_not_there_is_told() {
    check("no-platform", &["functions"], &[]);
    check("no-keys", &["functions", "--endpoint", "http://127.0.0.1:1"], &[]);
}

#[test]
fn mistakes_of_a_template_are_told() {
    let template = "
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      Runtime: python3.12
      InlineCode: x
      Timout: 3
      Layers: []
  Topic:
    Type: AWS::SNS::Topic
";
    check_in("deploy-mistakes", &[("template.yaml", template)], &["deploy", "--name", "shop"]);
    check("deploy-no-template", &["deploy", "--name", "shop"], &[]);
}

#[test]
fn init_makes_a_project_that_deploy_reads() {
    for template in ["python", "nodejs", "provided"] {
        let home = tempfile::tempdir().expect("a directory");
        golden(&format!("init-{template}"), &told(&dormouse(home.path(), &["init", template], &[])));
        let project = format!("hello-{template}");
        if template == "provided" {
            std::fs::create_dir(home.path().join(&project).join("build")).expect("made");
        }
        // Without a platform it gets as far as looking for one: the template was without mistakes.
        let deployed = told(&dormouse(home.path(), &["deploy", &project], &[]));
        assert!(deployed.contains("no platform is known"), "{deployed}");
        let again = told(&dormouse(home.path(), &["init", template], &[]));
        assert!(again.starts_with("exit code 2") && again.contains("is not empty"), "{again}");
    }
}

#[test]
fn completions_name_every_command() {
    let home = tempfile::tempdir().expect("a directory");
    for shell in ["bash", "zsh", "fish"] {
        let output = dormouse(home.path(), &["completions", shell], &[]);
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && script.contains("redrive") && !script.contains("__spawner"), "{shell}");
    }
}
