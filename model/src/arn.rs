use std::fmt;
use std::str::FromStr;

/// `arn:partition:service:region:account:resource`, taken apart and nothing more; region and account may be empty.
///
/// Source: the public reference on Amazon Resource Names. The resource keeps its colons and slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arn {
    /// `aws`, `aws-cn`, ...; ours is always `aws`.
    pub partition: String,
    /// `lambda`, `iam`, ...
    pub service: String,
    /// Empty for global services.
    pub region: String,
    /// Twelve digits or empty.
    pub account: String,
    /// All that follows the fifth colon.
    pub resource: String,
}

/// The text is not an ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ARN: it takes arn:partition:service:region:account:resource")]
pub struct ArnError(pub String);

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or_else(|| ArnError(text.to_owned()));
        if next()? != "arn" {
            return Err(ArnError(text.to_owned()));
        }
        let arn = Self {
            partition: next()?.to_owned(),
            service: next()?.to_owned(),
            region: next()?.to_owned(),
            account: next()?.to_owned(),
            resource: next()?.to_owned(),
        };
        if arn.partition.is_empty() || arn.service.is_empty() || arn.resource.is_empty() {
            return Err(ArnError(text.to_owned()));
        }
        Ok(arn)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_reads_back_as_it_was_written() {
        for text in ["arn:aws:iam::000000000000:role/a/b", "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"] {
            assert_eq!(text.parse::<Arn>().expect("a valid ARN").to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_arn_is_refused() {
        for text in ["", "arn", "arn:aws:iam::", "arn:aws:iam::1:", "urn:aws:iam::1:role/x", "arn::iam::1:role/x"] {
            assert!(text.parse::<Arn>().is_err(), "{text:?} was taken for an ARN");
        }
    }
}
