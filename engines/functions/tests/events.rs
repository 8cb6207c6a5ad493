//! Asynchronous invocations.

mod harness;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dormouse_functions::*;
use dormouse_model::RequestId;
use dormouse_testkit::Fault;
use harness::*;

async fn enqueue(bench: &Bench, function: &str, payload: &str) -> RequestId {
    bench.functions.enqueue(&account(), call(function, payload)).await.expect("accepted")
}

async fn pass(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

async fn dead(bench: &Bench) -> Vec<DeadEvent> {
    bench.functions.list_dead_events(&account(), None, Page::default()).await.expect("a listing").items
}

fn invocations(bench: &Bench) -> u64 {
    bench.seen.invocations.load(SeqCst)
}

#[tokio::test(start_paused = true)]
async fn an_accepted_event_runs_once() {
    let bench = Bench::new().await;
    bench.create("f", "ms=10").await;
    let call = call("f", "{}");
    bench.functions.enqueue(&account(), call.clone()).await.expect("accepted");
    bench.functions.enqueue(&account(), call).await.expect("the same one again");
    pass(10).await;
    assert_eq!((invocations(&bench), dead(&bench).await), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn accepted_means_on_disk() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    bench.store.fail_by(|_, _| Some(Fault::Full));
    let refused = bench.functions.enqueue(&account(), call("f", "{}")).await;
    assert!(matches!(refused, Err(FunctionsError::Unavailable { .. })), "{refused:?}");
    bench.store.heal();
    pass(5).await;
    assert_eq!(invocations(&bench), 0);
    let long = format!("\"{}\"", "x".repeat(1024 * 1024));
    let long = bench.functions.enqueue(&account(), call("f", &long)).await;
    assert!(matches!(long, Err(FunctionsError::RequestTooLarge(_))));
}

#[tokio::test(start_paused = true)]
async fn a_failing_event_is_tried_three_times_kept_and_redriven() {
    let bench = Bench::new().await;
    bench.create("f", "end=error").await;
    let id = enqueue(&bench, "f", r#"{"n":1}"#).await;
    pass(60).await;
    assert_eq!(invocations(&bench), 3);
    let [event] = &dead(&bench).await[..] else { panic!("one dead event") };
    assert_eq!((event.id, event.attempts, event.reason), (id, 3, DeathReason::RetriesExhausted));
    assert!(event.last_error.contains("ValueError"), "{}", event.last_error);
    let shown = bench.functions.get_dead_event(&account(), id).await.expect("there");
    assert_eq!(text(&shown.payload), r#"{"n":1}"#);
    bench.functions.redrive_dead_event(&account(), id).await.expect("sent again");
    assert_eq!(dead(&bench).await, []);
    pass(60).await;
    assert_eq!((invocations(&bench), dead(&bench).await.len()), (6, 1), "redriven, it has all its attempts again");
    let other: dormouse_model::AccountId = "111111111111".parse().expect("an account");
    bench.functions.drop_dead_event(&other, id).await.expect_err("another account's");
    bench.functions.drop_dead_event(&account(), id).await.expect("dropped");
    assert_eq!(dead(&bench).await, []);
    bench.functions.redrive_dead_event(&account(), id).await.expect_err("nothing to redrive");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_event_waits_without_spinning_and_is_not_counted() {
    let bench = Bench::new().await;
    bench.create("f", "ms=100").await;
    bench.functions.put_concurrency(&account(), &name("f"), 1).await.expect("reserved");
    let holder = tokio::spawn({
        let functions = bench.functions.clone();
        async move { functions.invoke(&account(), call("f", r#"{"mock":"ms=2900"}"#)).await }
    });
    tokio::task::yield_now().await;
    let commits = bench.store.commits();
    enqueue(&bench, "f", "{}").await;
    pass(30).await;
    holder.await.expect("a task").expect("answered");
    assert_eq!((invocations(&bench), dead(&bench).await), (2, vec![]));
    let throttled = bench.kept.usage.lock().unwrap().iter().filter(|record| record.duration.is_zero()).count();
    assert!((1..=3).contains(&throttled), "{throttled} throttles");
    assert!(bench.store.commits() - commits < 20, "no hot loop");
}

#[tokio::test(start_paused = true)]
async fn zero_reserved_concurrency_is_the_end_at_once() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    bench.functions.put_concurrency(&account(), &name("f"), 0).await.expect("stopped");
    enqueue(&bench, "f", "{}").await;
    pass(3).await;
    let [event] = &dead(&bench).await[..] else { panic!("one dead event") };
    assert_eq!((event.reason, event.attempts), (DeathReason::ZeroReservedConcurrency, 0));
    assert_eq!(invocations(&bench), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_function_is_gone_is_kept() {
    let bench = Bench::with(|settings| settings.retry_delays = vec![Duration::from_secs(30)]).await;
    bench.create("f", "end=error").await;
    enqueue(&bench, "f", "{}").await;
    pass(5).await;
    bench.functions.delete_function(&account(), &name("f"), None).await.expect("deleted");
    pass(60).await;
    let [event] = &dead(&bench).await[..] else { panic!("one dead event") };
    assert_eq!((event.reason, event.attempts), (DeathReason::FunctionGone, 1));
}

#[tokio::test(start_paused = true)]
async fn platform_errors_are_tried_again_until_the_event_is_too_old() {
    let bench = Bench::new().await;
    bench.create("f", "end=platform").await;
    let settings = EventInvokeSettings { maximum_event_age_secs: Some(60), ..Default::default() };
    bench.functions.put_event_invoke_config(&account(), &name("f"), None, settings, false).await.expect("set");
    enqueue(&bench, "f", "{}").await;
    pass(120).await;
    let [event] = &dead(&bench).await[..] else { panic!("one dead event") };
    assert_eq!(event.reason, DeathReason::EventAgeExceeded);
    assert!((4..8).contains(&invocations(&bench)), "{} attempts in a minute", invocations(&bench));
}

#[tokio::test(start_paused = true)]
async fn destinations_get_the_record() {
    let bench = Bench::new().await;
    bench.create("f", "").await;
    bench.create("target", "print=got").await;
    let arn = Some("arn:aws:lambda:us-east-1:000000000000:function:target".to_owned());
    let settings = EventInvokeSettings {
        maximum_retry_attempts: Some(0),
        on_success: arn.clone(),
        on_failure: arn,
        ..Default::default()
    };
    bench.functions.put_event_invoke_config(&account(), &name("f"), None, settings, false).await.expect("set");
    enqueue(&bench, "f", r#"{"n":1}"#).await;
    pass(5).await;
    enqueue(&bench, "f", r#"{"mock":"end=error"}"#).await;
    pass(5).await;
    let got = bench.lines().iter().filter(|line| *line == "got").count();
    assert_eq!((got, invocations(&bench)), (2, 4));
    assert_eq!(dead(&bench).await.len(), 1, "a dead event is also kept");
}

#[tokio::test(start_paused = true)]
async fn a_long_run_keeps_its_lease() {
    let bench = Bench::with(|settings| settings.async_lease = Duration::from_secs(3)).await;
    let mut slow = creation("f", "ms=20000");
    slow.configuration.timeout_secs = Some(60);
    bench.functions.create_function(&account(), slow).await.expect("created");
    enqueue(&bench, "f", "{}").await;
    pass(60).await;
    assert_eq!((invocations(&bench), dead(&bench).await), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_cut_short_runs_again() {
    let bench = Bench::with(|settings| settings.async_lease = Duration::from_secs(3)).await;
    let mut slow = creation("f", "ms=50000");
    slow.configuration.timeout_secs = Some(60);
    bench.functions.create_function(&account(), slow).await.expect("created");
    for n in 0..20 {
        enqueue(&bench, "f", &n.to_string()).await;
    }
    pass(1).await;
    bench.functions.drain(Duration::ZERO).await;
    let again = bench.again().await;
    pass(120).await;
    assert_eq!(again.seen.invocations.load(SeqCst), 20);
    assert_eq!(dead(&again).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_ends_during_a_drain_is_recorded_before_it_ends() {
    let bench = Bench::with(|settings| settings.async_lease = Duration::from_secs(3)).await;
    bench.create("f", "ms=500").await;
    enqueue(&bench, "f", "{}").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.commit_millis.store(200, SeqCst);
    bench.functions.drain(Duration::from_secs(30)).await;
    // As when the store is closed, for longer than a commit is repeated.
    bench.store.set_away(true);
    pass(60).await;
    bench.store.heal();
    let again = bench.again().await;
    pass(60).await;
    assert_eq!((invocations(&bench), invocations(&again)), (1, 0), "it is not run again");
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_cuts_short_is_due_at_once() {
    let bench = Bench::with(|settings| settings.async_lease = Duration::from_secs(3_000)).await;
    bench.create("f", "ms=2500").await;
    enqueue(&bench, "f", "{}").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.commit_millis.store(200, SeqCst);
    bench.functions.drain(Duration::ZERO).await;
    bench.store.set_away(true);
    pass(60).await;
    bench.store.heal();
    let again = bench.again().await;
    pass(60).await;
    assert_eq!(invocations(&again), 1, "not only when its lease ends");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_takes_long_is_no_time_of_the_function() {
    let bench = Bench::with(|settings| settings.async_lease = Duration::from_secs(9)).await;
    let mut slow = creation("f", "ms=4500");
    slow.configuration.timeout_secs = Some(5);
    bench.functions.create_function(&account(), slow).await.expect("created");
    enqueue(&bench, "f", "{}").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // From the third second on the lease is renewed, until the sixth.
    bench.commit_millis.store(3_000, SeqCst);
    pass(60).await;
    let reports: Vec<_> = bench.lines().into_iter().filter(|line| line.starts_with("REPORT")).collect();
    assert!(reports.len() == 1 && reports[0].contains("\tDuration: 4500.00 ms\t"), "{reports:?}");
    assert_eq!(dead(&bench).await, []);
}

#[tokio::test(start_paused = true)]
async fn many_events_run_a_bounded_number_at_a_time() {
    let bench = Bench::with(|settings| settings.async_concurrency = 8).await;
    bench.create("f", "ms=50").await;
    for n in 0..200 {
        enqueue(&bench, "f", &n.to_string()).await;
    }
    pass(60).await;
    assert_eq!(invocations(&bench), 200);
    assert!(bench.seen.most_running.load(SeqCst) <= 8);
}
