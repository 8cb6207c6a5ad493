use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A new one from the operating system's randomness.
            pub fn random() -> Self {
                Self(uuid::Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                uuid::Uuid::parse_str(text).map(Self).map_err(|_| NameError::new(format!("{text:?} is not a UUID")))
            }
        }
    };
}

uuid_newtype! {
    /// The id of one request and, for an invocation, of that invocation through all its attempts.
    RequestId
}
uuid_newtype! {
    /// Opaque token of one saved state, for optimistic concurrency. Not a version.
    RevisionId
}
