//! The registry: functions, versions, aliases and what stands beside them.

mod alias;
mod beside;
mod code;
mod create;
mod delete;
mod kept;
pub(crate) mod keyspace;
mod publish;
mod read;
mod update;

use std::sync::Arc;

use dormouse_blob::Blobs;
use dormouse_layers::{Answers, Catalogue, Change, Decision, LayerError, Reads, Stored};
use dormouse_model::{
    AccountId, Clock, FunctionArn, FunctionName, Qualifier, Region, RequestId, RevisionId, VersionNumber,
};
use dormouse_store::Store;

use crate::error::{FunctionsError, Result};
use crate::function::{Configuration, FunctionVersion};
use crate::parts::{ExecutionRoles, Randomness, RoleError, Sealer};
use crate::settings::Settings;
pub(crate) use code::fetch;
use keyspace::{Entry, FunctionRecord, VersionRecord};

/// Reads from memory, writes to the store.
pub(crate) struct Registry {
    pub(crate) region: Region,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) catalogue: Catalogue<Entry>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) roles: Arc<dyn ExecutionRoles>,
    pub(crate) sealer: Arc<dyn Sealer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) settings: Arc<Settings>,
}

impl From<LayerError> for FunctionsError {
    fn from(error: LayerError) -> Self {
        match error {
            LayerError::Store(error) => error.into(),
            LayerError::Contended { .. } => FunctionsError::conflict(
                "The operation cannot be performed at this time. An update is in progress for this function.",
            ),
            error => Self::internal("a record could not be read or written", error),
        }
    }
}

/// A function as it is in the store, and its `$LATEST`.
pub(crate) struct Loaded {
    pub(crate) function: Stored<FunctionRecord>,
    pub(crate) latest: Stored<VersionRecord>,
}

impl Registry {
    pub(crate) fn arn(&self, account: &AccountId, name: &FunctionName, qualifier: Option<Qualifier>) -> FunctionArn {
        FunctionArn { region: self.region.clone(), account: account.clone(), name: name.clone(), qualifier }
    }

    pub(crate) fn not_found(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> FunctionsError {
        let arn = self.arn(account, name, qualifier.cloned());
        FunctionsError::ResourceNotFound(format!("Function not found: {arn}"))
    }

    pub(crate) fn uuid(&self) -> uuid::Uuid {
        let bits = (u128::from(self.randomness.next_u64()) << 64) | u128::from(self.randomness.next_u64());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    pub(crate) fn revision(&self) -> RevisionId {
        RevisionId(self.uuid())
    }

    pub(crate) fn request_id(&self) -> RequestId {
        RequestId(self.uuid())
    }

    /// The role must exist and trust Lambda.
    pub(crate) async fn check_role(&self, account: &AccountId, role: &str) -> Result<()> {
        self.roles.check(account, role).await.map_err(|error| match error {
            RoleError::Refused(sentence) => FunctionsError::InvalidParameterValue(sentence),
            RoleError::Unavailable(cause) => {
                tracing::warn!(%cause, role, "a role could not be checked");
                crate::admission::shed("The role cannot be checked now.")
            }
        })
    }

    /// Reads for [`Registry::loaded`].
    pub(crate) fn load(&self, account: &AccountId, name: &FunctionName) -> Reads {
        Reads::new().get(keyspace::function(account, name)).get(keyspace::version(account, name, VersionNumber::Latest))
    }

    pub(crate) fn loaded(&self, account: &AccountId, name: &FunctionName, answers: &mut Answers) -> Result<Loaded> {
        let (function, latest) = (answers.one()?, answers.one()?);
        match (function, latest) {
            (Some(function), Some(latest)) => Ok(Loaded { function, latest }),
            _ => Err(self.not_found(account, name, None)),
        }
    }

    /// A change below a function: decides on the function and on what `more` reads, and writes the function's record
    /// again, so that changes of one function come one after the other.
    pub(crate) async fn change<T, F>(
        &self,
        account: &AccountId,
        name: &FunctionName,
        more: impl FnOnce(Reads) -> Reads,
        mut decide: F,
    ) -> Result<T>
    where
        F: FnMut(&mut Loaded, &mut Answers, &mut Change) -> Result<T> + Send,
        T: Send,
    {
        let reads = more(self.load(account, name));
        self.catalogue
            .transact(reads, |answers| {
                let mut loaded = self.loaded(account, name, answers)?;
                let mut change = Change::new();
                let answer = decide(&mut loaded, answers, &mut change)?;
                if change.is_empty() {
                    return Ok(Decision::Leave(answer));
                }
                change.update(keyspace::function(account, name), &loaded.function)?;
                Ok::<_, FunctionsError>(Decision::Commit(change, answer))
            })
            .await
    }

    /// A version as it is shown.
    pub(crate) fn shown(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: VersionNumber,
        qualifier: Option<Qualifier>,
        record: &VersionRecord,
    ) -> Result<FunctionVersion> {
        Ok(FunctionVersion {
            arn: self.arn(account, name, qualifier),
            version,
            configuration: self.opened(account, name, record)?,
            code: record.code.clone(),
            revision: record.revision,
            last_modified: record.last_modified,
            state: record.state.clone(),
            last_update: record.last_update.clone(),
        })
    }

    /// The configuration of a version with its variables.
    pub(crate) fn opened(
        &self,
        account: &AccountId,
        name: &FunctionName,
        record: &VersionRecord,
    ) -> Result<Configuration> {
        record.configuration.open(&*self.sealer, account, name)
    }
}

/// The revision that the caller named must be the current one.
pub(crate) fn check_revision(named: Option<RevisionId>, current: RevisionId) -> Result<()> {
    match named {
        Some(named) if named != current => Err(FunctionsError::PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
             retrieve the latest Revision Id"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}
