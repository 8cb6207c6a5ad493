use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::CodeDigest;
use super::plan::ZipLimits;
use super::unpack::{UnpackError, remove_tree, unpack};
use crate::error::{FunctionsError, Result};

/// Unpacked code on this node, by digest. Starts of one version share one unpack; what no instance uses is removed,
/// least recently used first, when the cache holds more than it may.
///
/// It begins empty: what an earlier process left may be half-written after a power cut and is removed.
pub(crate) struct CodeCache {
    dir: PathBuf,
    limits: ZipLimits,
    budget_bytes: u64,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_digest: HashMap<CodeDigest, Slot>,
    uses: u64,
}

#[derive(Default)]
struct Slot {
    ready: Arc<OnceCell<u64>>,
    leases: usize,
    last_use: u64,
}

/// Keeps unpacked code on disk for as long as it is held.
pub(crate) struct CodeLease {
    cache: Arc<CodeCache>,
    digest: CodeDigest,
    path: PathBuf,
}

impl CodeLease {
    /// The directory, read-only.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CodeLease {
    fn drop(&mut self) {
        let evicted = {
            let mut slots = self.cache.slots();
            if let Some(slot) = slots.by_digest.get_mut(&self.digest) {
                slot.leases -= 1;
            }
            self.cache.over_budget(&mut slots)
        };
        self.cache.clone().remove(evicted);
    }
}

impl CodeCache {
    /// Makes the directory and empties it. Blocks; for the time of start-up.
    pub(crate) fn open(dir: PathBuf, limits: ZipLimits, budget_bytes: u64) -> std::io::Result<Arc<Self>> {
        std::fs::create_dir_all(&dir)?;
        for entry in std::fs::read_dir(&dir)? {
            remove_tree(&entry?.path())?;
        }
        Ok(Arc::new(Self { dir, limits, budget_bytes, slots: Mutex::default() }))
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The unpacked code, unpacked now if it is not there; `fetch` gives the zip.
    pub(crate) async fn lease<F>(self: &Arc<Self>, digest: CodeDigest, fetch: F) -> Result<CodeLease>
    where
        F: Future<Output = Result<Bytes>> + Send,
    {
        let (lease, ready) = self.take(digest);
        ready
            .get_or_try_init(|| async {
                let zip = fetch.await?;
                let (cache, path) = (self.clone(), lease.path.clone());
                tokio::task::spawn_blocking(move || cache.unpack(digest, &zip, &path))
                    .await
                    .map_err(|error| FunctionsError::internal("the code could not be unpacked", error))?
            })
            .await?;
        Ok(lease)
    }

    fn take(self: &Arc<Self>, digest: CodeDigest) -> (CodeLease, Arc<OnceCell<u64>>) {
        let mut slots = self.slots();
        slots.uses += 1;
        let now = slots.uses;
        let slot = slots.by_digest.entry(digest).or_default();
        slot.leases += 1;
        slot.last_use = now;
        (CodeLease { cache: self.clone(), digest, path: self.dir.join(digest.hex()) }, slot.ready.clone())
    }

    fn unpack(&self, digest: CodeDigest, zip: &[u8], path: &Path) -> Result<u64> {
        if CodeDigest::of(zip) != digest {
            return Err(FunctionsError::internal("the stored code is damaged", path.display()));
        }
        let draft = self.dir.join(format!("draft-{}", digest.hex()));
        let failed = |error: std::io::Error| FunctionsError::internal("the code cache cannot be written", error);
        // What an unpack that failed half-way left behind.
        for stale in [&draft, &path.to_path_buf()] {
            if stale.symlink_metadata().is_ok() {
                remove_tree(stale).map_err(failed)?;
            }
        }
        std::fs::create_dir(&draft).map_err(failed)?;
        let size = unpack(zip, self.limits, &draft).map_err(|error| match error {
            UnpackError::Refused(refusal) => FunctionsError::InvalidZipFile(refusal.to_string()),
            UnpackError::Disk(error) => failed(error),
        });
        let size = size.and_then(|size| std::fs::rename(&draft, path).map(|()| size).map_err(failed));
        if size.is_err() {
            // The cause is what the caller hears of; a rest is removed by the next attempt.
            let _ = remove_tree(&draft);
        }
        size
    }

    /// Takes unused slots out until the rest is within the budget. A slot without users cannot be in the middle of an
    /// unpack, because whoever unpacks holds a lease.
    fn over_budget(&self, slots: &mut Slots) -> Vec<(CodeDigest, PathBuf)> {
        let size = |slot: &Slot| slot.ready.get().copied().unwrap_or_default();
        let mut total: u64 = slots.by_digest.values().map(size).sum();
        let mut evicted = Vec::new();
        while total > self.budget_bytes {
            let unused = slots.by_digest.iter().filter(|(_, slot)| slot.leases == 0);
            let Some((&digest, _)) = unused.min_by_key(|(_, slot)| slot.last_use) else { break };
            if let Some(slot) = slots.by_digest.remove(&digest) {
                total -= size(&slot);
            }
            let path = self.dir.join(digest.hex());
            let grave = self.dir.join(format!("grave-{}-{}", digest.hex(), slots.uses));
            slots.uses += 1;
            // Moved away under the lock, so that the next unpack of the same code finds its place free.
            if std::fs::rename(&path, &grave).is_ok() {
                evicted.push((digest, grave));
            }
        }
        evicted
    }

    fn remove(self: Arc<Self>, evicted: Vec<(CodeDigest, PathBuf)>) {
        if evicted.is_empty() {
            return;
        }
        let remove = move || {
            for (_, grave) in evicted {
                if let Err(error) = remove_tree(&grave) {
                    tracing::warn!(path = %grave.display(), %error, "evicted code could not be removed");
                }
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
