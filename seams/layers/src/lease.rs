//! The lease: an exclusive right for a while.
//!
//! Two keys. `epoch` changes only with the owner, and every batch of the owner expects it: whoever lost the lease cannot
//! write under it, however late it notices. `expiry` is renewed and judged by the store's clock alone.

use std::time::Duration;

use bytes::Bytes;
use dormouse_model::Timestamp;
use dormouse_store::{Store, Version};
use serde::{Deserialize, Serialize};

use crate::{Change, Decision, Key, LayerError, Reads, transact};

#[derive(Debug, Serialize, Deserialize)]
struct Epoch {
    number: u64,
    owner: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Expiry {
    until: Timestamp,
}

/// A lease that is held, or was.
#[derive(Debug, Clone)]
pub struct Lease {
    epoch_key: Bytes,
    expiry_key: Bytes,
    /// Grows with each owner.
    pub epoch: u64,
    version: Version,
    /// When it ends unless it is renewed, by the store's clock.
    pub until: Timestamp,
}

/// Whether somebody got a lease.
#[derive(Debug, Clone)]
pub enum Acquired {
    /// It is ours.
    Yes(Lease),
    /// It is another's.
    No {
        /// Who holds it.
        owner: String,
        /// When it ends unless it is renewed.
        until: Timestamp,
    },
}

impl Lease {
    /// Takes the lease under `key` for `owner` if nobody holds it, or if `owner` itself does, which means that it was
    /// started anew: the epoch changes then too.
    pub async fn acquire(store: &dyn Store, key: Key, owner: &str, ttl: Duration) -> Result<Acquired, LayerError> {
        let epoch_key: Bytes = key.clone().text("epoch").into();
        let expiry_key: Bytes = key.text("expiry").into();
        let reads = Reads::new().get(epoch_key.clone()).get(expiry_key.clone());
        let decided = transact(store, reads, |answers| {
            let was = answers.one::<Epoch>()?;
            let expiry = answers.one::<Expiry>()?;
            if let (Some(was), Some(expiry)) = (&was, &expiry)
                && was.value.owner != owner
                && expiry.value.until > answers.time
            {
                let owner = was.value.owner.clone();
                return Ok::<_, LayerError>(Decision::Leave(Err((owner, expiry.value.until))));
            }
            let number = was.as_ref().map_or(0, |was| was.value.number) + 1;
            let until = answers.time + ttl;
            let mut change = Change::new();
            change.expect_as(epoch_key.clone(), was.as_ref());
            change.expect_as(expiry_key.clone(), expiry.as_ref());
            change.put(epoch_key.clone(), &Epoch { number, owner: owner.to_owned() })?;
            change.put(expiry_key.clone(), &Expiry { until })?;
            Ok(Decision::Commit(change, Ok((number, until))))
        })
        .await?;
        let (epoch, until) = match decided {
            Ok(taken) => taken,
            Err((owner, until)) => return Ok(Acquired::No { owner, until }),
        };
        // The version is needed to expect it. Whoever took over in between has another epoch.
        let stored = Reads::new().get(epoch_key.clone()).run(store).await?.one::<Epoch>()?;
        match stored.filter(|stored| stored.value.number == epoch) {
            Some(stored) => Ok(Acquired::Yes(Self { epoch_key, expiry_key, epoch, version: stored.version, until })),
            None => Err(LayerError::LeaseLost),
        }
    }

    /// Adds to a batch that it holds only while the lease is ours.
    pub fn guard(&self, change: &mut Change) {
        change.expect(self.epoch_key.clone(), self.version);
    }

    /// What [`Lease::guard`] expects.
    pub fn fence(&self) -> (Bytes, Version) {
        (self.epoch_key.clone(), self.version)
    }

    /// Holds it for `ttl` more from now on.
    ///
    /// # Errors
    /// [`LayerError::LeaseLost`] when another has it. A lease that ran out and that nobody took is still ours.
    pub async fn renew(&mut self, store: &dyn Store, ttl: Duration) -> Result<(), LayerError> {
        let until = store.read(Vec::new()).await?.time + ttl;
        let mut change = Change::new();
        self.guard(&mut change);
        change.put(self.expiry_key.clone(), &Expiry { until })?;
        crate::commit(store, change).await?.map_err(|_| LayerError::LeaseLost)?;
        self.until = until;
        Ok(())
    }

    /// Gives it back, so that another need not wait for its end. No error when it was lost already.
    pub async fn release(self, store: &dyn Store) -> Result<(), LayerError> {
        let mut change = Change::new();
        self.guard(&mut change);
        change.delete(self.expiry_key.clone());
        crate::commit(store, change).await?.ok();
        Ok(())
    }
}
