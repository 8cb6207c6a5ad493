use std::path::{Path, PathBuf};

use dormouse_jail::{INSIDE_ID, Mount};

/// What of the host's system every sandbox has, read-only, as far as it is there: programs and libraries, zones,
/// certificates. Nothing of `/usr/local`, `/etc` beyond this, `/home`, `/root`, `/srv` or `/var`.
const SYSTEM: [&str; 11] = [
    "/usr/bin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/pki/tls/certs",
];
/// Directories that are links into `/usr` on most hosts.
const OLD_NAMES: [&str; 4] = ["/bin", "/lib", "/lib32", "/lib64"];

/// The parts of the host's system that stand in every sandbox.
pub(crate) fn system_mounts() -> Vec<Mount> {
    let mut mounts: Vec<Mount> = SYSTEM.iter().filter_map(|path| bind(path)).collect();
    for path in OLD_NAMES {
        match std::fs::read_link(path) {
            Ok(to) => mounts.push(Mount::Symlink { target: path.into(), to }),
            Err(_) => mounts.extend(bind(path)),
        }
    }
    mounts
}

fn bind(path: &str) -> Option<Mount> {
    let source = Path::new(path).canonicalize().ok()?;
    Some(Mount::Bind { source, target: path.into(), writable: false })
}

/// The few files of `/etc` that programs look for. `platform_host` leads to the sandbox itself.
pub(crate) fn etc_files(hostname: &str, platform_host: Option<&str>) -> Vec<Mount> {
    // What the platform listens on is IPv4, and `localhost` is asked for by programs that try IPv6 first.
    let mut hosts = format!(
        "127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n127.0.0.1 {hostname}\n127.0.0.1 sandbox.localdomain\n"
    );
    if let Some(name) = platform_host.filter(|name| is_host_name(name)) {
        hosts.push_str(&format!("127.0.0.1 {name}\n"));
    }
    let passwd = format!("root:x:0:0:root:/root:/bin/sh\nsbx_user:x:{INSIDE_ID}:{INSIDE_ID}::/tmp:/bin/sh\n");
    let group = format!("root:x:0:\nsbx_user:x:{INSIDE_ID}:\n");
    [
        ("/etc/hosts", hosts),
        ("/etc/passwd", passwd),
        ("/etc/group", group),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
    ]
    .into_iter()
    .map(|(target, content)| Mount::File { target: PathBuf::from(target), content, executable: false })
    .collect()
}

/// Whether the text can stand in `/etc/hosts` and is a name rather than an address.
fn is_host_name(text: &str) -> bool {
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    !is_address && !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_is_written_to_the_hosts_file() {
        assert!(is_host_name("api.example.org"));
        for text in ["127.0.0.1", "::1", "", "a b", "x\n1.2.3.4 evil"] {
            assert!(!is_host_name(text), "{text:?} was taken for a name");
        }
    }
}
