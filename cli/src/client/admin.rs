//! Our own API under `/_dormouse/admin`: JSON, signed for the service `dormouse`. What the commands ask of it:
//!
//! ```text
//! GET  /logs?function=NAME[&since=MILLIS][&follow=1]   lines of {time, request_id, text, ...}
//! GET  /functions[?next=TOKEN]      {functions: [{name, arn, runtime, runs_on, runtime_exact, state, ...}], next}
//! GET  /usage                       {usage: [{function, version, invocations, errors, throttles, cold_starts,
//!                                             billed_ms, gb_seconds, cpu_seconds, ...}]}
//! GET  /events[?function=NAME][&next=TOKEN]            {events: [{id, function, reason, attempts, accepted, ended}], next}
//! GET  /events/ID                   one event with its payload        POST /events/ID/redrive     DELETE /events/ID
//! GET  /accounts                    {accounts: [{id, name, created}]}          POST /accounts {id, name}
//! GET  /keys[?account=ID]           {keys: [{access_key_id, account, status, created}]}
//! POST /keys {account}              {access_key_id, secret_access_key, ...}    DELETE /keys/ID
//! ```
//!
//! An error is `{code, message}` with a status of 400 or more. Times are RFC 3339 text or milliseconds.

use std::io::BufRead;

use serde_json::Value;

use super::{Client, Request};
use crate::failure::Failure;

impl Client {
    /// Calls the admin API and answers its JSON, null when there is none.
    pub(crate) fn admin(
        &self,
        method: &str,
        path: &str,
        query: Vec<(&str, String)>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let answer = self.send(request(method, path, query, body))?;
        if answer.status >= 300 {
            return Err(Failure::failed(self.refusal(&answer)));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::failed(format!("the answer of the node is not JSON: {error}")))
    }

    /// Calls the admin API and hands each JSON line of its answer to `each`, as it comes.
    pub(crate) fn admin_lines(
        &self,
        path: &str,
        query: Vec<(&str, String)>,
        mut each: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let lines = match self.stream(request("GET", path, query, None))? {
            Ok(lines) => lines,
            Err(answer) => return Err(Failure::failed(self.refusal(&answer))),
        };
        for line in lines.lines() {
            let line = line.map_err(|error| Failure::failed(format!("the answer of the node broke off: {error}")))?;
            if line.trim().is_empty() {
                continue;
            }
            let value = serde_json::from_str(&line)
                .map_err(|error| Failure::failed(format!("a line of the node's answer is not JSON: {error}")))?;
            each(value)?;
        }
        Ok(())
    }
}

fn request<'a>(method: &'a str, path: &str, query: Vec<(&'a str, String)>, body: Option<&Value>) -> Request<'a> {
    let (headers, body) = match body {
        Some(body) => (vec![("content-type", "application/json".to_owned())], body.to_string().into_bytes()),
        None => (Vec::new(), Vec::new()),
    };
    Request { method, path: format!("/_dormouse/admin{path}"), query, headers, body, service: "dormouse" }
}
