//! The handle: every operation of the engine, in the words of the Lambda API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_blob::{Blob, Blobs};
use dormouse_layers::Catalogue;
use dormouse_layers::due_queue::{self, DueQueue, NewItem};
use dormouse_model::{
    AccountId, AliasName, Clock, FunctionArn, FunctionName, Qualifier, Region, RequestId, VersionNumber, limits,
};
use dormouse_sandbox::{Driver, RuntimeState};
use dormouse_store::Store;
use dormouse_telemetry::{FunctionLogs, Metrics, UsageRecords, names};
use futures_util::StreamExt;

use crate::background;
use crate::code::{CodeCache, ZipLimits};
use crate::commands::*;
use crate::engine::{Engine, payload_or_empty_object};
use crate::error::{FunctionsError, Result};
use crate::events::{DeadEvent, DeadEventDetails, EventNote, dead, item_id, to_state};
use crate::function::{
    AccountSettings, Alias, EventInvokeConfig, EventInvokeSettings, FunctionDetails, FunctionVersion,
};
use crate::instances::{Instances, InstancesParts};
use crate::invoke::Telemetry;
use crate::parts::{ExecutionRoles, Randomness, Sealer};
use crate::registry::{Registry, keyspace};
use crate::settings::Settings;

/// What an engine is put together from.
pub struct Parts {
    /// The region that all ARNs carry.
    pub region: Region,
    /// Where records are.
    pub store: Arc<dyn Store>,
    /// Where code is.
    pub blobs: Arc<dyn Blobs>,
    /// Runs the code.
    pub driver: Arc<dyn Driver>,
    /// Execution roles.
    pub roles: Arc<dyn ExecutionRoles>,
    /// Seals variables in the store.
    pub sealer: Arc<dyn Sealer>,
    /// What functions print, and what is written around it.
    pub logs: Arc<dyn FunctionLogs>,
    /// What invocations use.
    pub usage: Arc<dyn UsageRecords>,
    /// Counts for operators.
    pub metrics: Arc<Metrics>,
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
    /// The function's tags; none when it does not exist.
    pub tags: BTreeMap<String, String>,
}

/// A zip on its way out. It is never in memory as a whole.
pub struct Download {
    blob: Blob,
}

impl Download {
    pub(crate) fn new(blob: Blob) -> Self {
        Self { blob }
    }

    /// How long the zip is.
    pub fn size_bytes(&self) -> u64 {
        self.blob.size_bytes
    }

    /// Its next bytes; `None` behind the last.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        let piece = self.blob.body.next().await?;
        Some(piece.map_err(FunctionsError::from))
    }
}

/// What runs at this moment, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Invocations in progress or waiting for an instance.
    pub invocations: u32,
    /// Instances that wait, frozen or not.
    pub idle: usize,
    /// Instances that serve an invocation.
    pub busy: usize,
    /// Instances in their start.
    pub starting: usize,
    /// All instances that exist, those that are being stopped included.
    pub live: usize,
    /// Memory that is promised to instances, in MB.
    pub memory_mb: u64,
    /// Memory that may be promised, in MB.
    pub memory_limit_mb: u64,
}

/// Records of the registry that are looked through at the start for what the driver is to expect.
const EXPECTED_RECORDS: usize = 10_000;

/// The functions engine. Clones share one engine.
#[derive(Clone)]
pub struct Functions {
    engine: Arc<Engine>,
}

impl Functions {
    /// Reads the registry, empties the code cache and starts the background work. Needs a tokio runtime.
    pub async fn open(parts: Parts, settings: Settings) -> Result<Self> {
        let settings = Arc::new(settings);
        let limits = ZipLimits { entries: settings.zip_entries, unpacked_bytes: settings.unpacked_bytes };
        let (dir, budget) = (settings.code_cache_dir.clone(), settings.code_cache_bytes);
        let code = tokio::task::spawn_blocking(move || CodeCache::open(dir, limits, budget))
            .await
            .map_err(|error| FunctionsError::internal("the code cache cannot be opened", error))?
            .map_err(|error| FunctionsError::internal("the code cache cannot be opened", error))?;
        let catalogue = Catalogue::open(parts.store.clone(), keyspace::KEYSPACE, keyspace::parse).await?;
        let queue_settings = due_queue::Settings { shards: settings.async_shards, lease: settings.async_lease };
        let queue = DueQueue::open(parts.store.clone(), keyspace::ASYNC_QUEUE, queue_settings).await?;
        let instances = Arc::new(Instances::new(InstancesParts {
            region: parts.region.clone(),
            driver: parts.driver,
            roles: parts.roles.clone(),
            clock: parts.clock.clone(),
            randomness: parts.randomness.clone(),
            logs: parts.logs,
            store: parts.store.clone(),
            blobs: parts.blobs.clone(),
            code,
            settings: settings.clone(),
        }));
        let registry = Registry {
            region: parts.region,
            store: parts.store,
            catalogue,
            blobs: parts.blobs,
            roles: parts.roles,
            sealer: parts.sealer,
            clock: parts.clock.clone(),
            randomness: parts.randomness,
            settings: settings.clone(),
        };
        let telemetry = Telemetry { clock: parts.clock.clone(), usage: parts.usage, metrics: parts.metrics };
        let engine = Arc::new(Engine::new(settings, parts.clock, registry, instances, telemetry, queue));
        background::spawn(&engine);
        for (runtime, ephemeral_storage_mb) in engine.registry.kinds(EXPECTED_RECORDS) {
            engine.instances.parts.driver.expect(&runtime, ephemeral_storage_mb);
        }
        Ok(Self { engine })
    }

    /// Takes no further work, lets what runs end within the limit, then ends it and stops every instance. What became of
    /// asynchronous invocations is recorded when this returns.
    pub async fn drain(&self, limit: Duration) {
        self.engine.draining.send_replace(true);
        let idle = || async {
            while self.engine.is_busy() {
                tokio::time::sleep(background::DRAIN_POLL).await;
            }
        };
        if tokio::time::timeout(limit, idle()).await.is_err() {
            let left = self.engine.node.in_use();
            tracing::warn!(left, "invocations did not end within the limit of the drain and are ended");
        }
        self.engine.instances.stop_all().await;
        if tokio::time::timeout(background::SETTLE, idle()).await.is_err() {
            tracing::warn!("what became of some asynchronous invocations is not recorded: they are run again");
        }
    }

    /// What a name leads to, whether or not it exists: what a request is authorized against. From memory.
    pub fn resolve(&self, account: &AccountId, name: &FunctionName, qualifier: Option<&Qualifier>) -> Resolved {
        let registry = &self.engine.registry;
        let (arn, tags) = (registry.arn(account, name, qualifier.cloned()), registry.tags(account, name));
        Resolved { arn, policy: None, tags }
    }

    /// What this host runs for a runtime; `None` when it does not know the name.
    pub fn runtime(&self, name: &str) -> Option<RuntimeState> {
        self.engine.instances.parts.driver.runtime(name)
    }

    /// What runs at this moment.
    pub fn running(&self) -> Running {
        let instances = &self.engine.instances;
        let (idle, busy, starting) = instances.counts();
        Running {
            invocations: self.engine.node.in_use(),
            idle,
            busy,
            starting,
            live: instances.live(),
            memory_mb: instances.memory.promised_mb(),
            memory_limit_mb: instances.memory.limit_mb(),
        }
    }

    /// Brings the gauges up to date: before they are shown.
    pub fn measure(&self) {
        let running = self.running();
        let serving = running.idle + running.busy + running.starting;
        let states = [
            ("starting", running.starting),
            ("idle", running.idle),
            ("busy", running.busy),
            ("stopping", running.live.saturating_sub(serving)),
        ];
        let metrics = &self.engine.telemetry.metrics;
        for (state, count) in states {
            metrics.gauge(&names::INSTANCES).with([state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for (account, count) in self.engine.concurrency() {
            metrics.gauge(&names::CONCURRENCY).with([account.as_str()]).set(i64::from(count));
        }
    }

    /// `CreateFunction`.
    pub async fn create_function(&self, account: &AccountId, command: CreateFunction) -> Result<FunctionVersion> {
        let created = self.engine.registry.create(account, command).await;
        self.expect(&created);
        created
    }

    /// The first start is not to wait for what could have been done before.
    fn expect(&self, changed: &Result<FunctionVersion>) {
        if let Ok(FunctionVersion { configuration, .. }) = changed {
            let driver = &self.engine.instances.parts.driver;
            driver.expect(&configuration.runtime, configuration.ephemeral_storage_mb);
        }
    }

    /// `GetFunction`, `GetFunctionConfiguration`.
    pub async fn get_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<FunctionDetails> {
        self.engine.registry.get(account, name, qualifier).await
    }

    /// `ListFunctions`; with `all_versions` published ones too. At most 50 a page.
    pub async fn list_functions(
        &self,
        account: &AccountId,
        page: Page,
        all_versions: bool,
    ) -> Result<Listing<FunctionVersion>> {
        self.engine.registry.list(account, page, all_versions)
    }

    /// The zip of a version, as it was uploaded, piece by piece.
    pub async fn download_code(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<Download> {
        self.engine.registry.download(account, name, qualifier).await
    }

    /// `UpdateFunctionCode`. Calls that run go on with the old code; later ones get the new.
    pub async fn update_code(&self, account: &AccountId, command: UpdateCode) -> Result<FunctionVersion> {
        let updated = self.engine.registry.update_code(account, command).await;
        self.engine.drop_stale();
        updated
    }

    /// `UpdateFunctionConfiguration`.
    pub async fn update_configuration(
        &self,
        account: &AccountId,
        command: UpdateConfiguration,
    ) -> Result<FunctionVersion> {
        let updated = self.engine.registry.update_configuration(account, command).await;
        self.engine.drop_stale();
        self.expect(&updated);
        updated
    }

    /// `DeleteFunction`: the whole function, or one published version.
    pub async fn delete_function(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<()> {
        let deleted = self.engine.registry.delete(account, name, qualifier).await;
        self.engine.drop_stale();
        deleted
    }

    /// `PublishVersion`.
    pub async fn publish_version(&self, account: &AccountId, command: PublishVersion) -> Result<FunctionVersion> {
        self.engine.registry.publish(account, command).await
    }

    /// `ListVersionsByFunction`: `$LATEST` first. At most 50 a page.
    pub async fn list_versions(
        &self,
        account: &AccountId,
        name: &FunctionName,
        page: Page,
    ) -> Result<Listing<FunctionVersion>> {
        self.engine.registry.list_versions(account, name, page).await
    }

    /// `CreateAlias`.
    pub async fn create_alias(&self, account: &AccountId, command: CreateAlias) -> Result<Alias> {
        self.engine.registry.create_alias(account, command).await
    }

    /// `GetAlias`.
    pub async fn get_alias(&self, account: &AccountId, name: &FunctionName, alias: &AliasName) -> Result<Alias> {
        self.engine.registry.get_alias(account, name, alias).await
    }

    /// `ListAliases`, optionally only those of one version. At most 50 a page.
    pub async fn list_aliases(
        &self,
        account: &AccountId,
        name: &FunctionName,
        version: Option<VersionNumber>,
        page: Page,
    ) -> Result<Listing<Alias>> {
        self.engine.registry.list_aliases(account, name, version, page).await
    }

    /// `UpdateAlias`.
    pub async fn update_alias(&self, account: &AccountId, command: UpdateAlias) -> Result<Alias> {
        self.engine.registry.update_alias(account, command).await
    }

    /// `DeleteAlias`. Deleting what is not there succeeds, as in Lambda.
    pub async fn delete_alias(&self, account: &AccountId, name: &FunctionName, alias: &AliasName) -> Result<()> {
        self.engine.registry.delete_alias(account, name, alias).await
    }

    /// `PutFunctionConcurrency`.
    pub async fn put_concurrency(&self, account: &AccountId, name: &FunctionName, reserved: u32) -> Result<u32> {
        self.engine.registry.set_concurrency(account, name, Some(reserved)).await?;
        Ok(reserved)
    }

    /// `GetFunctionConcurrency`: absent when none is reserved.
    pub async fn get_concurrency(&self, account: &AccountId, name: &FunctionName) -> Result<Option<u32>> {
        self.engine.registry.get_concurrency(account, name).await
    }

    /// `DeleteFunctionConcurrency`.
    pub async fn delete_concurrency(&self, account: &AccountId, name: &FunctionName) -> Result<()> {
        self.engine.registry.set_concurrency(account, name, None).await
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
        self.engine.registry.put_event_config(account, name, qualifier, settings, merge).await
    }

    /// `GetFunctionEventInvokeConfig`.
    pub async fn get_event_invoke_config(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<EventInvokeConfig> {
        self.engine.registry.get_event_config(account, name, qualifier).await
    }

    /// `DeleteFunctionEventInvokeConfig`.
    pub async fn delete_event_invoke_config(
        &self,
        account: &AccountId,
        name: &FunctionName,
        qualifier: Option<&Qualifier>,
    ) -> Result<()> {
        self.engine.registry.delete_event_config(account, name, qualifier).await
    }

    /// `ListFunctionEventInvokeConfigs`. At most 50 a page.
    pub async fn list_event_invoke_configs(
        &self,
        account: &AccountId,
        name: &FunctionName,
        page: Page,
    ) -> Result<Listing<EventInvokeConfig>> {
        self.engine.registry.list_event_configs(account, name, page).await
    }

    /// `ListTags`.
    pub async fn list_tags(&self, account: &AccountId, name: &FunctionName) -> Result<BTreeMap<String, String>> {
        Ok(self.engine.registry.function(account, name).await?.tags)
    }

    /// `TagResource`: adds and replaces. A changed egress grant holds for instances that are started from now on; the
    /// old ones take no further calls.
    pub async fn tag(&self, account: &AccountId, name: &FunctionName, tags: BTreeMap<String, String>) -> Result<()> {
        self.engine.registry.change_tags(account, name, tags, &[]).await
    }

    /// `UntagResource`. Keys that are not there are no error.
    pub async fn untag(&self, account: &AccountId, name: &FunctionName, keys: &[String]) -> Result<()> {
        self.engine.registry.change_tags(account, name, BTreeMap::new(), keys).await
    }

    /// `GetAccountSettings`.
    pub async fn account_settings(&self, account: &AccountId) -> Result<AccountSettings> {
        Ok(self.engine.registry.account_settings(account))
    }

    /// `Invoke` with `RequestResponse`: runs it and waits. It runs to its end even if the future is dropped.
    pub async fn invoke(&self, account: &AccountId, call: Invoke) -> Result<InvokeOutcome> {
        self.engine.check_open()?;
        Engine::check_payload(&call, limits::SYNC_PAYLOAD_BYTES)?;
        let order = self.engine.order(account, call)?;
        let executed_version = order.version.version;
        let attempt = self.engine.run(order).await?;
        let (payload, function_error) = match attempt.outcome {
            Ok(payload) => (payload, None),
            Err(fault) => (fault.body, Some("Unhandled")),
        };
        Ok(InvokeOutcome { function_error, payload, executed_version, log_tail: attempt.log_tail })
    }

    /// `Invoke` with `DryRun`: everything that is checked before a run.
    pub fn check_invoke(&self, account: &AccountId, call: &Invoke) -> Result<()> {
        self.engine.check_open()?;
        self.engine.check(account, call, limits::SYNC_PAYLOAD_BYTES)
    }

    /// `Invoke` with `Event`: returns once it is on disk. Sending the same request id again is no second event.
    pub async fn enqueue(&self, account: &AccountId, call: Invoke) -> Result<RequestId> {
        let engine = &self.engine;
        engine.check_open()?;
        engine.check(account, &call, limits::ASYNC_PAYLOAD_BYTES)?;
        let note = EventNote {
            function: engine.registry.arn(account, &call.function, call.qualifier).to_string(),
            trace_id: call.trace_id,
            not_run: 0,
            hops: 0,
            death: None,
        };
        let id = item_id(account, &call.request_id.to_string());
        let item = NewItem::new(id, payload_or_empty_object(call.payload), engine.clock.now()).state(to_state(&note));
        engine.queue.send(item).await?;
        engine.telemetry.metrics.counter(&names::ASYNC_ACCEPTED).with([account.as_str()]).inc();
        Ok(call.request_id)
    }

    /// Asynchronous invocations that were given up, oldest first.
    pub async fn list_dead_events(
        &self,
        account: &AccountId,
        function: Option<&FunctionName>,
        page: Page,
    ) -> Result<Listing<DeadEvent>> {
        dead::list(&self.engine.queue, account, function, page).await
    }

    /// One of them, with its payload.
    pub async fn get_dead_event(&self, account: &AccountId, id: RequestId) -> Result<DeadEventDetails> {
        dead::get(&self.engine.queue, account, id).await
    }

    /// Sends it again as a fresh event with the same id; it is no longer dead.
    pub async fn redrive_dead_event(&self, account: &AccountId, id: RequestId) -> Result<()> {
        dead::redrive(&self.engine.queue, account, id).await
    }

    /// Forgets it.
    pub async fn drop_dead_event(&self, account: &AccountId, id: RequestId) -> Result<()> {
        dead::forget(&self.engine.queue, account, id).await
    }
}
