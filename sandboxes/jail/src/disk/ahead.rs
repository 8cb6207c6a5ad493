use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{ensure_template, mount_empty, template_path};
use crate::JailError;
use crate::spawner_client::blocking;

/// Disks of one size that stand ready.
const READY: usize = 2;
/// Sizes of which disks stand ready: those asked for last.
const SIZES_MAX: usize = 4;
/// The start that a disk was taken for is let pass before another is made.
const PAUSE: Duration = Duration::from_millis(50);

/// Empty disks, attached and mounted before anyone asks: that takes milliseconds, most of them waiting for workers of
/// the kernel. They have no name and no process, and are gone with the node however it ends.
#[derive(Debug)]
pub(crate) struct Ahead {
    state_dir: PathBuf,
    shelves: Mutex<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    /// The size asked for last is first.
    shelves: Vec<Shelf>,
    /// Somebody is at it, and looks again before leaving.
    making: bool,
    closed: bool,
}

#[derive(Debug)]
struct Shelf {
    size_mb: u32,
    disks: Vec<OwnedFd>,
}

impl Ahead {
    /// Disks for the jailer of this directory.
    pub(crate) fn new(state_dir: PathBuf) -> Self {
        Self { state_dir, shelves: Mutex::default() }
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        // Whole at every moment, whoever panicked.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A detached mount of an empty disk of this size, if one stands ready; otherwise what a sandbox needs to make one for
    /// itself is there afterwards. Another is made, and from now on.
    pub(crate) async fn take(self: &Arc<Self>, size_mb: u32) -> Result<Option<OwnedFd>, JailError> {
        let disk = self.ask(size_mb, |shelf| shelf.disks.pop());
        if disk.is_some() || template_path(&self.state_dir, size_mb).exists() {
            return Ok(disk);
        }
        let dir = self.state_dir.clone();
        blocking(move || template(&dir, size_mb)).await.map(|()| None)
    }

    /// Disks of this size are made from now on.
    pub(crate) fn expect(self: &Arc<Self>, size_mb: u32) {
        self.ask(size_mb, |_| None);
    }

    fn ask(self: &Arc<Self>, size_mb: u32, take: impl FnOnce(&mut Shelf) -> Option<OwnedFd>) -> Option<OwnedFd> {
        let (disk, old, make) = {
            let mut shelves = self.shelves();
            let (shelf, old) = shelves.ask(size_mb);
            (take(shelf), old, shelves.begin())
        };
        if let Some(old) = old {
            discard(old.disks);
        }
        if make {
            tokio::spawn(self.clone().fill());
        }
        disk
    }

    /// Makes what is lacking, one disk at a time.
    async fn fill(self: Arc<Self>) {
        tokio::time::sleep(PAUSE).await;
        loop {
            let Some(size_mb) = self.shelves().lacking() else { return };
            match self.make(size_mb).await {
                Ok(disk) => self.put(size_mb, disk),
                Err(error) => {
                    // Whoever finds none makes one for itself, and is told why that fails.
                    tracing::warn!(%error, size_mb, "a disk for /tmp could not be made ahead");
                    self.shelves().making = false;
                    return;
                }
            }
        }
    }

    async fn make(&self, size_mb: u32) -> Result<OwnedFd, JailError> {
        let dir = self.state_dir.clone();
        let make = move || {
            template(&dir, size_mb)?;
            mount_empty(&dir, size_mb).map_err(|failure| JailError::step(failure.step, failure.reason))
        };
        blocking(make).await
    }

    fn put(&self, size_mb: u32, disk: OwnedFd) {
        let unwanted = self.shelves().put(size_mb, disk);
        discard(unwanted.into_iter().collect());
    }

    /// Lets all disks go, and makes no more.
    pub(crate) fn close(&self) -> Vec<OwnedFd> {
        let mut shelves = self.shelves();
        shelves.closed = true;
        shelves.shelves.drain(..).flat_map(|shelf| shelf.disks).collect()
    }
}

impl Shelves {
    /// The shelf of this size, and the one that had to go for it.
    fn ask(&mut self, size_mb: u32) -> (&mut Shelf, Option<Shelf>) {
        let at = self.shelves.iter().position(|shelf| shelf.size_mb == size_mb);
        let shelf = at.map_or(Shelf { size_mb, disks: Vec::new() }, |at| self.shelves.remove(at));
        self.shelves.insert(0, shelf);
        let old = if self.shelves.len() > SIZES_MAX { self.shelves.pop() } else { None };
        (&mut self.shelves[0], old)
    }

    /// Whether the one who asks is to make what is lacking.
    fn begin(&mut self) -> bool {
        !self.closed && !std::mem::replace(&mut self.making, true)
    }

    /// The size of the next disk to make; `None` ends the making.
    fn lacking(&mut self) -> Option<u32> {
        let lacking = self.shelves.iter().find(|shelf| shelf.disks.len() < READY).map(|shelf| shelf.size_mb);
        self.making = lacking.is_some() && !self.closed;
        lacking.filter(|_| self.making)
    }

    /// Gives the disk back when nobody wants it any more.
    fn put(&mut self, size_mb: u32, disk: OwnedFd) -> Option<OwnedFd> {
        match self.shelves.iter_mut().find(|shelf| shelf.size_mb == size_mb) {
            Some(shelf) if !self.closed => {
                shelf.disks.push(disk);
                None
            }
            _ => Some(disk),
        }
    }
}

fn template(dir: &Path, size_mb: u32) -> Result<(), JailError> {
    ensure_template(dir, size_mb).map_err(|error| JailError::step("make an empty disk image", error))
}

/// To close a disk is to unmount it, which takes a moment.
fn discard(disks: Vec<OwnedFd>) {
    if !disks.is_empty() {
        tokio::task::spawn_blocking(move || drop(disks));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> OwnedFd {
        std::fs::File::open("/dev/null").expect("there is a /dev/null").into()
    }

    #[test]
    fn the_sizes_asked_for_last_are_kept_full() {
        let mut shelves = Shelves::default();
        for size_mb in 1..=5 {
            let (shelf, old) = shelves.ask(size_mb);
            assert!(shelf.disks.is_empty());
            assert_eq!(old.map(|shelf| shelf.size_mb), (size_mb == 5).then_some(1));
        }
        assert!(shelves.begin() && !shelves.begin(), "one is at it");
        let mut made = Vec::new();
        while let Some(size_mb) = shelves.lacking() {
            made.push(size_mb);
            assert!(shelves.put(size_mb, disk()).is_none());
        }
        assert_eq!(made, [5, 5, 4, 4, 3, 3, 2, 2]);
        assert!(shelves.put(1, disk()).is_some(), "nobody asks for that size any more");
        assert!(shelves.ask(3).0.disks.pop().is_some());
        assert!(shelves.begin());
        assert_eq!(shelves.lacking(), Some(3));
    }

    #[test]
    fn nothing_is_made_or_kept_after_the_end() {
        let mut shelves = Shelves { closed: true, ..Default::default() };
        assert!(shelves.ask(512).0.disks.is_empty());
        assert!(!shelves.begin());
        assert!(shelves.put(512, disk()).is_some());
        assert_eq!(shelves.lacking(), None);
    }
}
