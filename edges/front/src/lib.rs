//! The front door: sockets, TLS, connections, request ids, body limits, drain; hands each request to a surface.
//!
//! ```text
//! listen -> accept -> (TLS) -> connection -> request id, limits -> surface_of(path) -> Surface::serve -> answer
//!                                 ^
//!           Front::serve_stream --+   connections from inside sandboxes, which carry who they are with them
//! ```
//!
//! What is bounded here, each by a name in [`FrontSettings`]: connections, the size of a header, how long a header may
//! take, how slow a body may be sent or an answer be read, the memory of large bodies together, how long a connection may
//! be idle, and how long a drain takes. Nothing here knows what a request means.

mod body;
mod connection;
mod error;
mod front;
mod guard;
mod listen;
mod pace;
mod refusal;
mod request;
mod response;
mod room;
mod settings;
mod surface;
mod tls;

pub use body::{BodyError, RequestBody};
pub use error::FrontError;
pub use front::{Drained, Front};
pub use listen::{Listener, raise_open_files};
pub use request::{InstanceIdentity, Peer, Request};
pub use response::{Gone, Response, ResponseBody, ResponseSender, response};
pub use settings::{FrontSettings, TlsSettings};
pub use surface::{Surface, SurfaceKind, Surfaces, surface_of};

/// The header that carries the request id in every answer.
pub const REQUEST_ID_HEADER: &str = "x-amzn-requestid";
