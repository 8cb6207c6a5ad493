//! The Lambda Runtime API as a state machine and two servers: HTTP and framed; knows nothing of isolation.
//!
//! [`Machine`] decides, purely, what a runtime may do next. [`Session`] is the node's side of one runtime: it waits for
//! the end of init and runs invocations one after the other. A session speaks to the runtime either by HTTP, as the
//! public clients expect it (`2018-06-01`, buffered responses), or by frames on an inherited socket, which is what our
//! own bootstraps speak because it takes two system calls a side instead of eight.
//!
//! ```text
//!   Starting --next--> Ready --hand_out--> Invoking --begin--> Answering --end--> Between --next--> Ready
//!      |                                      ^                   |
//!      +-- init error --> InitFailed          +------ abort ------+
//! ```

mod answer;
mod frame;
mod framed;
mod http;
mod machine;
mod session;

pub use answer::{Answer, InitOutcome, Limits};
pub use machine::{Machine, Refusal, State};
pub use session::Session;
