//! Where the bytes of code are: uploads, uses, and the removal of what nothing uses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_blob::{BlobError, BlobName, Blobs, stream_of};
use dormouse_layers::{Answers, Change, Decision, Parts, Stored, get, scan, transact};
use dormouse_model::{AccountId, FunctionName, VersionNumber};
use dormouse_store::Store;

use super::Registry;
use super::keyspace::{self, CodeRecord};
use crate::code::{CodeDigest, ZipLimits, check};
use crate::error::{FunctionsError, Result};
use crate::function::CodeSummary;

const PREFIX: &str = "code/";
/// An upload that no record names after so long was broken off.
const ORPHAN_AGE: Duration = Duration::from_secs(3_600);
/// Code records that one sweep looks at in one go.
const SWEEP: usize = 100_000;

impl From<BlobError> for FunctionsError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full(_) => {
                tracing::error!(%error, "code cannot be stored");
                crate::admission::shed("The code storage of this node is full.")
            }
            error => Self::internal("the code storage failed", error),
        }
    }
}

/// Code that was checked and whose bytes are on disk; not yet used by a version.
pub(crate) struct Upload {
    pub(crate) digest: CodeDigest,
    pub(crate) summary: CodeSummary,
    /// What was read of the code's record, and is expected when a version begins to use it.
    seen: Option<Stored<CodeRecord>>,
    /// What is written there, when there was no live record.
    fresh: Option<CodeRecord>,
}

impl Registry {
    pub(crate) fn zip_limits(&self) -> ZipLimits {
        ZipLimits { entries: self.settings.zip_entries, unpacked_bytes: self.settings.unpacked_bytes }
    }

    /// Everything that can be said about a zip before it is kept.
    pub(crate) async fn check_zip(&self, zip: &Bytes) -> Result<(CodeDigest, u64)> {
        if zip.len() > self.settings.zip_bytes {
            return Err(FunctionsError::RequestTooLarge(format!(
                "The zip has {} bytes; a zip in a request may have {}. Leave out what the function does not need.",
                zip.len(),
                self.settings.zip_bytes
            )));
        }
        let (zip, limits) = (zip.clone(), self.zip_limits());
        let checked = tokio::task::spawn_blocking(move || (CodeDigest::of(&zip), check(&zip, limits)));
        let (digest, unpacked) =
            checked.await.map_err(|error| FunctionsError::internal("the zip could not be checked", error))?;
        Ok((digest, unpacked.map_err(|refusal| FunctionsError::InvalidParameterValue(refusal.to_string()))?))
    }

    /// Checks a zip and puts its bytes on disk, unless they are there already.
    pub(crate) async fn upload(&self, account: &AccountId, zip: Bytes) -> Result<Upload> {
        let (digest, unpacked_bytes) = self.check_zip(&zip).await?;
        let size_bytes = zip.len() as u64;
        let used = self.code_storage_used(account);
        if used + size_bytes > self.settings.code_storage_bytes {
            return Err(FunctionsError::CodeStorageExceeded(format!(
                "Code storage limit exceeded. {used} of {} bytes are in use. Delete functions or versions.",
                self.settings.code_storage_bytes
            )));
        }
        let summary = CodeSummary { sha256: digest.base64(), size_bytes };
        let seen: Option<Stored<CodeRecord>> = get(&*self.store, keyspace::code(&digest.hex())).await?;
        if seen.as_ref().is_some_and(|seen| !seen.value.condemned) {
            return Ok(Upload { digest, summary, seen, fresh: None });
        }
        let name = format!("{PREFIX}{}-{:x}-{:08x}.zip", digest.hex(), self.clock.now().0, self.randomness.next_u64());
        self.blobs.put(&blob_name(&name)?, stream_of(zip)).await?;
        let fresh = CodeRecord { blob: name, size_bytes, unpacked_bytes, condemned: false };
        Ok(Upload { digest, summary, seen, fresh: Some(fresh) })
    }

    /// Adds to a change that a version uses the code. Conflicts when the code was condemned in between.
    pub(crate) fn use_code(
        &self,
        change: &mut Change,
        upload: &Upload,
        account: &AccountId,
        name: &FunctionName,
        version: VersionNumber,
    ) -> Result<()> {
        let hex = upload.digest.hex();
        change.expect_as(keyspace::code(&hex), upload.seen.as_ref());
        if let Some(fresh) = &upload.fresh {
            change.put(keyspace::code(&hex), fresh)?;
        }
        change.put_bytes(keyspace::code_use(&hex, account, name, version), Bytes::new());
        Ok(())
    }

    /// Whether what was seen of the code's record still holds; if not, the upload is made again.
    pub(crate) fn upload_holds(upload: &Upload, answers: &mut Answers) -> Result<bool> {
        let now: Option<Stored<CodeRecord>> = answers.one()?;
        Ok(now.map(|now| now.version) == upload.seen.as_ref().map(|seen| seen.version))
    }

    /// Adds to a change that a version uses the code that another version of the function uses, and so keeps live.
    pub(crate) fn share_code(
        change: &mut Change,
        code: &CodeSummary,
        account: &AccountId,
        name: &FunctionName,
        version: VersionNumber,
    ) {
        if let Some(digest) = CodeDigest::from_base64(&code.sha256) {
            change.put_bytes(keyspace::code_use(&digest.hex(), account, name, version), Bytes::new());
        }
    }

    /// Adds to a change that a version does not use the code any more.
    pub(crate) fn leave_code(
        change: &mut Change,
        code: &CodeSummary,
        account: &AccountId,
        name: &FunctionName,
        version: VersionNumber,
    ) {
        if let Some(digest) = CodeDigest::from_base64(&code.sha256) {
            change.delete(keyspace::code_use(&digest.hex(), account, name, version));
        }
    }

    /// Removes code that nothing uses: condemned first, looked at then. A failure is left to the next sweep.
    pub(crate) async fn collect_code(&self, digest_hex: &str) {
        if let Err(error) = self.try_collect(digest_hex).await {
            tracing::warn!(%error, digest_hex, "unused code is not removed yet");
        }
    }

    async fn try_collect(&self, hex: &str) -> Result<()> {
        if self.has_uses(hex).await? || !self.mark(hex, true).await? {
            return Ok(());
        }
        if self.has_uses(hex).await? {
            self.mark(hex, false).await?;
            return Ok(());
        }
        let Some(condemned) = get::<CodeRecord>(&*self.store, keyspace::code(hex)).await? else { return Ok(()) };
        if !condemned.value.condemned {
            return Ok(());
        }
        self.blobs.delete(&blob_name(&condemned.value.blob)?).await?;
        let mut change = Change::new();
        change.remove(keyspace::code(hex), condemned.version);
        // A conflict means that it was uploaded again, as another blob.
        let _ = dormouse_layers::commit(&*self.store, change).await?;
        Ok(())
    }

    async fn has_uses(&self, hex: &str) -> Result<bool> {
        let uses = keyspace::code_uses(hex).children();
        let found = dormouse_layers::Reads::new().read(uses.read_keys(1)).run(&*self.store).await?.items();
        Ok(!found.is_empty())
    }

    /// Condemns or reprieves. False when there is no such code.
    async fn mark(&self, hex: &str, condemned: bool) -> Result<bool> {
        let key = || keyspace::code(hex);
        transact(&*self.store, dormouse_layers::Reads::new().get(key()), |answers| {
            let Some(mut code) = answers.one::<CodeRecord>()? else { return Ok(Decision::Leave(false)) };
            if code.value.condemned == condemned {
                return Ok(Decision::Leave(true));
            }
            code.value.condemned = condemned;
            let mut change = Change::new();
            change.update(key(), &code)?;
            Ok::<_, FunctionsError>(Decision::Commit(change, true))
        })
        .await
    }

    /// Removes what earlier removals and uploads left behind when they were broken off. Once, after the start.
    pub(crate) async fn sweep_code(&self) -> Result<()> {
        let mut blobs = std::collections::BTreeSet::new();
        for (key, code) in scan::<CodeRecord>(&*self.store, keyspace::codes().children(), SWEEP).await? {
            let mut parts = Parts::of(&key);
            parts.text();
            if let Some(hex) = parts.text() {
                self.collect_code(&hex).await;
            }
            blobs.insert(code.value.blob);
        }
        let old = (self.clock.now() - ORPHAN_AGE).0;
        for name in self.blobs.list(PREFIX, None, dormouse_blob::LIST_NAMES).await? {
            let written = name.as_str().split('-').nth(1).and_then(|millis| u64::from_str_radix(millis, 16).ok());
            if written.is_some_and(|written| written < old) && !blobs.contains(name.as_str()) {
                self.blobs.delete(&name).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn code_blob(&self, digest: CodeDigest) -> Result<dormouse_blob::Blob> {
        open(&*self.store, &*self.blobs, digest).await
    }
}

fn blob_name(name: &str) -> Result<BlobName> {
    BlobName::new(name).map_err(|error| FunctionsError::internal("a blob has a wrong name", error))
}

async fn open(store: &dyn Store, blobs: &dyn Blobs, digest: CodeDigest) -> Result<dormouse_blob::Blob> {
    let missing = || FunctionsError::internal("the code of the function is gone", digest.hex());
    let code = get::<CodeRecord>(store, keyspace::code(&digest.hex())).await?.ok_or_else(missing)?;
    blobs.get(&blob_name(&code.value.blob)?, None).await?.ok_or_else(missing)
}

/// The zip, for a node that has not unpacked it yet.
pub(crate) async fn fetch(store: Arc<dyn Store>, blobs: Arc<dyn Blobs>, digest: CodeDigest) -> Result<Bytes> {
    Ok(open(&*store, &*blobs, digest).await?.bytes().await?)
}
