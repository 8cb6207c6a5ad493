use dormouse_model::RequestId;

/// Where one runtime stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs its init phase.
    Starting,
    /// It reported that its init phase failed.
    InitFailed,
    /// It asked for an event and waits.
    Ready,
    /// It has this event and has not answered.
    Invoking(RequestId),
    /// Its answer to this event is being read.
    Answering(RequestId),
    /// It has answered, or its wait was cut off, and it has not asked again.
    Between,
}

impl State {
    /// The word for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::InitFailed => "InitError",
            Self::Ready => "Ready",
            Self::Invoking(_) => "Running",
            Self::Answering(_) => "Responding",
            Self::Between => "ResponseSent",
        }
    }
}

/// What a runtime may not do now. The HTTP server answers with [`Refusal::status`] and [`Refusal::error_type`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id names no invocation that this runtime has.
    #[error("The request id is not that of the invocation in progress; answer with the id that next returned.")]
    InvalidRequestId,
    /// The call does not fit the state.
    #[error("A transition from {from} to {to} is not allowed.")]
    InvalidStateTransition {
        /// Where the runtime stands.
        from: &'static str,
        /// Where the call would lead.
        to: &'static str,
    },
}

impl Refusal {
    /// HTTP status code.
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidRequestId => 400,
            Self::InvalidStateTransition { .. } => 403,
        }
    }

    /// `errorType` of the body.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidRequestId => "InvalidRequestID",
            Self::InvalidStateTransition { .. } => "InvalidStateTransition",
        }
    }
}

/// Decides what a runtime may do. Does no IO; a refused call changes nothing.
#[derive(Debug)]
pub struct Machine {
    state: State,
    /// The invocation that was answered last, to tell an answer too many from an answer to nothing.
    answered: Option<RequestId>,
}

impl Default for Machine {
    fn default() -> Self {
        Self { state: State::Starting, answered: None }
    }
}

impl Machine {
    /// Where the runtime stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The runtime asks for an event. `Ok(true)` when that ended its init phase. A second request replaces the first,
    /// whose connection may be long gone.
    pub fn ask(&mut self) -> Result<bool, Refusal> {
        match self.state {
            State::Starting => {
                self.state = State::Ready;
                Ok(true)
            }
            State::Ready | State::Between => {
                self.state = State::Ready;
                Ok(false)
            }
            _ => Err(self.refuse("Ready")),
        }
    }

    /// The connection that waited for an event is gone.
    pub fn next_abandoned(&mut self) {
        if self.state == State::Ready {
            self.state = State::Between;
        }
    }

    /// The waiting runtime gets this event. False when none waits.
    pub fn hand_out(&mut self, id: RequestId) -> bool {
        let waits = self.state == State::Ready;
        if waits {
            self.state = State::Invoking(id);
        }
        waits
    }

    /// The runtime begins to send the answer, or an error, for `id` as it wrote it.
    pub fn begin_answer(&mut self, id: &str) -> Result<(), Refusal> {
        let id: RequestId = id.parse().map_err(|_| Refusal::InvalidRequestId)?;
        match self.state {
            State::Invoking(current) if current == id => {
                self.state = State::Answering(id);
                Ok(())
            }
            State::Answering(current) if current == id => Err(self.refuse("ResponseSent")),
            _ if self.answered == Some(id) => Err(self.refuse("ResponseSent")),
            _ => Err(Refusal::InvalidRequestId),
        }
    }

    /// The whole answer is here.
    pub fn end_answer(&mut self) {
        if let State::Answering(id) = self.state {
            self.state = State::Between;
            self.answered = Some(id);
        }
    }

    /// The answer broke off; the runtime may try again until the deadline.
    pub fn abort_answer(&mut self) {
        if let State::Answering(id) = self.state {
            self.state = State::Invoking(id);
        }
    }

    /// The runtime reports that it cannot start.
    pub fn init_error(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::Starting => {
                self.state = State::InitFailed;
                Ok(())
            }
            _ => Err(self.refuse_init_error()),
        }
    }

    /// What an init error that comes out of place is answered with.
    pub(crate) fn refuse_init_error(&self) -> Refusal {
        self.refuse("InitError")
    }

    fn refuse(&self, to: &'static str) -> Refusal {
        Refusal::InvalidStateTransition { from: self.state.name(), to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoking() -> (Machine, RequestId) {
        let mut machine = Machine::default();
        let id = RequestId::random();
        assert_eq!(machine.ask(), Ok(true));
        assert!(machine.hand_out(id));
        (machine, id)
    }

    #[test]
    fn a_runtime_goes_round() {
        let (mut machine, id) = invoking();
        assert_eq!(machine.begin_answer(&id.to_string()), Ok(()));
        machine.end_answer();
        assert_eq!(machine.ask(), Ok(false));
        assert_eq!(machine.state(), State::Ready);
    }

    #[test]
    fn a_second_answer_is_out_of_state_and_a_foreign_id_is_invalid() {
        let (mut machine, id) = invoking();
        let foreign = RequestId::random().to_string();
        assert_eq!(machine.begin_answer(&foreign), Err(Refusal::InvalidRequestId));
        assert_eq!(machine.begin_answer("../../next"), Err(Refusal::InvalidRequestId));
        assert_eq!(machine.begin_answer(&id.to_string()), Ok(()));
        assert_eq!(machine.begin_answer(&id.to_string()).map_err(|r| r.status()), Err(403));
        machine.end_answer();
        assert_eq!(machine.begin_answer(&id.to_string()).map_err(|r| r.status()), Err(403));
        assert_eq!(machine.begin_answer(&foreign).map_err(|r| r.status()), Err(400));
    }

    #[test]
    fn an_answer_without_an_invocation_is_refused() {
        let mut machine = Machine::default();
        assert_eq!(machine.begin_answer(&RequestId::random().to_string()), Err(Refusal::InvalidRequestId));
        assert_eq!(machine.state(), State::Starting);
        assert!(!machine.hand_out(RequestId::random()), "nothing waits yet");
    }

    #[test]
    fn an_answer_that_broke_off_may_be_sent_again() {
        let (mut machine, id) = invoking();
        assert_eq!(machine.begin_answer(&id.to_string()), Ok(()));
        machine.abort_answer();
        assert_eq!(machine.begin_answer(&id.to_string()), Ok(()));
    }

    #[test]
    fn next_while_an_answer_is_owed_is_refused() {
        let (mut machine, id) = invoking();
        assert_eq!(machine.ask().map_err(|r| r.status()), Err(403));
        assert_eq!(machine.state(), State::Invoking(id));
    }

    #[test]
    fn init_fails_once_and_only_in_init() {
        let mut machine = Machine::default();
        assert_eq!(machine.init_error(), Ok(()));
        assert_eq!(machine.init_error().map_err(|r| r.status()), Err(403));
        assert_eq!(machine.ask().map_err(|r| r.status()), Err(403));
        let mut machine = Machine::default();
        assert_eq!(machine.ask(), Ok(true));
        assert_eq!(machine.init_error().map_err(|r| r.error_type()), Err("InvalidStateTransition"));
    }

    #[test]
    fn a_lost_wait_can_be_taken_up_again() {
        let mut machine = Machine::default();
        assert_eq!(machine.ask(), Ok(true));
        machine.next_abandoned();
        assert!(!machine.hand_out(RequestId::random()));
        assert_eq!(machine.ask(), Ok(false));
    }
}
