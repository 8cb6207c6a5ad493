use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dormouse_model::{Timestamp, VersionNumber};
use proptest::prelude::*;

use super::*;
use crate::logs::record;
use crate::{LogCursor, LogStream, names};

/// A clock that a test sets.
#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

fn key(name: &str) -> FunctionKey {
    FunctionKey { account: "000000000000".parse().expect("an account"), function: name.parse().expect("a name") }
}

fn record_at(time: u64, text: impl Into<Bytes>) -> LogRecord {
    LogRecord {
        time: Timestamp(time),
        version: VersionNumber::Latest,
        instance: "i-1".into(),
        stream: LogStream::Stdout,
        request_id: None,
        text: text.into(),
    }
}

fn texts(records: &[LogRecord]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.text).into_owned()).collect()
}

fn open(directory: &Path) -> (FileLogs, Arc<Hand>, Metrics) {
    open_with(LogSettings::in_directory(directory))
}

fn open_with(settings: LogSettings) -> (FileLogs, Arc<Hand>, Metrics) {
    let (clock, metrics) = (Arc::new(Hand::default()), Metrics::new());
    let logs = FileLogs::open(settings, Arc::clone(&clock) as Arc<dyn Clock>, &metrics).expect("a log");
    (logs, clock, metrics)
}

async fn all(logs: &FileLogs, name: &str) -> LogPage {
    logs.read(LogQuery::all(key(name))).await.expect("a page")
}

#[tokio::test]
async fn what_was_appended_is_read_at_once_and_by_function() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, _, metrics) = open(dir.path());
    for n in 0..10 {
        logs.append(&key("a"), record_at(n, format!("a{n}")));
        logs.append(&key("b"), record_at(n, format!("b{n}")));
    }
    assert_eq!(texts(&all(&logs, "a").await.records).join(" "), "a0 a1 a2 a3 a4 a5 a6 a7 a8 a9");
    assert_eq!(all(&logs, "b").await.records.len(), 10);
    assert!(all(&logs, "c").await.records.is_empty());
    assert_eq!(metrics.counter(&names::LOG_RECORDS).with([]).get(), 20);
}

#[tokio::test]
async fn time_and_request_select() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, _, _) = open(dir.path());
    let id = dormouse_model::RequestId::random();
    for n in 0..10 {
        logs.append(&key("a"), LogRecord { request_id: (n % 2 == 0).then_some(id), ..record_at(n, n.to_string()) });
    }
    let query = LogQuery { since: Timestamp(3), until: Timestamp(7), ..LogQuery::all(key("a")) };
    assert_eq!(texts(&logs.read(query.clone()).await.expect("a page").records).join(""), "34567");
    let query = LogQuery { request_id: Some(id), ..query };
    assert_eq!(texts(&logs.read(query).await.expect("a page").records).join(""), "46");
}

#[tokio::test]
async fn pages_join_up_across_segments() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, clock, _) = open_with(LogSettings { segment_bytes: 200, ..LogSettings::in_directory(dir.path()) });
    for n in 0..50 {
        clock.0.store(n / 3, Ordering::Relaxed);
        logs.append(&key("a"), record_at(n, n.to_string()));
        logs.flush().await;
    }
    let segments = segments::list(&segments::directory(dir.path(), &key("a"))).expect("segments");
    assert!(segments.len() > 10, "{} segments", segments.len());
    let (mut query, mut found) = (LogQuery { limit: 7, ..LogQuery::all(key("a")) }, Vec::new());
    loop {
        let page = logs.read(query.clone()).await.expect("a page");
        assert!(page.records.len() <= 7);
        found.extend(texts(&page.records));
        // A cursor goes over the wire as text.
        query.after = Some(page.cursor.to_string().parse::<LogCursor>().expect("a cursor"));
        if !page.more {
            break;
        }
    }
    assert_eq!(found, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_follower_crosses_rotation_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, _, _) =
        open_with(LogSettings { segment_bytes: 300, linger: Duration::ZERO, ..LogSettings::in_directory(dir.path()) });
    let logs = Arc::new(logs);
    let mut follow = logs.follow(LogQuery::all(key("a")));
    let writing = Arc::clone(&logs);
    let writer = tokio::spawn(async move {
        for n in 0..300 {
            writing.append(&key("a"), record_at(n, n.to_string()));
            if n % 5 == 0 {
                writing.flush().await;
            }
        }
    });
    let mut found = Vec::new();
    while found.len() < 300 {
        found.extend(texts(&follow.next().await.expect("news")));
    }
    writer.await.expect("written");
    assert_eq!(found, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    drop(follow);
    assert!(logs.shared.followers.is_empty());
}

#[tokio::test]
async fn size_bounds_what_is_kept_of_a_function() {
    // One by one, and all that has been waiting at once.
    for (waiting, most) in [(1, 5_500), (200, 6_500)] {
        let dir = tempfile::tempdir().expect("a directory");
        let settings =
            LogSettings { segment_bytes: 1_000, retention_bytes: 5_000, ..LogSettings::in_directory(dir.path()) };
        let (logs, _, _) = open_with(settings);
        for n in 0..200 {
            logs.append(&key("a"), record_at(n, format!("{n} {}", "x".repeat(100))));
            if (n + 1) % waiting == 0 {
                logs.flush().await;
            }
        }
        let own = segments::directory(dir.path(), &key("a"));
        let sizes = segments::list(&own).expect("segments").into_iter();
        let total: u64 = sizes.map(|one| std::fs::metadata(one.path(&own)).expect("a file").len()).sum();
        assert!(total <= most, "{total} bytes are kept");
        let records = all(&logs, "a").await.records;
        assert!(records.len() > 10 && records.last().expect("a record").time == Timestamp(199));
    }
}

#[tokio::test]
async fn what_was_dropped_is_said_in_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, _, metrics) =
        open_with(LogSettings { function_queue_bytes: 400, ..LogSettings::in_directory(dir.path()) });
    let text = Bytes::from(vec![b'x'; 150]);
    for n in 0..100 {
        logs.append(&key("a"), record_at(n, text.clone()));
    }
    let records = all(&logs, "a").await.records;
    let notes: Vec<_> = records.iter().filter(|record| record.stream == LogStream::Platform).collect();
    assert!(!notes.is_empty(), "nothing was said");
    let dropped = metrics.counter(&names::LOG_DROPPED).with(["queue"]).get();
    assert_eq!(records.len() - notes.len() + usize::try_from(dropped).expect("a count"), 100);
    assert!(String::from_utf8_lossy(&notes[0].text).contains("of this log were dropped: more was printed"));
}

#[tokio::test]
async fn a_file_that_cannot_be_written_costs_its_records_and_says_so_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, _, metrics) = open(dir.path());
    let account = dir.path().join("000000000000");
    std::fs::write(&account, "a file where the directory should be").expect("a file");
    logs.append(&key("a"), record_at(1, "gone"));
    logs.append(&key("a"), record_at(2, "gone too"));
    logs.flush().await;
    assert_eq!(metrics.counter(&names::LOG_DROPPED).with(["disk"]).get(), 2);
    std::fs::remove_file(&account).expect("removed");
    logs.append(&key("a"), record_at(3, "kept"));
    let records = all(&logs, "a").await.records;
    let note = "[dormouse] 2 records of this log were dropped: their file could not be written";
    assert_eq!(texts(&records), [note, "kept"]);
}

#[tokio::test]
async fn dropping_the_log_writes_what_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = LogSettings { linger: Duration::from_secs(3600), ..LogSettings::in_directory(dir.path()) };
    let (logs, _, _) = open_with(settings);
    logs.append(&key("a"), record_at(1, "last words"));
    drop(logs);
    let (logs, _, _) = open(dir.path());
    assert_eq!(texts(&all(&logs, "a").await.records), ["last words"]);
}

#[tokio::test]
async fn a_silent_function_holds_no_file_and_no_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let (logs, _, _) = open(dir.path());
    logs.append(&key("a"), record_at(1, "x"));
    logs.flush().await;
    let open_files = std::fs::read_dir("/proc/self/fd").expect("a list").flatten();
    let held = open_files.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    assert!(held.into_iter().all(|path| !path.starts_with(dir.path())), "a log file is held open");
}

#[test]
fn cursors_that_we_did_not_write_are_refused() {
    for text in ["", "-", "1", "1-", "-1", "x-1", "+1-2", "1-2-3", "11111111111111111-0"] {
        assert!(text.parse::<LogCursor>().is_err(), "{text:?} was taken for a cursor");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a killed writer left behind: the records before it are read, the torn one is not, and a new writer goes
    /// on behind it.
    #[test]
    fn a_torn_tail_is_passed_over(texts_before in prop::collection::vec("[ -~]{0,30}", 1..6), cut in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().expect("a directory");
        let own = segments::directory(dir.path(), &key("a"));
        std::fs::create_dir_all(&own).expect("a directory");
        let (mut file, mut whole) = (Vec::new(), Vec::new());
        for text in &texts_before {
            record::write(&mut file, record_at(1, text.clone()));
            whole.push((file.len(), text.clone()));
        }
        let kept = cut.index(file.len() + 1);
        std::fs::write(segments::Segment { number: 0 }.path(&own), &file[..kept]).expect("a file");
        let mut expected: Vec<_> = whole.into_iter().filter(|(end, _)| *end <= kept).map(|(_, text)| text).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (logs, _, _) = open(dir.path());
            assert_eq!(texts(&all(&logs, "a").await.records), expected);
            logs.append(&key("a"), record_at(2, "next"));
            expected.push("next".to_owned());
            let page = all(&logs, "a").await;
            assert_eq!(texts(&page.records), expected);
            assert!(page.torn <= 1);
        });
    }

    /// Rubbish in a file is never taken for a record.
    #[test]
    fn rubbish_is_no_record(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(segments::Segment { number: 0 }.path(dir.path()), bytes).expect("a file");
        prop_assert!(read::read(dir.path(), &LogQuery::all(key("a"))).expect("a page").records.is_empty());
    }
}
