//! Talks to a node: finds it, signs, sends, reads errors.

mod admin;
mod aws;
mod target;

use std::io::{BufRead, BufReader};
use std::time::Duration;

use dormouse_identity::sigv4::{SignedRequest, SigningKeys, sign};
use dormouse_model::{Clock as _, SystemClock};
use ureq::http;

use crate::failure::Failure;

pub(crate) use aws::{CallError, element, elements};
pub(crate) use target::Target;

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to one node, with the keys to sign for it.
pub(crate) struct Client {
    agent: ureq::Agent,
    target: Target,
}

/// One request, before it is signed.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Percent-encoded where it must be.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: Vec<u8>,
    /// The signing name.
    pub(crate) service: &'a str,
}

/// What came back, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    pub(crate) fn new(target: Target) -> Result<Self, Failure> {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("dormouse/", env!("CARGO_PKG_VERSION")));
        if target.is_loopback() {
            config = config.proxy(None);
        }
        if let Some(bundle) = &target.ca_bundle {
            config = config.tls_config(tls_with(bundle)?);
        }
        Ok(Self { agent: config.build().new_agent(), target })
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends and reads the whole answer.
    pub(crate) fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        let response = self.run(request)?;
        let status = response.status().as_u16();
        let (parts, mut body) = response.into_parts();
        let read = body.with_config().limit(u64::MAX).read_to_vec();
        let body = read.map_err(|error| Failure::failed(format!("the answer broke off: {error}")))?;
        Ok(Answer { status, headers: parts.headers, body })
    }

    /// Sends, and hands out the lines of a successful answer as they come. `Err` inside is what the service refused with.
    pub(crate) fn stream(&self, request: Request<'_>) -> Result<Result<impl BufRead, Answer>, Failure> {
        let response = self.run(request)?;
        let status = response.status().as_u16();
        let (parts, mut body) = response.into_parts();
        if status >= 300 {
            let body = body.with_config().limit(1024 * 1024).read_to_vec().unwrap_or_default();
            return Ok(Err(Answer { status, headers: parts.headers, body }));
        }
        Ok(Ok(BufReader::new(body.into_with_config().limit(u64::MAX).reader())))
    }

    fn run(&self, request: Request<'_>) -> Result<http::Response<ureq::Body>, Failure> {
        let query = query_text(&request.query);
        let mut headers: Vec<(&str, String)> = vec![("host", self.target.authority().to_owned())];
        headers.extend(request.headers);
        let lines: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let view = SignedRequest { method: request.method, path: &request.path, query: &query, headers: &lines };
        let keys: &SigningKeys = &self.target.keys;
        let signed = sign(&view, &request.body, keys, &self.target.region, request.service, SystemClock.now())?;

        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{}{mark}{query}", self.target.base(), request.path);
        let mut builder = http::Request::builder().method(request.method).uri(url);
        for (name, value) in &headers {
            builder = builder.header(*name, value);
        }
        for (name, value) in signed {
            builder = builder.header(name, value);
        }
        let sent = if request.body.is_empty() && matches!(request.method, "GET" | "DELETE") {
            self.agent.run(builder.body(())?)
        } else {
            self.agent.run(builder.body(request.body)?)
        };
        sent.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        // The TLS library's word for an answer that is not TLS.
        if error.to_string().contains("InvalidContentType") {
            let plain = self.target.base().replacen("https:", "http:", 1);
            return Failure::failed(format!("what listens at {} speaks no TLS; try {plain}", self.target.authority()));
        }
        Failure::failed(format!(
            "{} cannot be reached ({error}); start a platform with `dormouse up`, or name another with --endpoint",
            self.target.base()
        ))
    }
}

fn tls_with(bundle: &str) -> Result<ureq::tls::TlsConfig, Failure> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

    let unusable = |reason: &str| Failure::usage(format!("AWS_CA_BUNDLE {bundle} cannot be used: {reason}"));
    let text = std::fs::read(bundle).map_err(|error| unusable(&error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(&error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(unusable("it holds no PEM certificate"));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(certificates.into())).build())
}

fn query_text(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// Percent-encodes all but what RFC 3986 leaves unreserved, as signatures want it.
pub(crate) fn encode(text: &str) -> String {
    const RESERVED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded_as_signatures_want_it() {
        assert_eq!(
            query_text(&[("Qualifier", "$LATEST".to_owned()), ("a", "b c~".to_owned())]),
            "Qualifier=%24LATEST&a=b%20c~"
        );
    }
}
