//! A record as it lies in a file: one JSON object in one frame. A change here is a change of the format on disk.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use dormouse_model::{RequestId, Timestamp, VersionNumber};
use serde::{Deserialize, Serialize};

use super::{LogRecord, LogStream};
use crate::frame;

/// Text is kept as text where it is UTF-8, so that the files can be searched with ordinary tools.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    time: Timestamp,
    version: VersionNumber,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    instance: String,
    stream: LogStream,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Appends the record in a frame.
pub(crate) fn write(out: &mut Vec<u8>, record: LogRecord) {
    let LogRecord { time, version, instance, stream, request_id, text } = record;
    let (text, base64) = match String::from_utf8(text.into()) {
        Ok(text) => (Some(text), None),
        Err(other) => (None, Some(BASE64_STANDARD.encode(other.as_bytes()))),
    };
    let on_disk = OnDisk { time, version, instance, stream, request_id, text, base64 };
    // Strings, numbers and fixed keys: there is nothing in it that JSON cannot say.
    if let Ok(body) = serde_json::to_vec(&on_disk) {
        frame::write(out, &body);
    }
}

/// The record of a line, if the line is whole.
pub(crate) fn read(line: &[u8]) -> Option<LogRecord> {
    let OnDisk { time, version, instance, stream, request_id, text, base64 } =
        serde_json::from_slice(frame::body(line)?).ok()?;
    let text = match (text, base64) {
        (Some(text), _) => Bytes::from(text),
        (None, Some(base64)) => BASE64_STANDARD.decode(base64).ok()?.into(),
        (None, None) => Bytes::new(),
    };
    Some(LogRecord { time, version, instance, stream, request_id, text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(text: Vec<u8>, stream: LogStream, with_id: bool) -> LogRecord {
        LogRecord {
            time: Timestamp(1_795_325_324_007),
            version: VersionNumber::Published(3),
            instance: "i-1".into(),
            stream,
            request_id: with_id.then(|| "3b2a1c00-0000-4000-8000-00000000000a".parse().expect("a UUID")),
            text: text.into(),
        }
    }

    #[test]
    fn a_record_looks_like_this_on_disk() {
        let mut out = Vec::new();
        write(&mut out, record(b"hi \"there\"\n".to_vec(), LogStream::Stderr, true));
        let expected = concat!(
            r#" {"time":1795325324007,"version":"3","instance":"i-1","stream":"stderr","#,
            r#""request_id":"3b2a1c00-0000-4000-8000-00000000000a","text":"hi \"there\"\n"}"#,
            "\n"
        );
        assert_eq!(String::from_utf8_lossy(&out[8..]), expected);
    }

    proptest! {
        #[test]
        fn a_record_reads_back(text in prop::collection::vec(any::<u8>(), 0..60), with_id in any::<bool>()) {
            for stream in [LogStream::Stdout, LogStream::Stderr, LogStream::Platform] {
                let record = record(text.clone(), stream, with_id);
                let mut out = Vec::new();
                write(&mut out, record.clone());
                let (line, length) = frame::line(&out).expect("a line");
                prop_assert_eq!(length, out.len());
                prop_assert_eq!(read(line), Some(record));
            }
        }
    }
}
