//! What a stack is without a record of its own: the functions that carry its tag.

use serde_json::{Value, json};

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
pub(crate) fn delete(client: &Client, stack: &str, as_json: bool) -> Result<(), Failure> {
    let told = |id: &str, role: Option<&str>| {
        if as_json {
            return output::json(&json!({ "id": id, "done": "deleted", "role": role }));
        }
        let with_role = role.map(|role| format!(", with its role {role}")).unwrap_or_default();
        output::progress(format_args!("{id} deleted{with_role}"));
        Ok(())
    };
    let mut count = 0_usize;
    for each in all(client)? {
        let (Some(name), Some(arn)) = (each["FunctionName"].as_str(), each["FunctionArn"].as_str()) else { continue };
        let tags = client.lambda("GET", format!("/2017-03-31/tags/{}", encode(arn)), Vec::new(), None);
        let tags = tags.map_err(CallError::into_failure)?["Tags"].take();
        if tags[STACK_TAG] != Value::String(stack.to_owned()) {
            continue;
        }
        function(client, name).map_err(CallError::into_failure)?;
        count += 1;
        let role = tags[LOGICAL_ID_TAG].as_str().map(|logical_id| roles::name(stack, logical_id)).transpose()?;
        let deleted = |role: &String| roles::delete(client, role).map_err(CallError::into_failure);
        let role_is_gone = role.as_ref().map_or(Ok(false), deleted)?;
        told(name, role.as_deref().filter(|_| role_is_gone))?;
    }
    if count == 0 {
        return Err(Failure::failed(format!(
            "there is no stack {stack}: no function carries the tag {STACK_TAG}={stack}; `dormouse functions` lists what \
             there is"
        )));
    }
    Ok(())
}
