use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::{kept_as_text, text_newtype};
use crate::{AccountId, Arn, NameError, Region, limits};

/// The name of a function: 1 to 64 letters, digits, dashes and underscores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(String);

/// The name of an alias: 1 to 128 letters, digits, dashes and underscores, not all digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AliasName(String);

impl FunctionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AliasName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl FromStr for FunctionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if (1..=limits::FUNCTION_NAME_CHARS).contains(&text.len()) && is_word(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(format!(
                "{text:?} is not a function name: it takes 1 to {} letters, digits, dashes and underscores",
                limits::FUNCTION_NAME_CHARS
            )))
        }
    }
}

impl FromStr for AliasName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let all_digits = text.bytes().all(|b| b.is_ascii_digit());
        if (1..=limits::ALIAS_NAME_CHARS).contains(&text.len()) && is_word(text) && !all_digits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(format!(
                "{text:?} is not an alias name: it takes 1 to {} letters, digits, dashes and underscores, \
                 not all of them digits",
                limits::ALIAS_NAME_CHARS
            )))
        }
    }
}

text_newtype!(FunctionName);
text_newtype!(AliasName);

/// What runs: the editable `$LATEST`, or an immutable numbered snapshot, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum VersionNumber {
    /// The editable version.
    Latest,
    /// A published version.
    Published(u64),
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("$LATEST"),
            Self::Published(number) => write!(f, "{number}"),
        }
    }
}

impl FromStr for VersionNumber {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let no_version = || NameError::new(format!("{text:?} is not a version: it takes $LATEST or a whole number"));
        if text == "$LATEST" {
            return Ok(Self::Latest);
        }
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(no_version());
        }
        text.parse().map(Self::Published).map_err(|_| no_version())
    }
}

kept_as_text!(VersionNumber, NameError);

/// A version or an alias in a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Qualifier {
    /// A version, named directly.
    Version(VersionNumber),
    /// An alias, which leads to one version or to a weighted pair.
    Alias(AliasName),
}

impl Qualifier {
    /// What a request without a qualifier means.
    pub const LATEST: Self = Self::Version(VersionNumber::Latest);
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Alias(alias) => alias.fmt(f),
        }
    }
}

impl FromStr for Qualifier {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Ok(version) = text.parse() {
            return Ok(Self::Version(version));
        }
        text.parse().map(Self::Alias).map_err(|_: NameError| {
            NameError::new(format!("{text:?} is not a qualifier: it takes $LATEST, a version number or an alias name"))
        })
    }
}

kept_as_text!(Qualifier, NameError);

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionArn {
    /// Where the function lives.
    pub region: Region,
    /// Who owns it.
    pub account: AccountId,
    /// Its name.
    pub name: FunctionName,
    /// Absent in the unqualified ARN, which stands for the function itself.
    pub qualifier: Option<Qualifier>,
}

impl FunctionArn {
    /// The same function with another qualifier.
    pub fn qualified(&self, qualifier: Qualifier) -> Self {
        Self { qualifier: Some(qualifier), ..self.clone() }
    }

    /// The function itself.
    pub fn unqualified(&self) -> Self {
        Self { qualifier: None, ..self.clone() }
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)?;
        match &self.qualifier {
            Some(qualifier) => write!(f, ":{qualifier}"),
            None => Ok(()),
        }
    }
}

impl FromStr for FunctionArn {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let reference: FunctionRef = text.parse()?;
        match reference {
            FunctionRef { region: Some(region), account: Some(account), name, qualifier } => {
                Ok(Self { region, account, name, qualifier })
            }
            _ => Err(NameError::new(format!("{text:?} is not a function ARN"))),
        }
    }
}

/// A function as a client may name it: `NAME`, `ACCOUNT:function:NAME` or a whole ARN, each with or without
/// `:QUALIFIER`. What was not said is absent.
///
/// Source: the `FunctionName` and `NamespacedFunctionName` shapes of the Lambda service model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionRef {
    /// Only in a whole ARN.
    pub region: Option<Region>,
    /// In a partial or whole ARN.
    pub account: Option<AccountId>,
    /// Always there.
    pub name: FunctionName,
    /// The qualifier in the name itself; a request may carry another one beside it.
    pub qualifier: Option<Qualifier>,
}

impl FromStr for FunctionRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (region, account, rest) = if text.starts_with("arn:") {
            let arn: Arn = text.parse().map_err(|error: crate::ArnError| NameError::new(error.to_string()))?;
            if arn.service != "lambda" {
                return Err(NameError::new(format!("{text:?} is the ARN of another service than lambda")));
            }
            let rest = arn.resource.strip_prefix("function:").map(str::to_owned);
            let rest = rest.ok_or_else(|| NameError::new(format!("{text:?} is not the ARN of a function")))?;
            (Some(arn.region.parse()?), Some(arn.account.parse()?), rest)
        } else if let Some((account, rest)) = text.split_once(":function:") {
            (None, Some(account.parse()?), rest.to_owned())
        } else {
            (None, None, text.strip_prefix("function:").unwrap_or(text).to_owned())
        };
        let (name, qualifier) = match rest.split_once(':') {
            Some((name, qualifier)) => (name.parse()?, Some(qualifier.parse()?)),
            None => (rest.parse()?, None),
        };
        Ok(Self { region, account, name, qualifier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> FunctionRef {
        text.parse().expect("a valid reference")
    }

    #[test]
    fn a_function_is_named_in_four_ways() {
        for text in [
            "greet",
            "function:greet",
            "000000000000:function:greet",
            "arn:aws:lambda:us-east-1:000000000000:function:greet",
        ] {
            assert_eq!(read(text).name.as_str(), "greet", "{text}");
            assert_eq!(read(text).qualifier, None, "{text}");
        }
    }

    #[test]
    fn a_qualifier_may_stand_behind_each() {
        assert_eq!(read("greet:$LATEST").qualifier, Some(Qualifier::LATEST));
        assert_eq!(read("greet:7").qualifier, Some(Qualifier::Version(VersionNumber::Published(7))));
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:greet:live";
        assert_eq!(read(arn).qualifier, Some(Qualifier::Alias("live".parse().expect("an alias"))));
        assert_eq!(arn.parse::<FunctionArn>().expect("an ARN").to_string(), arn);
    }

    #[test]
    fn what_names_no_function_is_refused() {
        let long = "x".repeat(65);
        for text in ["", "a b", "../etc", "greet:", "greet:a:b", "1:function:greet", "arn:aws:s3:::greet", &long] {
            assert!(text.parse::<FunctionRef>().is_err(), "{text:?} was taken for a function");
        }
    }
}
