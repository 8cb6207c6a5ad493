//! Memory that the bodies of requests may hold together, so that many large uploads at once wait for each other instead
//! of taking all memory of the machine.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{BodyError, FrontSettings};

/// Bodies up to this size are not counted: the number of connections bounds them well enough.
pub(crate) const SMALL_BYTES: u64 = 1 << 20;
/// Room is counted in pieces of this size.
const PIECE_BYTES: u64 = 64 << 10;

/// What is left for large bodies.
pub(crate) struct BodyRoom {
    pieces: Arc<Semaphore>,
    all: u32,
}

/// The share of one body; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share(OwnedSemaphorePermit);

/// A body with its share: the share lasts as long as any part of the bytes.
struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyRoom {
    pub(crate) fn new(settings: &FrontSettings) -> Self {
        let all = pieces(settings.body_memory_bytes).max(1);
        Self { pieces: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits its turn for the whole size at once, so that no two bodies wait for each other half read. A body that is
    /// larger than all the room takes all of it. None for a small body.
    pub(crate) async fn take(&self, bytes: u64, settings: &FrontSettings) -> Result<Option<Share>, BodyError> {
        if bytes <= SMALL_BYTES {
            return Ok(None);
        }
        let wanted = Arc::clone(&self.pieces).acquire_many_owned(pieces(bytes).min(self.all));
        match tokio::time::timeout(settings.body_memory_wait, wanted).await {
            // The semaphore is never closed, so an error is as good as none left.
            Ok(Ok(permit)) => Ok(Some(Share(permit))),
            Ok(Err(_)) | Err(_) => Err(BodyError::NoRoom),
        }
    }
}

impl Share {
    /// Gives back what the body turned out not to need, and the rest with the last of its bytes.
    pub(crate) fn keep_for(mut self, bytes: Bytes) -> Bytes {
        let needed = pieces(bytes.len() as u64) as usize;
        drop(self.0.split(self.0.num_permits().saturating_sub(needed)));
        Bytes::from_owner(Counted { bytes, _share: self })
    }
}

fn pieces(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(megabytes: u64) -> FrontSettings {
        FrontSettings {
            body_memory_bytes: megabytes << 20,
            body_memory_wait: Duration::from_millis(1),
            ..FrontSettings::default()
        }
    }

    #[tokio::test]
    async fn a_share_lasts_as_long_as_its_bytes() {
        let settings = settings(8);
        let room = BodyRoom::new(&settings);
        assert!(room.take(SMALL_BYTES, &settings).await.expect("room").is_none());
        let share = room.take(6 << 20, &settings).await.expect("room").expect("counted");
        assert_eq!(room.take(3 << 20, &settings).await.err(), Some(BodyError::NoRoom));
        // Only three of six were needed.
        let bytes = share.keep_for(Bytes::from(vec![0; 3 << 20]));
        let other = room.take(5 << 20, &settings).await.expect("room");
        let part = bytes.slice(7..9);
        drop(bytes);
        assert_eq!(room.take(2 << 20, &settings).await.err(), Some(BodyError::NoRoom), "a part is still held");
        drop(part);
        assert!(room.take(3 << 20, &settings).await.is_ok());
        drop(other);
    }

    #[tokio::test]
    async fn a_body_larger_than_all_room_is_alone() {
        let settings = settings(2);
        let room = BodyRoom::new(&settings);
        let share = room.take(100 << 20, &settings).await.expect("room").expect("counted");
        assert_eq!(room.take(2 << 20, &settings).await.err(), Some(BodyError::NoRoom));
        let kept = share.keep_for(Bytes::from(vec![0; 5 << 20]));
        drop(kept);
        assert!(room.take(2 << 20, &settings).await.is_ok());
    }
}
