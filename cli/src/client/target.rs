use std::path::{Path, PathBuf};

use dormouse_identity::sigv4::SigningKeys;
use dormouse_node::config::{Endpoint, Sources, data_dir_default};

use crate::args::Connection;
use crate::failure::Failure;

/// Which node, and with which keys.
pub(crate) struct Target {
    /// Without a slash at its end.
    endpoint: String,
    pub(crate) region: String,
    /// Who named the region, for the sentence that says that it was refused.
    pub(crate) region_from: String,
    pub(crate) keys: SigningKeys,
    /// Who named the keys, for the sentence that says that they were refused.
    pub(crate) keys_from: String,
    /// PEM file with the authorities that the node's certificate is checked against.
    pub(crate) ca_bundle: Option<String>,
}

impl Target {
    /// The flag, else the variables that every AWS client reads, else what `up` left in the data directory.
    pub(crate) fn find(connection: &Connection) -> Result<Self, Failure> {
        let data_dir = data_dir(connection.data_dir.as_deref());
        Self::resolve(connection, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()), &data_dir)
    }

    fn resolve(
        connection: &Connection,
        variable: &dyn Fn(&str) -> Option<String>,
        data_dir: &Path,
    ) -> Result<Self, Failure> {
        let named = connection.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL"));
        let from_variables = pair(variable)?;
        // What another user left cannot be read, and need not be when the variables say it all.
        let needed = named.is_none() || from_variables.is_none();
        let left = if needed { Endpoint::read(data_dir)? } else { None };
        // A key whose secret the operator set is known to the operator alone.
        let left_keys = left.as_ref().filter(|left| !left.secret_access_key.is_empty());
        let endpoint =
            named.or_else(|| left.as_ref().map(|left| left.endpoint.clone())).ok_or_else(|| no_node(data_dir))?;
        let (keys, keys_from) = match (from_variables, left_keys) {
            (Some((access_key_id, secret_access_key)), _) => {
                let session_token = variable("AWS_SESSION_TOKEN");
                (SigningKeys { access_key_id, secret_access_key, session_token }, "AWS_ACCESS_KEY_ID".to_owned())
            }
            (None, Some(left)) => {
                let (access_key_id, secret_access_key) = (left.access_key_id.clone(), left.secret_access_key.clone());
                let keys = SigningKeys { access_key_id, secret_access_key, session_token: None };
                (keys, Endpoint::path(data_dir).display().to_string())
            }
            (None, None) => return Err(no_keys(data_dir)),
        };
        let flag = connection.region.clone().map(|region| (region, "--region".to_owned()));
        let named = |name: &str| variable(name).map(|region| (region, name.to_owned()));
        let region = flag.or_else(|| named("AWS_REGION")).or_else(|| named("AWS_DEFAULT_REGION"));
        let region = region.or_else(|| left.map(|left| (left.region, Endpoint::path(data_dir).display().to_string())));
        let (region, region_from) = region.unwrap_or_else(|| ("us-east-1".to_owned(), "the default".to_owned()));
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let target = Self { endpoint, region, region_from, keys, keys_from, ca_bundle: variable("AWS_CA_BUNDLE") };
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> Result<(), Failure> {
        let known = self.endpoint.starts_with("http://") || self.endpoint.starts_with("https://");
        if known && !self.authority().is_empty() && !self.authority().contains('/') {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{:?} is not an endpoint: it takes http:// or https://, a host and a port, such as http://127.0.0.1:4566",
            self.endpoint
        )))
    }

    /// `http://HOST:PORT`.
    pub(crate) fn base(&self) -> &str {
        &self.endpoint
    }

    /// `HOST:PORT`, as the header `host` has it.
    pub(crate) fn authority(&self) -> &str {
        self.endpoint.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// Whether it is on this machine, where no proxy leads.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.authority().rsplit_once(':').map_or(self.authority(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// The key of the variables. Half of one is a mistake: silently signing with another key would be worse than saying so.
fn pair(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<(String, String)>, Failure> {
    let half = |set, unset| Failure::usage(format!("{set} is set and {unset} is not: set both, or neither"));
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Ok(Some((id, secret))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (None, Some(_)) => Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
    }
}

/// `--data-dir`, else `DORMOUSE_DATA_DIR`, else where `up` keeps its data by default.
fn data_dir(flag: Option<&Path>) -> PathBuf {
    let variable = || std::env::var_os("DORMOUSE_DATA_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    let default = || {
        let environment =
            ["XDG_DATA_HOME", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default()));
        data_dir_default(&Sources { environment: environment.to_vec(), ..Sources::default() })
    };
    flag.map(Path::to_path_buf).or_else(variable).unwrap_or_else(default)
}

fn no_node(data_dir: &Path) -> Failure {
    Failure::failed(format!(
        "no platform is known: nothing was left in {}; start one with `dormouse up`, or name one with --endpoint or \
         AWS_ENDPOINT_URL",
        data_dir.display()
    ))
}

fn no_keys(data_dir: &Path) -> Failure {
    Failure::failed(format!(
        "no keys are known: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name the data directory of the platform \
         with --data-dir; nothing was left in {}",
        data_dir.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_by_up() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let endpoint = Endpoint {
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: "left-1".to_owned(),
            account_id: "000000000000".to_owned(),
            access_key_id: "LEFT".to_owned(),
            secret_access_key: "left".to_owned(),
        };
        endpoint.write(dir.path()).expect("written");
        dir
    }

    fn resolve(flag: Option<&str>, variables: &[(&str, &str)], data_dir: &Path) -> Result<Target, Failure> {
        let connection = Connection { endpoint: flag.map(str::to_owned), ..Connection::default() };
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Target::resolve(&connection, &variable, data_dir)
    }

    #[test]
    fn what_up_left_is_used_when_nothing_is_said() {
        let dir = left_by_up();
        let target = resolve(None, &[], dir.path()).expect("a target");
        assert_eq!((target.base(), target.region.as_str()), ("http://127.0.0.1:1", "left-1"));
        assert_eq!(target.keys.access_key_id, "LEFT");
        assert!(target.is_loopback());
    }

    #[test]
    fn a_flag_beats_variables_and_variables_beat_what_was_left() {
        let dir = left_by_up();
        let variables = [
            ("AWS_ENDPOINT_URL", "https://node.example:8443/"),
            ("AWS_ACCESS_KEY_ID", "A"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", "t"),
            ("AWS_DEFAULT_REGION", "r-2"),
        ];
        let target = resolve(None, &variables, dir.path()).expect("a target");
        assert_eq!((target.base(), target.authority()), ("https://node.example:8443", "node.example:8443"));
        assert_eq!((target.region.as_str(), target.keys.session_token.as_deref()), ("r-2", Some("t")));
        assert_eq!(
            (target.keys_from.as_str(), target.region_from.as_str()),
            ("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION")
        );
        assert!(!target.is_loopback());
        let target = resolve(Some("http://[::1]:5"), &variables, dir.path()).expect("a target");
        assert_eq!(target.base(), "http://[::1]:5");
        assert!(target.is_loopback());
    }

    #[test]
    fn half_a_key_is_refused() {
        let dir = left_by_up();
        for (set, unset) in
            [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")]
        {
            let told = resolve(None, &[(set, "x")], dir.path()).err().expect("a refusal").message;
            assert_eq!(told, format!("{set} is set and {unset} is not: set both, or neither"));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let empty = tempfile::tempdir().expect("a directory");
        let message = |flag, variables: &[(&str, &str)]| match resolve(flag, variables, empty.path()) {
            Ok(_) => panic!("a target was found"),
            Err(failure) => failure.message,
        };
        assert!(message(None, &[]).contains("dormouse up"));
        assert!(message(Some("http://127.0.0.1:1"), &[]).contains("AWS_ACCESS_KEY_ID"));
        let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")];
        assert!(message(Some("127.0.0.1:1"), &keys).contains("is not an endpoint"));
        assert!(message(Some("http://a/b"), &keys).contains("is not an endpoint"));
    }
}
