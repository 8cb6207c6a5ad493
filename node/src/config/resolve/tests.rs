use std::time::Duration;

use super::*;
use crate::config::{LogFormat, env_name};

fn sources(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &'static str, &str)]) -> Sources {
    Sources {
        file: (!file.is_empty()).then(|| (PathBuf::from("d.toml"), file.to_owned())),
        environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        flags: flags.iter().map(|(key, flag, value)| (*key, *flag, (*value).to_owned())).collect(),
    }
}

fn problems(file: &str, environment: &[(&str, &str)]) -> String {
    resolve(&sources(file, environment, &[])).map(|_| ()).expect_err("a refusal").to_string()
}

fn origin(resolution: &Resolution, key: &str) -> String {
    resolution.values.iter().find(|row| row.setting.key == key).expect("a known key").origin.to_string()
}

#[test]
fn every_default_fits_its_setting() {
    let resolution = resolve(&sources("", &[], &[])).expect("defaults hold");
    assert_eq!(resolution.values.len(), Config::settings().len());
    assert!(resolution.values.iter().all(|row| row.origin == Origin::Default));
    assert_eq!(resolution.config.listen.to_string(), "127.0.0.1:4566");
    assert_eq!(resolution.config.functions.freeze_after_ms.duration(), Duration::from_millis(100));
    assert_eq!(resolution.config.functions.asynchronous.retry_delays_secs.show(), "60,120");
}

#[test]
fn keys_are_unique_also_as_variables() {
    let names: std::collections::BTreeSet<String> = Config::settings().iter().map(|s| env_name(s.key)).collect();
    assert_eq!(names.len(), Config::settings().len());
}

#[test]
fn a_flag_beats_a_variable_beats_the_file() {
    let file = "region = \"a-1\"\nlisten = \"127.0.0.1:1\"\n\n[functions]\nidle_expiry_secs = 5\n";
    let environment = [("DORMOUSE_LISTEN", "127.0.0.1:2"), ("DORMOUSE_FUNCTIONS__IDLE_EXPIRY_SECS", "6")];
    let resolution = resolve(&sources(file, &environment, &[("listen", "--listen", "127.0.0.1:3")])).expect("it fits");
    assert_eq!(resolution.config.region.as_str(), "a-1");
    assert_eq!(resolution.config.listen.port(), 3);
    assert_eq!(resolution.config.functions.idle_expiry_secs.0, 6);
    assert_eq!(origin(&resolution, "region"), "d.toml:1");
    assert_eq!(origin(&resolution, "listen"), "--listen");
    assert_eq!(origin(&resolution, "functions.idle_expiry_secs"), "DORMOUSE_FUNCTIONS__IDLE_EXPIRY_SECS");
    assert_eq!(origin(&resolution, "domain"), "default");
}

#[test]
fn lists_dotted_keys_and_choices_are_read() {
    let file = "functions.async.retry_delays_secs = [1, 2]\nlog = { format = \"json\", level = \"debug\" }\n\
                sandbox.require = [\"seccomp\", \"landlock\"]\nsandbox.pids = 1_000\n";
    let config = resolve(&sources(file, &[], &[])).expect("it fits").config;
    let delays: Vec<u64> = config.functions.asynchronous.retry_delays_secs.0.iter().map(|delay| delay.0).collect();
    assert_eq!(delays, [1, 2]);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.sandbox.require.0, ["seccomp", "landlock"]);
    assert_eq!(config.sandbox.pids, 1000);
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest_one() {
    assert_eq!(
        problems("[functions]\nidle_expiry = 5\n[function]\nx = 1\n", &[]),
        "d.toml:2: there is no setting functions.idle_expiry; the nearest is functions.idle_expiry_secs\n\
         d.toml:3: there is no setting function; the nearest is functions"
    );
    assert_eq!(
        problems("", &[("DORMOUSE_LISEN", "x")]),
        "DORMOUSE_LISEN: there is no setting DORMOUSE_LISEN; the nearest is DORMOUSE_LISTEN"
    );
}

#[test]
fn variables_of_others_are_left_alone() {
    let environment = [("DORMOUSE_SERVICE_HOST", "10.0.0.1"), ("DORMOUSE_PORT_4566_TCP", "tcp://"), ("PATH", "/bin")];
    assert!(resolve(&sources("", &environment, &[])).is_ok());
}

#[test]
fn a_value_that_does_not_fit_is_answered_with_what_is_allowed() {
    assert_eq!(
        problems("listen = 4566\nfunctions.billing_step_ms = 0\nlog.format = \"xml\"\naccount_id = \"1\"\n", &[]),
        "d.toml:1: listen cannot be \"4566\": it takes an address and port such as 127.0.0.1:4566\n\
         d.toml:4: account_id cannot be \"1\": it takes exactly 12 digits\n\
         d.toml:2: functions.billing_step_ms cannot be \"0\": it takes 1 to 1000 milliseconds\n\
         d.toml:3: log.format cannot be \"xml\": it takes text or json"
    );
    assert!(problems("region = 1979-05-27", &[]).contains("region cannot be \"a table or a date\""));
    assert!(problems("a = = 1", &[]).starts_with("d.toml:1: not TOML: "));
}

#[test]
fn half_a_pair_is_refused() {
    assert!(problems("tls.cert = \"/c\"", &[]).contains("tls.cert and tls.key go together"));
    assert!(problems("", &[("DORMOUSE_ROOT_ACCESS_KEY_ID", "A")]).contains("root_secret_access_key"));
}

#[test]
fn a_secret_is_never_shown() {
    let environment = [("DORMOUSE_ROOT_ACCESS_KEY_ID", "AKIA"), ("DORMOUSE_ROOT_SECRET_ACCESS_KEY", "hush")];
    let resolution = resolve(&sources("", &environment, &[])).expect("it fits");
    assert_eq!(resolution.config.root_secret_access_key.as_ref().map(|secret| secret.0.as_str()), Some("hush"));
    assert!(!format!("{resolution:?}").contains("hush"));
    assert!(resolution.values.iter().any(|row| row.value == "(set)"));
}
