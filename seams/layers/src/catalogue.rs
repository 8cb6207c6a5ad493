//! The catalogue: a keyspace mirrored in memory, for the warm path.
//!
//! An epoch key, a counter, is added to in every batch that changes the keyspace. A catalogue knows how often it did so
//! itself; when the counter says more, somebody else changed something, and the keys are compared. That happens when a
//! hint comes and at least once a second. Whoever writes to the keyspace does so through a catalogue of it.
//!
//! ```
//! # use std::sync::Arc;
//! # use dormouse_layers::{Catalogue, Change, Key, LayerError, decode};
//! # use dormouse_testkit::MemoryStore;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), LayerError> {
//! # let store = Arc::new(MemoryStore::new());
//! let names = Catalogue::open(store, "names", |item| decode::<String>(item)).await?;
//! let fresh = tokio::spawn(names.clone().keep_fresh());
//!
//! let mut change = Change::new();
//! change.create(Key::new("names").text("a"), &"Ada".to_owned())?;
//! assert!(names.commit(change).await?.is_ok());
//! let ada = names.get(&Key::new("names").text("a").bytes()).map(|found| found.value.value.clone());
//! assert_eq!(ada.as_deref(), Some("Ada"));
//! # fresh.abort();
//! # Ok(()) }
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use dormouse_store::key::KeyRange;
use dormouse_store::{Batch, CommitOutcome, Item, Lane, READ_PARTS, Store, Version};

use crate::transact::{CONFLICT_ATTEMPTS, commit_once};
use crate::{Answers, Change, Committed, Conflict, Decision, Key, LayerError, Reads};

/// Longest time between two looks at the epoch key.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Keys that one read compares.
const PAGE: usize = READ_PARTS;

/// Makes the value that is kept in memory of an item of the keyspace.
pub type Parse<V> = fn(&Item) -> Result<V, LayerError>;

/// A keyspace in memory. Clones are the same catalogue.
pub struct Catalogue<V> {
    shared: Arc<Shared<V>>,
}

impl<V> Clone for Catalogue<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<V> {
    store: Arc<dyn Store>,
    epoch_key: Bytes,
    range: KeyRange,
    parse: Parse<V>,
    mirror: RwLock<Mirror<V>>,
    /// The epoch up to which the mirror is complete. Own commits hold it shared from before they are sent until they are
    /// mirrored, so that a check, which holds it alone, sees none half done.
    known_epoch: tokio::sync::RwLock<std::sync::atomic::AtomicI64>,
}

struct Mirror<V> {
    records: BTreeMap<Bytes, Mirrored<V>>,
    /// What own commits deleted since the last check: two of them may be mirrored in the other order than they were made.
    gone: BTreeMap<Bytes, Version>,
}

/// One record of the mirror.
pub struct Mirrored<V> {
    /// The parsed value.
    pub value: Arc<V>,
    /// The commit that wrote it, to be expected by a change that rests on it.
    pub version: Version,
}

impl<V> Clone for Mirrored<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), version: self.version }
    }
}

impl<V: Send + Sync + 'static> Catalogue<V> {
    /// Reads the keyspace. `parse` is asked about each item.
    ///
    /// # Errors
    /// Those of the store, and of `parse` for what is there at the start. A record that cannot be parsed later is logged
    /// and left out.
    pub async fn open(store: Arc<dyn Store>, keyspace: &str, parse: Parse<V>) -> Result<Self, LayerError> {
        let shared = Shared {
            store,
            // A keyspace of its own, so that it is not one of the mirrored keys.
            epoch_key: Key::new("catalogue-epoch").text(keyspace).into(),
            range: Key::new(keyspace).children(),
            parse,
            mirror: RwLock::new(Mirror { records: BTreeMap::new(), gone: BTreeMap::new() }),
            known_epoch: tokio::sync::RwLock::new((-1).into()),
        };
        let catalogue = Self { shared: Arc::new(shared) };
        catalogue.refresh().await?;
        Ok(catalogue)
    }

    /// The record under a key, from memory: at most a second old where another node wrote it.
    pub fn get(&self, key: &[u8]) -> Option<Mirrored<V>> {
        self.read_lock().records.get(key).cloned()
    }

    /// The record under a key; one that is not in memory is looked for in the store. For an answer that is a denial.
    pub async fn get_or_read(&self, key: &[u8]) -> Result<Option<Mirrored<V>>, LayerError> {
        if let Some(found) = self.get(key) {
            return Ok(Some(found));
        }
        let key = Bytes::copy_from_slice(key);
        let item = Reads::new().get(key.clone()).run(&*self.shared.store).await?.items().pop();
        let Some(item) = item else { return Ok(None) };
        let mirrored = Mirrored { value: Arc::new((self.shared.parse)(&item)?), version: item.version };
        // Not kept: the next check does that, in order with everything else.
        Ok(Some(mirrored))
    }

    /// The records of a range in order, at most `limit`, from memory.
    pub fn range(&self, range: &KeyRange, limit: usize) -> Vec<(Bytes, Mirrored<V>)> {
        if range.from >= range.to {
            return Vec::new();
        }
        let mirror = self.read_lock();
        let found = mirror.records.range::<Bytes, _>(&range.from..&range.to).take(limit);
        found.map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.read_lock().records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Commits a change of the keyspace, and of anything else; when it returns, the mirror has it.
    pub async fn commit(&self, change: Change) -> Result<Result<Committed, Conflict>, LayerError> {
        let mut batch = change.into_batch();
        let mine = self.changes(&batch);
        if !mine {
            return Ok(outcome(commit_once(&*self.shared.store, Lane::Foreground, batch).await?));
        }
        batch.add.push((self.shared.epoch_key.clone(), 1));
        // Runs to its end even if the caller is dropped: what is committed must be mirrored and counted.
        let this = self.clone();
        let committing = tokio::spawn(async move {
            let known = this.shared.known_epoch.read().await;
            let outcome = outcome(commit_once(&*this.shared.store, Lane::Foreground, batch.clone()).await?);
            if let Ok(committed) = &outcome {
                this.apply(&batch, committed.version);
                known.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            Ok(outcome)
        });
        match committing.await {
            Ok(outcome) => outcome,
            Err(_) => Err(dormouse_store::StoreError::Unavailable("the process is stopping".to_owned()).into()),
        }
    }

    /// `transact` whose commits go through [`Catalogue::commit`].
    pub async fn transact<T, E, F>(&self, reads: Reads, mut decide: F) -> Result<T, E>
    where
        F: FnMut(&mut Answers) -> Result<Decision<T>, E> + Send,
        T: Send,
        E: From<LayerError> + Send,
    {
        for _ in 0..CONFLICT_ATTEMPTS {
            let mut answers = reads.clone().run(&*self.shared.store).await?;
            let (change, answer) = match decide(&mut answers)? {
                Decision::Leave(answer) => return Ok(answer),
                Decision::Commit(change, answer) => (change, answer),
            };
            if self.commit(change).await?.is_ok() {
                return Ok(answer);
            }
            tokio::task::yield_now().await;
        }
        Err(LayerError::Contended { attempts: CONFLICT_ATTEMPTS }.into())
    }

    /// Looks at the epoch key and, when others changed the keyspace, mirrors what they did.
    pub async fn refresh(&self) -> Result<(), LayerError> {
        let known = self.shared.known_epoch.write().await;
        // Nothing of our own is on its way now.
        self.write_lock().gone.clear();
        let epoch = Reads::new().get(self.shared.epoch_key.clone()).run(&*self.shared.store).await?.counter();
        if epoch != known.load(std::sync::atomic::Ordering::SeqCst) {
            self.reload(known.load(std::sync::atomic::Ordering::SeqCst) < 0).await?;
            known.store(epoch, std::sync::atomic::Ordering::SeqCst);
        }
        Ok(())
    }

    /// Refreshes on hints and at least once a second, for as long as it is polled. While the store is away the mirror
    /// stays as it is.
    pub async fn keep_fresh(self) {
        let mut hints = self.shared.store.watch(self.shared.epoch_key.clone());
        loop {
            let _ = tokio::time::timeout(CHECK_EVERY, hints.changed()).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "a catalogue could not be refreshed; it answers from memory");
                tokio::time::sleep(CHECK_EVERY).await;
            }
        }
    }

    /// Compares keys and versions, and reads what differs. The epoch was read before: what is written meanwhile is seen
    /// now or by the next check.
    async fn reload(&self, first: bool) -> Result<(), LayerError> {
        let mut rest = self.shared.range.clone();
        loop {
            let read = if first { rest.read(PAGE) } else { rest.read_keys(PAGE) };
            let found = Reads::new().read(read).run(&*self.shared.store).await?.items();
            let last = found.last().filter(|_| found.len() == PAGE).map(|item| item.key.clone());
            let page = match &last {
                Some(last) => rest.clone().before(&dormouse_store::key::after(last)),
                None => rest.clone(),
            };
            let changed = self.drop_gone(&page, &found);
            let changed = if first { found } else { self.read_items(changed).await? };
            self.keep(changed, first)?;
            match last {
                Some(last) => rest = rest.after(&last),
                None => return Ok(()),
            }
        }
    }

    /// Forgets what is not among `found`, and says which of those are not mirrored as they are.
    fn drop_gone(&self, page: &KeyRange, found: &[Item]) -> Vec<Bytes> {
        let versions: BTreeMap<&Bytes, Version> = found.iter().map(|item| (&item.key, item.version)).collect();
        let mut mirror = self.write_lock();
        mirror.records.retain(|key, _| !page.contains(key) || versions.contains_key(key));
        let records = &mirror.records;
        let differs = |(key, version): &(&Bytes, Version)| records.get(*key).is_none_or(|had| had.version != *version);
        versions.into_iter().filter(differs).map(|(key, _)| key.clone()).collect()
    }

    async fn read_items(&self, keys: Vec<Bytes>) -> Result<Vec<Item>, LayerError> {
        let reads = keys.into_iter().fold(Reads::new(), Reads::get);
        let mut answers = reads.run(&*self.shared.store).await?;
        let mut items = Vec::new();
        while let Some(found) = answers.found() {
            if let dormouse_store::Found::One(Some(item)) = found {
                items.push(item);
            }
        }
        Ok(items)
    }

    fn keep(&self, items: Vec<Item>, strict: bool) -> Result<(), LayerError> {
        for item in items {
            match (self.shared.parse)(&item) {
                Ok(value) => self.insert(item.key, value, item.version),
                Err(error) if strict => return Err(error),
                Err(error) => tracing::error!(%error, "a record is left out of a catalogue"),
            }
        }
        Ok(())
    }

    fn apply(&self, batch: &Batch, version: Version) {
        for (key, value) in batch.put.iter().filter(|(key, _)| self.shared.range.contains(key)) {
            let item = Item { key: key.clone(), value: value.clone(), version };
            match (self.shared.parse)(&item) {
                Ok(value) => self.insert(item.key, value, version),
                Err(error) => tracing::error!(%error, "a record is left out of a catalogue"),
            }
        }
        let mut mirror = self.write_lock();
        for key in batch.delete.iter().filter(|key| self.shared.range.contains(key)) {
            if mirror.records.get(key).is_some_and(|had| had.version < version) {
                mirror.records.remove(key);
            }
            let gone = mirror.gone.entry(key.clone()).or_insert(version);
            *gone = version.max(*gone);
        }
    }

    fn insert(&self, key: Bytes, value: V, version: Version) {
        let mut mirror = self.write_lock();
        let newest = mirror.records.get(&key).map(|had| had.version).max(mirror.gone.get(&key).copied());
        if newest.is_none_or(|newest| newest < version) {
            mirror.records.insert(key, Mirrored { value: Arc::new(value), version });
        }
    }

    fn changes(&self, batch: &Batch) -> bool {
        let range = &self.shared.range;
        batch.put.iter().any(|(key, _)| range.contains(key)) || batch.delete.iter().any(|key| range.contains(key))
    }

    fn read_lock(&self) -> std::sync::RwLockReadGuard<'_, Mirror<V>> {
        self.shared.mirror.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> std::sync::RwLockWriteGuard<'_, Mirror<V>> {
        self.shared.mirror.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(outcome: CommitOutcome) -> Result<Committed, Conflict> {
    match outcome {
        CommitOutcome::Committed { version, time } => Ok(Committed { version, time }),
        CommitOutcome::Conflict { keys } => Err(Conflict { keys }),
    }
}
