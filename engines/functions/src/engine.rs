//! What all operations share, and how a call finds what it runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use dormouse_layers::due_queue::DueQueue;
use dormouse_model::{
    AccountId, AliasName, Clock, FailureKind, FunctionArn, FunctionName, Qualifier, RequestId, VersionNumber,
};
use tokio::sync::{Semaphore, watch};

use crate::admission::{AccountGate, FunctionGate, NodeGate, Permit, shed};
use crate::code::CodeDigest;
use crate::commands::Invoke;
use crate::error::{FunctionsError, Result};
use crate::function::{State, Weight};
use crate::instances::Instances;
use crate::invoke::{Attempt, Detached, Order, Telemetry, attempt};
use crate::registry::Registry;
use crate::registry::keyspace::{self, Entry};
use crate::runnable::Runnable;
use crate::settings::Settings;

pub(crate) struct Engine {
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) instances: Arc<Instances>,
    pub(crate) telemetry: Telemetry,
    pub(crate) queue: DueQueue,
    /// Places for asynchronous invocations; one is held until the end of its event has been recorded.
    pub(crate) event_slots: Arc<Semaphore>,
    pub(crate) node: Arc<NodeGate>,
    pub(crate) draining: watch::Sender<bool>,
    gates: Mutex<Gates>,
    /// What has been run, by the key of its version's record.
    runnables: RwLock<BTreeMap<Bytes, Arc<Runnable>>>,
}

#[derive(Default)]
struct Gates {
    /// Accounts whose concurrency was shown last: one that is gone has none.
    shown: BTreeSet<AccountId>,
    accounts: HashMap<AccountId, Arc<AccountGate>>,
    functions: HashMap<(AccountId, FunctionName), Arc<FunctionGate>>,
}

/// What a name and a qualifier lead to at this moment.
struct Resolution {
    version: Arc<Runnable>,
    alias: Option<AliasName>,
}

impl Engine {
    pub(crate) fn new(
        settings: Arc<Settings>,
        clock: Arc<dyn Clock>,
        registry: Registry,
        instances: Arc<Instances>,
        telemetry: Telemetry,
        queue: DueQueue,
    ) -> Self {
        Self {
            node: Arc::new(NodeGate::new(settings.node_invocations)),
            event_slots: Arc::new(Semaphore::new(settings.async_concurrency.max(1))),
            settings,
            clock,
            registry,
            instances,
            telemetry,
            queue,
            draining: watch::Sender::new(false),
            gates: Mutex::default(),
            runnables: RwLock::default(),
        }
    }

    fn gates(&self) -> MutexGuard<'_, Gates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self, account: &AccountId, name: &FunctionName) -> Arc<FunctionGate> {
        let limit = self.settings.account_concurrency;
        let mut gates = self.gates();
        let of_account =
            gates.accounts.entry(account.clone()).or_insert_with(|| Arc::new(AccountGate::new(limit))).clone();
        let key = (account.clone(), name.clone());
        gates.functions.entry(key).or_insert_with(|| Arc::new(FunctionGate::new(of_account))).clone()
    }

    /// Invocations in progress, of every account that has some or had some when this was asked last.
    pub(crate) fn concurrency(&self) -> BTreeMap<AccountId, u32> {
        let mut gates = self.gates();
        let mut found: BTreeMap<_, _> = std::mem::take(&mut gates.shown).into_iter().map(|id| (id, 0)).collect();
        for (account, gate) in &gates.accounts {
            *found.entry(account.clone()).or_default() += gate.in_use();
        }
        gates.shown = found.iter().filter(|(_, count)| **count > 0).map(|(account, _)| account.clone()).collect();
        found
    }

    /// Whether an invocation is in progress, or the end of an event is being recorded.
    pub(crate) fn is_busy(&self) -> bool {
        self.node.in_use() > 0 || self.event_slots.available_permits() < self.settings.async_concurrency.max(1)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if *self.draining.borrow() { Err(shed("This node is being stopped.")) } else { Ok(()) }
    }

    /// The version that a qualifier leads to, from memory.
    fn resolve(&self, account: &AccountId, name: &FunctionName, qualifier: Option<&Qualifier>) -> Result<Resolution> {
        let catalogue = &self.registry.catalogue;
        let not_found = || self.registry.not_found(account, name, qualifier);
        let function = catalogue.get(&keyspace::function(account, name).bytes()).ok_or_else(not_found)?;
        let Entry::Function(_, egress) = &*function.value else { return Err(not_found()) };
        let (number, alias) = match qualifier {
            None => (VersionNumber::Latest, None),
            Some(Qualifier::Version(number)) => (*number, None),
            Some(Qualifier::Alias(alias)) => {
                let found = catalogue.get(&keyspace::alias(account, name, alias).bytes()).ok_or_else(not_found)?;
                let Entry::Alias(record) = &*found.value else { return Err(not_found()) };
                let number = weighted(record.version, record.routing, self.registry.randomness.next_u64());
                (number, Some(alias.clone()))
            }
        };
        let key = keyspace::version(account, name, number).bytes();
        let stored = catalogue.get(&key).ok_or_else(not_found)?;
        let Entry::Version(record) = &*stored.value else { return Err(not_found()) };
        if let State::Failed(reason) = &record.state {
            return Err(FunctionsError::ResourceNotReady(reason.message.clone()));
        }
        let runnables = self.runnables.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = runnables.get(&key)
            && version.written == stored.version
            && version.egress == *egress
        {
            return Ok(Resolution { version: version.clone(), alias });
        }
        drop(runnables);
        let code = CodeDigest::from_base64(&record.code.sha256)
            .ok_or_else(|| FunctionsError::internal("a digest in a record is damaged", &record.code.sha256))?;
        let version = Arc::new(Runnable {
            arn: self.registry.arn(account, name, None),
            version: number,
            configuration: self.registry.opened(account, name, record)?,
            code,
            egress: egress.clone(),
            written: stored.version,
            gate: self.gate(account, name),
            pool: OnceLock::new(),
            meters: OnceLock::new(),
        });
        let replaced = {
            let mut runnables = self.runnables.write().unwrap_or_else(PoisonError::into_inner);
            // Another call may have been faster; its pool is the one.
            match runnables.get(&key) {
                Some(newer) if newer.written >= stored.version && newer.egress == *egress => {
                    return Ok(Resolution { version: newer.clone(), alias });
                }
                _ => runnables.insert(key, version.clone()),
            }
        };
        drop(replaced);
        Ok(Resolution { version, alias })
    }

    /// Lets go of versions that were replaced or deleted, so that their idle instances stop.
    pub(crate) fn drop_stale(&self) {
        let catalogue = &self.registry.catalogue;
        let mut stale = Vec::new();
        {
            let mut runnables = self.runnables.write().unwrap_or_else(PoisonError::into_inner);
            runnables.retain(|key, version| {
                let kept = catalogue.get(key).is_some_and(|stored| stored.version == version.written);
                if !kept {
                    stale.push(version.clone());
                }
                kept
            });
        }
        drop(stale);
        let mut gates = self.gates();
        gates.functions.retain(|_, gate| Arc::strong_count(gate) > 1);
        gates.accounts.retain(|_, gate| Arc::strong_count(gate) > 1);
    }

    /// Everything about a call that is checked before it is queued, or instead of running it.
    pub(crate) fn check(&self, account: &AccountId, call: &Invoke, payload_bytes: usize) -> Result<()> {
        Self::check_payload(call, payload_bytes)?;
        self.resolve(account, &call.function, call.qualifier.as_ref()).map(|_| ())
    }

    /// What is checked of a call before it is known which version it runs: that is chosen once, by [`Engine::order`].
    pub(crate) fn check_payload(call: &Invoke, payload_bytes: usize) -> Result<()> {
        if call.payload.len() > payload_bytes {
            return Err(FunctionsError::RequestTooLarge(format!(
                "Request must be smaller than {payload_bytes} bytes for the InvokeFunction operation"
            )));
        }
        if !call.payload.is_empty()
            && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&call.payload)
        {
            let message = format!("Could not parse request body into json: {error}");
            return Err(FunctionsError::InvalidRequestContent(message));
        }
        Ok(())
    }

    /// What is to be run for a call.
    pub(crate) fn order(&self, account: &AccountId, call: Invoke) -> Result<Order> {
        let Invoke { function, qualifier, request_id, payload, trace_id, client_context, log_tail } = call;
        let Resolution { version, alias } = self.resolve(account, &function, qualifier.as_ref())?;
        let invoked_arn = FunctionArn { qualifier, ..version.arn.clone() };
        let payload = payload_or_empty_object(payload);
        Ok(Order { request_id, invoked_arn, version, alias, payload, trace_id, client_context, log_tail })
    }

    /// What is to be run for a queued event. What is not in memory is looked for in the store before it is given up.
    pub(crate) async fn order_event(
        &self,
        request_id: RequestId,
        function: &FunctionArn,
        payload: Bytes,
        trace_id: &str,
    ) -> Result<Order> {
        let call = Invoke {
            function: function.name.clone(),
            qualifier: function.qualifier.clone(),
            request_id,
            payload,
            trace_id: trace_id.to_owned(),
            client_context: None,
            log_tail: false,
        };
        match self.order(&function.account, call.clone()) {
            Err(FunctionsError::ResourceNotFound(_)) => {
                self.registry.catalogue.refresh().await?;
                self.order(&function.account, call)
            }
            order => order,
        }
    }

    /// Runs an order to its end, also when the caller goes away.
    pub(crate) async fn run(&self, order: Order) -> Result<Attempt> {
        let permit = self.permit(&order)?;
        Detached::new(attempt(self.instances.clone(), self.telemetry.clone(), order, permit)).await
    }

    fn permit(&self, order: &Order) -> Result<Permit> {
        let version = &order.version;
        let reservations = self.registry.reservation(version.account(), version.name());
        let permit = version.gate.enter(reservations, self.node.enter()?);
        if let Err(FunctionsError::TooManyRequests { .. }) = &permit {
            let throttled = Some(FailureKind::Throttled);
            self.telemetry.count(version, order.alias.as_ref(), Default::default(), throttled);
        }
        permit
    }
}

/// A call without a payload is one with an empty object, as in Lambda.
pub(crate) fn payload_or_empty_object(payload: Bytes) -> Bytes {
    if payload.is_empty() { Bytes::from_static(b"{}") } else { payload }
}

/// The version that a call through an alias runs: the second one for its share of the calls. `random` is uniform.
pub(crate) fn weighted(version: VersionNumber, routing: Option<Weight>, random: u64) -> VersionNumber {
    // 53 bits are what a float holds exactly.
    let unit = (random >> 11) as f64 / (1u64 << 53) as f64;
    match routing {
        Some(second) if unit < second.share => second.version,
        _ => version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_shares_of_the_calls() {
        let (one, two) = (VersionNumber::Published(1), VersionNumber::Published(2));
        let pick = |share, random| weighted(one, Some(Weight { version: two, share }), random);
        assert_eq!(pick(0.0, 0), one);
        assert_eq!(pick(1.0, u64::MAX), two);
        assert_eq!(weighted(one, None, 0), one);
        let mut rng = dormouse_testkit::Rng::new(1);
        let second = (0..10_000).filter(|_| pick(0.1, rng.next()) == two).count();
        assert!((900..1_100).contains(&second), "{second} of 10,000 at a share of 0.1");
    }
}
