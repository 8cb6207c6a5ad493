use std::sync::Arc;

use async_trait::async_trait;
use dormouse_front::{Request, Response, Surface, response};
use dormouse_functions::Functions;
use dormouse_identity::{AuditSink, Identity};
use dormouse_model::{AccountId, Clock, Region};
use dormouse_telemetry::{FunctionLogs, Metrics, UsageRecords};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use crate::access::Call;
use crate::error::AdminError;
use crate::route::{Route, route};
use crate::{answer, operations};

/// Most bytes of a request's body; they are small JSON objects.
const BODY_BYTES: u64 = 64 << 10;
/// The content type of the Prometheus text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the edge is put together from.
pub struct Parts {
    /// The region that this node answers for.
    pub region: Region,
    /// The account that the node itself belongs to. What it may do to the node, no other account may.
    pub operator: AccountId,
    /// The version of this program.
    pub version: &'static str,
    /// Who asks, and may they.
    pub identity: Identity,
    /// Functions and the asynchronous invocations that were given up.
    pub functions: Functions,
    /// Logs of functions.
    pub logs: Arc<dyn FunctionLogs>,
    /// Usage of functions.
    pub usage: Arc<dyn UsageRecords>,
    /// All counts.
    pub metrics: Metrics,
    /// Shows metrics to everyone who can connect, not only to this machine. `metrics.public`.
    pub public_metrics: bool,
    /// Takes the record of every change.
    pub audit: Arc<dyn AuditSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The runtimes of this host.
    pub runtimes: Arc<dyn Runtimes>,
}

/// The runtimes of this host, as its drivers have them.
pub trait Runtimes: Send + Sync + 'static {
    /// One by its name, such as `python3.12`; none when no driver knows the name.
    fn runtime(&self, name: &str) -> Option<RuntimeSummary>;

    /// All that can be listed, by name.
    fn all(&self) -> Vec<RuntimeSummary>;
}

/// What a runtime really is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuntimeSummary {
    /// As functions name it.
    pub name: String,
    /// What runs, such as `python:3.11.2`; absent when nothing on this host can.
    pub version: Option<String>,
    /// Whether that is of the kind that was asked for.
    pub exact: bool,
    /// What to install, when nothing can run it.
    pub remedy: Option<String>,
}

/// The surface for everything under `/_dormouse/`.
pub struct AdminSurface {
    parts: Parts,
}

impl AdminSurface {
    /// Puts it together.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    async fn answer(&self, request: Request) -> Result<Response, AdminError> {
        match route(&request.parts.method, request.parts.uri.path())? {
            Route::Health => Ok(answer::json(&json!({ "status": "ok", "version": self.parts.version }))),
            Route::Metrics if self.parts.public_metrics || request.peer.is_loopback() => {
                self.parts.functions.measure();
                Ok(response(StatusCode::OK, METRICS_TYPE, self.parts.metrics.render()))
            }
            Route::Metrics => Err(AdminError::NotLoopback),
            Route::Admin(operation) => {
                let (request, body) = collect(request).await?;
                let call = Call::of(&self.parts, operation, &request, body).await?;
                let answered = operations::run(&call).await;
                call.audit(answered.as_ref().err());
                answered
            }
        }
    }
}

/// Takes the body out of a request, within its limit.
async fn collect(mut request: Request) -> Result<(Request, bytes::Bytes), AdminError> {
    let mut body = std::mem::replace(&mut request.body, bytes::Bytes::new().into());
    body.limit(BODY_BYTES);
    let body = body.collect().await?;
    Ok((request, body))
}

#[async_trait]
impl Surface for AdminSurface {
    async fn serve(&self, request: Request) -> Response {
        self.answer(request).await.unwrap_or_else(|error| error.response())
    }
}
