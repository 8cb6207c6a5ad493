//! The HTTP server of the Runtime API for one runtime.

mod desk;
mod reply;
mod route;
mod serve;

use std::sync::Arc;

use dormouse_model::Invocation;
use tokio::task::AbortHandle;

use crate::{Answer, InitOutcome, Limits};
use desk::Desk;
pub(crate) use serve::Listener;

/// A server and the desk that the node hands invocations over. Dropping it closes every connection.
#[derive(Debug)]
pub(crate) struct HttpSession {
    desk: Arc<Desk>,
    server: AbortHandle,
}

impl HttpSession {
    pub(crate) fn serve(listener: impl Listener, limits: Limits) -> Self {
        let desk = Arc::new(Desk::default());
        let server = tokio::spawn(serve::serve(listener, Arc::clone(&desk), Arc::new(limits)));
        Self { desk, server: server.abort_handle() }
    }

    pub(crate) async fn ready(&mut self) -> InitOutcome {
        let outcome = self.desk.await_init();
        outcome.await.unwrap_or_else(|_| InitOutcome::Closed { reason: "the Runtime API is closed".to_owned() })
    }

    pub(crate) async fn invoke(&mut self, invocation: Invocation) -> Answer {
        let answer = self.desk.invoke(invocation);
        answer.await.unwrap_or_else(|_| Answer::Closed { reason: "the Runtime API is closed".to_owned() })
    }
}

impl Drop for HttpSession {
    fn drop(&mut self) {
        self.server.abort();
    }
}
