//! Lets code in sandboxes come in by the front door, like anyone else.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use dormouse_front::{Front, Peer};
use dormouse_process::{InstanceIdentity, PlatformDoor};
use tokio::net::TcpStream;

/// The front door, as sandboxes reach it. The driver is made before the front, so it is hung in later; until then
/// connections are closed, and there is no function yet that could make one.
#[derive(Default)]
pub(crate) struct BackDoor(OnceLock<Front>);

impl BackDoor {
    pub(crate) fn lead_to(&self, front: Front) {
        let _ = self.0.set(front);
    }
}

#[async_trait]
impl PlatformDoor for BackDoor {
    async fn serve(&self, stream: TcpStream, instance: Arc<InstanceIdentity>) {
        let Some(front) = self.0.get() else { return };
        let peer = Peer::Instance(dormouse_front::InstanceIdentity {
            instance: instance.instance.clone(),
            function: instance.function.clone(),
            version: instance.version,
        });
        // The driver counts the connections of a sandbox by how long this takes.
        if let Some(served) = front.serve_stream(stream, peer) {
            let _ = served.await;
        }
    }
}
