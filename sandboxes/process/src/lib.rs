//! The process driver: a jail, a runtime described by one file, and the Runtime API make one instance.
//!
//! ```text
//!   StartSpec + Description + Interpreter --plan--> jail::Plan + jail::Exec --> Running
//!                                                                     Running + Session + Output --> Instance
//! ```
//!
//! [`ProcessDriver`] implements the sandbox seam. The node plugs in what serves the platform's endpoint inside a sandbox
//! ([`PlatformDoor`]) and what carries granted traffic out of it ([`EgressDoor`]).

mod base;
mod config;
mod deadline;
mod door;
mod driver;
mod entrypoint;
mod environment;
mod instance;
mod interpreter;
mod output;
mod plan;
mod provision;
mod runtimes;

pub use config::{PlatformEndpoint, ProcessConfig, ProcessError, SdkDirs};
pub use door::{EgressDoor, EgressPlan, InstanceIdentity, PlatformDoor, async_listener};
pub use driver::{Doors, ProcessDriver};
pub use environment::{RESERVED, is_reserved};
pub use runtimes::{Channel, Runtimes};
