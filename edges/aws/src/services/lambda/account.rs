//! Limits and use of the account.

use dormouse_model::AccountId;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::operation::Call;

#[derive(Debug, Deserialize)]
pub(super) struct SettingsInput {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SettingsOutput {
    account_limit: AccountLimit,
    account_usage: AccountUsage,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountLimit {
    total_code_size: u64,
    code_size_unzipped: u64,
    code_size_zipped: u64,
    concurrent_executions: u32,
    unreserved_concurrent_executions: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountUsage {
    total_code_size: u64,
    function_count: u64,
}

/// `GetAccountSettings`.
pub(super) async fn settings(call: Call, account: AccountId, _: SettingsInput) -> Result<SettingsOutput, ApiError> {
    let found = call.parts.functions.account_settings(&account).await?;
    Ok(SettingsOutput {
        account_limit: AccountLimit {
            total_code_size: found.code_storage_limit_bytes,
            code_size_unzipped: found.unpacked_code_bytes,
            code_size_zipped: found.zipped_code_bytes,
            concurrent_executions: found.concurrency,
            unreserved_concurrent_executions: found.unreserved_concurrency,
        },
        account_usage: AccountUsage { total_code_size: found.code_storage_used_bytes, function_count: found.functions },
    })
}
