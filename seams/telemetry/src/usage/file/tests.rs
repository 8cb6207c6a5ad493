use dormouse_model::{FailureKind, VersionNumber};
use proptest::prelude::*;

use super::*;
use crate::names;

fn record(function: &str, time: u64, billed_ms: u64) -> UsageRecord {
    UsageRecord {
        account: "000000000000".parse().expect("an account"),
        function: function.parse().expect("a name"),
        version: VersionNumber::Published(1),
        alias: None,
        time: Timestamp(time),
        duration: Duration::from_millis(billed_ms),
        billed_ms,
        init: None,
        cold: false,
        failure: None,
        memory_mb: 128,
        memory_peak_bytes: 0,
        cpu: Duration::ZERO,
    }
}

fn open(directory: &std::path::Path) -> FileUsage {
    FileUsage::open(UsageSettings::in_directory(directory), &Metrics::new()).expect("usage")
}

async fn all(usage: &FileUsage) -> Vec<UsageRow> {
    usage.read(None, Timestamp(0), Timestamp(u64::MAX)).await.expect("rows")
}

#[tokio::test]
async fn sums_are_kept_by_hour_and_survive() {
    let dir = tempfile::tempdir().expect("a directory");
    let usage = open(dir.path());
    usage.record(record("a", HOUR_MS + 1, 10));
    usage.flush().await;
    usage.record(record("a", 2 * HOUR_MS - 1, 20));
    usage.record(record("a", 2 * HOUR_MS, 5));
    drop(usage);
    let rows = all(&open(dir.path())).await;
    let told: Vec<_> = rows.iter().map(|row| (row.hour.0, row.sums.invocations, row.sums.billed_ms)).collect();
    assert_eq!(told, [(HOUR_MS, 2, 30), (2 * HOUR_MS, 1, 5)]);
}

#[tokio::test]
async fn ranges_and_accounts_select() {
    let dir = tempfile::tempdir().expect("a directory");
    let usage = open(dir.path());
    for hour in 0..50 {
        usage.record(record("a", hour * HOUR_MS, 1));
    }
    let other = "111111111111".parse::<AccountId>().expect("an account");
    usage.record(UsageRecord { account: other.clone(), ..record("a", 0, 1) });
    let rows = usage.read(None, Timestamp(20 * HOUR_MS), Timestamp(30 * HOUR_MS)).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.hour.0 / HOUR_MS).collect::<Vec<_>>(), (20..30).collect::<Vec<_>>());
    let rows = usage.read(Some(other), Timestamp(0), Timestamp(u64::MAX)).await.expect("rows");
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn folding_changes_no_sum() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = UsageSettings { fold_bytes: 2_000, ..UsageSettings::in_directory(dir.path()) };
    let usage = FileUsage::open(settings, &Metrics::new()).expect("usage");
    for n in 0..100 {
        usage.record(record("a", n, 1));
        usage.flush().await;
    }
    let rows = all(&usage).await;
    assert_eq!((rows.len(), rows[0].sums.invocations), (1, 100));
    let length = std::fs::metadata(dir.path().join("1970-01-01.usage")).expect("a file").len();
    assert!(length < 3_000, "{length} bytes: nothing was folded");
    drop(usage);
    assert_eq!(all(&open(dir.path())).await, rows);
}

#[tokio::test]
async fn rows_wait_for_a_disk_that_cannot_be_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let metrics = Metrics::new();
    let settings = UsageSettings { waiting_rows: 2, ..UsageSettings::in_directory(dir.path()) };
    let usage = FileUsage::open(settings, &metrics).expect("usage");
    let blocked = dir.path().join("1970-01-01.usage");
    std::fs::create_dir(&blocked).expect("a directory where the file should be");
    for name in ["a", "b", "c", "a"] {
        usage.record(record(name, 0, 1));
        usage.flush().await;
    }
    assert_eq!(metrics.counter(&names::USAGE_LOST).with([]).get(), 1, "the third row is one too many");
    std::fs::remove_dir(&blocked).expect("removed");
    let told: Vec<_> = all(&usage).await.iter().map(|row| row.sums.invocations).collect();
    assert_eq!(told, [2, 1]);
}

#[tokio::test]
async fn records_are_counted_in_the_metrics() {
    let dir = tempfile::tempdir().expect("a directory");
    let metrics = Metrics::new();
    let usage = FileUsage::open(UsageSettings::in_directory(dir.path()), &metrics).expect("usage");
    usage.record(UsageRecord { cold: true, ..record("a", 0, 7) });
    usage.record(UsageRecord { failure: Some(FailureKind::Throttled), ..record("a", 0, 0) });
    let text = metrics.render();
    for line in [
        r#"dormouse_invocations_total{account="000000000000",function="a",version="1",outcome="success"} 1"#,
        r#"dormouse_invocations_total{account="000000000000",function="a",version="1",outcome="throttled"} 1"#,
        r#"dormouse_cold_starts_total{account="000000000000",function="a"} 1"#,
        r#"dormouse_billed_milliseconds_total{account="000000000000",function="a"} 7"#,
        r#"dormouse_invocation_seconds_count{account="000000000000",function="a"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A file that a killed writer left: whole rows count once, the torn one not at all, also after more was written.
    #[test]
    fn a_torn_row_never_counts(rows in 1_u64..8, cut in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().expect("a directory");
        let one = record("a", 0, 1);
        let key = UsageKey { account: one.account.clone(), function: one.function.clone(), version: one.version, alias: None };
        let (mut file, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            days::write_row(&mut file, Timestamp(0), &key, &UsageSums::of(&one));
            ends.push(file.len());
        }
        let kept = cut.index(file.len() + 1);
        std::fs::write(dir.path().join("1970-01-01.usage"), &file[..kept]).expect("a file");
        let whole = ends.iter().filter(|end| **end <= kept).count() as u64;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let usage = open(dir.path());
            let told: u64 = all(&usage).await.iter().map(|row| row.sums.invocations).sum();
            assert_eq!(told, whole);
            usage.record(one.clone());
            let told: u64 = all(&usage).await.iter().map(|row| row.sums.invocations).sum();
            assert_eq!(told, whole + 1);
        });
    }
}
