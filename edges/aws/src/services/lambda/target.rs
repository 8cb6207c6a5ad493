//! From the name in a request to the function that is meant.

use dormouse_identity::policy::Context;
use dormouse_model::{AccountId, FunctionArn, FunctionName, FunctionRef, Qualifier, Region, limits};
use http::StatusCode;

use crate::error::ApiError;
use crate::operation::{Call, Resource, Target};

/// The function that a request names, whether or not it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionTarget {
    /// With the qualifier that the request used, without one if it used none.
    pub arn: FunctionArn,
    /// Its own policy as JSON, when it has one.
    pub policy: Option<String>,
    /// Condition keys of the function and of what is asked of it.
    pub keys: Context,
}

impl FunctionTarget {
    /// Who owns it.
    pub fn account(&self) -> &AccountId {
        &self.arn.account
    }

    /// Its name.
    pub fn name(&self) -> &FunctionName {
        &self.arn.name
    }

    /// The qualifier that the request used.
    pub fn qualifier(&self) -> Option<&Qualifier> {
        self.arn.qualifier.as_ref()
    }

    /// For operations on the function as a whole: refuses a qualifier.
    pub fn unqualified(self) -> Result<Self, ApiError> {
        match self.arn.qualifier {
            None => Ok(self),
            Some(qualifier) => Err(invalid(format!(
                "This operation acts on a whole function; aliases and versions do not support it. Name the function \
                 without the qualifier {qualifier}."
            ))),
        }
    }
}

impl Target for FunctionTarget {
    fn resource(&self) -> Resource {
        Resource {
            arn: self.arn.to_string(),
            account: self.arn.account.clone(),
            policy: self.policy.clone(),
            keys: self.keys.clone(),
        }
    }
}

/// The function behind the `FunctionName` and the `Qualifier` of a request.
pub(super) fn find(call: &Call, name: &str, qualifier: Option<&str>) -> Result<FunctionTarget, ApiError> {
    let arn = find_function(name, qualifier, &call.parts.region, &call.caller.account)?;
    let resolved = call.parts.functions.resolve(&arn.account, &arn.name, arn.qualifier.as_ref());
    let mut keys = Context::new();
    keys.set_resource_tags("aws", &resolved.tags);
    Ok(FunctionTarget { arn, policy: resolved.policy, keys })
}

/// Reads a function's name as a client may write it: bare, as a partial or as a whole ARN, each with or without a
/// qualifier; what is not said is the caller's account and this region.
pub fn find_function(
    name: &str,
    qualifier: Option<&str>,
    region: &Region,
    account: &AccountId,
) -> Result<FunctionArn, ApiError> {
    let reference: FunctionRef =
        name.parse().map_err(|error: dormouse_model::NameError| refused(name, &error.message))?;
    if let Some(other) = reference.region.as_ref().filter(|other| *other != region) {
        let message = format!("Functions from '{other}' are not reachable in this region ('{region}')");
        return Err(ApiError::modeled("ResourceNotFoundException", message));
    }
    let said = qualifier.map(|text| {
        text.parse::<Qualifier>().map_err(|_| {
            invalid(format!("{text:?} is not a qualifier: it takes $LATEST, a version number or the name of an alias."))
        })
    });
    let qualifier = match (reference.qualifier, said.transpose()?) {
        (Some(derived), Some(said)) if derived != said => {
            return Err(invalid(format!(
                "The qualifier {derived} in the function's name does not match the specified qualifier {said}."
            )));
        }
        (derived, said) => said.or(derived),
    };
    let account = reference.account.unwrap_or_else(|| account.clone());
    Ok(FunctionArn { region: region.clone(), account, name: reference.name, qualifier })
}

/// The model allows a whole ARN its length; the name alone has the limit that the service tells of in this way.
fn refused(name: &str, message: &str) -> ApiError {
    let most = limits::FUNCTION_NAME_CHARS;
    let bare = name.rsplit("function:").next().unwrap_or(name).split(':').next().unwrap_or_default();
    if bare.len() > most {
        let message = format!(
            "1 validation error detected: Value '{bare}' at 'functionName' failed to satisfy constraint: Member must have \
             length less than or equal to {most}"
        );
        return ApiError::shared(StatusCode::BAD_REQUEST, "ValidationException", message);
    }
    invalid(format!("{message}."))
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::modeled("InvalidParameterValueException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, qualifier: Option<&str>) -> Result<String, ApiError> {
        let region = "us-east-1".parse().expect("a region");
        let account = "000000000000".parse().expect("an account");
        find_function(name, qualifier, &region, &account).map(|arn| arn.to_string())
    }

    #[test]
    fn what_is_not_said_is_the_callers() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        for name in ["f", "function:f", "000000000000:function:f", arn] {
            assert_eq!(read(name, None).expect("a function"), arn, "{name}");
            assert_eq!(read(name, Some("live")).expect("a function"), format!("{arn}:live"), "{name}");
        }
        let other = "arn:aws:lambda:us-east-1:111111111111:function:f:7";
        assert_eq!(read(other, None).expect("a function"), other);
        assert_eq!(read("f:7", Some("7")).expect("a function"), format!("{arn}:7"));
    }

    #[test]
    fn what_names_no_function_here_is_refused() {
        for (name, qualifier, error) in [
            ("arn:aws:lambda:eu-west-1:000000000000:function:f", None, "ResourceNotFoundException"),
            ("f:1", Some("2"), "InvalidParameterValueException"),
            ("f", Some("a b"), "InvalidParameterValueException"),
            ("arn:aws:s3:::bucket", None, "InvalidParameterValueException"),
        ] {
            assert_eq!(read(name, qualifier).expect_err(name).name, error, "{name}");
        }
        let long = read(&"x".repeat(65), None).expect_err("a long name");
        assert_eq!(long.name, "ValidationException");
        assert!(long.message.ends_with("Member must have length less than or equal to 64"), "{long}");
    }
}
