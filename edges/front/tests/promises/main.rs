//! What the front door promises, tried over real sockets.

mod drain;
mod http;
mod limits;
mod support;
mod tls;
