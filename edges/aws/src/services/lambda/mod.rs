//! AWS Lambda. Actions and resources follow the public service authorization reference.

mod account;
mod alias;
mod change;
mod concurrency;
mod error;
mod event_invoke;
mod function;
pub mod invoke;
mod tags;
mod target;
mod version;
mod wire;

use crate::operation::{Row, own_account, row};

pub use target::{FunctionTarget, find_function};

/// What is built, beside `Invoke`, which has a way of its own (see [`invoke`]).
pub fn rows() -> Vec<Row> {
    vec![
        row("CreateFunction", "lambda:CreateFunction", function::named, function::create),
        row("GetFunction", "lambda:GetFunction", function::qualified, function::get),
        row(
            "GetFunctionConfiguration",
            "lambda:GetFunctionConfiguration",
            function::qualified,
            function::configuration,
        ),
        row("ListFunctions", "lambda:ListFunctions", own_account, function::list),
        row("DeleteFunction", "lambda:DeleteFunction", function::qualified, function::delete),
        row("UpdateFunctionCode", "lambda:UpdateFunctionCode", function::named, function::update_code),
        row(
            "UpdateFunctionConfiguration",
            "lambda:UpdateFunctionConfiguration",
            function::named,
            function::update_configuration,
        ),
        row("PublishVersion", "lambda:PublishVersion", function::named, version::publish),
        row("ListVersionsByFunction", "lambda:ListVersionsByFunction", function::named, version::list),
        row("CreateAlias", "lambda:CreateAlias", function::named, alias::create),
        row("GetAlias", "lambda:GetAlias", function::named, alias::get),
        row("ListAliases", "lambda:ListAliases", function::named, alias::list),
        row("UpdateAlias", "lambda:UpdateAlias", function::named, alias::update),
        row("DeleteAlias", "lambda:DeleteAlias", function::named, alias::delete),
        row("PutFunctionConcurrency", "lambda:PutFunctionConcurrency", function::named, concurrency::put),
        row("GetFunctionConcurrency", "lambda:GetFunctionConcurrency", function::named, concurrency::get),
        row("DeleteFunctionConcurrency", "lambda:DeleteFunctionConcurrency", function::named, concurrency::delete),
        row(
            "PutFunctionEventInvokeConfig",
            "lambda:PutFunctionEventInvokeConfig",
            function::qualified,
            event_invoke::put,
        ),
        row(
            "UpdateFunctionEventInvokeConfig",
            "lambda:UpdateFunctionEventInvokeConfig",
            function::qualified,
            event_invoke::update,
        ),
        row(
            "GetFunctionEventInvokeConfig",
            "lambda:GetFunctionEventInvokeConfig",
            function::qualified,
            event_invoke::get,
        ),
        row(
            "DeleteFunctionEventInvokeConfig",
            "lambda:DeleteFunctionEventInvokeConfig",
            function::qualified,
            event_invoke::delete,
        ),
        row(
            "ListFunctionEventInvokeConfigs",
            "lambda:ListFunctionEventInvokeConfigs",
            function::named,
            event_invoke::list,
        ),
        row("TagResource", "lambda:TagResource", tags::tagged, tags::tag),
        row("UntagResource", "lambda:UntagResource", tags::tagged, tags::untag),
        row("ListTags", "lambda:ListTags", tags::tagged, tags::list),
        row("GetAccountSettings", "lambda:GetAccountSettings", own_account, account::settings),
    ]
}
