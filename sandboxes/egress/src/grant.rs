//! What a grant allows. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dormouse_model::{EgressGrant, HostPort};

/// Something that a function wanted to reach and may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Name or address.
    pub host: String,
    /// Absent when only the name was asked for.
    pub port: Option<u16>,
    /// Why.
    pub reason: Reason,
}

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No grant names it.
    NotGranted,
    /// It leads to an address that must be named itself: loopback, link-local, or, under a grant of everything, private.
    NotPublic(IpAddr),
    /// It does not resolve on the host.
    NoSuchName,
    /// It resolves, and nothing answers there.
    Unreachable,
    /// The sandbox has used up its connections or names.
    Limit,
}

/// A line for the function's log: what was refused and which tag would allow it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, reason } = self;
        let target = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let wanted = format!("{host}:{}", port.map_or_else(|| "PORT".to_owned(), |port| port.to_string()));
        match reason {
            Reason::NotGranted => {
                write!(f, "EGRESS refused {target}: not granted; the tag dormouse:egress would need {wanted}")
            }
            Reason::NotPublic(address) => write!(
                f,
                "EGRESS refused {target}: it leads to {address}, which the tag dormouse:egress must name itself"
            ),
            Reason::NoSuchName => write!(f, "EGRESS failed {target}: the host finds no such name"),
            Reason::Unreachable => write!(f, "EGRESS failed {target}: nothing answers there"),
            Reason::Limit => {
                write!(f, "EGRESS refused {target}: this instance has reached its limit of connections or names")
            }
        }
    }
}

/// Whether any port of a name may be reached, so that the name may resolve.
pub(crate) fn name_may_resolve(grant: &EgressGrant, name: &str) -> bool {
    match grant {
        EgressGrant::None => false,
        EgressGrant::All => true,
        EgressGrant::Listed(list) => list.iter().any(|item| matches(&item.host, name)),
    }
}

/// Whether a connection to this name or literal address may be tried.
pub(crate) fn target_is_granted(grant: &EgressGrant, host: &str, port: u16) -> bool {
    match grant {
        EgressGrant::None => false,
        EgressGrant::All => true,
        EgressGrant::Listed(list) => {
            let names_it = |item: &HostPort| matches(&item.host, host) || is_itself(item, host.parse().ok());
            list.iter().any(|item| item.port == port && names_it(item))
        }
    }
}

/// Whether the grant lists this very address, so that it may be dialled whatever it is.
pub(crate) fn address_is_listed(grant: &EgressGrant, port: u16, address: IpAddr) -> bool {
    let EgressGrant::Listed(list) = grant else { return false };
    list.iter().any(|item| item.port == port && is_itself(item, Some(address.to_canonical())))
}

/// Whether a granted target may lead to this address, when the address is not one of this machine's.
///
/// A listed name may lead to private addresses, since that is what it is listed for. It may not lead to the loopback or
/// to link-local addresses, where the node and the cloud's metadata live, because whoever answers for the name decides
/// where it leads: those must be listed themselves.
pub(crate) fn address_is_open(grant: &EgressGrant, address: IpAddr) -> bool {
    let address = address.to_canonical();
    match grant {
        EgressGrant::None => false,
        EgressGrant::All => is_public(address),
        EgressGrant::Listed(_) => is_public(address) || is_private(address),
    }
}

/// Whether an item is this address. `localhost` is: code in a sandbox that connects to the name has 127.0.0.1 by its own
/// hosts file, so that only the address is seen.
fn is_itself(item: &HostPort, address: Option<IpAddr>) -> bool {
    address.is_some_and(|it| item.host.parse() == Ok(it) || (item.host == "localhost" && it.is_loopback()))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => {
            name.len() > suffix.len() + 1 && name.ends_with(suffix) && name[..name.len() - suffix.len()].ends_with('.')
        }
        None => pattern == name,
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// 100.64.0.0/10, RFC 6598.
fn is_shared(v4: Ipv4Addr) -> bool {
    v4.octets()[0] == 100 && (v4.octets()[1] & 0xc0) == 64
}

/// Whether an address belongs to the public internet, by the IANA registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(a == 0
                || a >= 224
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || is_shared(v4)
                || v4.is_documentation()
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b & 0xfe) == 18))
        }
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    // Global unicast is 2000::/3; 2001::/23 holds protocol assignments, 2001:db8::/32 and 3fff::/20 documentation, and
    // 2002::/16 wraps IPv4 addresses of any kind.
    (segments[0] & 0xe000) == 0x2000
        && !(segments[0] == 0x2001 && segments[1] < 0x200)
        && !(segments[0] == 0x2001 && segments[1] == 0xdb8)
        && segments[0] != 0x2002
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> EgressGrant {
        text.parse().expect("a grant")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn names_match_whole_or_below_a_star() {
        let listed = grant("a.org:443,*.b.org:80");
        for (name, port, granted) in [
            ("a.org", 443, true),
            ("a.org", 80, false),
            ("x.a.org", 443, false),
            ("x.b.org", 80, true),
            ("x.y.b.org", 80, true),
            ("b.org", 80, false),
            ("xb.org", 80, false),
            (".b.org", 80, false),
        ] {
            assert_eq!(target_is_granted(&listed, name, port), granted, "{name}:{port}");
        }
        assert!(name_may_resolve(&listed, "a.org") && !name_may_resolve(&listed, "c.org"));
        assert!(!target_is_granted(&EgressGrant::None, "a.org", 443));
        assert!(target_is_granted(&EgressGrant::All, "a.org", 443));
    }

    #[test]
    fn everything_means_public_addresses() {
        for address in ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(address_is_open(&EgressGrant::All, ip(address)), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "ff02::1",
        ] {
            assert!(!address_is_open(&EgressGrant::All, ip(address)), "{address}");
        }
    }

    #[test]
    fn a_listed_name_leads_to_private_addresses_but_not_into_the_node() {
        let listed = grant("db.internal:5432");
        assert!(address_is_open(&listed, ip("10.1.2.3")));
        assert!(!address_is_open(&listed, ip("127.0.0.1")));
        assert!(!address_is_open(&listed, ip("169.254.169.254")));
        assert!(!address_is_open(&EgressGrant::None, ip("8.8.8.8")));
    }

    #[test]
    fn an_address_is_dialled_whatever_it_is_when_it_is_listed_itself() {
        for (text, port, address, listed) in [
            ("127.0.0.1:9", 9, "127.0.0.1", true),
            ("127.0.0.1:9", 8, "127.0.0.1", false),
            ("127.0.0.1:9", 9, "127.0.0.2", false),
            ("127.0.0.1:9", 9, "::ffff:127.0.0.1", true),
            ("localhost:9", 9, "127.0.0.1", true),
            ("localhost:9", 9, "::1", true),
            ("localhost:9", 9, "10.0.0.1", false),
            ("a.org:9", 9, "127.0.0.1", false),
            ("all", 9, "127.0.0.1", false),
        ] {
            assert_eq!(address_is_listed(&grant(text), port, ip(address)), listed, "{text} {address}:{port}");
            assert!(!listed || address.contains("ffff") || target_is_granted(&grant(text), address, port), "{text}");
        }
        assert!(!target_is_granted(&grant("localhost:9"), "10.0.0.1", 9));
    }
}
