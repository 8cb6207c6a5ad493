//! Randomised promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use dormouse_store::key::KeyRange;
use dormouse_store::{CommitOutcome, Store, Version};

use super::{B, StoreFactory, get, number, range};
use crate::{Rng, seed};

const ACCOUNTS: u64 = 6;

/// Money moves between accounts, each move resting on both balances; accounts appear and vanish. The sum stays.
pub async fn concurrent_transfers_keep_the_sum(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let mut rng = Rng::new(seed("concurrent_transfers_keep_the_sum"));
    B::new().add("acct0", 1_000).done(&*store).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, mut rng) = (Arc::clone(&store), rng.fork());
            tokio::spawn(async move {
                let mut moved = 0;
                for _ in 0..40 {
                    moved += u32::from(transfer(&*store, &mut rng).await);
                }
                moved
            })
        })
        .collect();
    let mut moved = 0;
    for task in tasks {
        moved += task.await.expect("no panic");
    }
    let accounts = range(&*store, KeyRange::prefix(b"acct").read(100)).await;
    assert_eq!(accounts.iter().map(|item| number(Some(item))).sum::<i64>(), 1_000);
    let log = get(&*store, "moves").await;
    assert_eq!(number(log.as_ref()), i64::from(moved), "each acknowledged move counted once");
}

async fn transfer(store: &dyn Store, rng: &mut Rng) -> bool {
    let from = rng.below(ACCOUNTS);
    let to = (from + 1 + rng.below(ACCOUNTS - 1)) % ACCOUNTS;
    let (from, to) = (format!("acct{from}"), format!("acct{to}"));
    let (payer, payee) = (get(store, &from).await, get(store, &to).await);
    let balance = number(payer.as_ref());
    let amount = if rng.one_in(3) { balance } else { balance / 3 };
    if amount == 0 {
        return false;
    }
    let expect = |batch: B, key: &str, version: Option<Version>| match version {
        Some(version) => batch.version(key, version),
        None => batch.absent(key),
    };
    let mut batch = expect(B::new(), &from, payer.map(|item| item.version));
    batch = expect(batch, &to, payee.map(|item| item.version));
    batch = if amount == balance { batch.delete(&from) } else { batch.add(&from, -amount) };
    batch = batch.add(&to, amount).add("moves", 1);
    matches!(batch.commit(store).await, CommitOutcome::Committed { .. })
}

/// One after another, random batches do what a simple map does, also across restarts.
pub async fn a_mix_agrees_with_a_model(factory: &dyn StoreFactory) {
    let mut store = factory.open().await;
    let mut rng = Rng::new(seed("a_mix_agrees_with_a_model"));
    let mut model: BTreeMap<String, (String, Version)> = BTreeMap::new();
    for step in 0..300 {
        let (batch, changes, holds) = random_batch(&mut rng, &model);
        match (batch.commit(&*store).await, holds) {
            (CommitOutcome::Committed { version, .. }, true) => {
                for (key, value) in changes {
                    match value {
                        Some(value) => model.insert(key, (value, version)),
                        None => model.remove(&key),
                    };
                }
            }
            (CommitOutcome::Conflict { .. }, false) => {}
            (outcome, holds) => panic!("step {step}: {outcome:?}, expectations hold: {holds}"),
        }
        if step % 100 == 50 {
            drop(store);
            store = factory.open().await;
        }
    }
    let stored = range(&*store, KeyRange::all().read(1_000)).await;
    let stored: BTreeMap<String, (String, Version)> = stored
        .into_iter()
        .map(|item| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text was written");
            (text(&item.key), (text(&item.value), item.version))
        })
        .collect();
    assert_eq!(stored, model);
}

type Changes = Vec<(String, Option<String>)>;

fn random_batch(rng: &mut Rng, model: &BTreeMap<String, (String, Version)>) -> (B, Changes, bool) {
    let (mut batch, mut changes, mut holds) = (B::new(), Vec::new(), true);
    let start = rng.below(20);
    for offset in 0..1 + rng.below(5) {
        let key = format!("k{}", (start + offset) % 20);
        let now = model.get(&key).map(|(_, version)| *version);
        if rng.one_in(2) {
            let lie = rng.one_in(8);
            holds &= !lie;
            batch = match (now, lie) {
                (Some(version), false) => batch.version(&key, version),
                (Some(version), true) => batch.version(&key, Version(version.0 + 1_000_000)),
                (None, false) => batch.absent(&key),
                (None, true) => batch.version(&key, Version(1)),
            };
        }
        let value = (!rng.one_in(3)).then(|| "v".repeat(rng.index(3_000)));
        batch = match &value {
            Some(value) => batch.put(&key, value),
            None => batch.delete(&key),
        };
        changes.push((key, value));
    }
    (batch, changes, holds)
}
