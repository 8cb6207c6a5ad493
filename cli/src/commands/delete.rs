use super::connect;
use crate::args::Delete;
use crate::client::{CallError, Client, encode};
use crate::deploy::stack;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(delete: &Delete) -> Result<(), Failure> {
    let client = connect(&delete.connection)?;
    let json = delete.connection.out.json();
    match &delete.stack {
        Some(stack) => stack::delete(&client, stack, json),
        None => output::each(&delete.names, "deleted", json, |name| {
            function(&client, name).map_err(CallError::into_failure)
        }),
    }
}

/// Deletes a function with all its versions.
pub(crate) fn function(client: &Client, name: &str) -> Result<serde_json::Value, CallError> {
    client.lambda("DELETE", format!("/2015-03-31/functions/{}", encode(name)), Vec::new(), None)
}
