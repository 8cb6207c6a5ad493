use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::{Listen, LocalRange};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 256;

/// Brings this network namespace's only interface up.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    crate::sys::loopback_up(socket.as_fd())
}

/// Opens sockets in this network namespace, non-blocking, in this order.
pub(super) fn open_sockets(wanted: &[Listen]) -> io::Result<Vec<OwnedFd>> {
    wanted.iter().map(open).collect()
}

fn open(listen: &Listen) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let family = |address: &SocketAddr| {
        if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
    };
    let socket = match listen {
        Listen::Udp(address) => {
            let socket = rustix::net::socket_with(family(address), SocketType::DGRAM, flags, None)?;
            rustix::net::bind(&socket, address)?;
            return Ok(socket);
        }
        Listen::Tcp(address) => {
            let socket = rustix::net::socket_with(family(address), SocketType::STREAM, flags, None)?;
            rustix::net::bind(&socket, address)?;
            socket
        }
        Listen::Unix(path) => {
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
            socket
        }
    };
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Makes every address of these ranges this host's own.
pub(super) fn add_local_ranges(ranges: &[LocalRange]) -> io::Result<()> {
    if ranges.is_empty() {
        return Ok(());
    }
    let kind = SocketType::RAW;
    // Protocol 0 of netlink is the routing one.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, None)?;
    for range in ranges {
        rustix::net::send(&socket, &new_local_route(range), rustix::net::SendFlags::empty())?;
        let mut answer = [0u8; 256];
        let (got, _) = rustix::net::recv(&socket, &mut answer[..], rustix::net::RecvFlags::empty())?;
        let code = answer.get(16..20).filter(|_| got >= 20).ok_or(io::ErrorKind::UnexpectedEof)?;
        let code = i32::from_ne_bytes(code.try_into().map_err(|_| io::ErrorKind::UnexpectedEof)?);
        if code != 0 && code != -libc::EEXIST {
            return Err(io::Error::from_raw_os_error(-code));
        }
    }
    Ok(())
}

/// Index of the loopback in every network namespace.
const LOOPBACK: u32 = 1;

/// A request for `local <range> dev lo`, as of rtnetlink(7): a header, an rtmsg, then attributes.
fn new_local_route(range: &LocalRange) -> Vec<u8> {
    let mut body = vec![libc::AF_INET as u8, range.prefix, 0, 0, libc::RT_TABLE_LOCAL];
    body.extend([libc::RTPROT_BOOT, libc::RT_SCOPE_HOST, libc::RTN_LOCAL]);
    body.extend(0u32.to_ne_bytes());
    for (kind, value) in [(libc::RTA_DST, range.base.octets()), (libc::RTA_OIF, LOOPBACK.to_ne_bytes())] {
        body.extend(8u16.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
    }
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(libc::RTM_NEWROUTE.to_ne_bytes());
    message.extend((flags as u16).to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    message.extend(0u32.to_ne_bytes());
    message.extend(body);
    message
}
