//! Plugs the master key into the functions engine.

use dormouse_functions::Sealer;
use dormouse_identity::{MasterKey, Seal};

/// Seals the variables of functions.
pub(crate) struct VariableSeals(Seal);

impl VariableSeals {
    pub(crate) fn new(master: &MasterKey) -> Self {
        Self(master.seal_for("variables of functions"))
    }
}

impl Sealer for VariableSeals {
    fn seal(&self, owner: &str, text: &[u8]) -> Vec<u8> {
        self.0.seal(owner, text)
    }

    fn open(&self, owner: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open(owner, sealed).map(|text| text.to_vec())
    }
}
