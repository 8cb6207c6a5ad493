//! The limits of the seam, checked the same way by every adapter.

use std::collections::HashSet;

use crate::{BATCH_BYTES, BATCH_KEYS, Batch, KEY_BYTES, READ_PARTS, Read, StoreError, StoreResult, VALUE_BYTES};

/// What a batch weighs in bytes of keys and values, as [`BATCH_BYTES`] counts it.
pub fn batch_bytes(batch: &Batch) -> usize {
    let expects: usize = batch.expect.iter().map(|(key, _)| key.len()).sum();
    let puts: usize = batch.put.iter().map(|(key, value)| key.len() + value.len()).sum();
    let adds: usize = batch.add.iter().map(|(key, _)| key.len() + 8).sum();
    let deletes: usize = batch.delete.iter().map(|key| key.len()).sum();
    expects + puts + adds + deletes
}

/// Refuses a batch that breaks a limit, changes one key twice or expects one key twice.
pub fn check_batch(batch: &Batch) -> StoreResult<()> {
    let keys = batch.expect.len() + batch.put.len() + batch.add.len() + batch.delete.len();
    if keys > BATCH_KEYS {
        return limit(format!("{keys} keys in a batch, at most {BATCH_KEYS} are allowed"));
    }
    let bytes = batch_bytes(batch);
    if bytes > BATCH_BYTES {
        return limit(format!("{bytes} bytes in a batch, at most {BATCH_BYTES} are allowed"));
    }
    if let Some((_, value)) = batch.put.iter().find(|(_, value)| value.len() > VALUE_BYTES) {
        return limit(format!("a value of {} bytes, at most {VALUE_BYTES} are allowed", value.len()));
    }
    let mut expected = HashSet::new();
    for (key, _) in &batch.expect {
        check_key(key)?;
        if !expected.insert(key) {
            return limit("a key is expected twice in a batch, once is allowed".to_owned());
        }
    }
    let mut changed = HashSet::new();
    let puts = batch.put.iter().map(|(key, _)| key);
    let adds = batch.add.iter().map(|(key, _)| key);
    for key in puts.chain(adds).chain(&batch.delete) {
        check_key(key)?;
        if !changed.insert(key) {
            return limit("a key is changed twice in a batch, once is allowed".to_owned());
        }
    }
    Ok(())
}

/// Refuses reads that break a limit.
pub fn check_reads(reads: &[Read]) -> StoreResult<()> {
    if reads.len() > READ_PARTS {
        return limit(format!("{} parts in a read, at most {READ_PARTS} are allowed", reads.len()));
    }
    for read in reads {
        match read {
            Read::Get(key) => check_key(key)?,
            Read::Range { from, to, .. } => check_range(from, to)?,
        }
    }
    Ok(())
}

/// Refuses a range whose ends are longer than the key right behind the longest key.
pub fn check_range(from: &[u8], to: &[u8]) -> StoreResult<()> {
    let longest = from.len().max(to.len());
    if longest > KEY_BYTES + 1 {
        return limit(format!("a range end of {longest} bytes, at most {} are allowed", KEY_BYTES + 1));
    }
    Ok(())
}

fn check_key(key: &[u8]) -> StoreResult<()> {
    if key.is_empty() {
        return limit("an empty key, at least 1 byte is needed".to_owned());
    }
    if key.len() > KEY_BYTES {
        return limit(format!("a key of {} bytes, at most {KEY_BYTES} are allowed", key.len()));
    }
    Ok(())
}

fn limit(message: String) -> StoreResult<()> {
    Err(StoreError::Limit(message))
}
