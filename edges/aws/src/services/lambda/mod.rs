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

use crate::operation::{Row, own_account, row_of};

pub use target::{FunctionTarget, find_function};

macro_rules! lambda {
    ($($row:tt)+) => {
        row_of!("lambda": $($row)+)
    };
}

/// What is built, beside `Invoke`, which has a way of its own (see [`invoke`]).
pub fn rows() -> Vec<Row> {
    vec![
        lambda!("CreateFunction" => function::named, function::create),
        lambda!("GetFunction" => function::qualified, function::get),
        lambda!("GetFunctionConfiguration" => function::qualified, function::configuration),
        lambda!("ListFunctions" => own_account, function::list),
        lambda!("DeleteFunction" => function::qualified, function::delete),
        lambda!("UpdateFunctionCode" => function::named, function::update_code),
        lambda!("UpdateFunctionConfiguration" => function::named, function::update_configuration),
        lambda!("PublishVersion" => function::named, version::publish),
        lambda!("ListVersionsByFunction" => function::named, version::list),
        lambda!("CreateAlias" => function::named, alias::create),
        lambda!("GetAlias" => function::named, alias::get),
        lambda!("ListAliases" => function::named, alias::list),
        lambda!("UpdateAlias" => function::named, alias::update),
        lambda!("DeleteAlias" => function::named, alias::delete),
        lambda!("PutFunctionConcurrency" => function::named, concurrency::put),
        lambda!("GetFunctionConcurrency" => function::named, concurrency::get),
        lambda!("DeleteFunctionConcurrency" => function::named, concurrency::delete),
        lambda!("PutFunctionEventInvokeConfig" => function::qualified, event_invoke::put),
        lambda!("UpdateFunctionEventInvokeConfig" => function::qualified, event_invoke::update),
        lambda!("GetFunctionEventInvokeConfig" => function::qualified, event_invoke::get),
        lambda!("DeleteFunctionEventInvokeConfig" => function::qualified, event_invoke::delete),
        lambda!("ListFunctionEventInvokeConfigs" => function::named, event_invoke::list),
        lambda!("TagResource" => tags::tagged, tags::tag),
        lambda!("UntagResource" => tags::tagged, tags::untag),
        lambda!("ListTags" => tags::tagged, tags::list),
        lambda!("GetAccountSettings" => own_account, account::settings),
    ]
}
