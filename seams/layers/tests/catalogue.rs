//! The catalogue, by what it promises.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_layers::{Catalogue, Change, Decision, Key, KeyRange, LayerError, Reads, Stored, decode, scan};
use dormouse_store::{Item, Store};
use dormouse_testkit::{Fault, MemoryStore, Rng, TokioClock, seed};

type Names = Catalogue<Stored<String>>;

fn parse(item: &Item) -> Result<Stored<String>, LayerError> {
    decode(item)
}

fn key(name: &str) -> Bytes {
    Key::new("names").text(name).into()
}

async fn open(store: &MemoryStore) -> Names {
    Catalogue::open(Arc::new(store.clone()), "names", parse).await.unwrap()
}

async fn put(names: &Names, name: &str, value: &str) {
    let mut change = Change::new();
    change.put(key(name), &value.to_owned()).unwrap();
    names.commit(change).await.unwrap().unwrap();
}

fn value(names: &Names, name: &str) -> Option<String> {
    names.get(&key(name)).map(|found| found.value.value.clone())
}

fn contents(names: &Names) -> BTreeMap<Bytes, String> {
    let all = names.range(&KeyRange::all(), usize::MAX);
    all.into_iter().map(|(key, found)| (key, found.value.value.clone())).collect()
}

async fn stored(store: &MemoryStore) -> BTreeMap<Bytes, String> {
    let all = scan::<String>(store, Key::new("names").children(), usize::MAX).await.unwrap();
    all.into_iter().map(|(key, found)| (key, found.value)).collect()
}

#[tokio::test]
async fn own_writes_are_there_at_once_and_without_a_read() {
    let store = MemoryStore::new();
    let names = open(&store).await;
    let reads = store.reads();
    put(&names, "a", "1").await;
    assert_eq!(value(&names, "a").as_deref(), Some("1"));
    put(&names, "a", "2").await;
    let mut change = Change::new();
    change.remove(key("a"), names.get(&key("a")).unwrap().version);
    change.put(key("b"), &"1".to_owned()).unwrap();
    names.commit(change).await.unwrap().unwrap();
    assert_eq!((value(&names, "a"), value(&names, "b").as_deref()), (None, Some("1")));
    assert_eq!((names.len(), names.is_empty()), (1, false));
    assert_eq!(store.reads(), reads);
    // A look at the epoch key shows nothing new, so nothing is read again.
    names.refresh().await.unwrap();
    assert_eq!(store.reads(), reads + 1);
}

#[tokio::test]
async fn a_conflict_mirrors_nothing() {
    let store = MemoryStore::new();
    let names = open(&store).await;
    put(&names, "a", "1").await;
    let mut change = Change::new();
    change.create(key("a"), &"2".to_owned()).unwrap();
    assert!(names.commit(change).await.unwrap().is_err());
    assert_eq!(value(&names, "a").as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn writes_of_others_arrive_by_themselves() {
    let store = MemoryStore::with_clock(Arc::new(TokioClock::start()));
    let (one, other) = (open(&store).await, open(&store).await);
    let fresh = tokio::spawn(one.clone().keep_fresh());
    put(&other, "a", "1").await;
    // A miss is looked up before it is believed.
    assert_eq!(one.get_or_read(&key("a")).await.unwrap().unwrap().value.value, "1");
    assert!(one.get_or_read(&key("nothing")).await.unwrap().is_none());
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    assert_eq!(value(&one, "a").as_deref(), Some("1"));
    store.set_away(true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(value(&one, "a").as_deref(), Some("1"), "while the store is away the mirror answers");
    store.set_away(false);
    let mut change = Change::new();
    change.delete(key("a"));
    other.commit(change).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(value(&one, "a"), None);
    fresh.abort();
}

#[tokio::test]
async fn transactions_go_through_the_catalogue() {
    let store = MemoryStore::new();
    let names = open(&store).await;
    store.fail_commit(1, Fault::UnavailableAfter);
    for expected in ["x", "xx"] {
        let made = names
            .transact(Reads::new().get(key("a")), |answers| {
                let mut change = Change::new();
                let text = match answers.one::<String>()? {
                    Some(mut stored) => {
                        stored.value.push('x');
                        change.update(key("a"), &stored)?;
                        stored.value
                    }
                    None => {
                        change.create(key("a"), &"x".to_owned())?;
                        "x".to_owned()
                    }
                };
                Ok::<_, LayerError>(Decision::Commit(change, text))
            })
            .await
            .unwrap();
        assert_eq!((made.as_str(), value(&names, "a").as_deref()), (expected, Some(expected)));
    }
}

#[tokio::test]
async fn thousands_of_records_are_mirrored_page_by_page() {
    let store = MemoryStore::new();
    let names = open(&store).await;
    for lot in 0..5 {
        let mut change = Change::new();
        for number in 0..500 {
            change.put(key(&format!("{:05}", lot * 500 + number)), &"v".to_owned()).unwrap();
        }
        names.commit(change).await.unwrap().unwrap();
    }
    let other = open(&store).await;
    assert_eq!((other.len(), contents(&other)), (2_500, stored(&store).await));
    let mut change = Change::new();
    change.delete(key("00000")).delete(key("01500")).put(key("99999"), &"new".to_owned()).unwrap();
    names.commit(change).await.unwrap().unwrap();
    other.refresh().await.unwrap();
    assert_eq!((other.len(), contents(&other)), (2_499, stored(&store).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalogues_that_write_at_once_agree_with_the_store() {
    let mut rng = Rng::new(seed("catalogues_that_write_at_once_agree_with_the_store"));
    let store = MemoryStore::new();
    let catalogues = [open(&store).await, open(&store).await, open(&store).await];
    let tasks: Vec<_> = (0..9)
        .map(|task| {
            let (names, mut rng) = (catalogues[task % 3].clone(), rng.fork());
            tokio::spawn(async move {
                for step in 0..200 {
                    let name = format!("n{}", rng.below(12));
                    match rng.below(8) {
                        0 => names.refresh().await.unwrap(),
                        1 | 2 => {
                            let mut change = Change::new();
                            change.delete(key(&name));
                            names.commit(change).await.unwrap().unwrap();
                        }
                        _ => put(&names, &name, &format!("{task}/{step}")).await,
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let truth = stored(&store).await;
    for names in &catalogues {
        names.refresh().await.unwrap();
        assert_eq!(contents(names), truth);
    }
}

#[tokio::test]
async fn what_cannot_be_parsed_stops_the_start_only() {
    let store = MemoryStore::new();
    let names = open(&store).await;
    let other: Catalogue<()> = Catalogue::open(Arc::new(store.clone()), "names", |_| Ok(())).await.unwrap();
    let mut change = Change::new();
    change.put_bytes(key("broken"), "{").put(key("fine"), &"x".to_owned()).unwrap();
    other.commit(change).await.unwrap().unwrap();
    names.refresh().await.unwrap();
    assert_eq!((names.len(), value(&names, "fine").as_deref()), (1, Some("x")));
    let store: Arc<dyn Store> = Arc::new(store);
    assert!(matches!(Names::open(store, "names", parse).await.err(), Some(LayerError::Record { .. })));
}
