//! Plugs identity's roles into the functions engine.

use std::time::Duration;

use async_trait::async_trait;
use dormouse_functions::{ExecutionRoles, RoleError};
use dormouse_identity::Identity;
use dormouse_model::{AccountId, Credentials, FunctionArn};

/// The principal that execution roles must trust.
const LAMBDA: &str = "lambda.amazonaws.com";
/// How long the keys of an instance are good for. Instances retire before.
const VALID_FOR: Duration = Duration::from_secs(12 * 3600);

/// The roles of identity, as functions assume them.
pub(crate) struct LambdaRoles(pub(crate) Identity);

#[async_trait]
impl ExecutionRoles for LambdaRoles {
    async fn check(&self, account: &AccountId, role_arn: &str) -> Result<(), RoleError> {
        self.0.check_execution_role(account, role_arn, LAMBDA).await.map_err(told)
    }

    async fn credentials(
        &self,
        account: &AccountId,
        role_arn: &str,
        function: &FunctionArn,
    ) -> Result<Credentials, RoleError> {
        let session = function.name.as_str();
        self.0.role_credentials(account, role_arn, LAMBDA, session, VALID_FOR).await.map_err(told)
    }
}

fn told(error: dormouse_identity::RoleError) -> RoleError {
    match error {
        dormouse_identity::RoleError::Unavailable(_) => RoleError::Unavailable(error.to_string()),
        _ => RoleError::Refused(error.to_string()),
    }
}
