//! The configuration: one TOML file, the environment and flags resolve into one typed [`Config`].
//!
//! Every setting is declared once, in `sections`, with its type, default, unit, allowed range and one line of
//! documentation; parsing, `dormouse config`, `docs/configuration.md` and the example file all follow from that
//! declaration. Precedence: flag, then environment, then file, then default.
//!
//! ```text
//! file ---+
//! env  ---+--> given values with origins --> typed Config + a list of what holds and why
//! flags --+        (sources)                    (resolve)
//! ```

mod declare;
mod document;
mod endpoint;
mod layout;
mod resolve;
mod sections;
mod sources;
mod values;

pub use declare::Setting;
pub use document::{example_file, reference};
pub use endpoint::{Endpoint, EndpointError};
pub use resolve::{ConfigError, Origin, Problem, Resolution, Resolved, resolve};
pub use sections::*;
pub use sources::{CONFIG_VARIABLE, Sources, data_dir_default, env_name};
pub use values::{Bytes, List, LogFormat, Megabytes, Millis, Seconds, Secret, Value};
