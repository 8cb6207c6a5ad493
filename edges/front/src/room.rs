//! Memory that the bodies of requests may hold together, so that many large uploads at once wait for each other instead
//! of taking all memory of the machine.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use dormouse_model::AccountId;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::{BodyError, FrontSettings, Peer};

/// Bodies up to this size are not counted: the number of connections bounds them well enough.
pub(crate) const SMALL_BYTES: u64 = 1 << 20;
/// Room is counted in pieces of this size.
const PIECE_BYTES: u64 = 64 << 10;

/// A peer holds at most this part of all room, so that one alone cannot keep everyone else waiting: memory is taken
/// before a signature can be looked at, and whoever is cut off for being slow may come again at once.
const PARTS: u32 = 2;

/// What is left for large bodies.
pub(crate) struct BodyRoom {
    pieces: Arc<Semaphore>,
    all: u32,
    /// What is left for each peer that holds or waits for some.
    parts: Mutex<HashMap<Holder, Weak<Semaphore>>>,
}

/// Who counts as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    /// Of IPv6 the first half of the address: whoever has one has the rest of the network behind it.
    Network(IpAddr),
    /// The code of an account, in whatever sandboxes.
    Account(AccountId),
}

/// The room as one peer has it.
pub(crate) struct PeerRoom {
    room: Arc<BodyRoom>,
    holder: Holder,
}

/// The share of one body, of the peer's part and of the whole; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of_part: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

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

impl Holder {
    fn of(peer: &Peer) -> Self {
        match peer {
            Peer::Instance(identity) => Self::Account(identity.function.account.clone()),
            Peer::Tcp(address) => Self::Network(match address.ip().to_canonical() {
                IpAddr::V4(address) => address.into(),
                IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            }),
        }
    }
}

impl BodyRoom {
    pub(crate) fn new(settings: &FrontSettings) -> Self {
        let all = pieces(settings.body_memory_bytes).max(1);
        Self { pieces: Arc::new(Semaphore::new(all as usize)), all, parts: Mutex::default() }
    }

    fn part_pieces(&self) -> u32 {
        (self.all / PARTS).max(1)
    }

    fn part_of(&self, holder: &Holder) -> Arc<Semaphore> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = parts.get(holder).and_then(Weak::upgrade) {
            return part;
        }
        parts.retain(|_, part| part.strong_count() > 0);
        let part = Arc::new(Semaphore::new(self.part_pieces() as usize));
        parts.insert(holder.clone(), Arc::downgrade(&part));
        part
    }
}

impl PeerRoom {
    pub(crate) fn of(room: &Arc<BodyRoom>, peer: &Peer) -> Self {
        Self { room: Arc::clone(room), holder: Holder::of(peer) }
    }

    /// Waits its turn for the whole size at once, so that no two bodies wait for each other half read. A body that is
    /// larger than the peer's part takes all of that. None for a small body.
    pub(crate) async fn take(&self, bytes: u64, settings: &FrontSettings) -> Result<Option<Share>, BodyError> {
        if bytes <= SMALL_BYTES {
            return Ok(None);
        }
        let (room, wanted) = (&self.room, pieces(bytes));
        let shares = async {
            let of_part = room.part_of(&self.holder).acquire_many_owned(wanted.min(room.part_pieces())).await?;
            let of_all = Arc::clone(&room.pieces).acquire_many_owned(wanted.min(room.all)).await?;
            Ok::<_, AcquireError>(Share { of_part, of_all })
        };
        match tokio::time::timeout(settings.body_memory_wait, shares).await {
            // The semaphores are never closed, so an error is as good as none left.
            Ok(Ok(share)) => Ok(Some(share)),
            Ok(Err(_)) | Err(_) => Err(BodyError::NoRoom),
        }
    }
}

impl Share {
    /// Gives back what the body turned out not to need, and the rest with the last of its bytes.
    pub(crate) fn keep_for(mut self, bytes: Bytes) -> Bytes {
        let needed = pieces(bytes.len() as u64) as usize;
        for permit in [&mut self.of_part, &mut self.of_all] {
            drop(permit.split(permit.num_permits().saturating_sub(needed)));
        }
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

    fn peer(address: &str) -> Peer {
        Peer::Tcp(format!("{address}:1").parse().expect("an address"))
    }

    #[tokio::test]
    async fn a_share_lasts_as_long_as_its_bytes() {
        let settings = settings(16);
        let room = PeerRoom::of(&Arc::new(BodyRoom::new(&settings)), &peer("192.0.2.1"));
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
        let room = Arc::new(BodyRoom::new(&settings));
        let (one, other) = (PeerRoom::of(&room, &peer("192.0.2.1")), PeerRoom::of(&room, &peer("192.0.2.2")));
        let share = one.take(100 << 20, &settings).await.expect("room").expect("counted");
        for peer in [&one, &other] {
            assert_eq!(peer.take(2 << 20, &settings).await.err(), Some(BodyError::NoRoom));
        }
        let kept = share.keep_for(Bytes::from(vec![0; 5 << 20]));
        drop(kept);
        assert!(other.take(2 << 20, &settings).await.is_ok());
    }

    #[tokio::test]
    async fn one_peer_leaves_half_of_the_room_to_the_others() {
        let settings = settings(16);
        let room = Arc::new(BodyRoom::new(&settings));
        let greedy = ["[2001:db8::1]", "[2001:db8::2]"].map(|address| PeerRoom::of(&room, &peer(address)));
        let mut held = Vec::new();
        for n in 0..4 {
            held.push(greedy[n % 2].take(2 << 20, &settings).await.expect("room"));
        }
        for peer in &greedy {
            assert_eq!(peer.take(2 << 20, &settings).await.err(), Some(BodyError::NoRoom), "one network, one peer");
        }
        let modest = PeerRoom::of(&room, &peer("[2001:db8:1::1]"));
        let all_the_rest = modest.take(8 << 20, &settings).await.expect("half is left");
        drop((held, all_the_rest));
        assert!(greedy[0].take(8 << 20, &settings).await.is_ok());
        assert!(room.parts.lock().expect("whole").len() <= 2, "who holds nothing is forgotten");
    }
}
