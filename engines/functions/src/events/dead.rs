//! Events that were given up: listing, looking, sending again, forgetting.

use dormouse_layers::due_queue::{DeadCursor, DeadLetter, DueQueue};
use dormouse_model::{AccountId, FunctionName, RequestId, Timestamp};

use super::note::{EventNote, item_id, parse_item_id};
use super::{DeadEvent, DeadEventDetails, DeathReason};
use crate::commands::{Listing, Page};
use crate::error::{FunctionsError, Result};

const PAGE_ITEMS: u32 = 50;
const PAGE_ITEMS_MAX: u32 = 1_000;
/// Dead events that one round of the retention forgets.
const FORGET_AT_ONCE: usize = 200;

fn shown(letter: &DeadLetter) -> Option<(AccountId, DeadEvent)> {
    let (account, id) = parse_item_id(&letter.id)?;
    let note: EventNote = serde_json::from_value(letter.entry.state.clone()).ok()?;
    let (reason, last_error, received) = match &note.death {
        Some(death) => (death.reason, death.last_error.clone(), death.received),
        None => (DeathReason::RetriesExhausted, letter.reason.clone(), letter.entry.enqueued),
    };
    let event = DeadEvent {
        id,
        function: note.arn()?,
        received,
        died: letter.time,
        attempts: letter.entry.attempts,
        reason,
        last_error,
        payload_bytes: letter.entry.body_bytes as u64,
    };
    Some((account, event))
}

fn none(id: RequestId) -> FunctionsError {
    FunctionsError::ResourceNotFound(format!("There is no dead event {id}. List them to see which there are."))
}

pub(crate) async fn list(
    queue: &DueQueue,
    account: &AccountId,
    function: Option<&FunctionName>,
    page: Page,
) -> Result<Listing<DeadEvent>> {
    let max = page.max_items.unwrap_or(PAGE_ITEMS).clamp(1, PAGE_ITEMS_MAX) as usize;
    let mut cursor = match &page.marker {
        None => None,
        Some(marker) => Some(DeadCursor::from_text(marker).ok_or_else(|| {
            FunctionsError::invalid("Marker is not one of this listing. Pass on the NextMarker of the last page.")
        })?),
    };
    let mut items = Vec::new();
    loop {
        let (letters, next) = queue.dead_letters(cursor.as_ref(), max - items.len()).await?;
        let events = letters.iter().filter_map(shown);
        let wanted = |(owner, event): &(AccountId, DeadEvent)| {
            owner == account && function.is_none_or(|name| event.function.name == *name)
        };
        items.extend(events.filter(wanted).map(|(_, event)| event));
        cursor = next;
        if cursor.is_none() || items.len() == max {
            let next_marker = cursor.map(|cursor| cursor.to_text());
            return Ok(Listing { items, next_marker });
        }
    }
}

pub(crate) async fn get(queue: &DueQueue, account: &AccountId, id: RequestId) -> Result<DeadEventDetails> {
    let found = queue.dead_letter(&item_id(account, &id.to_string())).await?;
    let (letter, payload) = found.ok_or_else(|| none(id))?;
    let (_, event) = shown(&letter).ok_or_else(|| none(id))?;
    Ok(DeadEventDetails { event, payload })
}

pub(crate) async fn redrive(queue: &DueQueue, account: &AccountId, id: RequestId) -> Result<()> {
    match queue.redrive(&item_id(account, &id.to_string())).await? {
        true => Ok(()),
        false => Err(none(id)),
    }
}

pub(crate) async fn forget(queue: &DueQueue, account: &AccountId, id: RequestId) -> Result<()> {
    match queue.discard(&item_id(account, &id.to_string())).await? {
        true => Ok(()),
        false => Err(none(id)),
    }
}

/// Forgets events that died before that time.
pub(crate) async fn retain(queue: &DueQueue, since: Timestamp) -> Result<()> {
    loop {
        let (letters, _) = queue.dead_letters(None, FORGET_AT_ONCE).await?;
        let old: Vec<_> = letters.iter().filter(|letter| letter.time < since).collect();
        for letter in &old {
            queue.discard(&letter.id).await?;
        }
        if old.len() < FORGET_AT_ONCE {
            return Ok(());
        }
    }
}
