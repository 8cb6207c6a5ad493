use std::sync::Arc;

use async_trait::async_trait;

use crate::{Request, Response};

/// One of the edges behind the front door.
///
/// Dropping the future that `serve` returned means that the client has gone. Work that must end all the same is given to
/// [`Request::spawn`].
#[async_trait]
pub trait Surface: Send + Sync + 'static {
    /// Answers a request. A panic is answered 500.
    async fn serve(&self, request: Request) -> Response;
}

/// All surfaces of a node.
#[derive(Clone)]
pub struct Surfaces {
    /// Everything under `/_dormouse/`.
    pub admin: Arc<dyn Surface>,
    /// Everything else.
    pub aws: Arc<dyn Surface>,
}

/// Which surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurfaceKind {
    /// [`Surfaces::admin`].
    Admin,
    /// [`Surfaces::aws`].
    Aws,
}

impl SurfaceKind {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 2] = [Self::Admin, Self::Aws];

    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Aws => "aws",
        }
    }
}

impl Surfaces {
    pub(crate) fn get(&self, kind: SurfaceKind) -> &Arc<dyn Surface> {
        match kind {
            SurfaceKind::Admin => &self.admin,
            SurfaceKind::Aws => &self.aws,
        }
    }
}

/// Where a request goes, by its path as it was sent. Percent-encoded spellings of our own prefix are nobody's.
pub fn surface_of(path: &str) -> SurfaceKind {
    match path.strip_prefix("/_dormouse") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => SurfaceKind::Admin,
        _ => SurfaceKind::Aws,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_prefix_is_the_admin_surface() {
        for path in ["/_dormouse", "/_dormouse/", "/_dormouse/health", "/_dormouse//x"] {
            assert_eq!(surface_of(path), SurfaceKind::Admin, "{path}");
        }
        for path in ["", "*", "/", "/_dormouse2", "/_Dormouse/", "/%5Fdormouse/", "//_dormouse/", "/a/_dormouse/"] {
            assert_eq!(surface_of(path), SurfaceKind::Aws, "{path}");
        }
    }
}
