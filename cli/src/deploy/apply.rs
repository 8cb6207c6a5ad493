//! Brings one function to what its template says: role, code, configuration, tags, concurrency, event settings, alias.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::function::{EGRESS_TAG, Function};
use super::scope::Scope;
use super::stack::{LOGICAL_ID_TAG, STACK_TAG};
use super::{archive, roles};
use crate::client::{CallError, Client, encode};
use crate::failure::Failure;
use crate::output::progress;

/// How long a function may take to become active.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// How often it is asked for meanwhile.
const READY_EVERY: Duration = Duration::from_millis(100);

/// What became of a function.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) name: String,
    /// `created`, `updated` or `unchanged`; with a dry run `would be created` and so on.
    pub(super) action: &'static str,
    pub(super) changed: Vec<&'static str>,
    pub(super) code_bytes: usize,
    pub(super) version: Option<String>,
    pub(super) alias: Option<String>,
}

/// One function to apply.
pub(super) struct Apply<'a> {
    pub(super) client: &'a Client,
    pub(super) scope: &'a Scope,
    pub(super) function: &'a Function,
    pub(super) dry_run: bool,
}

impl Apply<'_> {
    pub(super) fn run(&self) -> Result<Change, Failure> {
        let zip = archive::pack(&self.function.code)?;
        let existing = match self.get(self.path("")) {
            Ok(found) => Some(found),
            Err(error) if error.is("ResourceNotFoundException") => None,
            Err(error) => return Err(error.into_failure()),
        };
        self.brought(&zip, existing.as_ref()).map_err(CallError::into_failure)
    }

    fn brought(&self, zip: &[u8], existing: Option<&Value>) -> Result<Change, CallError> {
        let mut change = Change {
            name: self.function.name.clone(),
            action: "unchanged",
            changed: Vec::new(),
            code_bytes: zip.len(),
            version: None,
            alias: self.function.alias.clone(),
        };
        if self.dry_run {
            self.foretell(zip, existing, &mut change);
            return Ok(change);
        }
        let role_name = roles::name(&self.scope.stack, &self.function.logical_id)?;
        let (role, role_changed) = roles::ensure(self.client, &role_name, &self.function.role)?;
        if role_changed {
            change.changed.push("role");
        }
        match existing {
            None => self.create(zip, &role, &mut change)?,
            Some(existing) => self.update(zip, &role, existing, &mut change)?,
        }
        self.wait_until_ready()?;
        self.concurrency(&mut change)?;
        self.event_invoke(&mut change)?;
        self.alias(&mut change)?;
        if existing.is_none() {
            change.action = "created";
        } else if !change.changed.is_empty() {
            change.action = "updated";
        }
        Ok(change)
    }

    fn foretell(&self, zip: &[u8], existing: Option<&Value>, change: &mut Change) {
        let Some(existing) = existing else {
            change.action = "would be created";
            return;
        };
        let configuration = &existing["Configuration"];
        if configuration["CodeSha256"] != json!(archive::digest(zip)) {
            change.changed.push("code");
        }
        if !differing(&self.function.configuration, configuration).is_empty() {
            change.changed.push("configuration");
        }
        change.action = if change.changed.is_empty() { "unchanged" } else { "would be updated" };
    }

    fn create(&self, zip: &[u8], role: &str, change: &mut Change) -> Result<(), CallError> {
        progress(format_args!("{}: creating, {} of code", self.function.name, size(zip.len())));
        let mut body = self.function.configuration.clone();
        body.insert("FunctionName".to_owned(), json!(self.function.name));
        body.insert("Role".to_owned(), json!(role));
        body.insert("Code".to_owned(), json!({ "ZipFile": BASE64_STANDARD.encode(zip) }));
        body.insert("Tags".to_owned(), json!(self.tags()));
        if let Some(architectures) = &self.function.architectures {
            body.insert("Architectures".to_owned(), architectures.clone());
        }
        self.send("POST", "/2015-03-31/functions".to_owned(), &Value::Object(body))?;
        change.changed.extend(["code", "configuration"]);
        Ok(())
    }

    fn update(&self, zip: &[u8], role: &str, existing: &Value, change: &mut Change) -> Result<(), CallError> {
        let configuration = &existing["Configuration"];
        if configuration["CodeSha256"] != json!(archive::digest(zip)) {
            progress(format_args!("{}: updating, {} of code", self.function.name, size(zip.len())));
            let mut body = json!({ "ZipFile": BASE64_STANDARD.encode(zip) });
            if let Some(architectures) = &self.function.architectures {
                body["Architectures"] = architectures.clone();
            }
            self.send("PUT", self.path("/code"), &body)?;
            self.wait_until_ready()?;
            change.changed.push("code");
        }
        let mut wanted = self.function.configuration.clone();
        wanted.insert("Role".to_owned(), json!(role));
        let body = differing(&wanted, configuration);
        if !body.is_empty() {
            progress(format_args!("{}: updating its configuration", self.function.name));
            self.send("PUT", self.path("/configuration"), &Value::Object(body))?;
            change.changed.push("configuration");
        }
        self.update_tags(existing, change)
    }

    /// Sets the template's tags. Others are left alone, but for the grant of outbound traffic: what the template does not
    /// grant is not granted.
    fn update_tags(&self, existing: &Value, change: &mut Change) -> Result<(), CallError> {
        let wanted = self.tags();
        let has = |key: &str, value: &str| existing["Tags"][key] == json!(value);
        let arn = existing["Configuration"]["FunctionArn"].as_str().unwrap_or_default();
        let path = format!("/2017-03-31/tags/{}", encode(arn));
        if wanted.iter().any(|(key, value)| !has(key, value)) {
            self.send("POST", path.clone(), &json!({ "Tags": wanted }))?;
            change.changed.push("tags");
        }
        if !wanted.contains_key(EGRESS_TAG) && !existing["Tags"][EGRESS_TAG].is_null() {
            self.client.lambda("DELETE", path, vec![("tagKeys", EGRESS_TAG.to_owned())], None)?;
            change.changed.push("egress");
        }
        Ok(())
    }

    fn tags(&self) -> std::collections::BTreeMap<String, String> {
        let mut tags = self.function.tags.clone();
        tags.insert(STACK_TAG.to_owned(), self.scope.stack.clone());
        tags.insert(LOGICAL_ID_TAG.to_owned(), self.function.logical_id.clone());
        tags
    }

    /// Both halves of an update are done: the function can be changed again, and runs what it was given.
    fn wait_until_ready(&self) -> Result<(), CallError> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            let configuration = self.get(self.path("/configuration"))?;
            let reason = |key: &str| configuration[key].as_str().unwrap_or("no reason was given").to_owned();
            match (configuration["State"].as_str(), configuration["LastUpdateStatus"].as_str()) {
                (Some("Failed"), _) => return Err(Failure::failed(reason("StateReason")).into()),
                (_, Some("Failed")) => return Err(Failure::failed(reason("LastUpdateStatusReason")).into()),
                (Some("Active"), Some("Successful") | None) => return Ok(()),
                (state, _) if Instant::now() > until => {
                    let state = state.unwrap_or("in no state");
                    return Err(Failure::failed(format!("still {state} after {} s", READY_WITHIN.as_secs())).into());
                }
                _ => pause(),
            }
        }
    }

    fn concurrency(&self, change: &mut Change) -> Result<(), CallError> {
        let name = encode(&self.function.name);
        let found = self.get(format!("/2019-09-30/functions/{name}/concurrency"))?;
        let path = format!("/2017-10-31/functions/{name}/concurrency");
        match (self.function.reserved_concurrency, found["ReservedConcurrentExecutions"].as_u64()) {
            (wanted, found) if wanted == found => return Ok(()),
            (Some(wanted), _) => drop(self.send("PUT", path, &json!({ "ReservedConcurrentExecutions": wanted }))?),
            (None, _) => drop(self.client.lambda("DELETE", path, Vec::new(), None)?),
        }
        change.changed.push("concurrency");
        Ok(())
    }

    fn event_invoke(&self, change: &mut Change) -> Result<(), CallError> {
        let path = format!("/2019-09-25/functions/{}/event-invoke-config", encode(&self.function.name));
        let found = match self.get(path.clone()) {
            Ok(found) => Some(found),
            Err(error) if error.is("ResourceNotFoundException") => None,
            Err(error) => return Err(error),
        };
        match (&self.function.event_invoke, found) {
            (None, None) => return Ok(()),
            (Some(wanted), Some(found)) if contains(wanted, &found) => return Ok(()),
            (Some(wanted), _) => drop(self.send("PUT", path, wanted)?),
            (None, Some(_)) => drop(self.client.lambda("DELETE", path, Vec::new(), None)?),
        }
        change.changed.push("event settings");
        Ok(())
    }

    /// Publishes what has changed and moves the alias there. Publishing what has not changed gives the version that is.
    fn alias(&self, change: &mut Change) -> Result<(), CallError> {
        let Some(alias) = &self.function.alias else { return Ok(()) };
        let published = self.send("POST", self.path("/versions"), &json!({}))?;
        let version = published["Version"].as_str().unwrap_or_default().to_owned();
        let path = self.path(&format!("/aliases/{}", encode(alias)));
        match self.get(path.clone()) {
            Ok(found) if found["FunctionVersion"] == json!(version) => {}
            Ok(_) => {
                self.send("PUT", path, &json!({ "FunctionVersion": version }))?;
                change.changed.push("alias");
            }
            Err(error) if error.is("ResourceNotFoundException") => {
                self.send("POST", self.path("/aliases"), &json!({ "Name": alias, "FunctionVersion": version }))?;
                change.changed.push("alias");
            }
            Err(error) => return Err(error),
        }
        change.version = Some(version);
        Ok(())
    }

    fn path(&self, rest: &str) -> String {
        format!("/2015-03-31/functions/{}{rest}", encode(&self.function.name))
    }

    fn get(&self, path: String) -> Result<Value, CallError> {
        self.client.lambda("GET", path, Vec::new(), None)
    }

    fn send(&self, method: &str, path: String, body: &Value) -> Result<Value, CallError> {
        self.client.lambda(method, path, Vec::new(), Some(body))
    }
}

#[expect(clippy::disallowed_methods, reason = "the API has no way to wait for a state but to ask again")]
fn pause() {
    std::thread::sleep(READY_EVERY);
}

/// The members that are not yet as wanted. What the service adds of its own is no difference.
fn differing(wanted: &Map<String, Value>, found: &Value) -> Map<String, Value> {
    let differs = |name: &str, value: &Value| match name {
        // The API leaves an environment without variables and an empty description out of its answers.
        "Environment" => {
            !contains(&value["Variables"], &found["Environment"]["Variables"])
                || count(&value["Variables"]) != count(&found["Environment"]["Variables"])
        }
        "Description" => value.as_str().unwrap_or_default() != found[name].as_str().unwrap_or_default(),
        _ => !contains(value, &found[name]),
    };
    wanted
        .iter()
        .filter(|(name, value)| differs(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn count(map: &Value) -> usize {
    map.as_object().map_or(0, Map::len)
}

/// Whether `found` has all that `wanted` has.
fn contains(wanted: &Value, found: &Value) -> bool {
    match wanted {
        Value::Object(members) => members.iter().all(|(name, value)| contains(value, &found[name])),
        _ => wanted == found,
    }
}

/// `1.2 kB`, for people.
fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("a map")
    }

    #[test]
    fn only_what_differs_is_sent() {
        let wanted = map(json!({
            "Handler": "a.b", "Timeout": 3, "Description": "", "Environment": {"Variables": {}},
            "LoggingConfig": {"LogFormat": "JSON"},
        }));
        let found = json!({"Handler": "a.b", "Timeout": 5, "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/x"}});
        assert_eq!(differing(&wanted, &found), map(json!({"Timeout": 3})));
    }

    #[test]
    fn a_variable_too_many_is_a_difference() {
        let wanted = map(json!({"Environment": {"Variables": {"A": "1"}}}));
        let same = json!({"Environment": {"Variables": {"A": "1"}}});
        let more = json!({"Environment": {"Variables": {"A": "1", "B": "2"}}});
        assert!(differing(&wanted, &same).is_empty());
        assert_eq!(differing(&wanted, &more).len(), 1);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(7), size(1_260), size(2_560_000)], ["7 B", "1.2 kB", "2.5 MB"]);
    }
}
