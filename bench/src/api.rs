//! The public API, as the measurements use it.

use std::io::{Cursor, Write};

use anyhow::{Context, Result, bail};
use dormouse_identity::sigv4::{self, SignedRequest, SigningKeys};
use dormouse_model::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::load::Connection;
use crate::platform::Platform;

const REGION: &str = "us-east-1";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// A function to measure.
#[derive(Debug, Clone)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) runtime: &'a str,
    pub(crate) handler: &'a str,
    pub(crate) memory_mb: u32,
    pub(crate) files: &'a [File],
}

/// One file of a package.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    pub(crate) executable: bool,
}

impl File {
    /// A file of text that is read, not run.
    pub(crate) fn text(path: &str, content: &str) -> Self {
        Self { path: path.to_owned(), content: content.as_bytes().to_vec(), executable: false }
    }
}

/// The bytes of a signed request. Good for as long as its signature is: five minutes.
pub(crate) fn request(platform: &Platform, service: &str, method: &str, target: &str, body: &[u8]) -> Result<Vec<u8>> {
    request_with(platform, service, method, target, body, &[])
}

/// [`request`] with further headers, which are signed too.
pub(crate) fn request_with(
    platform: &Platform,
    service: &str,
    method: &str,
    target: &str,
    body: &[u8],
    further: &[(&str, &str)],
) -> Result<Vec<u8>> {
    let host = platform.address.to_string();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: Vec<(&str, &[u8])> = vec![("host", host.as_bytes())];
    headers.extend(further.iter().map(|(name, value)| (*name, value.as_bytes())));
    let keys = SigningKeys {
        access_key_id: platform.access_key_id.clone(),
        secret_access_key: platform.secret_access_key.clone(),
        session_token: None,
    };
    let unsigned = SignedRequest { method, path, query, headers: &headers };
    let added = sigv4::sign(&unsigned, body, &keys, REGION, service, SystemClock.now())?;
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in further {
        bytes += &format!("{name}: {value}\r\n");
    }
    for (name, value) in &added {
        bytes += &format!("{name}: {value}\r\n");
    }
    bytes += "\r\n";
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// The bytes of a synchronous invocation with an empty event.
pub(crate) fn invocation(platform: &Platform, name: &str) -> Result<Vec<u8>> {
    request(platform, "lambda", "POST", &format!("/2015-03-31/functions/{name}/invocations"), b"{}")
}

/// Makes the role that all measured functions have, and answers its ARN.
pub(crate) async fn role(platform: &Platform) -> Result<String> {
    let form =
        format!("Action=CreateRole&Version=2010-05-08&RoleName=bench&AssumeRolePolicyDocument={}", encode(TRUST));
    let typed = [("content-type", "application/x-www-form-urlencoded")];
    let bytes = request_with(platform, "iam", "POST", "/", form.as_bytes(), &typed)?;
    let answer = Connection::open(platform.address).await?.send(&bytes).await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let arn = text.split("<Arn>").nth(1).and_then(|rest| rest.split("</Arn>").next());
    arn.map(str::to_owned).with_context(|| format!("CreateRole answered {}: {text}", answer.status))
}

/// Creates a function and waits until it can be called.
pub(crate) async fn create(platform: &Platform, role: &str, function: &Function<'_>) -> Result<()> {
    let body = json!({
        "FunctionName": function.name,
        "Runtime": function.runtime,
        "Handler": function.handler,
        "Role": role,
        "MemorySize": function.memory_mb,
        "Timeout": 30,
        "Code": { "ZipFile": base64(&zip(function.files)?) },
    });
    let mut connection = Connection::open(platform.address).await?;
    let bytes = request(platform, "lambda", "POST", "/2015-03-31/functions", body.to_string().as_bytes())?;
    let answer = connection.send(&bytes).await?;
    if answer.status != 201 {
        bail!("CreateFunction answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    loop {
        let path = format!("/2015-03-31/functions/{}/configuration", function.name);
        let answer = connection.send(&request(platform, "lambda", "GET", &path, b"")?).await?;
        let found: Value = serde_json::from_slice(&answer.body)?;
        match found.get("State").and_then(Value::as_str) {
            Some("Active") => return Ok(()),
            Some("Pending") => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            state => bail!("the function is {state:?}: {found}"),
        }
    }
}

fn zip(files: &[File]) -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        let options = zip::write::SimpleFileOptions::default().unix_permissions(mode);
        archive.start_file(file.path.as_str(), options)?;
        archive.write_all(&file.content)?;
    }
    Ok(archive.finish()?.into_inner())
}

fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}
