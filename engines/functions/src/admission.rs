//! Admission: exact concurrency of accounts and functions. A permit is a value; dropping it gives back what it counted.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{FunctionsError, Result, ThrottleReason};

/// How long a throttled caller is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who ran out of concurrency. Pure part of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Counts against what is reserved for the function.
    Reserved,
    /// Counts against what the account has beside its reservations.
    Unreserved,
    Throttled(ThrottleReason),
}

/// What the decision rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) reserved: Option<u32>,
    pub(crate) reserved_in_use: u32,
    pub(crate) account_limit: u32,
    pub(crate) account_reserved: u32,
    pub(crate) account_in_use: u32,
    pub(crate) unreserved_in_use: u32,
}

pub(crate) fn admit(demand: Demand) -> Verdict {
    match demand.reserved {
        Some(reserved) if demand.reserved_in_use >= reserved => {
            Verdict::Throttled(ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded)
        }
        // While invocations still run that were let in before the reservations changed.
        _ if demand.account_in_use >= demand.account_limit => {
            Verdict::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded)
        }
        Some(_) => Verdict::Reserved,
        None if demand.unreserved_in_use < demand.account_limit.saturating_sub(demand.account_reserved) => {
            Verdict::Unreserved
        }
        None => Verdict::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counts of one account.
#[derive(Debug)]
pub(crate) struct AccountGate {
    limit: u32,
    in_use: Mutex<AccountUse>,
}

/// Invocations in progress in one account.
#[derive(Debug, Default)]
struct AccountUse {
    all: u32,
    /// Those that were let in without a reservation of their function.
    unreserved: u32,
}

/// What is reserved at the moment of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reservations {
    /// For the function itself.
    pub(crate) function: Option<u32>,
    /// For all functions of the account together.
    pub(crate) account: u32,
}

impl AccountGate {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, in_use: Mutex::default() }
    }

    /// Invocations in progress.
    pub(crate) fn in_use(&self) -> u32 {
        locked(&self.in_use).all
    }
}

/// The counts of one function. Lives as long as the function has its name, through all its changes.
#[derive(Debug)]
pub(crate) struct FunctionGate {
    account: Arc<AccountGate>,
    /// Invocations that count against the function's reservation.
    in_use: Mutex<u32>,
}

/// One invocation's share of the concurrency.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<FunctionGate>,
    reserved: bool,
    _node: NodePermit,
}

impl Drop for Permit {
    fn drop(&mut self) {
        // What is given back is what was counted, also when the reservation has changed in between.
        if self.reserved {
            *locked(&self.gate.in_use) -= 1;
        }
        let mut account = locked(&self.gate.account.in_use);
        account.all -= 1;
        account.unreserved -= u32::from(!self.reserved);
    }
}

impl FunctionGate {
    pub(crate) fn new(account: Arc<AccountGate>) -> Self {
        Self { account, in_use: Mutex::new(0) }
    }

    /// A permit, or throttled. The node's permit is taken first: a call that is shed is not throttled.
    pub(crate) fn enter(self: &Arc<Self>, reservations: Reservations, node: NodePermit) -> Result<Permit> {
        let mut function = locked(&self.in_use);
        let mut account = locked(&self.account.in_use);
        let verdict = admit(Demand {
            reserved: reservations.function,
            reserved_in_use: *function,
            account_limit: self.account.limit,
            account_reserved: reservations.account,
            account_in_use: account.all,
            unreserved_in_use: account.unreserved,
        });
        let reserved = match verdict {
            Verdict::Reserved => true,
            Verdict::Unreserved => false,
            Verdict::Throttled(reason) => return Err(throttled(reason)),
        };
        *function += u32::from(reserved);
        account.all += 1;
        account.unreserved += u32::from(!reserved);
        drop((function, account));
        Ok(Permit { gate: self.clone(), reserved, _node: node })
    }
}

fn throttled(reason: ThrottleReason) -> FunctionsError {
    FunctionsError::TooManyRequests { reason, retry_after: Some(RETRY_AFTER), message: "Rate Exceeded.".to_owned() }
}

/// Counts the invocations of the whole node.
#[derive(Debug)]
pub(crate) struct NodeGate {
    limit: u32,
    in_use: AtomicU32,
}

/// One invocation's place in the node.
#[derive(Debug)]
pub(crate) struct NodePermit(Arc<NodeGate>);

impl NodeGate {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, in_use: AtomicU32::new(0) }
    }

    /// Invocations in progress or waiting for an instance.
    pub(crate) fn in_use(&self) -> u32 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// A place, or shed.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<NodePermit> {
        let count = |now: u32| (now < self.limit).then_some(now + 1);
        match self.in_use.fetch_update(Ordering::AcqRel, Ordering::Relaxed, count) {
            Ok(_) => Ok(NodePermit(self.clone())),
            Err(_) => Err(shed("This node runs as many invocations as it may.")),
        }
    }
}

impl Drop for NodePermit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Refused for lack of node resources.
pub(crate) fn shed(why: &str) -> FunctionsError {
    FunctionsError::Unavailable { retry_after: RETRY_AFTER, message: format!("{why} Try again later.") }
}

/// Whether an account may reserve so much for one function, the others having reserved `others` together.
pub(crate) fn check_reservation(wanted: u32, others: u32, limit: u32, unreserved_min: u32) -> Result<()> {
    let left = u64::from(limit).saturating_sub(u64::from(others) + u64::from(wanted));
    if wanted > 0 && left < u64::from(unreserved_min) {
        return Err(FunctionsError::invalid(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
             below its minimum value of [{unreserved_min}]."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Reservations = Reservations { function: None, account: 0 };

    fn gates(limit: u32) -> (Arc<NodeGate>, Arc<FunctionGate>, Arc<FunctionGate>) {
        let account = Arc::new(AccountGate::new(limit));
        let function = || Arc::new(FunctionGate::new(account.clone()));
        (Arc::new(NodeGate::new(1_000)), function(), function())
    }

    fn reason(result: Result<Permit>) -> ThrottleReason {
        match result.expect_err("throttled") {
            FunctionsError::TooManyRequests { reason, .. } => reason,
            other => panic!("{other:?} is no throttle"),
        }
    }

    #[test]
    fn a_reservation_caps_and_guarantees() {
        let (node, reserved, other) = gates(3);
        let one = Reservations { function: Some(1), account: 1 };
        let rest = Reservations { function: None, account: 1 };
        let others = [(); 2].map(|()| other.enter(rest, node.enter().unwrap()).unwrap());
        let full = reason(other.enter(rest, node.enter().unwrap()));
        assert_eq!(full, ThrottleReason::ConcurrentInvocationLimitExceeded);
        let own = reserved.enter(one, node.enter().unwrap()).expect("guaranteed");
        let capped = reason(reserved.enter(one, node.enter().unwrap()));
        assert_eq!(capped, ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);
        drop((own, others));
        assert_eq!(node.in_use(), 0);
        reserved.enter(one, node.enter().unwrap()).expect("given back");
    }

    #[test]
    fn a_permit_gives_back_what_it_took_through_a_change_of_the_reservation() {
        let (node, function, _) = gates(2);
        let one = Reservations { function: Some(1), account: 1 };
        let permit = function.enter(NONE, node.enter().unwrap()).expect("unreserved");
        let reserved = function.enter(one, node.enter().unwrap()).expect("reserved");
        drop(permit);
        drop(reserved);
        drop(function.enter(NONE, node.enter().unwrap()).expect("unreserved again"));
        function.enter(one, node.enter().unwrap()).expect("reserved again");
    }

    #[test]
    fn the_account_has_its_limit_also_while_reservations_change() {
        let (node, function, other) = gates(3);
        let reserved = Reservations { function: Some(2), account: 2 };
        let before = [(); 3].map(|()| other.enter(NONE, node.enter().unwrap()).expect("unreserved"));
        let full = reason(function.enter(reserved, node.enter().unwrap()));
        assert_eq!(full, ThrottleReason::ConcurrentInvocationLimitExceeded, "the others run from before");
        drop(before);
        let own = [(); 2].map(|()| function.enter(reserved, node.enter().unwrap()).expect("guaranteed"));
        let after = other.enter(NONE, node.enter().unwrap()).expect("one is left");
        let full = reason(other.enter(NONE, node.enter().unwrap()));
        assert_eq!(
            full,
            ThrottleReason::ConcurrentInvocationLimitExceeded,
            "two are let in by a reservation that is gone"
        );
        drop(own);
        let more = other.enter(NONE, node.enter().unwrap()).expect("given back");
        assert_eq!(function.account.in_use(), 2);
        drop((after, more));
        assert_eq!(function.account.in_use(), 0);
    }

    #[test]
    fn zero_reserved_is_always_throttled() {
        let (node, function, _) = gates(10);
        let zero = Reservations { function: Some(0), account: 0 };
        let stopped = reason(function.enter(zero, node.enter().unwrap()));
        assert_eq!(stopped, ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);
    }

    #[test]
    fn a_reservation_leaves_the_minimum_to_the_others() {
        check_reservation(900, 0, 1_000, 100).expect("just enough is left");
        check_reservation(901, 0, 1_000, 100).expect_err("one too many");
        check_reservation(500, 401, 1_000, 100).expect_err("together too many");
        check_reservation(0, 1_000, 1_000, 100).expect("zero takes nothing");
    }

    #[test]
    fn a_full_node_sheds() {
        let node = Arc::new(NodeGate::new(1));
        let first = node.enter().unwrap();
        assert!(matches!(node.enter(), Err(FunctionsError::Unavailable { .. })));
        drop(first);
        node.enter().expect("room again");
    }
}
