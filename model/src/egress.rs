use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::kept_as_text;

/// What a function may reach outside its sandbox. Written `none`, `all`, or a list of `host:port` separated by spaces or
/// commas; this is the value of the tag `dormouse:egress`. The values of tags have no commas and no stars, so `.b.org:80`
/// stands for `*.b.org:80`, and is how it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum EgressGrant {
    /// Nothing; the default.
    #[default]
    None,
    /// Every public address. Private, link-local, metadata and the node's own addresses still need naming.
    All,
    /// Only these.
    Listed(Vec<HostPort>),
}

/// One granted destination. The host is a lower-case DNS name, an address literal, or a name that starts with `*.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
}

/// The text grants nothing that we understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an egress grant: it takes none, all, or host:port separated by spaces")]
pub struct EgressError(pub String);

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host.strip_prefix('*').unwrap_or(&self.host), self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Self, EgressError> {
        let no_grant = || EgressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(no_grant)?;
        let port: u16 = port.parse().map_err(|_| no_grant())?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(literal) => literal.parse::<std::net::Ipv6Addr>().map_err(|_| no_grant())?.to_string(),
            None if host.starts_with('.') => format!("*{}", host.to_ascii_lowercase()),
            None => host.to_ascii_lowercase(),
        };
        let bare = host.strip_prefix("*.").unwrap_or(&host);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
        if port == 0 || bare.is_empty() || bare.len() > 253 || !bare.bytes().all(allowed) {
            return Err(no_grant());
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for EgressGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::Listed(list) => {
                for (n, item) in list.iter().enumerate() {
                    write!(f, "{}{item}", if n == 0 { "" } else { " " })?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for EgressGrant {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Self, EgressError> {
        match text.trim() {
            "none" => Ok(Self::None),
            "all" => Ok(Self::All),
            list => {
                let words = list.split([',', ' ']).filter(|word| !word.is_empty());
                let hosts = words.map(str::parse).collect::<Result<Vec<HostPort>, _>>()?;
                if hosts.is_empty() { Err(EgressError(text.to_owned())) } else { Ok(Self::Listed(hosts)) }
            }
        }
    }
}

kept_as_text!(EgressGrant, EgressError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_read_and_print() {
        for (text, printed) in [
            ("none", "none"),
            (" all ", "all"),
            ("Example.com:443, *.b.org:80", "example.com:443 .b.org:80"),
            (".b.org:80", ".b.org:80"),
            ("[::1]:9 10.0.0.1:5432", "[::1]:9 10.0.0.1:5432"),
        ] {
            assert_eq!(text.parse::<EgressGrant>().expect("a grant").to_string(), printed);
        }
        for text in ["", "example.com", ".:1", "*.:1", "example.com:0", "a b:1", ":443", "[x]:1", "al l"] {
            assert!(text.parse::<EgressGrant>().is_err(), "{text:?} was taken for a grant");
        }
    }
}
