//! STS: temporary credentials, and who one is.

use dormouse_identity::sts::AssumeRole;
use dormouse_model::{AccountId, Credentials};
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::operation::{Call, Resource, Row, Target, own_account, row_of};

/// What is built.
pub fn rows() -> Vec<Row> {
    vec![
        row_of!("sts": "AssumeRole" => assumed, assume_role),
        row_of!("sts": "GetCallerIdentity" => own_account, caller_identity),
        row_of!("sts": "GetSessionToken" => own_account, session_token),
        row_of!("sts": "GetAccessKeyInfo" => own_account, access_key_info),
    ]
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsOut {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: u64,
}

impl From<Credentials> for CredentialsOut {
    fn from(credentials: Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            session_token: credentials.session_token,
            expiration: credentials.expires.as_secs(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AssumeRoleInput {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<u32>,
    policy: Option<String>,
    policy_arns: Vec<PolicyArn>,
    external_id: Option<String>,
    tags: Vec<Tag>,
    transitive_tag_keys: Vec<String>,
    serial_number: Option<String>,
    token_code: Option<String>,
    source_identity: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PolicyArn {
    #[serde(default)]
    arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

/// The role as the authorizer sees it. Whether it may be assumed is decided by the engine, with its trust policy.
#[derive(Debug)]
struct Assumed {
    arn: String,
    account: AccountId,
}

impl Target for Assumed {
    fn resource(&self) -> Resource {
        Resource { arn: self.arn.clone(), account: self.account.clone(), policy: None, keys: Default::default() }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a row takes functions that may fail")]
fn assumed(call: &Call, input: &AssumeRoleInput) -> Result<Assumed, ApiError> {
    Ok(Assumed { arn: input.role_arn.clone(), account: call.caller.account.clone() })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleOutput {
    credentials: CredentialsOut,
    assumed_role_user: AssumedRoleUser,
}

async fn assume_role(call: Call, _: Assumed, input: AssumeRoleInput) -> Result<AssumeRoleOutput, ApiError> {
    // What is not there must not be taken for granted by whoever asks for it.
    let not_built = [
        ("SerialNumber", input.serial_number.is_some()),
        ("TokenCode", input.token_code.is_some()),
        ("SourceIdentity", input.source_identity.is_some()),
        ("TransitiveTagKeys", !input.transitive_tag_keys.is_empty()),
    ];
    if let Some((name, _)) = not_built.iter().find(|(_, said)| *said) {
        return Err(ApiError::not_implemented(&format!("AssumeRole with {name}")));
    }
    let ask = AssumeRole {
        role_arn: input.role_arn,
        session_name: input.role_session_name,
        duration_secs: input.duration_seconds,
        policy: input.policy,
        policy_arns: input.policy_arns.into_iter().map(|policy| policy.arn).collect(),
        external_id: input.external_id,
        tags: input.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        context: call.context,
    };
    let assumed = call.parts.identity.assume_role(&call.caller, ask).await?;
    Ok(AssumeRoleOutput {
        credentials: assumed.credentials.into(),
        assumed_role_user: AssumedRoleUser { assumed_role_id: assumed.user_id, arn: assumed.arn },
    })
}

#[derive(Debug, Deserialize)]
struct NoInput {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CallerIdentity {
    user_id: String,
    account: String,
    arn: String,
}

async fn caller_identity(call: Call, _: AccountId, _: NoInput) -> Result<CallerIdentity, ApiError> {
    let caller = call.caller;
    Ok(CallerIdentity { user_id: caller.user_id, account: caller.account.to_string(), arn: caller.arn })
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SessionTokenInput {
    duration_seconds: Option<u32>,
    serial_number: Option<String>,
    token_code: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SessionTokenOutput {
    credentials: CredentialsOut,
}

async fn session_token(call: Call, _: AccountId, input: SessionTokenInput) -> Result<SessionTokenOutput, ApiError> {
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(ApiError::not_implemented("GetSessionToken with a device for multi-factor authentication"));
    }
    let credentials = call.parts.identity.session_token(&call.caller, input.duration_seconds)?;
    Ok(SessionTokenOutput { credentials: credentials.into() })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKeyInfoInput {
    access_key_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKeyInfo {
    account: String,
}

async fn access_key_info(call: Call, _: AccountId, input: AccessKeyInfoInput) -> Result<AccessKeyInfo, ApiError> {
    let account = call.parts.identity.account_of_key(&input.access_key_id);
    let account = account.ok_or_else(|| {
        let message = format!("The access key id {} does not belong to any account.", input.access_key_id);
        ApiError::shared(http::StatusCode::BAD_REQUEST, "ValidationError", message)
    })?;
    Ok(AccessKeyInfo { account: account.to_string() })
}
