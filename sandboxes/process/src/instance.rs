use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dormouse_jail::{Ended, Running};
use dormouse_model::{Clock as _, Invocation, SystemClock};
use dormouse_runtime_api::{Answer, Session};
use dormouse_sandbox::{Ending, Instance, Usage};

use crate::deadline::{remaining, status_text};
use crate::door::Serving;
use crate::output::Output;

/// How long the answer of a program that has ended may take from its socket to us.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// How long a program that closed its channel, or said that it ends, may take to end.
pub(crate) const EXIT_GRACE: Duration = Duration::from_millis(500);

/// A sandbox with a runtime in it.
pub(crate) struct ProcessInstance {
    pub(crate) running: Arc<Running>,
    pub(crate) session: Session,
    pub(crate) output: Output,
    /// The platform's endpoint and the egress of this sandbox.
    pub(crate) serving: Serving,
}

/// What came first.
enum First {
    Answer(Answer),
    Ended(Ended),
    Deadline,
}

impl ProcessInstance {
    async fn first(&mut self, invocation: Invocation) -> First {
        let left = remaining(invocation.deadline, SystemClock.now());
        let answer = self.session.invoke(invocation);
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => First::Answer(answer),
            ended = self.running.wait() => match tokio::time::timeout(LAST_WORDS, answer).await {
                Ok(Answer::Closed { .. }) | Err(_) => First::Ended(ended),
                Ok(answer) => First::Answer(answer),
            },
            () = tokio::time::sleep(left) => First::Deadline,
        }
    }

    async fn run(&mut self, invocation: Invocation) -> Ending {
        match self.first(invocation).await {
            First::Answer(Answer::Response(body)) => Ending::Response(body),
            First::Answer(Answer::TooLarge { size_bytes }) => Ending::ResponseTooLarge { size_bytes },
            First::Answer(Answer::Error { error_type, body, leaving }) => {
                if leaving {
                    // Whoever asks next must find this instance ended, not about to end.
                    leave(&self.running).await;
                }
                Ending::Error { error_type, body }
            }
            First::Answer(Answer::Closed { reason }) => {
                let (ended, waited) = leave(&self.running).await;
                if !waited {
                    self.output.say(format!("The instance was ended: {reason}."));
                }
                end_of(ended)
            }
            First::Ended(ended) => end_of(ended),
            First::Deadline => {
                self.running.kill().await;
                Ending::Timeout
            }
        }
    }
}

fn end_of(ended: Ended) -> Ending {
    if ended.out_of_memory { Ending::OutOfMemory } else { Ending::Exited { status: status_text(ended.exit) } }
}

/// Waits a short while for a program to end by itself, then ends it. Whether it did.
pub(crate) async fn leave(running: &Running) -> (Ended, bool) {
    match tokio::time::timeout(EXIT_GRACE, running.wait()).await {
        Ok(ended) => (ended, true),
        Err(_) => (running.kill().await, false),
    }
}

#[async_trait]
impl Instance for ProcessInstance {
    async fn invoke(&mut self, invocation: Invocation) -> Ending {
        self.output.begin(invocation.request_id);
        let ending = self.run(invocation).await;
        self.output.end();
        ending
    }

    async fn freeze(&mut self) {
        if let Err(error) = self.running.freeze().await {
            // It goes on running, which costs CPU time and breaks nothing.
            tracing::warn!(%error, "an instance could not be frozen");
        }
    }

    async fn thaw(&mut self) {
        if let Err(error) = self.running.thaw().await {
            // The next invocation runs into its deadline and the instance is replaced.
            tracing::error!(%error, "an instance could not be thawed");
        }
    }

    fn usage(&self) -> Usage {
        let used = self.running.usage();
        Usage { cpu: used.cpu, memory_peak_bytes: used.memory_peak_bytes }
    }

    async fn ended(&self) {
        self.running.wait().await;
    }

    async fn stop(self: Box<Self>) {
        self.running.kill().await;
        self.output.end();
        drop(self.serving);
    }
}
