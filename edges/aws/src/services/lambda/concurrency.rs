//! Reserved concurrency.

use serde::{Deserialize, Serialize};

use super::function::{Named, NamesFunction, nothing};
use super::target::FunctionTarget;
use crate::error::ApiError;
use crate::operation::{Call, Nothing};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutInput {
    function_name: String,
    reserved_concurrent_executions: u32,
}

impl NamesFunction for PutInput {
    fn function_name(&self) -> &str {
        &self.function_name
    }
}

/// The shape `Concurrency`; empty when nothing is reserved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Concurrency {
    reserved_concurrent_executions: Option<u32>,
}

/// `PutFunctionConcurrency`.
pub(super) async fn put(call: Call, target: FunctionTarget, input: PutInput) -> Result<Concurrency, ApiError> {
    let wanted = input.reserved_concurrent_executions;
    let reserved = call.parts.functions.put_concurrency(target.account(), target.name(), wanted).await?;
    Ok(Concurrency { reserved_concurrent_executions: Some(reserved) })
}

/// `GetFunctionConcurrency`.
pub(super) async fn get(call: Call, target: FunctionTarget, _: Named) -> Result<Concurrency, ApiError> {
    let reserved = call.parts.functions.get_concurrency(target.account(), target.name()).await?;
    Ok(Concurrency { reserved_concurrent_executions: reserved })
}

/// `DeleteFunctionConcurrency`.
pub(super) async fn delete(call: Call, target: FunctionTarget, _: Named) -> Result<Nothing, ApiError> {
    call.parts.functions.delete_concurrency(target.account(), target.name()).await?;
    Ok(nothing())
}
