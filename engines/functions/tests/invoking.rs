//! What a synchronous call gets, and what is in the log afterwards.

mod harness;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dormouse_functions::*;
use dormouse_model::{FailureKind, Qualifier, VersionNumber};
use harness::*;

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_and_the_second_one_is_warm() {
    let bench = Bench::new().await;
    bench.create("f", "init_ms=45,ms=1,print=hi").await;
    let first = bench.invoke("f", r#"{"n":1}"#).await.expect("answered");
    assert_eq!((text(&first.payload), first.function_error), (r#"{"n":1}"#, None));
    assert_eq!(first.executed_version, VersionNumber::Latest);
    bench.invoke("f", r#"{"n":2}"#).await.expect("answered");
    assert_eq!(bench.seen.starts.load(SeqCst), 1);
    let lines = bench.lines();
    assert!(lines[0].starts_with("INIT_START Runtime Version: mock:python3.12\tRuntime Version ARN: arn:aws:lambda:"));
    assert!(lines[1].starts_with("START RequestId: ") && lines[1].ends_with(" Version: $LATEST"), "{}", lines[1]);
    assert_eq!(lines[2], "hi");
    assert!(lines[3].starts_with("END RequestId: "));
    assert!(
        lines[4].ends_with(
            "\tDuration: 1.00 ms\tBilled Duration: 46 ms\tMemory Size: 128 MB\tMax Memory Used: 30 MB\tInit Duration: 45.00 ms"
        ),
        "{}",
        lines[4]
    );
    assert!(lines[8].ends_with("\tBilled Duration: 1 ms\tMemory Size: 128 MB\tMax Memory Used: 30 MB"), "{}", lines[8]);
    let usage = bench.kept.usage.lock().unwrap();
    assert_eq!(usage.iter().map(|record| record.cold).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn failures_have_their_documented_bodies_and_the_next_call_is_served_afresh() {
    let cases = [
        ("end=error", "ValueError", FailureKind::Function, 1),
        ("end=exit", "Runtime.ExitError", FailureKind::Function, 2),
        ("end=oom", "Runtime.OutOfMemory", FailureKind::Function, 2),
        ("end=large", "Function.ResponseSizeTooLarge", FailureKind::Function, 1),
        ("end=hang", "Sandbox.Timedout", FailureKind::Timeout, 2),
    ];
    for (script, error_type, kind, starts) in cases {
        let bench = Bench::new().await;
        bench.create("f", "ms=1").await;
        let failed = bench.invoke("f", &format!(r#"{{"mock":"{script}"}}"#)).await.expect("a function error");
        assert_eq!(failed.function_error, Some("Unhandled"), "{script}");
        let body: serde_json::Value = serde_json::from_slice(&failed.payload).expect("JSON");
        assert_eq!(body["errorType"], error_type);
        assert_eq!(bench.kept.usage.lock().unwrap()[0].failure, Some(kind), "{script}");
        let next = bench.invoke("f", "1").await.expect("answered");
        assert_eq!((text(&next.payload), bench.seen.starts.load(SeqCst)), ("1", starts), "{script}");
    }
    let bench = Bench::new().await;
    bench.create("f", "ms=1").await;
    let broken = bench.invoke("f", r#"{"mock":"end=platform"}"#).await.expect_err("our fault");
    assert!(matches!(broken, FunctionsError::Internal(_)), "{broken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_says_so_in_the_answer_the_log_and_the_tail() {
    let bench = Bench::new().await;
    bench.create("f", "end=hang").await;
    let mut call = call("f", "{}");
    call.log_tail = true;
    let id = call.request_id;
    let outcome = bench.functions.invoke(&account(), call).await.expect("a function error");
    let expected = format!(
        r#"{{"errorMessage":"RequestId: {id} Error: Task timed out after 3.00 seconds","errorType":"Sandbox.Timedout"}}"#
    );
    assert_eq!(text(&outcome.payload), expected);
    let tail = outcome.log_tail.expect("asked for");
    let tail = text(&tail);
    assert!(tail.starts_with(&format!("START RequestId: {id}")), "{tail}");
    assert!(tail.contains(&format!("{id} Task timed out after 3.00 seconds")), "{tail}");
    assert!(tail.contains("\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t"), "{tail}");
    assert!(tail.ends_with("\tStatus: timeout\n"), "{tail}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_init_is_a_function_error() {
    for (script, error_type, sentence) in [
        ("init=error,init_ms=5", "Runtime.ImportModuleError", None),
        ("init=exit,init_ms=5", "Runtime.ExitError", Some("Runtime exited with error: exit status 1")),
        ("init=oom,init_ms=5", "Runtime.OutOfMemory", Some("Runtime exited with error: signal: killed")),
    ] {
        let bench = Bench::new().await;
        bench.create("f", script).await;
        let call = call("f", "{}");
        let id = call.request_id;
        let outcome = bench.functions.invoke(&account(), call).await.expect("a function error");
        let body: serde_json::Value = serde_json::from_slice(&outcome.payload).expect("JSON");
        assert_eq!(body["errorType"], error_type);
        let mut expected = vec![
            "INIT_START Runtime Version: mock:python3.12\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:mock:python3.12".to_owned(),
            format!("INIT_REPORT Init Duration: 5.00 ms\tPhase: init\tStatus: error\tError Type: {error_type}"),
            format!("INIT_REPORT Init Duration: 5.00 ms\tPhase: invoke\tStatus: error\tError Type: {error_type}"),
            format!("START RequestId: {id} Version: $LATEST"),
        ];
        if let Some(sentence) = sentence {
            expected.push(format!("RequestId: {id} Error: {sentence}\n{error_type}"));
            assert_eq!(body["errorMessage"], format!("RequestId: {id} Error: {sentence}"));
        }
        expected.push(format!("END RequestId: {id}"));
        expected.push(format!(
            "REPORT RequestId: {id}\tDuration: 5.00 ms\tBilled Duration: 5 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t\
             Status: error\tError Type: {error_type}"
        ));
        assert_eq!(bench.lines(), expected, "one log, and what the runtime has said itself is not said again");
        assert_eq!(bench.seen.starts.load(SeqCst), 2, "started over once");
        assert_eq!(bench.functions.running().live, 0);
    }
    let bench = Bench::new().await;
    bench.create("f", "init=missing").await;
    let missing = bench.invoke("f", "{}").await.expect_err("not on this host");
    assert_eq!(missing, FunctionsError::InvalidRuntime("mock is not installed: apt-get install mock".into()));
    assert_eq!(bench.seen.starts.load(SeqCst), 1, "not the function's fault: not started over");
}

#[tokio::test(start_paused = true)]
async fn an_init_that_went_wrong_once_is_part_of_the_invocation_that_waited() {
    let bench = Bench::new().await;
    bench.create("f", "init=exit,init_fails=1,init_ms=2000,init_print=hello,ms=500").await;
    let mut first = call("f", "{}");
    first.log_tail = true;
    let began = tokio::time::Instant::now();
    let outcome = bench.functions.invoke(&account(), first).await.expect("answered");
    assert_eq!((outcome.function_error, began.elapsed()), (None, Duration::from_millis(4_500)));
    let tail = outcome.log_tail.expect("asked for");
    let tail = text(&tail);
    assert!(tail.starts_with("hello\nINIT_REPORT Init Duration: 2000.00 ms\tPhase: init\tStatus: error"), "{tail}");
    assert!(!tail.contains("Phase: invoke"), "an init phase that ends well is not reported: {tail}");
    assert!(tail.contains("\tDuration: 2500.00 ms\tBilled Duration: 2500 ms\t"), "{tail}");
    assert!(!tail.contains("\tInit Duration"), "{tail}");
    assert!(bench.kept.usage.lock().unwrap()[0].cold);
    // The second init has left one second of the three.
    let bench = Bench::new().await;
    bench.create("f", "init=exit,init_fails=1,init_ms=2000,ms=1500").await;
    let late = bench.invoke("f", "{}").await.expect("a function error");
    assert!(text(&late.payload).contains("Task timed out after 3.00 seconds"), "{late:?}");
    let report = bench.lines().pop().expect("a line");
    assert!(report.contains("\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn an_init_that_takes_too_long_is_started_over_under_the_functions_timeout() {
    let bench = Bench::new().await;
    let mut slow = creation("f", "init_ms=12000");
    slow.configuration.timeout_secs = Some(20);
    bench.functions.create_function(&account(), slow).await.expect("created");
    bench.invoke("f", "{}").await.expect("answered by the second init");
    assert_eq!(bench.seen.starts.load(SeqCst), 2);
    bench.create("g", "init=hang").await;
    let began = tokio::time::Instant::now();
    let outcome = bench.invoke("g", "{}").await.expect("a function error");
    assert_eq!(began.elapsed(), Duration::from_secs(13));
    assert!(text(&outcome.payload).contains("Task timed out after 3.00 seconds"), "{outcome:?}");
    let lines = bench.lines();
    let inits: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("INIT_REPORT Init Duration: ")).collect();
    let timeout = |took: &str, phase: &str| format!("{took} ms\tPhase: {phase}\tStatus: timeout");
    let expected = [timeout("10000.00", "init"), timeout("10000.00", "init"), timeout("3000.00", "invoke")];
    assert_eq!(inits, expected);
    assert!(lines.last().unwrap().contains("\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_when_its_caller_is_gone_and_holds_its_permit() {
    let bench = Bench::new().await;
    bench.create("f", "ms=1000").await;
    bench.functions.put_concurrency(&account(), &name("f"), 1).await.expect("reserved");
    {
        let gone = bench.invoke("f", "{}");
        tokio::time::timeout(Duration::from_millis(100), gone).await.expect_err("hung up");
    }
    let refused = bench.invoke("f", "{}").await.expect_err("the permit is held");
    let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
    assert!(matches!(refused, FunctionsError::TooManyRequests { reason: found, .. } if found == reason));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert!(bench.lines().iter().any(|line| line.starts_with("REPORT ")), "it ran to its end");
    bench.invoke("f", "{}").await.expect("the permit is free");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_during_the_start_leaves_a_call_that_runs() {
    let bench = Bench::new().await;
    bench.create("f", "init_ms=1000,ms=1000").await;
    bench.functions.put_concurrency(&account(), &name("f"), 1).await.expect("reserved");
    {
        let gone = bench.invoke("f", "{}");
        tokio::time::timeout(Duration::from_millis(100), gone).await.expect_err("hung up");
    }
    // Raised while the limit is reached: what runs counts against the new one.
    bench.functions.put_concurrency(&account(), &name("f"), 2).await.expect("reserved");
    tokio::time::sleep(Duration::from_millis(1_400)).await;
    let (one, two) = tokio::join!(bench.invoke("f", "{}"), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        bench.invoke("f", "{}").await
    });
    one.expect("one place was free");
    assert!(matches!(two, Err(FunctionsError::TooManyRequests { .. })), "{two:?}");
    let reports = bench.lines().iter().filter(|line| line.starts_with("REPORT ")).count();
    assert_eq!((reports, bench.seen.starts.load(SeqCst)), (2, 2), "the first ran to its end");
    assert_eq!(bench.functions.running().invocations, 0);
}

#[tokio::test(start_paused = true)]
async fn an_alias_that_moves_leaves_what_runs_where_it_is() {
    let bench = Bench::new().await;
    bench.create("f", "ms=1000,print=one").await;
    let publish = PublishVersion { name: name("f"), description: None, code_sha256: None, revision: None };
    bench.functions.publish_version(&account(), publish.clone()).await.expect("published");
    let change = ConfigurationChange { handler: Some("app.h,print=two".into()), ..Default::default() };
    let update = UpdateConfiguration { name: name("f"), change, revision: None };
    bench.functions.update_configuration(&account(), update).await.expect("updated");
    bench.functions.publish_version(&account(), publish).await.expect("published");
    let (one, two) = (VersionNumber::Published(1), VersionNumber::Published(2));
    let alias: dormouse_model::AliasName = "live".parse().expect("an alias");
    let made = CreateAlias {
        function: name("f"),
        alias: alias.clone(),
        version: one,
        description: String::new(),
        routing: None,
    };
    bench.functions.create_alias(&account(), made).await.expect("made");
    let invoke = || Invoke { qualifier: Some(Qualifier::Alias(alias.clone())), ..call("f", "{}") };
    let owner = account();
    let (first, second) = tokio::join!(bench.functions.invoke(&owner, invoke()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let routing = Some(Some(Weight { version: two, share: 1.0 }));
        let all_to_two = UpdateAlias {
            function: name("f"),
            alias: alias.clone(),
            version: None,
            description: None,
            routing,
            revision: None,
        };
        bench.functions.update_alias(&account(), all_to_two).await.expect("moved");
        bench.functions.invoke(&account(), invoke()).await
    });
    let ran = |outcome: Result<InvokeOutcome>| outcome.expect("answered").executed_version;
    assert_eq!((ran(first), ran(second)), (one, two));
    let printed: Vec<_> = bench.lines().into_iter().filter(|line| line == "one" || line == "two").collect();
    assert_eq!(printed, ["one", "two"], "what is said to have run is what ran");
}

#[tokio::test(start_paused = true)]
async fn bad_calls_are_refused() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    assert!(matches!(bench.invoke("f", "{").await, Err(FunctionsError::InvalidRequestContent(_))));
    let deep = "[".repeat(100_000);
    assert!(matches!(bench.invoke("f", &deep).await, Err(FunctionsError::InvalidRequestContent(_))));
    let long = format!("\"{}\"", "x".repeat(6 * 1024 * 1024));
    assert!(matches!(bench.invoke("f", &long).await, Err(FunctionsError::RequestTooLarge(_))));
    let absent = bench.invoke("g", "{}").await.expect_err("not there");
    let sentence = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:g";
    assert_eq!(absent, FunctionsError::ResourceNotFound(sentence.into()));
    assert_eq!(text(&bench.invoke("f", "").await.expect("answered").payload), "{}");
}

#[tokio::test(start_paused = true)]
async fn the_warm_path_reads_and_writes_nothing() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    bench.invoke("f", "{}").await.expect("cold");
    let before = (bench.store.reads(), bench.store.commits());
    for _ in 0..100 {
        bench.invoke("f", "{}").await.expect("warm");
    }
    assert_eq!((bench.store.reads(), bench.store.commits()), before);
}
