//! Instances: reuse, scaling, freezing, expiry, memory, updates, crash loops, drain; and a seeded simulation of it all.

mod harness;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dormouse_functions::*;
use dormouse_testkit::{Rng, seed};
use harness::*;
use tokio::task::JoinSet;

async fn together(bench: &Bench, function: &str, count: usize, payload: &str) -> Vec<Result<InvokeOutcome>> {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let (functions, call) = (bench.functions.clone(), call(function, payload));
        calls.spawn(async move { functions.invoke(&account(), call).await });
    }
    calls.join_all().await
}

#[tokio::test(start_paused = true)]
async fn a_burst_starts_as_many_as_it_needs_and_all_go_to_rest() {
    let bench = Bench::with(|settings| settings.instances_memory_mb = 128 * 200).await;
    bench.create("f", "init_ms=100,ms=1000").await;
    let answers = together(&bench, "f", 50, "{}").await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(bench.seen.starts.load(SeqCst), 50);
    let answers = together(&bench, "f", 50, "{}").await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(bench.seen.starts.load(SeqCst), 50, "the second burst is warm");
    let before = bench.seen.freezes.load(SeqCst);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.seen.freezes.load(SeqCst) - before, 50);
    tokio::time::sleep(bench.settings.idle_expiry).await;
    assert_eq!((bench.functions.running().live, bench.functions.running().memory_mb), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_takes_what_becomes_idle_first() {
    let bench = Bench::new().await;
    bench.create("f", "init_ms=1000,ms=100").await;
    bench.invoke("f", "{}").await.expect("warm");
    let began = tokio::time::Instant::now();
    together(&bench, "f", 2, "{}").await;
    assert_eq!(began.elapsed(), Duration::from_millis(200), "the second waited for the first, not for a start");
}

#[tokio::test(start_paused = true)]
async fn back_to_back_calls_are_not_frozen() {
    let bench = Bench::new().await;
    bench.create("f", "ms=10").await;
    for _ in 0..100 {
        bench.invoke("f", "{}").await.expect("answered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bench.seen.freezes.load(SeqCst), 0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.seen.freezes.load(SeqCst), 1);
    bench.invoke("f", "{}").await.expect("thawed");
    assert_eq!((bench.seen.starts.load(SeqCst), bench.seen.violations.load(SeqCst)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn memory_is_shared_by_eviction_and_shed_when_all_is_in_use() {
    let bench = Bench::with(|settings| settings.instances_memory_mb = 256).await;
    for function in ["a", "b", "c"] {
        bench.create(function, "ms=100").await;
        bench.invoke(function, "{}").await.expect("answered");
    }
    assert_eq!(bench.functions.running().live, 2, "the longest idle one made room");
    bench.invoke("b", "{}").await.expect("still there");
    assert_eq!(bench.seen.starts.load(SeqCst), 3);
    let crowd = together(&bench, "a", 5, "{}").await;
    assert!(crowd.iter().all(Result::is_ok), "calls of one version wait for its instances: {crowd:?}");
    let (busy, shed) = tokio::join!(together(&bench, "a", 2, "{}"), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        bench.invoke("b", "{}").await
    });
    assert!(busy.iter().all(Result::is_ok));
    assert!(matches!(shed, Err(FunctionsError::Unavailable { .. })), "{shed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_finds_the_room_that_the_one_before_it_had_made() {
    let bench = Bench::with(|settings| settings.instances_memory_mb = 128 * 8).await;
    for n in 0..12 {
        let function = format!("f{n}");
        bench.create(&function, "ms=100").await;
        bench.invoke(&function, "{}").await.expect("answered");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(bench.functions.running().live, (n + 1).min(7), "all but the room for one more may be idle");
    }
    bench.invoke("f5", "{}").await.expect("still there");
    assert_eq!(bench.seen.starts.load(SeqCst), 12, "only those idle longest made room");
}

#[tokio::test(start_paused = true)]
async fn memory_of_instances_on_their_way_out_is_waited_for() {
    let bench = Bench::with(|settings| settings.instances_memory_mb = 128).await;
    bench.create("f", "stop_ms=500").await;
    bench.invoke("f", "{}").await.expect("answered");
    let change = ConfigurationChange { description: Some("new".into()), ..Default::default() };
    let update = UpdateConfiguration { name: name("f"), change, revision: None };
    bench.functions.update_configuration(&account(), update).await.expect("updated");
    let began = tokio::time::Instant::now();
    bench.invoke("f", "{}").await.expect("the old instance makes room for the new one");
    assert_eq!(began.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_takes_long_to_stop_holds_up_no_other() {
    let bench = Bench::with(|settings| settings.idle_expiry = Duration::from_secs(1)).await;
    bench.create("f", "ms=100,stop_ms=60000").await;
    let both = together(&bench, "f", 2, "{}").await;
    assert!(both.iter().all(Result::is_ok));
    tokio::time::sleep(Duration::from_millis(800)).await;
    // One expires when the other is due to be frozen.
    bench.invoke("f", "{}").await.expect("warm");
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let began = tokio::time::Instant::now();
    bench.invoke("f", "{}").await.expect("warm");
    assert_eq!((began.elapsed(), bench.seen.starts.load(SeqCst)), (Duration::from_millis(100), 2));
}

#[tokio::test(start_paused = true)]
async fn an_init_that_hangs_holds_up_no_other_function() {
    let bench = Bench::with(|settings| settings.concurrent_starts = 1).await;
    bench.create("hangs", "init=hang").await;
    bench.create("f", "init_ms=50").await;
    let began = tokio::time::Instant::now();
    let (hung, answered) = tokio::join!(bench.invoke("hangs", "{}"), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let answered = bench.invoke("f", "{}").await;
        (answered, began.elapsed())
    });
    answered.0.expect("answered");
    assert!(answered.1 < Duration::from_secs(2), "{:?}", answered.1);
    assert!(hung.expect("a function error").function_error.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_also_when_its_start_has_a_fault() {
    let bench = Bench::new().await;
    bench.create("f", "init=panic").await;
    for _ in 0..2 {
        let failed = bench.invoke("f", "{}").await.expect_err("our fault");
        assert!(matches!(failed, FunctionsError::Internal(_)), "{failed:?}");
    }
    let running = bench.functions.running();
    assert_eq!((running.starting, running.live, running.memory_mb), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_driver_is_told_what_to_expect() {
    let bench = Bench::new().await;
    let expected =
        |bench: &Bench| bench.seen.expected.lock().expect("no panic").clone().into_iter().collect::<Vec<_>>();
    assert!(expected(&bench).is_empty());
    bench.create("f", "").await;
    let (runtime, first) = expected(&bench).pop().expect("what was created");
    let change = ConfigurationChange { ephemeral_storage_mb: Some(first + 1), ..Default::default() };
    let update = UpdateConfiguration { name: name("f"), change, revision: None };
    bench.functions.update_configuration(&account(), update).await.expect("updated");
    assert_eq!(expected(&bench), [(runtime.clone(), first), (runtime.clone(), first + 1)]);
    assert_eq!(expected(&bench.again().await), [(runtime, first + 1)], "after a restart, what there is");
}

#[tokio::test(start_paused = true)]
async fn an_update_is_seen_by_the_next_call_and_old_instances_go() {
    let bench = Bench::new().await;
    bench.create("f", "ms=1000,print=old").await;
    let running = tokio::spawn({
        let functions = bench.functions.clone();
        async move { functions.invoke(&account(), call("f", "{}")).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let change = ConfigurationChange { handler: Some("app.h,print=new".into()), ..Default::default() };
    let update = UpdateConfiguration { name: name("f"), change, revision: None };
    bench.functions.update_configuration(&account(), update).await.expect("updated");
    bench.invoke("f", "{}").await.expect("answered");
    assert_eq!(bench.lines().iter().filter(|line| *line == "new").count(), 1);
    running.await.expect("a task").expect("it ended in peace");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(bench.functions.running().live, 1, "the old instance is gone");
    bench.functions.delete_function(&account(), &name("f"), None).await.expect("deleted");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(bench.functions.running().live, 0);
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_retired_before_its_keys_expire_and_a_dead_one_is_noticed() {
    let bench = Bench::with(|settings| settings.idle_expiry = Duration::from_secs(36_000)).await;
    bench.create("f", "").await;
    bench.invoke("f", "{}").await.expect("answered");
    tokio::time::sleep(Duration::from_secs(41 * 60)).await;
    bench.invoke("f", "{}").await.expect("by a fresh one");
    assert_eq!(bench.seen.starts.load(SeqCst), 2);
    bench.create("g", "dies_ms=50").await;
    bench.invoke("g", "{}").await.expect("answered");
    tokio::time::sleep(Duration::from_millis(60)).await;
    let next = bench.invoke("g", "{}").await.expect("answered");
    assert_eq!((next.function_error, bench.seen.starts.load(SeqCst)), (None, 4));
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_is_slowed_down() {
    let bench = Bench::new().await;
    bench.create("f", "init=error").await;
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        bench.invoke("f", "{}").await.expect("a function error");
    }
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    let before = bench.seen.starts.load(SeqCst);
    let crowd = together(&bench, "f", 100, "{}").await;
    assert!(crowd.iter().all(|answer| answer.as_ref().is_ok_and(|outcome| outcome.function_error.is_some())));
    assert_eq!(bench.seen.starts.load(SeqCst) - before, 2, "one start answers all that wait");
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_calls_end_within_its_limit() {
    let bench = Bench::new().await;
    bench.create("f", "ms=500").await;
    bench.create("slow", "ms=2500").await;
    let start = |function: &'static str| {
        let functions = bench.functions.clone();
        tokio::spawn(async move { functions.invoke(&account(), call(function, "{}")).await })
    };
    let (quick, slow) = (start("f"), start("slow"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let drain = bench.functions.drain(Duration::from_secs(1));
    let refused = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.invoke("f", "{}").await
    };
    let ((), refused) = tokio::join!(drain, refused);
    assert!(matches!(refused, Err(FunctionsError::Unavailable { .. })));
    quick.await.expect("a task").expect("it had the time");
    slow.await.expect("a task").expect_err("it had not");
    assert_eq!((bench.functions.running().live, bench.seen.live.load(SeqCst)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_starts_at_its_limit_and_answers_who_waits() {
    let bench = Bench::new().await;
    bench.create("f", "init_ms=8000").await;
    let waits = tokio::spawn({
        let functions = bench.functions.clone();
        async move { functions.invoke(&account(), call("f", "{}")).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = tokio::time::Instant::now();
    bench.functions.drain(Duration::from_secs(1)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    let answer = waits.await.expect("a task");
    assert!(matches!(answer, Err(FunctionsError::Unavailable { .. })), "{answer:?}");
    let running = bench.functions.running();
    assert_eq!((running.live, running.memory_mb, running.starting, bench.seen.live.load(SeqCst)), (0, 0, 0, 0));
}

/// Arrivals, failures, time-outs, updates and changed reservations, in any order.
#[tokio::test(start_paused = true)]
async fn simulation() {
    let seed = seed("instances simulation");
    for round in 0..8 {
        simulate(seed.wrapping_add(round)).await;
    }
}

async fn simulate(seed: u64) {
    const SCRIPTS: [&str; 9] =
        ["ms=5", "ms=50", "ms=200", "end=error", "end=exit", "end=oom", "end=hang", "end=platform", "ms=10,dies_ms=70"];
    const LIMIT: u64 = 12;
    let mut rng = Rng::new(seed);
    let bench = Bench::with(|settings| {
        settings.account_concurrency = LIMIT as u32;
        settings.unreserved_concurrency_min = 2;
        settings.instances_memory_mb = 128 * 8;
        settings.idle_expiry = Duration::from_secs(2);
        settings.crash_loop_delay_max = Duration::from_millis(500);
    })
    .await;
    for n in 0..4 {
        bench.create(&format!("f{n}"), "init_ms=30,ms=20").await;
    }
    let mut calls = JoinSet::new();
    for _ in 0..400 {
        let function = format!("f{}", rng.below(4));
        match rng.below(20) {
            0 => {
                let change = ConfigurationChange { memory_mb: Some(128 + rng.below(2) as u32), ..Default::default() };
                let update = UpdateConfiguration { name: name(&function), change, revision: None };
                bench.functions.update_configuration(&account(), update).await.expect("updated");
            }
            1 => {
                let reserved = rng.below(4) as u32;
                let _ = bench.functions.put_concurrency(&account(), &name(&function), reserved).await;
            }
            2 => bench.functions.delete_concurrency(&account(), &name(&function)).await.expect("deleted"),
            _ => {
                let payload = format!(r#"{{"mock":"{}"}}"#, SCRIPTS[rng.index(SCRIPTS.len())]);
                let (functions, call) = (bench.functions.clone(), call(&function, &payload));
                let hangs_up = rng.one_in(10);
                calls.spawn(async move {
                    let limit = Duration::from_millis(if hangs_up { 15 } else { 600_000 });
                    match tokio::time::timeout(limit, functions.invoke(&account(), call)).await {
                        Ok(answer) => drop(answer),
                        Err(_) => assert!(hangs_up, "a call was not answered"),
                    }
                });
            }
        }
        tokio::time::sleep(Duration::from_millis(rng.below(30))).await;
    }
    while let Some(call) = calls.join_next().await {
        call.expect("answered");
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    let running = bench.functions.running();
    assert_eq!((running.invocations, running.busy, running.starting), (0, 0, 0), "{running:?}");
    assert_eq!((running.live, running.memory_mb, bench.seen.live.load(SeqCst)), (0, 0, 0), "an instance is left");
    assert!(bench.seen.most_running.load(SeqCst) <= LIMIT, "more at once than the account may");
    assert_eq!(bench.seen.violations.load(SeqCst), 0);
}
