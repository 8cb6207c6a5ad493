//! The AWS wire: Lambda's rest-json, and the query protocol of IAM.

use std::fmt;

use serde_json::Value;

use super::{Answer, Client, Request, Target, encode};
use crate::failure::Failure;

/// A request that the service refused.
#[derive(Debug)]
pub(crate) struct ServiceError {
    pub(crate) status: u16,
    /// Such as `ResourceNotFoundException`.
    pub(crate) code: String,
    message: String,
    /// What this side knows of the reason.
    hint: Option<String>,
}

/// Codes that say that the key or the region, not the request, is not known or not right.
const BAD_KEY: [&str; 5] = [
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "NotAuthentic",
];

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.is_empty(), self.message.is_empty()) {
            (true, true) => write!(f, "the service answered with status {}", self.status),
            (true, false) => f.write_str(&self.message),
            (false, true) => f.write_str(&self.code),
            (false, false) => write!(f, "{}: {}", self.code, self.message),
        }?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for ServiceError {}

/// Either the node could not be talked to, or the service refused.
#[derive(Debug)]
pub(crate) enum CallError {
    Failure(Failure),
    Service(ServiceError),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl CallError {
    pub(crate) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Service(error) if error.code == code)
    }

    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Failure(failure) => failure,
            Self::Service(error) => Failure::failed(error),
        }
    }
}

impl ServiceError {
    /// Reads what rest-json and our own API answer with: the code in `x-amzn-errortype` or in the body.
    fn of_json(answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |names: &[&str]| names.iter().find_map(|name| body.get(name)?.as_str()).unwrap_or_default();
        let code = answer.header("x-amzn-errortype").unwrap_or_else(|| text(&["code", "Code", "__type"]));
        let code = code.split(':').next().unwrap_or_default().to_owned();
        Self { status: answer.status, code, message: text(&["message", "Message"]).to_owned(), hint: None }
    }

    fn of_xml(answer: &Answer) -> Self {
        let body = String::from_utf8_lossy(&answer.body);
        let text = |name| element(&body, name).unwrap_or_default();
        Self { status: answer.status, code: text("Code"), message: text("Message"), hint: None }
    }

    /// Says with which key and for which region it was signed, and where they came from.
    fn with_key(mut self, target: &Target) -> Self {
        if BAD_KEY.contains(&self.code.as_str()) {
            self.hint = Some(format!(
                "signed with the key {} of {}, for the region {} of {}",
                target.keys.access_key_id, target.keys_from, target.region, target.region_from
            ));
        }
        self
    }
}

impl Client {
    /// Why a rest-json operation, or one of our own API, was refused.
    pub(crate) fn refusal(&self, answer: &Answer) -> ServiceError {
        ServiceError::of_json(answer).with_key(self.target())
    }

    /// Calls the Lambda API. The answer is JSON, or null when there is none.
    pub(crate) fn lambda(
        &self,
        method: &str,
        path: String,
        query: Vec<(&str, String)>,
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let (headers, body) = match body {
            Some(body) => (vec![("content-type", "application/json".to_owned())], body.to_string().into_bytes()),
            None => (Vec::new(), Vec::new()),
        };
        let answer = self.send(Request { method, path, query, headers, body, service: "lambda" })?;
        if answer.status >= 300 {
            return Err(CallError::Service(self.refusal(&answer)));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            CallError::Failure(Failure::failed(format!("the answer of the service is not JSON: {error}")))
        })
    }

    /// Calls IAM. The answer is its XML text.
    pub(crate) fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String, CallError> {
        self.query("iam", "2010-05-08", action, parameters)
    }

    /// Calls STS. The answer is its XML text.
    pub(crate) fn sts(&self, action: &str) -> Result<String, CallError> {
        self.query("sts", "2011-06-15", action, &[])
    }

    fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, CallError> {
        let mut body = format!("Action={}&Version={version}", encode(action));
        for (name, value) in parameters {
            body.push_str(&format!("&{}={}", encode(name), encode(value)));
        }
        let answer = self.send(Request {
            method: "POST",
            path: "/".to_owned(),
            query: Vec::new(),
            headers: vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())],
            body: body.into_bytes(),
            service,
        })?;
        if answer.status >= 300 {
            return Err(CallError::Service(ServiceError::of_xml(&answer).with_key(self.target())));
        }
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

/// The text of the first element of that name that holds text only. Enough for the answers that we ask for: an ARN, a
/// code, a message.
pub(crate) fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).into_iter().next()
}

/// The texts of all elements of that name.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once(&open) {
        let Some((text, after)) = after.split_once(&close) else { break };
        let entities =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
        found.push(entities.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign)));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(header: Option<&'static str>, body: &str) -> Answer {
        let mut headers = ureq::http::HeaderMap::new();
        if let Some(value) = header {
            headers.insert("x-amzn-errortype", ureq::http::HeaderValue::from_static(value));
        }
        Answer { status: 404, headers, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn errors_are_read_from_header_and_body() {
        let read = |header, body| ServiceError::of_json(&answer(header, body)).to_string();
        let body = r#"{"Type":"User","Message":"Function not found"}"#;
        assert_eq!(
            read(Some("ResourceNotFoundException:http://x"), body),
            "ResourceNotFoundException: Function not found"
        );
        assert_eq!(read(None, r#"{"code":"NotFound","message":"no such event"}"#), "NotFound: no such event");
        assert_eq!(read(None, "<html>"), "the service answered with status 404");
    }

    #[test]
    fn errors_of_the_query_protocol_are_read() {
        let xml = "<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>a &lt;b&gt; &amp;amp;</Message></Error></ErrorResponse>";
        assert_eq!(ServiceError::of_xml(&answer(None, xml)).to_string(), "NoSuchEntity: a <b> &amp;");
    }
}
