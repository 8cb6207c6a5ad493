use serde::{Deserialize, Serialize};

/// One layer of isolation or limitation, as it is on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// A stable name: `user-namespace`, `mount-namespace`, `pid-namespace`, `ipc-namespace`, `uts-namespace`,
    /// `network-namespace`, `cgroup-namespace`, `seccomp`, `landlock`, `no-new-privileges`, `own-uid`, `memory-limit`,
    /// `cpu-limit`, `pids-limit`, `freezer`, `tmp-on-disk`.
    pub name: String,
    /// Whether it holds.
    pub state: LayerState,
    /// What to change on the host, when it does not hold.
    pub remedy: Option<String>,
}

/// How far a layer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerState {
    /// In full.
    Holds,
    /// Something lesser stands in; this says what.
    Weaker(String),
    /// Not at all.
    Missing(String),
}

impl LayerState {
    /// Whether the layer holds in full.
    pub fn holds(&self) -> bool {
        matches!(self, Self::Holds)
    }
}
