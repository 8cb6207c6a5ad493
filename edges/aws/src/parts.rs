use std::sync::Arc;

use dormouse_functions::Functions;
use dormouse_identity::{AuditSink, Identity};
use dormouse_model::{Clock, Region};

use crate::code_link::LinkKey;

/// What the edge is put together from.
pub struct Parts {
    /// The region that this node answers for.
    pub region: Region,
    /// Who asks, and may they.
    pub identity: Identity,
    /// Behind the Lambda API.
    pub functions: Functions,
    /// Takes the record of every call on the control plane.
    pub audit: Arc<dyn AuditSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The key of links to code.
    pub link_key: LinkKey,
}
