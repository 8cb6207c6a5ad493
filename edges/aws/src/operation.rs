//! The operation table: one row for each operation, and what a row needs.
//!
//! [`row`] ties the steps together, so that none can be left out: typed input, target, authorization, the operation's own
//! function, canonical output.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use dormouse_identity::policy::Context;
use dormouse_model::{AccountId, RequestId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::{self, Caller};
use crate::error::ApiError;
use crate::parts::Parts;
use crate::table::{Operation, ServiceId};

/// One authenticated request, beside its input.
#[derive(Clone)]
pub struct Call {
    /// The engines.
    pub parts: Arc<Parts>,
    /// Who asks.
    pub caller: Caller,
    /// What policies may ask of the request: where it came from, for which region.
    pub context: Context,
    /// Of which service.
    pub service: ServiceId,
    /// Names the request in the answer, the log and the audit record.
    pub request_id: RequestId,
    /// What is asked for.
    pub operation: &'static Operation,
    /// The address of the client; code in a sandbox has none.
    pub source_ip: Option<String>,
    /// The resource that the call turned out to be about, for the audit trail.
    pub acted_on: Arc<OnceLock<String>>,
    /// Scheme and authority that the caller reached this node by, such as `http://127.0.0.1:4566`: URLs that are handed out
    /// start with it.
    pub endpoint: String,
}

/// What an operation acts on, as the authorizer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// An ARN, or `*` for operations that act on no single resource.
    pub arn: String,
    /// Who owns it.
    pub account: AccountId,
    /// The resource's own policy as JSON.
    pub policy: Option<String>,
    /// Condition keys of the resource and of what is asked of it: its tags, those that it is to get, a boundary.
    pub keys: Context,
}

impl Resource {
    /// Of operations that act on no single resource of the account.
    pub fn everything(account: &AccountId) -> Self {
        Self { arn: "*".to_owned(), account: account.clone(), policy: None, keys: Context::new() }
    }
}

/// What an operation's input leads to: the thing that is authorized against and handed to the operation's function.
pub trait Target: Send + 'static {
    /// As the authorizer sees it.
    fn resource(&self) -> Resource;
}

/// Operations that act on no single resource have the account as their target.
impl Target for AccountId {
    fn resource(&self) -> Resource {
        Resource::everything(self)
    }
}

/// The target of operations that act on no single resource.
pub fn own_account<I>(call: &Call, _input: &I) -> Result<AccountId, ApiError> {
    Ok(call.caller.account.clone())
}

type Answer = Pin<Box<dyn Future<Output = Result<Value, ApiError>> + Send>>;

/// One operation that is built.
pub struct Row {
    /// Its name in the model.
    pub operation: &'static str,
    /// What policies call it, such as `lambda:CreateFunction`.
    pub action: &'static str,
    run: Box<dyn Fn(Call, Value) -> Answer + Send + Sync>,
}

impl Row {
    /// Runs the operation on a canonical input: authorizes, acts, and returns the canonical output.
    pub fn run(&self, call: Call, input: Value) -> Answer {
        (self.run)(call, input)
    }
}

/// A row. `target` says what the input leads to; `act` is called when the caller may do `action` to that.
pub fn row<I, T, O, F>(
    operation: &'static str,
    action: &'static str,
    target: fn(&Call, &I) -> Result<T, ApiError>,
    act: fn(Call, T, I) -> F,
) -> Row
where
    I: DeserializeOwned + Send + 'static,
    T: Target,
    O: Serialize,
    F: Future<Output = Result<O, ApiError>> + Send + 'static,
{
    let run = move |call: Call, input: Value| -> Answer {
        Box::pin(async move {
            let input: I = serde_json::from_value(input).map_err(|e| ApiError::serialization(format!("{e}.")))?;
            let target = target(&call, &input)?;
            let resource = target.resource();
            let _ = call.acted_on.set(resource.arn.clone());
            access::authorize(&call, action, &resource).await?;
            let output = act(call, target, input).await?;
            serde_json::to_value(output).map_err(|error| {
                tracing::error!(%error, operation, "the output of an operation is not JSON");
                ApiError::internal()
            })
        })
    };
    Row { operation, action, run: Box::new(run) }
}

/// A row of an operation whose action is called as the operation is; its name may be in parts.
macro_rules! row_of {
    ($service:literal: $($part:literal)+ => $target:path, $act:path) => {
        $crate::operation::row(concat!($($part),+), concat!($service, ":", $($part),+), $target, $act)
    };
}
pub(crate) use row_of;

/// The output of operations that answer with nothing.
#[derive(Debug, Serialize)]
pub struct Nothing {}
