//! What the front door promises, tried over real sockets.

mod drain;
mod http;
mod limits;
mod smuggling;
mod support;
mod tls;
