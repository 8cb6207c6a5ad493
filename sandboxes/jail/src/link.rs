//! The node's ends of its sockets, waited for without a thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;

use crate::{JailError, MESSAGE_BYTES_MAX, wire};

/// One end of a sequenced-packet socket.
#[derive(Debug)]
pub(crate) struct Link(AsyncFd<OwnedFd>);

impl Link {
    pub(crate) fn new(fd: OwnedFd) -> std::io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self(crate::sys::watch(fd)?))
    }

    /// Sends one message, waiting for room.
    pub(crate) async fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), JailError> {
        let bytes = serde_json::to_vec(message).map_err(|error| JailError::Plan(error.to_string()))?;
        if bytes.len() > MESSAGE_BYTES_MAX {
            let said = format!("the description has {} bytes; at most {MESSAGE_BYTES_MAX} are allowed", bytes.len());
            return Err(JailError::Plan(said));
        }
        loop {
            let mut ready = self.0.writable().await.map_err(|_| JailError::Ended)?;
            match ready.try_io(|fd| wire::send_bytes(fd.get_ref(), &bytes, fds).map_err(Into::into)) {
                Ok(sent) => return sent.map_err(|_| JailError::Ended),
                Err(_would_block) => {}
            }
        }
    }

    /// The next message; `None` when the other end is gone or talks nonsense.
    pub(crate) async fn receive<T: DeserializeOwned>(&self) -> Option<(T, Vec<OwnedFd>)> {
        loop {
            let mut ready = self.0.readable().await.ok()?;
            match ready.try_io(|fd| wire::receive(fd.get_ref()).map_err(Into::into)) {
                Ok(received) => return received.ok()?,
                Err(_would_block) => {}
            }
        }
    }

    /// Tells the other end that nothing more comes, however many still hold this one.
    pub(crate) fn close(&self) {
        match rustix::net::shutdown(self.0.as_fd(), rustix::net::Shutdown::Write) {
            Ok(()) | Err(Errno::NOTCONN) => {}
            Err(error) => tracing::warn!(%error, "a socket could not be closed"),
        }
    }
}
