//! The Node.js bootstrap does with handlers what the public client does.

use crate::support::{Language, Runtime};
use dormouse_runtime_api::{Answer, InitOutcome};
use serde_json::{Value, json};

fn start(handler: &str, files: &[(&str, &str)]) -> Runtime {
    Runtime::start(Language::Nodejs, handler, files, &[])
}

async fn ready_with(handler: &str, files: &[(&str, &str)]) -> Runtime {
    let mut runtime = start(handler, files);
    assert_eq!(runtime.ready().await, InitOutcome::Done, "{}", runtime.stdout());
    runtime
}

async fn ready(code: &str) -> Runtime {
    ready_with("app.handler", &[("app.js", code)]).await
}

#[tokio::test]
async fn every_kind_of_handler_answers() {
    for code in [
        "exports.handler = async (event) => ({ got: event })",
        "exports.handler = (event, context, callback) => callback(null, { got: event })",
        "exports.handler = (event, context, callback) => setTimeout(() => callback(null, { got: event }), 1)",
        "exports.handler = (event, context) => context.succeed({ got: event })",
        "exports.handler = (event, context) => context.done(null, { got: event })",
        "exports.handler = (event) => new Promise((ok) => setImmediate(() => ok({ got: event })))",
    ] {
        let mut runtime = ready(code).await;
        for event in ["{\"a\":[1,2.5,\"\u{e9}\"]}", "null", "\"x\""] {
            let sent: Value = serde_json::from_str(event).expect("JSON");
            assert_eq!(runtime.respond(event).await, json!({ "got": sent }), "{code}");
        }
    }
}

#[tokio::test]
async fn a_handler_that_waits_for_nothing_answers_null() {
    for code in [
        "exports.handler = () => 5",
        "exports.handler = async () => {}",
        "exports.handler = () => new Promise(() => {})",
    ] {
        let mut runtime = ready(code).await;
        assert_eq!(runtime.respond("{}").await, Value::Null, "{code}");
        assert_eq!(runtime.respond("{}").await, Value::Null, "{code}");
    }
}

#[tokio::test]
async fn a_callback_waits_for_the_event_loop_unless_it_is_told_not_to() {
    let code = "let done = 0; exports.handler = (event, context, callback) => {\n\
                context.callbackWaitsForEmptyEventLoop = event.wait;\n\
                setTimeout(() => { done += 1 }, 30); callback(null, done); }";
    let mut runtime = ready(&format!("{code}; exports.count = async () => done")).await;
    assert_eq!(runtime.respond("{\"wait\":true}").await, 0);
    assert_eq!(runtime.respond("{\"wait\":true}").await, 1, "the timer ran before the answer went out");
}

#[tokio::test]
async fn modules_of_both_kinds_load() {
    let esm = "import fs from 'node:fs'; export const handler = async () => typeof fs.readFileSync";
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("app.handler", &[("app.mjs", esm)]),
        ("app.handler", &[("app.js", esm), ("package.json", "{\"type\":\"module\"}")]),
        ("app.handler", &[("app.cjs", "exports.handler = async () => 'function'")]),
        ("src/deep/app.handler", &[("src/deep/app.js", "exports.handler = async () => 'function'")]),
        ("app.a.b", &[("app.js", "exports.a = { b: async () => 'function' }")]),
        ("app.handler", &[("app.mjs", "await 1; export default { handler: async () => 'function' }")]),
    ];
    for (handler, files) in cases {
        assert_eq!(ready_with(handler, files).await.respond("{}").await, "function", "{handler} {files:?}");
    }
}

#[tokio::test]
async fn the_context_has_what_is_documented() {
    let code = "exports.handler = async (event, c) => [c.awsRequestId, c.functionName, c.functionVersion, \
                c.memoryLimitInMB, c.invokedFunctionArn, c.getRemainingTimeInMillis() > 0, c.clientContext.custom.k, \
                c.callbackWaitsForEmptyEventLoop, process.env._X_AMZN_TRACE_ID.slice(0, 7)]";
    let mut runtime = ready(code).await;
    let (id, answer) = runtime.answer("{}").await;
    let Answer::Response(body) = answer else { panic!("{answer:?}") };
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
    let expected = json!([id.to_string(), "f", "$LATEST", "128", arn, true, "v", true, "Root=1-"]);
    assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON"), expected);
}

#[tokio::test]
async fn errors_are_reported_with_their_stack() {
    for code in [
        "exports.handler = async () => { throw new TypeError('boom') }",
        "exports.handler = () => { throw new TypeError('boom') }",
        "exports.handler = (e, c, callback) => { c.callbackWaitsForEmptyEventLoop = false; callback(new TypeError('boom')) }",
        "exports.handler = (e, c) => c.fail(new TypeError('boom'))",
    ] {
        let mut runtime = ready(code).await;
        let raised = runtime.raise("{}").await;
        assert_eq!((raised.error_type.as_str(), raised.leaving), ("TypeError", false), "{code}");
        assert_eq!(raised.body["errorMessage"], "boom");
        assert_eq!(raised.body["trace"][0], "TypeError: boom");
        assert!(
            runtime.stdout().contains("\tERROR\tInvoke Error\t{\"errorType\":\"TypeError\""),
            "{}",
            runtime.stdout()
        );
        assert_eq!(runtime.raise("{}").await.error_type, "TypeError", "the runtime lives on");
    }
    let raised = ready("exports.handler = async () => { throw 'text' }").await.raise("{}").await;
    assert_eq!((raised.error_type.as_str(), &raised.body["errorMessage"]), ("string", &"text".into()));
}

#[tokio::test]
async fn what_json_cannot_carry_is_named() {
    let raised = ready("exports.handler = async () => { const a = {}; a.a = a; return a }").await.raise("{}").await;
    assert_eq!(raised.error_type, "Runtime.MarshalError");
    let raised = ready("exports.handler = async () => 1").await.raise("{nope").await;
    assert_eq!(raised.error_type, "SyntaxError");
}

#[tokio::test]
async fn what_nobody_catches_ends_the_runtime_with_an_answer() {
    let cases = [
        ("Promise.reject(new Error('late'))", "Runtime.UnhandledPromiseRejection", "Error: late"),
        ("setTimeout(() => { throw new RangeError('late') }, 1)", "RangeError", "late"),
    ];
    for (code, error_type, message) in cases {
        let mut runtime = ready(&format!(
            "exports.handler = async () => {{ {code}; await new Promise(() => setTimeout(() => {{}}, 60000)) }}"
        ))
        .await;
        let raised = runtime.raise("{}").await;
        assert_eq!((raised.error_type.as_str(), raised.leaving), (error_type, true));
        assert_eq!(raised.body["errorMessage"], message);
        let (_, answer) = runtime.answer("{}").await;
        assert!(matches!(answer, Answer::Closed { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let ok = "exports.handler = async () => 1; exports.x = 5";
    let cases = [
        ("other.handler", ok, "Runtime.ImportModuleError", "Cannot find module 'other'"),
        ("app.nope", ok, "Runtime.HandlerNotFound", "app.nope is undefined or not exported"),
        ("app.x", ok, "Runtime.HandlerNotFound", "app.x is not a function"),
        ("app", ok, "Runtime.MalformedHandlerName", "Bad handler 'app'"),
        ("../app.handler", ok, "Runtime.MalformedHandlerName", "is not a valid handler name"),
        ("app.handler", "exports.handler = (", "Runtime.UserCodeSyntaxError", "SyntaxError"),
        ("app.handler", "require('nothing-here')", "Runtime.ImportModuleError", "Cannot find module 'nothing-here'"),
        ("app.handler", "throw new RangeError('early')", "RangeError", "early"),
    ];
    for (handler, code, expected_type, expected_message) in cases {
        let mut runtime = start(handler, &[("app.js", code)]);
        let InitOutcome::Error { error_type, message, .. } = runtime.ready().await else { panic!("{handler} {code}") };
        assert_eq!(error_type, expected_type, "{handler} {code}");
        assert!(message.contains(expected_message), "{handler} {code}: {message}");
    }
}

#[tokio::test]
async fn events_and_answers_of_megabytes_pass_and_seven_do_not() {
    let mut runtime =
        ready("exports.handler = async (event) => typeof event === 'number' ? 'x'.repeat(event) : event").await;
    let event = format!("\"{}\"", "\u{e9}x".repeat(2 * 1024 * 1024 - 2));
    let (_, answer) = runtime.answer(event.clone()).await;
    assert_eq!(answer, Answer::Response(event.into()));
    let (_, answer) = runtime.answer("7340032").await;
    assert_eq!(answer, Answer::TooLarge { size_bytes: 7_340_034 });
    assert_eq!(runtime.respond("1").await, "x");
}

#[tokio::test]
async fn console_lines_carry_time_request_and_level() {
    let code =
        "console.log('init'); exports.handler = async () => { console.warn('a\\nb %d', 5); console.error({ k: 1 }) }";
    let mut runtime = ready(code).await;
    let (id, _) = runtime.answer("{}").await;
    let printed = runtime.stdout();
    let lines: Vec<Vec<&str>> = printed.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines[0][1..], ["undefined", "INFO", "init"], "{printed}");
    assert_eq!(lines[1][1..], [id.to_string().as_str(), "WARN", "a\rb 5"], "{printed}");
    assert_eq!(lines[2][1..], [id.to_string().as_str(), "ERROR", "{ k: 1 }"], "{printed}");
}

#[tokio::test]
async fn structured_logs_are_json_lines_with_a_level() {
    let code = "exports.handler = async () => { console.log('no'); console.error({ k: 1 }); console.error('bad', new TypeError('x')) }";
    let env = [("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", "ERROR")];
    let mut runtime = Runtime::start(Language::Nodejs, "app.handler", &[("app.js", code)], &env);
    assert_eq!(runtime.ready().await, InitOutcome::Done);
    let (id, _) = runtime.answer("{}").await;
    let printed = runtime.stdout();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert_eq!((&lines[0]["message"]["k"], &lines[0]["requestId"]), (&json!(1), &json!(id.to_string())));
    assert_eq!((&lines[1]["errorType"], &lines[1]["level"]), (&json!("TypeError"), &json!("ERROR")));
}

#[tokio::test]
async fn leaving_the_process_closes_the_channel() {
    let mut runtime = ready("exports.handler = async () => process.exit(3)").await;
    let (_, answer) = runtime.answer("{}").await;
    assert!(matches!(answer, Answer::Closed { .. }), "{answer:?}");
}
