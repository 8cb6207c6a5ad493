use bytes::Bytes;
use dormouse_model::limits;

/// How a runtime answered one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The handler's response, as it was posted.
    Response(Bytes),
    /// The runtime reported an error of the handler.
    Error {
        /// What the runtime calls it, or `Function.Unknown` when it does not say.
        error_type: String,
        /// The JSON that it posted.
        body: Bytes,
        /// Whether the runtime said that it ends itself now.
        leaving: bool,
    },
    /// The response was larger than [`Limits::response_bytes`]; its bytes are gone.
    TooLarge {
        /// How large it was, as far as the runtime said or sent.
        size_bytes: u64,
    },
    /// The runtime can no longer be talked to: it closed its channel or broke its rules. The session is spent.
    Closed {
        /// One sentence for the function's log.
        reason: String,
    },
}

/// How an init phase ended, as the runtime told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitOutcome {
    /// It asked for its first event.
    Done,
    /// It reported that it cannot start.
    Error {
        /// Such as `Runtime.ImportModuleError`; `Runtime.Unknown` when the runtime does not say.
        error_type: String,
        /// `errorMessage` of the body; empty when there is none.
        message: String,
        /// The JSON that it posted.
        body: Bytes,
    },
    /// It closed its channel or broke its rules before it was ready.
    Closed {
        /// One sentence for the function's log.
        reason: String,
    },
}

/// Bounds on what a runtime may send. They protect the node from the code in the sandbox.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest response or error that is passed on, in bytes.
    pub response_bytes: usize,
    /// Connections served at one time; further ones wait in the listener's backlog. HTTP only.
    pub connections: usize,
    /// The request line and all headers of one request together, in bytes. HTTP only.
    pub head_bytes: usize,
    /// Frames out of place that are passed over within one invocation before the channel counts as broken. Framed only.
    pub misplaced_frames: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { response_bytes: limits::RESPONSE_BYTES, connections: 16, head_bytes: 64 * 1024, misplaced_frames: 64 }
    }
}

/// Characters of an error type that are kept.
const ERROR_TYPE_CHARS: usize = 256;

/// What the body of an error report says of itself.
#[derive(serde::Deserialize, Default)]
struct ErrorBody {
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    #[serde(rename = "errorMessage")]
    message: Option<String>,
}

fn read_body(body: &[u8]) -> ErrorBody {
    serde_json::from_slice(body).unwrap_or_default()
}

fn clean_type(said: Option<&str>) -> Option<String> {
    let text: String = said?.chars().filter(|c| !c.is_control()).take(ERROR_TYPE_CHARS).collect();
    if text.is_empty() { None } else { Some(text) }
}

/// The answer that an error report makes. What the runtime said beside the body goes before what the body says.
pub(crate) fn error_answer(said: Option<&str>, body: Bytes, leaving: bool) -> Answer {
    let error_type = clean_type(said)
        .or_else(|| clean_type(read_body(&body).error_type.as_deref()))
        .unwrap_or_else(|| "Function.Unknown".to_owned());
    Answer::Error { error_type, body, leaving }
}

/// The outcome that an init error report makes.
pub(crate) fn init_error(said: Option<&str>, body: Bytes) -> InitOutcome {
    let read = read_body(&body);
    let error_type = clean_type(said)
        .or_else(|| clean_type(read.error_type.as_deref()))
        .unwrap_or_else(|| "Runtime.Unknown".to_owned());
    InitOutcome::Error { error_type, message: read.message.unwrap_or_default(), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(said: Option<&str>, body: &'static str) -> String {
        match error_answer(said, Bytes::from_static(body.as_bytes()), false) {
            Answer::Error { error_type, .. } => error_type,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_is_named_by_the_header_then_by_the_body() {
        assert_eq!(typed(Some("Runtime.Oops"), r#"{"errorType":"ValueError"}"#), "Runtime.Oops");
        assert_eq!(typed(None, r#"{"errorType":"ValueError"}"#), "ValueError");
        assert_eq!(typed(Some("\r\n"), "[]"), "Function.Unknown");
        assert_eq!(typed(None, "not json"), "Function.Unknown");
        assert_eq!(typed(Some(&"x".repeat(9999)), "").len(), ERROR_TYPE_CHARS);
    }
}
