use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};

use dormouse_model::Invocation;

use crate::framed::Framed;
use crate::http::HttpSession;
use crate::{Answer, InitOutcome, Limits};

/// The node's side of one runtime. One invocation at a time; dropping it closes what the runtime is connected to.
#[derive(Debug)]
pub struct Session(Transport);

#[derive(Debug)]
enum Transport {
    Framed(Framed),
    Http(HttpSession),
}

impl Session {
    /// Speaks frames on a connected socket, whose other end a bootstrap of ours has inherited.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking or registered with the running tokio runtime.
    pub fn framed(stream: UnixStream, limits: Limits) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = tokio::net::UnixStream::from_std(stream)?;
        Ok(Self(Transport::Framed(Framed::new(stream, limits))))
    }

    /// Serves the Runtime API by HTTP on a listening socket that somebody opened where the runtime can reach it.
    ///
    /// # Errors
    /// As with [`Session::framed`].
    pub fn http(listener: TcpListener, limits: Limits) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Self(Transport::Http(HttpSession::serve(listener, limits))))
    }

    /// The same on a unix socket.
    ///
    /// # Errors
    /// As with [`Session::framed`].
    pub fn http_unix(listener: UnixListener, limits: Limits) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        Ok(Self(Transport::Http(HttpSession::serve(listener, limits))))
    }

    /// Waits for the end of the init phase, without a limit of its own. Once, before the first invocation.
    pub async fn ready(&mut self) -> InitOutcome {
        match &mut self.0 {
            Transport::Framed(framed) => framed.ready().await,
            Transport::Http(http) => http.ready().await,
        }
    }

    /// Hands the invocation to the runtime and waits for its answer, without a limit of its own. When the future is
    /// dropped the session is spent: the runtime still owes an answer.
    pub async fn invoke(&mut self, invocation: Invocation) -> Answer {
        match &mut self.0 {
            Transport::Framed(framed) => framed.invoke(&invocation).await,
            Transport::Http(http) => http.invoke(invocation).await,
        }
    }
}
