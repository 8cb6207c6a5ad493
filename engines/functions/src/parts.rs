//! What the engine needs from others; `node` plugs it in.

use async_trait::async_trait;
use dormouse_model::{AccountId, Credentials, FunctionArn};

/// Execution roles, as far as functions need them. Implemented over the identity engine.
#[async_trait]
pub trait ExecutionRoles: Send + Sync + 'static {
    /// Whether the role exists in the account and trusts `lambda.amazonaws.com`. The error is the sentence that Lambda
    /// answers with, such as "The role defined for the function cannot be assumed by Lambda."
    async fn check(&self, account: &AccountId, role_arn: &str) -> Result<(), RoleError>;

    /// Short-lived keys of the role for one instance of the function.
    async fn credentials(
        &self,
        account: &AccountId,
        role_arn: &str,
        function: &FunctionArn,
    ) -> Result<Credentials, RoleError>;
}

/// Why a role cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// It does not exist or does not trust Lambda; a sentence for the user.
    #[error("{0}")]
    Refused(String),
    /// Identity cannot answer now.
    #[error("{0}")]
    Unavailable(String),
}

/// Seals what is not to be read from the store as it is: the variables of functions. Implemented over the master key.
pub trait Sealer: Send + Sync + 'static {
    /// The text, sealed. `owner` must be given again to open it.
    fn seal(&self, owner: &str, text: &[u8]) -> Vec<u8>;

    /// The text; none when it was sealed under another key, for another owner, or was changed.
    fn open(&self, owner: &str, sealed: &[u8]) -> Option<Vec<u8>>;
}

/// Randomness for ids, revisions and the weights of aliases, so that tests replay from a seed.
pub trait Randomness: Send + Sync + 'static {
    /// 64 uniform bits.
    fn next_u64(&self) -> u64;
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn next_u64(&self) -> u64 {
        getrandom::u64().expect("the operating system gives random bytes")
    }
}
