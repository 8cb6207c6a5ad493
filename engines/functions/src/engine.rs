use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::{
    AccountId, AliasName, Clock, FunctionArn, FunctionName, Qualifier, Region, RequestId, VersionNumber,
};
use dormouse_sandbox::Driver;
use dormouse_store::Store;

use crate::commands::*;
use crate::error::{FunctionsError, Result};
use crate::events_api::{DeadEvent, DeadEventDetails};
use crate::function::{AccountSettings, Alias, EventInvokeConfig, EventInvokeSettings, FunctionDetails, FunctionVersion};
use crate::parts::{ExecutionRoles, Randomness};
use crate::settings::Settings;

/// What an engine is put together from.
pub struct Parts {
    /// The region that all ARNs carry.
    pub region: Region,
    /// Where everything durable is.
    pub store: Arc<dyn Store>,
    /// Runs the code.
    pub driver: Arc<dyn Driver>,
    /// Execution roles.
    pub roles: Arc<dyn ExecutionRoles>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and weights.
    pub randomness: Arc<dyn Randomness>,
}

/// What a name in a request leads to, for the authorizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// With the qualifier that the request used, without one if it used none.
    pub arn: FunctionArn,
    /// The resource policy as JSON; absent as long as functions have none.
    pub policy: Option<String>,
}

/// The functions engine. Clones share one engine.
#[derive(Clone)]
pub struct Functions {
    parts: Arc<Parts>,
}

fn absent<T>() -> Result<T> {
    Err(FunctionsError::NotImplemented("This operation is not there yet.".to_owned()))
}

#[expect(clippy::unused_async, unused_variables, reason = "bodies follow")]
impl Functions {
    /// Reads the registry and starts the background work. Needs a tokio runtime.
    pub async fn open(parts: Parts, settings: Settings) -> Result<Self> {
        Ok(Self { parts: Arc::new(parts) })
    }

    /// Takes no further work, lets what runs end within the limit, then stops every instance.
    pub async fn drain(&self, limit: Duration) {}

    /// The ARN of a name, whether or not it exists: what a request is authorized against.
    pub fn resolve(&self, account: &AccountId, name: &FunctionName, qualifier: Option<&Qualifier>) -> Resolved {
        let arn = FunctionArn {
            region: self.parts.region.clone(),
            account: account.clone(),
            name: name.clone(),
            qualifier: qualifier.cloned(),
        };
        Resolved { arn, policy: None }
    }

    /// `CreateFunction`.
    pub async fn create_function(&self, account: &AccountId, command: CreateFunction) -> Result<FunctionVersion> {
        absent()
    }

    /// `GetFunction`, `GetFunctionConfiguration`.
    pub async fn get_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<FunctionDetails> {
        absent()
    }

    /// `ListFunctions`; with `all_versions` published ones too. At most 50 a page.
    pub async fn list_functions(
        &self,
        account: &AccountId,
        page: Page,
        all_versions: bool,
    ) -> Result<Listing<FunctionVersion>> {
        absent()
    }

    /// The zip of a version, as it was uploaded, in pieces.
    pub async fn download_code(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<Bytes> {
        absent()
    }

    /// `UpdateFunctionCode`.
    pub async fn update_code(&self, account: &AccountId, command: UpdateCode) -> Result<FunctionVersion> {
        absent()
    }

    /// `UpdateFunctionConfiguration`.
    pub async fn update_configuration(
        &self,
        account: &AccountId,
        command: UpdateConfiguration,
    ) -> Result<FunctionVersion> {
        absent()
    }

    /// `DeleteFunction`: the whole function, or one published version.
    pub async fn delete_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<()> {
        absent()
    }

    /// `PublishVersion`.
    pub async fn publish_version(&self, account: &AccountId, command: PublishVersion) -> Result<FunctionVersion> {
        absent()
    }

    /// `ListVersionsByFunction`: `$LATEST` first. At most 50 a page.
    pub async fn list_versions(
        &self,
        account: &AccountId,
        name: &FunctionName,
        page: Page,
    ) -> Result<Listing<FunctionVersion>> {
        absent()
    }

    /// `CreateAlias`.
    pub async fn create_alias(&self, account: &AccountId, command: CreateAlias) -> Result<Alias> {
        absent()
    }

    /// `GetAlias`.
    pub async fn get_alias(&self, account: &AccountId, name: &FunctionName, alias: &AliasName) -> Result<Alias> {
        absent()
    }

    /// `ListAliases`, optionally only those of one version. At most 50 a page.
    pub async fn list_aliases(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<VersionNumber>,
        page: Page,
    ) -> Result<Listing<Alias>> {
        absent()
    }

    /// `UpdateAlias`.
    pub async fn update_alias(&self, account: &AccountId, command: UpdateAlias) -> Result<Alias> {
        absent()
    }

    /// `DeleteAlias`. Deleting what is not there succeeds, as in Lambda.
    pub async fn delete_alias(&self, account: &AccountId, name: &FunctionName, alias: &AliasName) -> Result<()> {
        absent()
    }

    /// `PutFunctionConcurrency`.
    pub async fn put_concurrency(&self, account: &AccountId, name: &FunctionName, reserved: u32) -> Result<u32> {
        absent()
    }

    /// `GetFunctionConcurrency`: absent when none is reserved.
    pub async fn get_concurrency(&self, account: &AccountId, name: &FunctionName) -> Result<Option<u32>> {
        absent()
    }

    /// `DeleteFunctionConcurrency`.
    pub async fn delete_concurrency(&self, account: &AccountId, name: &FunctionName) -> Result<()> {
        absent()
    }

    /// `PutFunctionEventInvokeConfig` (`merge` false: what is absent becomes default) and
    /// `UpdateFunctionEventInvokeConfig` (`merge` true: it must exist, and what is absent stays).
    pub async fn put_event_invoke_config(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
        settings: EventInvokeSettings,
        merge: bool,
    ) -> Result<EventInvokeConfig> {
        absent()
    }

    /// `GetFunctionEventInvokeConfig`.
    pub async fn get_event_invoke_config(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<EventInvokeConfig> {
        absent()
    }

    /// `DeleteFunctionEventInvokeConfig`.
    pub async fn delete_event_invoke_config(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<()> {
        absent()
    }

    /// `ListFunctionEventInvokeConfigs`. At most 50 a page.
    pub async fn list_event_invoke_configs(
        &self,
        account: &AccountId,
        name: &FunctionName,
        page: Page,
    ) -> Result<Listing<EventInvokeConfig>> {
        absent()
    }

    /// `ListTags`.
    pub async fn list_tags(&self, account: &AccountId, name: &FunctionName) -> Result<BTreeMap<String, String>> {
        absent()
    }

    /// `TagResource`: adds and replaces.
    pub async fn tag(&self, account: &AccountId, name: &FunctionName, tags: BTreeMap<String, String>) -> Result<()> {
        absent()
    }

    /// `UntagResource`. Keys that are not there are no error.
    pub async fn untag(&self, account: &AccountId, name: &FunctionName, keys: &[String]) -> Result<()> {
        absent()
    }

    /// `GetAccountSettings`.
    pub async fn account_settings(&self, account: &AccountId) -> Result<AccountSettings> {
        absent()
    }

    /// `Invoke` with `RequestResponse`: runs it and waits. It runs to its end even if the future is dropped.
    pub async fn invoke(&self, account: &AccountId, call: Invoke) -> Result<InvokeOutcome> {
        absent()
    }

    /// `Invoke` with `DryRun`: everything that is checked before a run.
    pub fn check_invoke(&self, account: &AccountId, call: &Invoke) -> Result<()> {
        absent()
    }

    /// `Invoke` with `Event`: returns once it is on disk.
    pub async fn enqueue(&self, account: &AccountId, call: Invoke) -> Result<RequestId> {
        absent()
    }

    /// Asynchronous invocations that were given up, oldest first.
    pub async fn list_dead_events(
        &self,
        account: &AccountId,
        function: Option<&FunctionName>,
        page: Page,
    ) -> Result<Listing<DeadEvent>> {
        absent()
    }

    /// One of them, with its payload.
    pub async fn get_dead_event(&self, account: &AccountId, id: RequestId) -> Result<DeadEventDetails> {
        absent()
    }

    /// Sends it again as a fresh event with the same id; it is no longer dead.
    pub async fn redrive_dead_event(&self, account: &AccountId, id: RequestId) -> Result<()> {
        absent()
    }

    /// Forgets it.
    pub async fn drop_dead_event(&self, account: &AccountId, id: RequestId) -> Result<()> {
        absent()
    }
}
