//! Answers with what it was told, or fails in the way that the event asks for.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    println!("asked for {}", event["do"]);
    match event["do"].as_str() {
        Some("fail") => Err("this went wrong".into()),
        Some("panic") => panic!("this should not happen"),
        Some("exit") => std::process::exit(3),
        _ => Ok(json!({
            "event": event,
            "id": context.request_id,
            "arn": context.invoked_function_arn,
            "deadline": context.deadline,
            "trace": context.xray_trace_id,
            "client": context.client_context.map(|client| client.custom),
            "name": context.env_config.function_name,
            "memory": context.env_config.memory,
            "version": context.env_config.version,
        })),
    }
}
