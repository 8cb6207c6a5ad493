use super::connect;
use crate::args::Delete;
use crate::client::{CallError, Client, encode};
use crate::deploy::stack;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(delete: &Delete) -> Result<(), Failure> {
    let client = connect(&delete.connection)?;
    match &delete.stack {
        Some(stack) => stack::delete(&client, stack),
        None => {
            let mut failed = false;
            for name in &delete.names {
                if let Err(error) = function(&client, name) {
                    output::error(&format!("{name}: {}", error.into_failure().message));
                    failed = true;
                } else {
                    output::progress(format_args!("{name} deleted"));
                }
            }
            if failed { Err(Failure::said()) } else { Ok(()) }
        }
    }
}

/// Deletes a function with all its versions.
pub(crate) fn function(client: &Client, name: &str) -> Result<(), CallError> {
    client.lambda("DELETE", format!("/2015-03-31/functions/{}", encode(name)), Vec::new(), None).map(drop)
}
