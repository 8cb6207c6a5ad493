use std::sync::{Mutex, MutexGuard, PoisonError};

use dormouse_model::Invocation;
use tokio::sync::oneshot;

use crate::{Answer, InitOutcome, Machine, Refusal};

/// Where the node and the connections of one runtime meet: the machine's decisions, and who waits for what.
#[derive(Debug, Default)]
pub(crate) struct Desk(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    machine: Machine,
    /// An invocation that no `next` has asked for yet.
    pending: Option<Invocation>,
    /// The `next` that waits, with the number by which its wait is ended.
    waiter: Option<(u64, oneshot::Sender<Invocation>)>,
    waits: u64,
    answer: Option<oneshot::Sender<Answer>>,
    /// How init ended, until somebody asks.
    init: Option<InitOutcome>,
    init_waiter: Option<oneshot::Sender<InitOutcome>>,
}

/// A `next` in progress; dropping it before the event came gives up the wait.
pub(crate) struct Wait<'a> {
    desk: &'a Desk,
    number: u64,
    event: oneshot::Receiver<Invocation>,
}

/// The right to send the answer; dropping it unused lets the runtime try again.
pub(crate) struct AnswerPermit<'a> {
    desk: &'a Desk,
    used: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change under the lock is complete before anything can panic, so a poisoned state is a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node waits for the end of init.
    pub(crate) fn await_init(&self) -> oneshot::Receiver<InitOutcome> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.lock();
        match inner.init.take() {
            // The receiver is still in our hands, so this send cannot fail.
            Some(outcome) => drop(sender.send(outcome)),
            None => inner.init_waiter = Some(sender),
        }
        receiver
    }

    /// The node hands over an invocation and waits for its answer.
    pub(crate) fn invoke(&self, invocation: Invocation) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.lock();
        inner.answer = Some(sender);
        inner.pending = Some(invocation);
        inner.hand_out();
        receiver
    }

    /// A runtime asks for its next event.
    pub(crate) fn next(&self) -> Result<Wait<'_>, Refusal> {
        let mut inner = self.lock();
        if inner.machine.ask()? {
            inner.init_ended(InitOutcome::Done);
        }
        let (sender, event) = oneshot::channel();
        inner.waits += 1;
        let number = inner.waits;
        inner.waiter = Some((number, sender));
        inner.hand_out();
        Ok(Wait { desk: self, number, event })
    }

    /// A runtime begins to answer.
    pub(crate) fn begin_answer(&self, id: &str) -> Result<AnswerPermit<'_>, Refusal> {
        self.lock().machine.begin_answer(id)?;
        Ok(AnswerPermit { desk: self, used: false })
    }

    /// A runtime reports that it cannot start; `report` is asked for what it said once that is allowed.
    pub(crate) fn init_error(&self, outcome: InitOutcome) -> Result<(), Refusal> {
        let mut inner = self.lock();
        inner.machine.init_error()?;
        inner.init_ended(outcome);
        Ok(())
    }

    /// Whether an init error may be reported now, so that the body of a report out of place need not be read.
    pub(crate) fn may_fail_init(&self) -> Result<(), Refusal> {
        let inner = self.lock();
        match inner.machine.state() {
            crate::State::Starting => Ok(()),
            // The machine words the refusal and changes nothing.
            _ => Err(inner.machine.refuse_init_error()),
        }
    }
}

impl Inner {
    /// Gives the pending invocation to the waiting `next`, when there are both.
    fn hand_out(&mut self) {
        let Some(invocation) = self.pending.take() else { return };
        let Some((_, waiter)) = self.waiter.take() else {
            self.pending = Some(invocation);
            return;
        };
        let id = invocation.request_id;
        match waiter.send(invocation) {
            Ok(()) => drop(self.machine.hand_out(id)),
            // The connection went in this moment: the invocation waits for the next one.
            Err(invocation) => {
                self.machine.next_abandoned();
                self.pending = Some(invocation);
            }
        }
    }

    fn init_ended(&mut self, outcome: InitOutcome) {
        match self.init_waiter.take() {
            Some(waiter) => drop(waiter.send(outcome)),
            None => self.init = Some(outcome),
        }
    }
}

impl Wait<'_> {
    /// The event; nothing when a later `next` took this one's place.
    pub(crate) async fn event(mut self) -> Option<Invocation> {
        (&mut self.event).await.ok()
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut inner = self.desk.lock();
        if inner.waiter.as_ref().is_some_and(|(number, _)| *number == self.number) {
            inner.waiter = None;
            inner.machine.next_abandoned();
        }
    }
}

impl AnswerPermit<'_> {
    /// Gives the answer to the node.
    pub(crate) fn answer(mut self, answer: Answer) {
        self.used = true;
        let mut inner = self.desk.lock();
        inner.machine.end_answer();
        if let Some(waiter) = inner.answer.take() {
            // A node that no longer waits has given this instance up.
            drop(waiter.send(answer));
        }
    }
}

impl Drop for AnswerPermit<'_> {
    fn drop(&mut self) {
        if !self.used {
            self.desk.lock().machine.abort_answer();
        }
    }
}
