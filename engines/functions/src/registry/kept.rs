//! A configuration as it is kept: its variables are sealed, because people put secrets into them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_model::{AccountId, FunctionName};
use serde::{Deserialize, Serialize};

use crate::error::{FunctionsError, Result};
use crate::function::{Architecture, Configuration};
use crate::parts::Sealer;

/// What is sealed today: the map of variables as JSON.
const FORMAT: u32 = 1;

/// The fields are private, so that no variable gets into the store but through [`KeptConfiguration::seal`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptConfiguration {
    /// Has variables only in a record from before they were sealed.
    #[serde(flatten)]
    configuration: Configuration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed_environment: Option<SealedVariables>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SealedVariables {
    format: u32,
    /// Base64.
    text: String,
}

/// Whose variables they are: sealed ones do not open as those of another function.
fn owner(account: &AccountId, name: &FunctionName) -> String {
    format!("{account}/{name}")
}

impl KeptConfiguration {
    pub(crate) fn seal(
        sealer: &dyn Sealer,
        account: &AccountId,
        name: &FunctionName,
        mut configuration: Configuration,
    ) -> Result<Self> {
        let variables = std::mem::take(&mut configuration.environment);
        if variables.is_empty() {
            return Ok(Self { configuration, sealed_environment: None });
        }
        let text = serde_json::to_vec(&variables)
            .map_err(|error| FunctionsError::internal("the variables of a function cannot be written", error))?;
        let text = STANDARD.encode(sealer.seal(&owner(account, name), &text));
        Ok(Self { configuration, sealed_environment: Some(SealedVariables { format: FORMAT, text }) })
    }

    /// All of it.
    pub(crate) fn open(&self, sealer: &dyn Sealer, account: &AccountId, name: &FunctionName) -> Result<Configuration> {
        let mut configuration = self.configuration.clone();
        if let Some(sealed) = &self.sealed_environment {
            let closed = |why: &str| FunctionsError::internal("the variables of a function cannot be opened", why);
            if sealed.format != FORMAT {
                return Err(closed("a newer program has sealed them"));
            }
            let text = STANDARD.decode(&sealed.text).map_err(|_| closed("they are not base64"))?;
            let text = sealer.open(&owner(account, name), &text);
            let text = text.ok_or_else(|| closed("they were sealed otherwise, or changed"))?;
            let variables: BTreeMap<String, String> =
                serde_json::from_slice(&text).map_err(|_| closed("they are no map of texts"))?;
            configuration.environment = variables;
        }
        Ok(configuration)
    }

    /// The runtime, and the size of `/tmp` in MB.
    pub(crate) fn kind(&self) -> (&str, u32) {
        (&self.configuration.runtime, self.configuration.ephemeral_storage_mb)
    }

    pub(crate) fn set_architecture(&mut self, architecture: Architecture) {
        self.configuration.architecture = architecture;
    }

    pub(crate) fn set_description(&mut self, description: &str) {
        description.clone_into(&mut self.configuration.description);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Adds one to every byte.
    struct Shifts;

    impl Sealer for Shifts {
        fn seal(&self, owner: &str, text: &[u8]) -> Vec<u8> {
            [owner.as_bytes(), text].concat().iter().map(|byte| byte.wrapping_add(1)).collect()
        }
        fn open(&self, owner: &str, sealed: &[u8]) -> Option<Vec<u8>> {
            let text: Vec<u8> = sealed.iter().map(|byte| byte.wrapping_sub(1)).collect();
            text.strip_prefix(owner.as_bytes()).map(<[u8]>::to_vec)
        }
    }

    fn plain() -> Value {
        json!({
            "runtime": "python3.12", "handler": "a.b", "role": "r", "description": "", "timeout_secs": 3, "memory_mb": 128,
            "ephemeral_storage_mb": 512, "environment": {"TOKEN": "open secret"}, "architecture": "x86_64",
            "tracing": "PassThrough",
            "logging": {"format": "Text", "application_level": null, "system_level": null, "group": "/aws/lambda/f"},
        })
    }

    fn names() -> (AccountId, FunctionName) {
        ("000000000000".parse().expect("an account"), "f".parse().expect("a name"))
    }

    #[test]
    fn variables_are_kept_sealed_and_read_back() {
        let (account, name) = names();
        let configuration: Configuration = serde_json::from_value(plain()).expect("a configuration");
        let kept = KeptConfiguration::seal(&Shifts, &account, &name, configuration.clone()).expect("sealed");
        let text = serde_json::to_string(&kept).expect("JSON");
        assert!(!text.contains("open secret") && !text.contains("TOKEN"), "{text}");
        let again: KeptConfiguration = serde_json::from_str(&text).expect("read back");
        assert_eq!(again.open(&Shifts, &account, &name).expect("opens"), configuration);
        let other = "g".parse().expect("a name");
        again.open(&Shifts, &account, &other).expect_err("they are of another function");
    }

    #[test]
    fn a_record_from_before_they_were_sealed_is_read_and_a_later_format_is_not() {
        let (account, name) = names();
        let old: KeptConfiguration = serde_json::from_value(plain()).expect("an old record");
        assert_eq!(old.open(&Shifts, &account, &name).expect("opens").environment["TOKEN"], "open secret");
        let mut later = plain();
        later["sealed_environment"] = json!({"format": 2, "text": "", "more": true});
        let later: KeptConfiguration = serde_json::from_value(later).expect("a later record");
        later.open(&Shifts, &account, &name).expect_err("nobody knows what is in it");
    }
}
