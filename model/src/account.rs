use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;
use crate::text::text_newtype;

/// The tenancy boundary that owns names, limits and bills: twelve decimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

impl AccountId {
    /// The account that a node has when nothing else is configured.
    pub const DEFAULT: &'static str = "000000000000";

    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(format!("{text:?} is not an account id: it takes exactly 12 digits")))
        }
    }
}

/// A region name such as `us-east-1`: lower-case letters, digits and dashes, at most 32.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl Region {
    /// The region that a node has when nothing else is configured.
    pub const DEFAULT: &'static str = "us-east-1";

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(format!(
                "{text:?} is not a region: it takes 1 to 32 lower-case letters, digits and dashes"
            )))
        }
    }
}

text_newtype!(AccountId);
text_newtype!(Region);
