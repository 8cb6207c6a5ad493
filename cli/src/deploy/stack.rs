//! What a stack is without a record of its own: the functions that carry its tag.

use serde_json::Value;

use super::roles;
use crate::client::{CallError, Client, encode};
use crate::commands::delete::function;
use crate::commands::functions::all;
use crate::failure::Failure;
use crate::output;

/// The tag with the stack's name.
pub(super) const STACK_TAG: &str = "dormouse:stack";
/// The tag with the function's name in its template.
pub(super) const LOGICAL_ID_TAG: &str = "dormouse:logical-id";

/// Deletes every function of the stack, and the roles that were made for them.
pub(crate) fn delete(client: &Client, stack: &str) -> Result<(), Failure> {
    let mut count = 0_usize;
    for each in all(client)? {
        let (Some(name), Some(arn)) = (each["FunctionName"].as_str(), each["FunctionArn"].as_str()) else { continue };
        let tags = client.lambda("GET", format!("/2017-03-31/tags/{}", encode(arn)), Vec::new(), None);
        let tags = tags.map_err(CallError::into_failure)?["Tags"].take();
        if tags[STACK_TAG] != Value::String(stack.to_owned()) {
            continue;
        }
        function(client, name).map_err(CallError::into_failure)?;
        output::progress(format_args!("{name} deleted"));
        count += 1;
        if let Some(logical_id) = tags[LOGICAL_ID_TAG].as_str() {
            let role = roles::name(stack, logical_id)?;
            if roles::delete(client, &role).map_err(CallError::into_failure)? {
                output::progress(format_args!("role {role} deleted"));
            }
        }
    }
    if count == 0 { Err(Failure::failed(format!("no function carries the tag of a stack {stack}"))) } else { Ok(()) }
}
