use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dormouse_model::{AccountId, EgressGrant, FunctionArn, FunctionName, VersionNumber};
use dormouse_store::Version;
use dormouse_telemetry::FunctionKey;

use crate::admission::FunctionGate;
use crate::code::CodeDigest;
use crate::function::Configuration;
use crate::instances::Pool;
use crate::invoke::Meters;

/// One saved state of one version, as it is run. Replaced as a whole when `$LATEST` or what stands beside it changes.
pub(crate) struct Runnable {
    /// The function, without a qualifier.
    pub(crate) arn: FunctionArn,
    pub(crate) version: VersionNumber,
    pub(crate) configuration: Configuration,
    pub(crate) code: CodeDigest,
    pub(crate) egress: EgressGrant,
    /// The commit that wrote the version's record: with another one, or another grant, instances are not kept.
    pub(crate) written: Version,
    pub(crate) gate: Arc<FunctionGate>,
    /// Made by the first invocation.
    pub(crate) pool: OnceLock<Arc<Pool>>,
    pub(crate) meters: OnceLock<Meters>,
}

/// The last call has let go of a version that was replaced or deleted: its idle instances are of no use.
impl Drop for Runnable {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.get() {
            pool.retire();
        }
    }
}

impl Runnable {
    pub(crate) fn account(&self) -> &AccountId {
        &self.arn.account
    }

    pub(crate) fn name(&self) -> &FunctionName {
        &self.arn.name
    }

    pub(crate) fn log_key(&self) -> FunctionKey {
        FunctionKey { account: self.arn.account.clone(), function: self.arn.name.clone() }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.configuration.timeout_secs))
    }
}
