//! Greets whoever the event names.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(greet)).await
}

async fn greet(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    let name = event["name"].as_str().unwrap_or("world");
    println!("greeting {name}");
    Ok(json!({ "message": format!("Hello, {name}!"), "function": context.env_config.function_name }))
}
