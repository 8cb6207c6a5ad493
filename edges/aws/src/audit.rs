//! The audit trail: who asked for what on the control plane, and what came of it. `Invoke` is no part of it.
//!
//! A request whose key is not known leaves no record, only a line in the log: anyone can send those without end, and they
//! must not push out what the trail is kept for.

use dormouse_front::{Peer, Request};
use dormouse_identity::sigv4::CredentialScope;
use dormouse_identity::{AuditRecord, AuthError};

use crate::error::ApiError;
use crate::operation::Call;
use crate::parts::Parts;
use crate::table::{Operation, ServiceId};

/// Records a call that was authenticated, when it has ended.
pub(crate) fn record(call: &Call, action: &str, error: Option<&ApiError>) {
    call.parts.audit.record(AuditRecord {
        time: call.parts.clock.now(),
        account: Some(call.caller.account.to_string()),
        caller: Some(call.caller.arn.clone()),
        access_key_id: Some(call.caller.access_key_id.clone()),
        source_ip: call.source_ip.clone(),
        action: action.to_owned(),
        resource: call.acted_on.get().cloned(),
        request_id: call.request_id.to_string(),
        error: error.map(|error| error.name.clone().into_owned()),
    });
}

/// Records an attempt to use a key that is known.
pub(crate) fn record_refused(
    parts: &Parts,
    request: &Request,
    (service, operation): (ServiceId, &Operation),
    scope: Option<&CredentialScope>,
    error: &AuthError,
) {
    let unknown = matches!(
        error,
        AuthError::MissingToken | AuthError::Incomplete(_) | AuthError::UnknownKey | AuthError::UnknownToken
    );
    if unknown {
        return;
    }
    parts.audit.record(AuditRecord {
        time: parts.clock.now(),
        account: None,
        caller: None,
        access_key_id: scope.map(|scope| scope.access_key_id.clone()),
        source_ip: source_ip(&request.peer),
        action: format!("{}:{}", service.name(), operation.name),
        resource: None,
        request_id: request.id.to_string(),
        error: Some(crate::access::unauthenticated(service, error).name.into_owned()),
    });
}

/// The address of a client; code in a sandbox has none.
pub(crate) fn source_ip(peer: &Peer) -> Option<String> {
    match peer {
        Peer::Tcp(address) => Some(address.ip().to_canonical().to_string()),
        Peer::Instance(_) => None,
    }
}
