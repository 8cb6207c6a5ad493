//! Plugs the drivers' runtimes into the admin edge.

use dormouse_edge_admin::{RuntimeSummary, Runtimes};
use dormouse_process::ProcessDriver;
use dormouse_sandbox::{Driver, RuntimeState};

/// The runtimes of the process driver.
pub(crate) struct HostRuntimes(pub(crate) ProcessDriver);

impl Runtimes for HostRuntimes {
    fn runtime(&self, name: &str) -> Option<RuntimeSummary> {
        self.0.runtime(name).map(|state| summary(name.to_owned(), state))
    }

    fn all(&self) -> Vec<RuntimeSummary> {
        self.0.runtimes().into_iter().map(|(name, state)| summary(name, state)).collect()
    }
}

fn summary(name: String, state: RuntimeState) -> RuntimeSummary {
    RuntimeSummary { name, version: state.version, exact: state.exact, remedy: state.remedy }
}
