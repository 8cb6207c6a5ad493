//! Who asks, and may they.

use bytes::Bytes;
use dormouse_front::{Peer, Request};
use dormouse_identity::policy::Context;
use dormouse_identity::sigv4::{BodyRule, CredentialScope, Payload, SignedRequest};
use dormouse_identity::{Access, AuditRecord, Caller};
use dormouse_model::AccountId;

use crate::error::AdminError;
use crate::route::Operation;
use crate::surface::Parts;

/// The service that requests are signed for.
const SERVICE: &str = "dormouse";

/// One request of a known caller.
pub(crate) struct Call<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) request: &'a Request,
    pub(crate) caller: Caller,
    pub(crate) operation: Operation,
    pub(crate) query: String,
    pub(crate) body: Bytes,
    context: Context,
    source_ip: Option<String>,
    request_id: String,
}

impl<'a> Call<'a> {
    /// Believes the request, or says why not.
    pub(crate) async fn of(
        parts: &'a Parts,
        operation: Operation,
        request: &'a Request,
        body: Bytes,
    ) -> Result<Self, AdminError> {
        let head = &request.parts;
        let headers: Vec<(&str, &[u8])> =
            head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let query = head.uri.query().unwrap_or_default();
        let signed = SignedRequest { method: head.method.as_str(), path: head.uri.path(), query, headers: &headers };
        let known = parts.identity.authenticate(&signed, Payload::Whole(&body)).await?;
        check_scope(parts, &known.scope)?;
        if !matches!(known.body, BodyRule::Verified) {
            return Err(AdminError::Invalid("the body is not signed as a whole".to_owned()));
        }
        let source_ip = match &request.peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical().to_string()),
            Peer::Instance(_) => None,
        };
        Ok(Self {
            parts,
            request,
            caller: known.caller,
            operation,
            query: without_signature(query),
            body,
            context: context(request, &known.scope, source_ip.as_deref()),
            source_ip,
            request_id: request.id.to_string(),
        })
    }

    /// Refuses what the caller may not do with something of `owner`. `kind` and `id` name it, as in
    /// `arn:aws:dormouse:REGION:ACCOUNT:function/NAME`.
    pub(crate) async fn may(&self, owner: &AccountId, kind: &str, id: &str) -> Result<(), AdminError> {
        let resource = format!("arn:aws:{SERVICE}:{}:{owner}:{kind}/{id}", self.parts.region);
        let access = Access {
            action: self.operation.action(),
            resource: &resource,
            owner,
            context: &self.context,
            resource_policy: None,
        };
        Ok(self.parts.identity.authorize(&self.caller, &access).await?)
    }

    /// Who must allow what is done to `account`: itself for its own callers, for all others the operator.
    pub(crate) fn owner_of(&self, account: &AccountId) -> AccountId {
        let owner = if *account == self.caller.account { account } else { &self.parts.operator };
        owner.clone()
    }

    /// The account that a parameter names, or the caller's.
    pub(crate) fn account(&self, named: Option<&str>) -> Result<AccountId, AdminError> {
        named.map_or_else(|| Ok(self.caller.account.clone()), |text| Ok(text.parse()?))
    }

    /// Puts a change into the audit trail.
    pub(crate) fn audit(&self, error: Option<&AdminError>) {
        if !self.operation.changes() {
            return;
        }
        self.parts.audit.record(AuditRecord {
            time: self.parts.clock.now(),
            account: Some(self.caller.account.to_string()),
            caller: Some(self.caller.arn.clone()),
            access_key_id: Some(self.caller.access_key_id.clone()),
            source_ip: self.source_ip.clone(),
            action: self.operation.action().to_owned(),
            resource: None,
            request_id: self.request_id.clone(),
            error: error.map(|error| error.code().to_owned()),
        });
    }
}

fn check_scope(parts: &Parts, scope: &CredentialScope) -> Result<(), AdminError> {
    let (region, service) = (parts.region.as_str(), scope.service.as_str());
    if service == SERVICE && scope.region == region {
        return Ok(());
    }
    let told = format!("the request is signed for {service} in {}: sign it for {SERVICE} in {region}", scope.region);
    Err(AdminError::NotAuthentic(told))
}

/// The condition keys that are known of every request.
fn context(request: &Request, scope: &CredentialScope, source_ip: Option<&str>) -> Context {
    let mut context = Context::new();
    context.set("aws:RequestedRegion", scope.region.as_str());
    context.set("aws:SecureTransport", if request.tls { "true" } else { "false" });
    if let Some(address) = source_ip {
        context.set("aws:SourceIp", address);
    }
    context
}

/// The query without the parameters of a presigned request.
fn without_signature(query: &str) -> String {
    let own = |pair: &&str| !pair.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
    query.split('&').filter(own).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presigned_query_loses_its_signature() {
        assert_eq!(without_signature("a=1&X-Amz-Signature=2&x-amz-date=3&b=é"), "a=1&b=é");
        assert_eq!(without_signature(""), "");
    }
}
