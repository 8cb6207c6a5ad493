//! The Python bootstrap does with handlers what the public client does.

use crate::support::{Language, Runtime};
use dormouse_runtime_api::{Answer, InitOutcome};

fn start(handler: &str, code: &str) -> Runtime {
    Runtime::start(Language::Python, handler, &[("app.py", code)], &[])
}

async fn ready(code: &str) -> Runtime {
    let mut runtime = start("app.handler", code);
    assert_eq!(runtime.ready().await, InitOutcome::Done, "{}", runtime.stdout());
    runtime
}

async fn init_error(handler: &str, code: &str) -> (String, String, String) {
    let mut runtime = start(handler, code);
    match runtime.ready().await {
        InitOutcome::Error { error_type, message, body } => {
            (error_type, message, String::from_utf8(body.to_vec()).expect("UTF-8"))
        }
        other => panic!("init did not fail: {other:?}"),
    }
}

#[tokio::test]
async fn a_handler_gets_its_event_and_its_answer_goes_back() {
    let mut runtime = ready("def handler(event, context):\n    return {'got': event, 'u': '\u{e9}'}\n").await;
    for event in ["{}", " [1, 2.5, null, \"\\u00e9x\"] ", "\"text\"", "12", "null", "true"] {
        let sent: serde_json::Value = serde_json::from_str(event).expect("JSON");
        assert_eq!(runtime.respond(event).await, serde_json::json!({"got": sent, "u": "\u{e9}"}));
    }
}

#[tokio::test]
async fn events_and_answers_of_megabytes_pass() {
    let mut runtime = ready("def handler(event, context):\n    return event\n").await;
    let event = format!("\"{}\"", "x".repeat(6 * 1024 * 1024 - 2));
    let (_, answer) = runtime.answer(event.clone()).await;
    assert_eq!(answer, Answer::Response(event.into()));
    assert_eq!(runtime.respond("1").await, 1);
}

#[tokio::test]
async fn an_answer_of_seven_megabytes_is_too_large_and_the_runtime_lives() {
    let mut runtime = ready("def handler(event, context):\n    return 'x' * event\n").await;
    let (_, answer) = runtime.answer("7340032").await;
    assert_eq!(answer, Answer::TooLarge { size_bytes: 7_340_034 });
    assert_eq!(runtime.respond("1").await, "x");
}

#[tokio::test]
async fn the_context_has_what_is_documented() {
    let code = "import os\ndef handler(event, context):\n    left = context.get_remaining_time_in_millis()\n    \
                return [context.aws_request_id, context.function_name, context.function_version,\n      \
                context.memory_limit_in_mb, context.invoked_function_arn, 0 < left <= 30000,\n      \
                context.client_context.custom, context.client_context.client.app_title,\n      \
                context.identity.cognito_identity_id, os.environ['_X_AMZN_TRACE_ID'][:7]]\n";
    let mut runtime = ready(code).await;
    let (id, answer) = runtime.answer("{}").await;
    let Answer::Response(body) = answer else { panic!("{answer:?}") };
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
    let expected = serde_json::json!([
        id.to_string(), "f", "$LATEST", "128", arn, true, {"k": "v"}, "t", null, "Root=1-"
    ]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).expect("JSON"), expected);
}

#[tokio::test]
async fn an_exception_is_reported_with_its_frames_and_logged() {
    let mut runtime = ready("def handler(event, context):\n    raise ValueError('boom')\n").await;
    let raised = runtime.raise("{}").await;
    assert_eq!((raised.error_type.as_str(), raised.leaving), ("ValueError", false));
    assert_eq!(raised.body["errorMessage"], "boom");
    let trace = raised.body["stackTrace"].as_array().expect("a list");
    assert_eq!(trace.len(), 1, "{trace:?}");
    assert!(trace[0].as_str().expect("text").contains("app.py\", line 2, in handler"), "{trace:?}");
    assert!(runtime.stdout().contains("[ERROR] ValueError: boom\nTraceback (most recent call last):\n"));
    assert_eq!(runtime.raise("{}").await.error_type, "ValueError", "the runtime lives on");
}

#[tokio::test]
async fn what_json_cannot_carry_is_named() {
    let mut runtime = ready("def handler(event, context):\n    return object()\n").await;
    let raised = runtime.raise("{}").await;
    assert_eq!(raised.error_type, "Runtime.MarshalError");
    assert_eq!(
        raised.body["errorMessage"],
        "Unable to marshal response: Object of type object is not JSON serializable"
    );
    assert_eq!(runtime.raise("{nope").await.error_type, "Runtime.UnmarshalError");
    assert_eq!(runtime.raise("").await.error_type, "Runtime.UnmarshalError");
    assert_eq!(runtime.raise("1 2").await.error_type, "Runtime.UnmarshalError");
}

#[tokio::test]
async fn handlers_are_found_by_dots_and_slashes() {
    for handler in ["pkg/sub/mod.go", "pkg.sub.mod.go"] {
        let code = "def go(event, context):\n    return __name__\n";
        let files = [("pkg/sub/mod.py", code), ("pkg/__init__.py", "")];
        let mut runtime = Runtime::start(Language::Python, handler, &files, &[]);
        assert_eq!(runtime.ready().await, InitOutcome::Done, "{}", runtime.stdout());
        assert_eq!(runtime.respond("{}").await, "pkg.sub.mod");
    }
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let ok = "def handler(event, context):\n    pass\n";
    let cases = [
        ("other.handler", ok, "Runtime.ImportModuleError", "Unable to import module 'other': No module named 'other'"),
        ("app.nope", ok, "Runtime.HandlerNotFound", "Handler 'nope' missing on module 'app'"),
        ("app", ok, "Runtime.MalformedHandlerName", "Bad handler 'app'"),
        ("sys.exit", ok, "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ("app.handler", "def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("app.handler", "import nothing_here\n", "Runtime.ImportModuleError", "No module named 'nothing_here'"),
        ("app.handler", "1 / 0\n", "ZeroDivisionError", "division by zero"),
        ("app.handler", "{}['x']\n", "KeyError", "'x'"),
        ("../app.handler", ok, "Runtime.ImportModuleError", "Unable to import module"),
    ];
    for (handler, code, expected_type, expected_message) in cases {
        let (error_type, message, body) = init_error(handler, code).await;
        assert_eq!(error_type, expected_type, "{handler} {code:?}: {body}");
        assert!(message.contains(expected_message), "{handler} {code:?}: {message}");
        assert!(body.contains("\"stackTrace\""), "{body}");
    }
}

#[tokio::test]
async fn leaving_the_process_closes_the_channel() {
    for code in ["raise SystemExit(3)", "import os; os._exit(3)", "exit(1)", "import sys; sys.exit()"] {
        let mut runtime = ready(&format!("def handler(event, context):\n    {code}\n")).await;
        let (_, answer) = runtime.answer("{}").await;
        assert!(matches!(answer, Answer::Closed { .. }), "{code}: {answer:?}");
    }
}

#[tokio::test]
async fn logging_is_formatted_and_printing_is_not() {
    let code = "import logging\nlogging.getLogger().setLevel('INFO')\ndef handler(event, context):\n    \
                logging.info('hello %s', 'you')\n    logging.debug('not this')\n    print('plain', end='')\n";
    let mut runtime = ready(code).await;
    let (id, _) = runtime.answer("{}").await;
    let printed = runtime.stdout();
    let line: Vec<&str> = printed.lines().next().expect("a line").split('\t').collect();
    assert_eq!((line[0], line[2], line[3]), ("[INFO]", id.to_string().as_str(), "hello you"), "{printed}");
    assert!(line[1].len() == 24 && line[1].ends_with('Z'), "{printed}");
    assert!(printed.ends_with("\nplain"), "{printed:?}");
}

#[tokio::test]
async fn structured_logs_are_json_lines_with_a_level() {
    let code = "import logging\ndef handler(event, context):\n    logging.info('no')\n    try:\n        1 / 0\n    \
                except Exception:\n        logging.exception('bad', extra={'k': 1})\n";
    let env = [("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", "WARN")];
    let mut runtime = Runtime::start(Language::Python, "app.handler", &[("app.py", code)], &env);
    assert_eq!(runtime.ready().await, InitOutcome::Done);
    let (id, _) = runtime.answer("{}").await;
    let printed = runtime.stdout();
    let line: serde_json::Value = serde_json::from_str(printed.trim_end()).expect("one JSON line");
    assert_eq!((&line["level"], &line["message"], &line["k"]), (&"ERROR".into(), &"bad".into(), &1.into()));
    assert_eq!((&line["requestId"], &line["errorType"]), (&id.to_string().into(), &"ZeroDivisionError".into()));
}

#[tokio::test]
async fn a_child_that_comes_back_from_the_handler_does_not_answer() {
    let code = "import os\ndef handler(event, context):\n    child = os.fork()\n    if child:\n        \
                os.waitpid(child, 0)\n    return event\n";
    let mut runtime = ready(code).await;
    for n in 0..3 {
        assert_eq!(runtime.respond(&n.to_string()).await, n);
    }
}

#[tokio::test]
async fn frames_that_user_code_forges_do_not_answer_another_invocation() {
    let code = "import os\ndef handler(event, context):\n    head = b'12345678-1234-1234-1234-123456789012'\n    \
                os.write(3, b'R' + len(head).to_bytes(4, 'little') + (2).to_bytes(4, 'little') + head + b'42')\n    \
                return event\n";
    let mut runtime = ready(code).await;
    assert_eq!(runtime.respond("7").await, 7);
    let code = "import os\ndef handler(event, context):\n    os.write(3, b'Z' * 9)\n    return event\n";
    let (_, answer) = ready(code).await.answer("7").await;
    assert!(matches!(answer, Answer::Closed { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_handler_that_closes_its_descriptors_closes_the_channel() {
    let mut runtime = ready("import os\ndef handler(event, context):\n    os.closerange(3, 64)\n").await;
    let (_, answer) = runtime.answer("7").await;
    assert!(matches!(answer, Answer::Closed { .. }), "{answer:?}");
}
