//! Items that were given up on, kept with the reason until somebody sends them again or drops them.

use bytes::Bytes;
use dormouse_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DueQueue, Entry, Taken};
use crate::due_queue::owner::join;
use crate::{Answers, Change, Decision, LayerError, Reads, Stored, transact};

/// An item that was given up on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// Why it was given up on, a sentence for the user.
    pub reason: String,
    /// When it was, by the store's clock.
    pub time: Timestamp,
    /// Attempts, the caller's note, when it was accepted.
    pub entry: Entry,
}

impl DueQueue {
    /// Adds to a batch that an item is given up on. Its body stays.
    pub fn bury(
        &self,
        change: &mut Change,
        item: &Taken,
        reason: impl Into<String>,
        now: Timestamp,
    ) -> Result<(), LayerError> {
        self.leave(change, item);
        let id = item.id.clone();
        let letter = DeadLetter { id, reason: reason.into(), time: now, entry: item.entry.clone() };
        change.put(self.keys.dead(&item.id), &letter)?;
        change.put_bytes(self.keys.dead_by_time(now, &item.id), Bytes::new());
        change.add(self.keys.dead_count(), 1);
        Ok(())
    }

    /// At most `limit` dead letters, the oldest first, and where the listing goes on if there may be more.
    pub async fn dead_letters(
        &self,
        after: Option<&DeadCursor>,
        limit: usize,
    ) -> Result<(Vec<DeadLetter>, Option<DeadCursor>), LayerError> {
        let mut range = self.keys.all_dead_by_time();
        if let Some(DeadCursor(key)) = after {
            range = range.after(key);
        }
        let limit = limit.min(dormouse_store::READ_PARTS);
        let index = Reads::new().read(range.read_keys(limit)).run(&*self.store).await?.items();
        let next = index.last().filter(|_| index.len() == limit).map(|item| DeadCursor(item.key.clone()));
        let mut reads = Reads::new();
        for id in index.iter().filter_map(|item| self.keys.parse_dead(&item.key)) {
            reads = reads.get(self.keys.dead(&id));
        }
        let mut answers = reads.run(&*self.store).await?;
        let mut letters = Vec::new();
        for _ in &index {
            letters.extend(answers.one::<DeadLetter>()?.map(|stored| stored.value));
        }
        Ok((letters, next))
    }

    /// One dead letter and its body.
    pub async fn dead_letter(&self, id: &str) -> Result<Option<(DeadLetter, Bytes)>, LayerError> {
        let letter = Reads::new().get(self.keys.dead(id)).run(&*self.store).await?.one::<DeadLetter>()?;
        let Some(letter) = letter.map(|stored| stored.value) else { return Ok(None) };
        let mut reads = Reads::new();
        for part in 0..letter.entry.body_parts {
            reads = reads.get(self.keys.body(id, part.into()));
        }
        let mut answers = reads.run(&*self.store).await?;
        let body = join((0..letter.entry.body_parts).flat_map(|_| answers.items()).collect());
        Ok(Some((letter, body)))
    }

    /// Puts a dead letter back into the queue, due at once and with its attempts forgotten. False when there is none of
    /// that id.
    pub async fn redrive(&self, id: &str) -> Result<bool, LayerError> {
        self.change_dead(id, |change, letter, now| {
            let shard = self.keys.shard_of(id, self.shards);
            let entry = Entry { attempts: 0, enqueued: now, ..letter.entry.clone() };
            change.put(self.keys.due(shard, now, id), &entry)?;
            change.add(self.keys.count(shard), 1);
            Ok(())
        })
        .await
    }

    /// Removes a dead letter and its body. False when there is none of that id.
    pub async fn discard(&self, id: &str) -> Result<bool, LayerError> {
        self.change_dead(id, |change, letter, _| {
            self.delete_body(change, id, letter.entry.body_parts);
            Ok(())
        })
        .await
    }

    async fn change_dead<F>(&self, id: &str, then: F) -> Result<bool, LayerError>
    where
        F: Fn(&mut Change, &DeadLetter, Timestamp) -> Result<(), LayerError> + Send + Sync,
    {
        transact(&*self.store, Reads::new().get(self.keys.dead(id)), |answers: &mut Answers| {
            let Some(stored): Option<Stored<DeadLetter>> = answers.one()? else { return Ok(Decision::Leave(false)) };
            let mut change = Change::new();
            change.remove(self.keys.dead(id), stored.version);
            change.delete(self.keys.dead_by_time(stored.value.time, id));
            change.add(self.keys.dead_count(), -1);
            then(&mut change, &stored.value, answers.time)?;
            Ok(Decision::Commit(change, true))
        })
        .await
    }
}

/// Where a listing of dead letters goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadCursor(Bytes);

impl DeadCursor {
    /// As text for a client.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From the text; `None` when it is not one.
    pub fn from_text(text: &str) -> Option<Self> {
        let pairs = text.as_bytes().chunks(2);
        let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        bytes.collect::<Option<Vec<u8>>>().map(|bytes| Self(bytes.into()))
    }
}
