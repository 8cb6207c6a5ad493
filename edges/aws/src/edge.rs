//! The way of a request through the edge.
//!
//! ```text
//! route -> body within its limit -> authenticate -> parse -> target -> authorize -> operation -> answer
//!                                                   |                                         |
//!                                                   +---- one row of the operation table -----+
//! ```
//!
//! `Invoke` leaves the row out and has a function of its own; it is authenticated and authorized in the same way.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dormouse_front::{Peer, Request, Response, ResponseBody, Surface};
use dormouse_identity::policy::Context;
use dormouse_identity::sigv4::{BodyRule, CredentialScope, Payload, SignedRequest};
use dormouse_model::RequestId;
use http::{StatusCode, header};
use tracing::Instrument;

use crate::access::{self, Caller};
use crate::error::ApiError;
use crate::operation::{Call, Row};
use crate::parts::Parts;
use crate::protocol::{self, Incoming};
use crate::router::{self, Head, Route};
use crate::services::lambda::invoke::{self, InvokeHead};
use crate::table::{Operation, ServiceId};
use crate::{audit, body, foreign, services};

/// The surface of the AWS services.
pub struct AwsEdge {
    parts: Arc<Parts>,
    rows: HashMap<(ServiceId, &'static str), Arc<Row>>,
}

/// A request that is routed, with what of it is still needed.
struct Routed {
    service: ServiceId,
    operation: &'static Operation,
    labels: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

/// An error with the service in whose words it is told.
struct Refused(ServiceId, ApiError);

impl AwsEdge {
    /// Over these engines.
    pub fn new(parts: Arc<Parts>) -> Self {
        let rows = ServiceId::ALL.into_iter().flat_map(|service| {
            services::rows(service).into_iter().map(move |row| ((service, row.operation), Arc::new(row)))
        });
        Self { parts, rows: rows.collect() }
    }

    async fn answer(&self, request: Request) -> Result<Response, Refused> {
        let mut request = request;
        let raw_query = request.parts.uri.query().unwrap_or_default();
        let query = protocol::parse_pairs(raw_query)
            .map_err(|error| Refused(ServiceId::Lambda, ApiError::serialization(format!("{error}."))))?;
        let headers = header_lines(&request.parts);
        let scope = CredentialScope::of(&signed(&request.parts, &headers));
        let head = Head {
            method: &request.parts.method,
            host: host_of(&request.parts),
            path: request.parts.uri.path(),
            query: &query,
            scope: scope.as_ref().map(|scope| scope.service.as_str()),
        };
        let routed = match router::route(&head) {
            Route::Operation { service, operation, labels } => Routed { service, operation, labels, query },
            Route::Form { service } => return self.form(request, service, query).await,
            Route::UnknownService(service) => {
                return Ok(foreign::not_there(&service, &request.parts.headers, request.id).map(ResponseBody::from));
            }
            Route::UnknownPath { service } => return Err(Refused(service, unknown_path(&request.parts))),
        };
        match (routed.service, routed.operation.name.as_str()) {
            (ServiceId::Lambda, invoke::INVOKE | invoke::INVOKE_ASYNC) => self.invoke(request, routed).await,
            (service, name) => {
                request.body.limit(body::limit_of(service, routed.operation) as u64);
                let body =
                    read_body(&mut request).await.map_err(|e| Refused(service, body::not_read(service, name, &e)))?;
                self.operate(request, routed, body).await
            }
        }
    }

    /// A form names its operation itself, so it is read before the operation is known.
    async fn form(
        &self,
        request: Request,
        service: ServiceId,
        query: Vec<(String, String)>,
    ) -> Result<Response, Refused> {
        let mut request = request;
        request.body.limit(body::FORM_BYTES as u64);
        let body = read_body(&mut request)
            .await
            .map_err(|error| Refused(service, body::not_read(service, "query", &error)))?;
        // Whoever does not sign learns nothing else.
        if CredentialScope::of(&signed(&request.parts, &header_lines(&request.parts))).is_none() {
            self.authenticate(&request, service, None, &body).await?;
        }
        let text = std::str::from_utf8(&body).unwrap_or_default();
        let form = protocol::parse_pairs(text)
            .map_err(|error| Refused(service, ApiError::serialization(format!("{error}."))))?;
        let pairs: Vec<_> = query.iter().cloned().chain(form).collect();
        let operation = protocol::find_action(service.table(), &pairs).map_err(|error| {
            let name = match error {
                protocol::ActionError::Missing => "MissingAction",
                protocol::ActionError::Unknown { .. } => "InvalidAction",
            };
            Refused(service, ApiError::shared(StatusCode::BAD_REQUEST, name, error.to_string()))
        })?;
        self.operate(request, Routed { service, operation, labels: Vec::new(), query }, body).await
    }

    /// Any operation but `Invoke`.
    async fn operate(&self, request: Request, routed: Routed, body: Bytes) -> Result<Response, Refused> {
        let Routed { service, operation, labels, query } = routed;
        let call = self.call(&request, service, operation, &body).await?;
        let Some(row) = self.rows.get(&(service, operation.name.as_str())).cloned() else {
            let error = ApiError::not_implemented(&operation.name);
            audit::record(&call, &format!("{}:{}", service.name(), operation.name), Some(&error));
            return Err(Refused(service, error));
        };
        let incoming = Incoming { labels: &labels, query: &query, headers: &request.parts.headers, body: &body };
        let input = protocol::read_input(service.table(), operation, &incoming);
        let input = match input {
            Ok(input) => input,
            Err(error) => {
                audit::record(&call, row.action, Some(&error));
                return Err(Refused(service, error));
            }
        };
        // What has begun is brought to its end, and recorded, even if the client hangs up. A large body keeps its share of
        // the front door's memory until then: the input is about as large.
        let id = request.id;
        let work = async move {
            let answered = row.run(call.clone(), input).await;
            drop(body);
            audit::record(&call, row.action, answered.as_ref().err());
            answered
        };
        let answered = request.spawn(work.in_current_span()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the handler of an operation failed");
            Err(ApiError::internal())
        });
        let output = answered.map_err(|error| Refused(service, error))?;
        Ok(protocol::write_output(service.table(), operation, output, id).map(ResponseBody::from))
    }

    /// `Invoke` and `InvokeAsync`.
    async fn invoke(&self, request: Request, routed: Routed) -> Result<Response, Refused> {
        let mut request = request;
        let refused = |error| Refused(ServiceId::Lambda, error);
        let older = routed.operation.name == invoke::INVOKE_ASYNC;
        let now_secs = request.received.as_secs();
        let head = if older {
            Ok(InvokeHead::asynchronous(request.id, now_secs))
        } else {
            InvokeHead::read(&request.parts.headers, request.id, now_secs)
        };
        // What is wrong with the head is told to those only who may ask; until then the largest limit holds.
        request.body.limit(head.as_ref().map_or(invoke::LARGEST_PAYLOAD, InvokeHead::payload_limit) as u64);
        let body = read_body(&mut request).await;
        let body = body.map_err(|error| refused(body::not_read(ServiceId::Lambda, &routed.operation.name, &error)))?;
        let call = self.call(&request, ServiceId::Lambda, routed.operation, &body).await?;
        let incoming =
            Incoming { labels: &routed.labels, query: &routed.query, headers: &request.parts.headers, body: &body };
        let target = invoke::target(&call, &incoming).map_err(refused)?;
        let head = head.map_err(refused)?;
        let action = if older { "lambda:InvokeAsync" } else { "lambda:InvokeFunction" };
        Ok(invoke::run(call, action, target, head, body).await.map_err(refused)?.map(ResponseBody::from))
    }

    /// Authenticates a request.
    async fn call(
        &self,
        request: &Request,
        service: ServiceId,
        operation: &'static Operation,
        body: &Bytes,
    ) -> Result<Call, Refused> {
        let (caller, scope) = self.authenticate(request, service, Some(operation), body).await?;
        tracing::Span::current().record("service", service.name()).record("operation", operation.name.as_str());
        Ok(Call {
            parts: Arc::clone(&self.parts),
            context: context_of(request, &scope),
            caller,
            service,
            request_id: request.id,
            operation,
            source_ip: audit::source_ip(&request.peer),
            acted_on: Arc::default(),
            endpoint: endpoint_of(request),
        })
    }

    async fn authenticate(
        &self,
        request: &Request,
        service: ServiceId,
        operation: Option<&Operation>,
        body: &Bytes,
    ) -> Result<(Caller, CredentialScope), Refused> {
        let headers = header_lines(&request.parts);
        let signed = signed(&request.parts, &headers);
        let authenticated = self.parts.identity.authenticate(&signed, Payload::Whole(body)).await;
        let authenticated = authenticated.map_err(|error| {
            if let Some(operation) = operation {
                let scope = CredentialScope::of(&signed);
                audit::record_refused(&self.parts, request, (service, operation), scope.as_ref(), &error);
            }
            Refused(service, access::unauthenticated(service, &error))
        })?;
        if !matches!(authenticated.body, BodyRule::Verified) {
            let message = "This service takes requests whose whole payload is signed; sign without chunks.";
            return Err(Refused(
                service,
                ApiError::shared(StatusCode::BAD_REQUEST, "IncompleteSignatureException", message),
            ));
        }
        let scope = authenticated.scope;
        if scope.service != service.name()
            || (service == ServiceId::Lambda && scope.region != self.parts.region.as_str())
        {
            return Err(Refused(service, access::wrong_scope(service, &scope, &self.parts.region)));
        }
        Ok((authenticated.caller, scope))
    }
}

#[async_trait]
impl Surface for AwsEdge {
    async fn serve(&self, request: Request) -> Response {
        let id = request.id;
        let span = tracing::info_span!(
            "aws",
            request_id = %id,
            service = tracing::field::Empty,
            operation = tracing::field::Empty
        );
        let answered = self.answer(request).instrument(span).await;
        answered.unwrap_or_else(|refused| refused.into_response(id))
    }
}

impl Refused {
    fn into_response(self, id: RequestId) -> Response {
        let Self(service, error) = self;
        tracing::debug!(request_id = %id, code = %error.name, message = error.message, "refused");
        protocol::write_error(service.table(), &error, id).map(ResponseBody::from)
    }
}

fn unknown_path(parts: &http::request::Parts) -> ApiError {
    let path: String = parts.uri.path().chars().take(256).collect();
    let message = format!("No operation of this service has the method {} and the path {path}.", parts.method);
    ApiError::shared(StatusCode::NOT_FOUND, "UnknownOperationException", message)
}

async fn read_body(request: &mut Request) -> Result<Bytes, dormouse_front::BodyError> {
    std::mem::replace(&mut request.body, Bytes::new().into()).collect().await
}

fn header_lines(parts: &http::request::Parts) -> Vec<(&str, &[u8])> {
    parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

fn signed<'a>(parts: &'a http::request::Parts, headers: &'a [(&'a str, &'a [u8])]) -> SignedRequest<'a> {
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    SignedRequest { method: parts.method.as_str(), path, query, headers }
}

fn host_of(parts: &http::request::Parts) -> &str {
    let header = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    header.or(parts.uri.authority().map(|authority| authority.as_str())).unwrap_or_default()
}

fn endpoint_of(request: &Request) -> String {
    let scheme = if request.tls { "https" } else { "http" };
    format!("{scheme}://{}", host_of(&request.parts))
}

/// The condition keys that are known of every request.
fn context_of(request: &Request, scope: &CredentialScope) -> Context {
    let mut context = Context::new();
    context.set("aws:RequestedRegion", scope.region.as_str());
    context.set("aws:SecureTransport", if request.tls { "true" } else { "false" });
    if let Some(address) = audit::source_ip(&request.peer) {
        context.set("aws:SourceIp", address);
    }
    if let Peer::Instance(instance) = &request.peer {
        context.set("lambda:SourceFunctionArn", instance.function.unqualified().to_string());
    }
    if let Some(agent) = request.parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()) {
        context.set("aws:UserAgent", agent);
    }
    context
}
