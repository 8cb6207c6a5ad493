//! Reading: a snapshot on one of a few connections.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dormouse_store::{Found, Item, RANGE_ITEMS, Read, StoreResult, Version};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::store_error;
use crate::queue::closed;
use crate::schema::open_reader;
use crate::writer::{to_i64, to_u64};
use crate::{OpenError, Settings};

/// Connections for reading.
pub(crate) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    count: u32,
}

/// A connection on loan; it goes back when this is dropped.
struct Loan {
    db: Option<Connection>,
    free: Arc<Mutex<Vec<Connection>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let db = self.db.take();
        self.free.lock().unwrap_or_else(PoisonError::into_inner).extend(db);
    }
}

impl Readers {
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Self, OpenError> {
        let count = settings.readers.max(1);
        let connections = (0..count).map(|_| open_reader(path, settings)).collect::<Result<Vec<_>, _>>()?;
        let permits = Arc::new(Semaphore::new(count));
        Ok(Self { free: Arc::new(Mutex::new(connections)), permits, count: u32::try_from(count).unwrap_or(u32::MAX) })
    }

    /// Waits for the reads in progress, refuses later ones and closes the connections.
    pub(crate) async fn close(&self) {
        // An error means that another call was faster.
        let Ok(all) = self.permits.acquire_many(self.count).await else { return };
        self.permits.close();
        drop(all);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Runs `work` on a connection, off the async threads.
    pub(crate) async fn run<T, F>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let free = Arc::clone(&self.free);
        let worked = tokio::task::spawn_blocking(move || {
            let db = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut loan = Loan { db, free, _permit: permit };
            loan.db.as_mut().map(work)
        });
        match worked.await {
            Ok(Some(result)) => result.map_err(|error| store_error(&error)),
            Ok(None) | Err(_) => Err(closed()),
        }
    }
}

/// All reads in one snapshot.
pub(crate) fn read_all(db: &mut Connection, reads: &[Read]) -> rusqlite::Result<Vec<Found>> {
    if let [read] = reads {
        // One statement is a snapshot by itself.
        return Ok(vec![find(db, read)?]);
    }
    let snapshot = db.transaction()?;
    reads.iter().map(|read| find(&snapshot, read)).collect()
}

fn find(db: &Connection, read: &Read) -> rusqlite::Result<Found> {
    match read {
        Read::Get(key) => {
            let mut get = db.prepare_cached("SELECT version, value FROM kv WHERE key = ?1")?;
            let item = |row: &Row<'_>| {
                let (version, value) = (version(row, 0)?, bytes(row, 1)?);
                Ok(Item { key: key.clone(), value, version })
            };
            Ok(Found::One(get.query_row([key.as_ref()], item).optional()?))
        }
        Read::Range { from, to, limit, reverse, keys_only } => {
            let limit = to_i64((*limit).min(RANGE_ITEMS) as u64);
            let mut range = db.prepare_cached(range_sql(*reverse, *keys_only))?;
            let item = |row: &Row<'_>| {
                let value = if *keys_only { Bytes::new() } else { bytes(row, 2)? };
                Ok(Item { key: bytes(row, 0)?, value, version: version(row, 1)? })
            };
            let items = range.query_map(params![from.as_ref(), to.as_ref(), limit], item)?;
            Ok(Found::Many(items.collect::<rusqlite::Result<Vec<Item>>>()?))
        }
    }
}

fn range_sql(reverse: bool, keys_only: bool) -> &'static str {
    match (reverse, keys_only) {
        (false, false) => "SELECT key, version, value FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
        (true, false) => "SELECT key, version, value FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
        (false, true) => "SELECT key, version FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
        (true, true) => "SELECT key, version FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
    }
}

fn version(row: &Row<'_>, column: usize) -> rusqlite::Result<Version> {
    Ok(Version(to_u64(row.get(column)?)))
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}
