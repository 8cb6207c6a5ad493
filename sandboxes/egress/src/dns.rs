//! The little of DNS that a sandbox needs: one question, one address or none. Pure.
//!
//! Source: RFC 1035, sections 4.1 and 3.2; RFC 2308 for answers without data.

use std::net::Ipv4Addr;

/// Most bytes of a query that is read; a question is at most 271, the rest is room for EDNS.
pub(crate) const QUERY_BYTES: usize = 1_232;

/// Seconds for which an answer may be kept. A name keeps its address anyway; short, so that a changed grant shows.
const TTL_SECS: u32 = 5;

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
const LABEL_BYTES: usize = 63;
const NAME_BYTES: usize = 253;

/// A question, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    id: u16,
    recursion_desired: bool,
    /// Lower case, without the last dot.
    pub(crate) name: String,
    /// Whether an IPv4 address is asked for; other kinds of data do not exist here.
    pub(crate) wants_address: bool,
    /// The question as it was sent, for the answer to repeat to the letter.
    raw: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The name has this address.
    Address(Ipv4Addr),
    /// The name is there, but has no data of the kind that was asked for.
    Nothing,
    /// There is no such name.
    NoSuchName,
}

/// Reads a query. Absent when it is none, or not one that a resolver library sends.
pub(crate) fn read(query: &[u8]) -> Option<Question> {
    let word = |at: usize| Some(u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]));
    let (id, flags, questions) = (word(0)?, word(2)?, word(4)?);
    let is_standard_query = flags & 0xf800 == 0;
    if !is_standard_query || questions != 1 {
        return None;
    }
    let mut name = String::new();
    let mut at = HEADER_BYTES;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = query.get(at..at + length).filter(|_| length <= LABEL_BYTES)?;
        let is_host_letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if !label.iter().all(is_host_letter) {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
        at += length;
        if name.len() > NAME_BYTES {
            return None;
        }
    }
    let (kind, class) = (word(at)?, word(at + 2)?);
    let raw = query.get(HEADER_BYTES..at + 4)?.to_vec();
    let is_internet = class == CLASS_IN;
    (is_internet && !name.is_empty()).then_some(Question {
        id,
        recursion_desired: flags & 0x0100 != 0,
        name,
        wants_address: kind == TYPE_A,
        raw,
    })
}

/// Writes the answer to a question.
pub(crate) fn write(question: &Question, answer: Answer) -> Vec<u8> {
    let code: u16 = if answer == Answer::NoSuchName { 3 } else { 0 };
    // A response, with recursion available, and the asker's wish repeated.
    let flags = 0x8080 | (u16::from(question.recursion_desired) << 8) | code;
    let count = u16::from(matches!(answer, Answer::Address(_)));
    let mut out = Vec::with_capacity(HEADER_BYTES + question.raw.len() + 16);
    for word in [question.id, flags, 1, count, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&question.raw);
    if let Answer::Address(address) = answer {
        // The name is a pointer to the question's.
        out.extend_from_slice(&[0xc0, 0x0c]);
        out.extend_from_slice(&TYPE_A.to_be_bytes());
        out.extend_from_slice(&CLASS_IN.to_be_bytes());
        out.extend_from_slice(&TTL_SECS.to_be_bytes());
        out.extend_from_slice(&4_u16.to_be_bytes());
        out.extend_from_slice(&address.octets());
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut out = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            out.push(u8::try_from(label.len()).expect("a short label"));
            out.extend_from_slice(label.as_bytes());
        }
        out.push(0);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1]);
        out
    }

    #[test]
    fn a_question_is_read_and_answered() {
        let question = read(&query("Api.Example.com", 1)).expect("a question");
        assert_eq!((question.name.as_str(), question.wants_address), ("api.example.com", true));
        let answer = write(&question, Answer::Address(Ipv4Addr::new(198, 18, 0, 1)));
        assert_eq!(answer[..8], [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(answer.windows(12).any(|w| w == b"\x03Api\x07Example"), "the question is repeated to the letter");
        assert_eq!(answer[answer.len() - 4..], [198, 18, 0, 1]);
        let none = write(&question, Answer::NoSuchName);
        assert_eq!(none[..8], [0x12, 0x34, 0x81, 0x83, 0, 1, 0, 0]);
    }

    #[test]
    fn other_kinds_have_no_data() {
        assert!(!read(&query("example.com", 28)).expect("a question").wants_address);
    }

    #[test]
    fn nonsense_is_not_answered() {
        let mut response = query("example.com", 1);
        response[2] |= 0x80;
        let mut two = query("example.com", 1);
        two[5] = 2;
        let pointer = [&query("a", 1)[..12], &[0xc0, 0x0c, 0, 1, 0, 1]].concat();
        for bytes in [vec![], response, two, pointer, query("a b", 1), query("example.com", 1)[..20].to_vec()] {
            assert_eq!(read(&bytes), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(question) = read(&bytes) {
                let answer = write(&question, Answer::Nothing);
                prop_assert_eq!(&answer[..2], &bytes[..2]);
            }
        }
    }
}
