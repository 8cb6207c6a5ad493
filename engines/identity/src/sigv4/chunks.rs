//! The chunked payloads of S3: `aws-chunked` framing, with or without a signature on each chunk, with or without trailers.
//!
//! ```text
//! signed:    HEX;chunk-signature=SIG\r\n DATA \r\n ... 0;chunk-signature=SIG\r\n [trailers] \r\n
//! unsigned:  HEX\r\n DATA \r\n ... 0\r\n trailers \r\n
//! ```
//!
//! Source: the public pages "Signature calculations: transferring payload in multiple chunks" and "... including trailing
//! headers". Data passes on as it arrives and is hashed on the way, so memory stays small; a chunk's signature is judged at
//! its end. Nothing may be acted upon before [`ChunkDecoder::finish`] has said that all is well.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{hex_sha256, mac};

/// Most bytes in one line of the framing or of the trailers.
const LINE_BYTES: usize = 1_024;
/// Most bytes of data in one chunk.
const CHUNK_BYTES: u64 = 64 * 1024 * 1024;
/// Most trailers.
const TRAILERS: usize = 16;

/// How the payload is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streaming {
    Signed,
    SignedTrailer,
    UnsignedTrailer,
}

impl Streaming {
    pub(super) fn named(text: &str) -> Option<Self> {
        [Self::Signed, Self::SignedTrailer, Self::UnsignedTrailer].into_iter().find(|kind| kind.name() == text)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Signed => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::SignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    fn signs_chunks(self) -> bool {
        self != Self::UnsignedTrailer
    }
}

/// A streamed payload that is not what it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The framing is broken.
    #[error("the chunked payload is malformed: {0}")]
    Malformed(&'static str),
    /// A chunk or the trailers were signed otherwise.
    #[error("The request signature we calculated does not match the signature you provided.")]
    Signature,
    /// More or fewer bytes than `X-Amz-Decoded-Content-Length` says.
    #[error("the payload has {found} bytes where X-Amz-Decoded-Content-Length says {declared}")]
    Length {
        /// Bytes of data so far.
        found: u64,
        /// What was declared.
        declared: u64,
    },
}

enum State {
    /// Reading the line that starts a chunk.
    Head,
    /// So many bytes of data are left.
    Data(u64),
    /// The line break after the data.
    DataEnd,
    /// The lines after the last chunk.
    Trailers,
    Done,
}

/// Takes the body as it arrives and lets the data through.
pub struct ChunkDecoder {
    kind: Streaming,
    key: Zeroizing<[u8; 32]>,
    time: String,
    scope: String,
    previous: [u8; 32],
    declared: u64,
    found: u64,
    state: State,
    line: Vec<u8>,
    hash: Sha256,
    chunk_signature: [u8; 32],
    trailers: Vec<(String, String)>,
    trailer_signature: Option<[u8; 32]>,
}

/// Keys do not print.
impl std::fmt::Debug for ChunkDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkDecoder").field("kind", &self.kind).field("found", &self.found).finish_non_exhaustive()
    }
}

impl ChunkDecoder {
    pub(super) fn new(
        kind: Streaming,
        key: Zeroizing<[u8; 32]>,
        (time, scope): (String, String),
        seed: [u8; 32],
        declared: u64,
    ) -> Self {
        Self {
            kind,
            key,
            time,
            scope,
            previous: seed,
            declared,
            found: 0,
            state: State::Head,
            line: Vec::new(),
            hash: Sha256::new(),
            chunk_signature: [0; 32],
            trailers: Vec::new(),
            trailer_signature: None,
        }
    }

    /// Takes the next bytes of the body and appends the data in them to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ChunkError> {
        while !bytes.is_empty() {
            match self.state {
                State::Data(left) => {
                    let take = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let (data, rest) = bytes.split_at(take);
                    self.data(data, left, out)?;
                    bytes = rest;
                }
                State::Done => return Err(ChunkError::Malformed("bytes follow the end")),
                State::Head | State::DataEnd | State::Trailers => {
                    let end = bytes.iter().position(|b| *b == b'\n');
                    let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
                    if self.line.len() + part.len() > LINE_BYTES {
                        return Err(ChunkError::Malformed("a line is too long"));
                    }
                    self.line.extend_from_slice(part);
                    bytes = rest;
                    if end.is_some() {
                        self.line_ended()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Says that the body has ended. Gives the trailers, names in lower case, without the signature.
    pub fn finish(self) -> Result<Vec<(String, String)>, ChunkError> {
        if !matches!(self.state, State::Done) {
            return Err(ChunkError::Malformed("the payload ends before its last chunk"));
        }
        if self.found != self.declared {
            return Err(ChunkError::Length { found: self.found, declared: self.declared });
        }
        Ok(self.trailers)
    }

    fn data(&mut self, data: &[u8], left: u64, out: &mut Vec<u8>) -> Result<(), ChunkError> {
        self.found += data.len() as u64;
        if self.found > self.declared {
            return Err(ChunkError::Length { found: self.found, declared: self.declared });
        }
        if self.kind.signs_chunks() {
            self.hash.update(data);
        }
        out.extend_from_slice(data);
        let left = left - data.len() as u64;
        self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
        Ok(())
    }

    fn line_ended(&mut self) -> Result<(), ChunkError> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r\n").ok_or(ChunkError::Malformed("a line does not end in CR LF"))?;
        let line = std::str::from_utf8(line).map_err(|_| ChunkError::Malformed("a line is not text"))?;
        match self.state {
            State::Head => self.head(line),
            State::DataEnd if line.is_empty() => {
                self.check_chunk()?;
                self.state = State::Head;
                Ok(())
            }
            State::Trailers => self.trailer(line),
            _ => Err(ChunkError::Malformed("a chunk is longer than its head says")),
        }
    }

    fn head(&mut self, line: &str) -> Result<(), ChunkError> {
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let hex_digits = (1..=16).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|size| hex_digits && *size <= CHUNK_BYTES);
        let size = size.ok_or(ChunkError::Malformed("the size of a chunk is not a hexadecimal number up to 64 MiB"))?;
        match (extension.strip_prefix("chunk-signature="), self.kind.signs_chunks()) {
            (Some(text), true) => self.chunk_signature = read_signature(text)?,
            (None, false) if extension.is_empty() => {}
            _ => return Err(ChunkError::Malformed("a chunk has a signature where none is due, or none where one is")),
        }
        if size == 0 {
            self.check_chunk()?;
            self.state = State::Trailers;
        } else {
            self.state = State::Data(size);
        }
        Ok(())
    }

    /// Compares the signature of the chunk whose data was just hashed.
    fn check_chunk(&mut self) -> Result<(), ChunkError> {
        if !self.kind.signs_chunks() {
            return Ok(());
        }
        let data = hex::encode(self.hash.finalize_reset());
        let text = format!("{}\n{data}", hex_sha256(b""));
        self.check("AWS4-HMAC-SHA256-PAYLOAD", &text, self.chunk_signature)
    }

    fn check(&mut self, algorithm: &str, hashes: &str, claimed: [u8; 32]) -> Result<(), ChunkError> {
        let text = format!("{algorithm}\n{}\n{}\n{}\n{hashes}", self.time, self.scope, hex::encode(self.previous));
        let expected = mac(&*self.key, text.as_bytes());
        if !bool::from(expected.ct_eq(&claimed)) {
            return Err(ChunkError::Signature);
        }
        self.previous = expected;
        Ok(())
    }

    fn trailer(&mut self, line: &str) -> Result<(), ChunkError> {
        if line.is_empty() {
            if self.kind == Streaming::SignedTrailer {
                let claimed = self.trailer_signature.ok_or(ChunkError::Malformed("the trailers are not signed"))?;
                let text: String = self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
                self.check("AWS4-HMAC-SHA256-TRAILER", &hex_sha256(text.as_bytes()), claimed)?;
            }
            self.state = State::Done;
            return Ok(());
        }
        let (name, value) = line.split_once(':').ok_or(ChunkError::Malformed("a trailer is not NAME:VALUE"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if self.kind == Streaming::Signed || self.trailers.len() == TRAILERS || self.trailer_signature.is_some() {
            return Err(ChunkError::Malformed("there are more trailers than are due"));
        }
        if name == "x-amz-trailer-signature" {
            self.trailer_signature = Some(read_signature(&value)?);
        } else {
            self.trailers.push((name, value));
        }
        Ok(())
    }
}

fn read_signature(text: &str) -> Result<[u8; 32], ChunkError> {
    let mut signature = [0; 32];
    hex::decode_to_slice(text, &mut signature)
        .map_err(|_| ChunkError::Malformed("a signature is not 64 hexadecimal digits"))?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const SEED: [u8; 32] = [9; 32];

    fn decoder(kind: Streaming, declared: u64) -> ChunkDecoder {
        ChunkDecoder::new(kind, Zeroizing::new(KEY), ("T".to_owned(), "S".to_owned()), SEED, declared)
    }

    /// The client's side, written from the description and not with the decoder's helpers.
    fn encode(kind: Streaming, chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Vec<u8> {
        let mut previous = hex::encode(SEED);
        let mut out = Vec::new();
        for chunk in chunks.iter().copied().chain([b"".as_slice()]) {
            out.extend_from_slice(format!("{:x}", chunk.len()).as_bytes());
            if kind.signs_chunks() {
                let text = format!(
                    "AWS4-HMAC-SHA256-PAYLOAD\nT\nS\n{previous}\n{}\n{}",
                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    hex_sha256(chunk)
                );
                previous = hex::encode(mac(&KEY, text.as_bytes()));
                out.extend_from_slice(format!(";chunk-signature={previous}").as_bytes());
            }
            out.extend_from_slice(b"\r\n");
            if !chunk.is_empty() {
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
        }
        let lines: String = trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        out.extend_from_slice(lines.replace('\n', "\r\n").as_bytes());
        if kind == Streaming::SignedTrailer {
            let text = format!("AWS4-HMAC-SHA256-TRAILER\nT\nS\n{previous}\n{}", hex_sha256(lines.as_bytes()));
            let signature = hex::encode(mac(&KEY, text.as_bytes()));
            out.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn decode(kind: Streaming, wire: &[u8], declared: u64, step: usize) -> Result<Vec<u8>, ChunkError> {
        let mut decoder = decoder(kind, declared);
        let mut out = Vec::new();
        for part in wire.chunks(step.max(1)) {
            decoder.push(part, &mut out)?;
        }
        decoder.finish()?;
        Ok(out)
    }

    const KINDS: [Streaming; 3] = [Streaming::Signed, Streaming::SignedTrailer, Streaming::UnsignedTrailer];

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5), step in 1usize..50,
        ) {
            let parts: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let body = chunks.concat();
            for kind in KINDS {
                let trailers: &[(&str, &str)] = if kind == Streaming::Signed { &[] } else { &[("x-amz-checksum-crc32", "AAAA")] };
                let wire = encode(kind, &parts, trailers);
                prop_assert_eq!(decode(kind, &wire, body.len() as u64, step).expect("valid"), body.clone());
            }
        }

        #[test]
        fn a_changed_byte_of_a_signed_payload_is_noticed(at in 0usize..400, bit in 0u8..8) {
            let wire = encode(Streaming::SignedTrailer, &[b"hello", b"world"], &[("x-amz-checksum-crc32", "AAAA")]);
            let mut changed = wire.clone();
            let at = at % wire.len();
            changed[at] ^= 1 << bit;
            let same_hex = wire[at].eq_ignore_ascii_case(&changed[at]);
            prop_assume!(!same_hex);
            prop_assert!(decode(Streaming::SignedTrailer, &changed, 10, 1000).is_err());
        }
    }

    /// A signed chunk is good in its place only, and nothing is good behind the last one.
    #[test]
    fn chunks_are_neither_moved_nor_left_out_nor_added() {
        let kind = Streaming::Signed;
        let wire = encode(kind, &[b"first", b"other"], &[]);
        // Each head is `5;chunk-signature=`, 64 digits and a line break; the data and a line break follow.
        let chunk = 2 + "chunk-signature=".len() + 64 + 2 + 5 + 2;
        let (first, second, last) = (&wire[..chunk], &wire[chunk..2 * chunk], &wire[2 * chunk..]);
        assert_eq!(decode(kind, &[first, second, last].concat(), 10, 7).expect("valid"), b"firstother");
        for (what, parts, length) in [
            ("moved", vec![second, first, last], 10),
            ("left out", vec![second, last], 5),
            ("cut", vec![first, last], 5),
            ("doubled", vec![first, first, second, last], 15),
            ("behind the last", vec![first, second, last, second], 15),
            ("behind a last that is not closed", vec![first, second, &last[..last.len() - 2], second], 15),
            ("two last", vec![first, second, last, last], 10),
            ("no last", vec![first, second], 10),
        ] {
            for step in [1, 1_000] {
                assert!(decode(kind, &parts.concat(), length, step).is_err(), "{what}");
            }
        }
        // Of another request, whose signature is another.
        let mut other = ChunkDecoder::new(kind, Zeroizing::new(KEY), ("T".to_owned(), "S".to_owned()), [8; 32], 10);
        assert_eq!(other.push(&wire, &mut Vec::new()), Err(ChunkError::Signature));
    }

    #[test]
    fn trailers_are_those_that_were_signed() {
        let kind = Streaming::SignedTrailer;
        let wire = encode(kind, &[b"data"], &[("x-amz-checksum-crc32", "AAAA"), ("x-amz-meta", "b")]);
        let text = String::from_utf8(wire.clone()).expect("text");
        assert!(decode(kind, &wire, 4, 9).is_ok());
        let signature = text.find("x-amz-trailer-signature").expect("signed");
        for changed in [
            text.replace("AAAA", "AAAB"),
            text.replace("x-amz-meta:b\r\n", ""),
            text.replace("x-amz-checksum-crc32:AAAA\r\nx-amz-meta:b", "x-amz-meta:b\r\nx-amz-checksum-crc32:AAAA"),
            text.replace("x-amz-trailer-signature", "x-amz-meta:c\r\nx-amz-trailer-signature"),
            format!("{}\r\n", &text[..signature]),
            format!("{}x-amz-meta:c\r\n\r\n", text.trim_end_matches("\r\n").to_owned() + "\r\n"),
        ] {
            assert!(decode(kind, changed.as_bytes(), 4, 9).is_err(), "{changed}");
        }
    }

    #[test]
    fn lengths_ends_and_sizes_are_judged() {
        let wire = encode(Streaming::Signed, &[b"hello"], &[]);
        assert_eq!(decode(Streaming::Signed, &wire, 5, 3).expect("valid"), b"hello");
        assert!(matches!(decode(Streaming::Signed, &wire, 4, 3), Err(ChunkError::Length { .. })));
        assert!(matches!(decode(Streaming::Signed, &wire, 6, 3), Err(ChunkError::Length { .. })));
        assert!(decode(Streaming::Signed, &wire[..wire.len() - 2], 5, 3).is_err());
        assert!(decode(Streaming::Signed, &[wire.as_slice(), b"x"].concat(), 5, 3).is_err());
        let mut out = Vec::new();
        assert!(decoder(Streaming::UnsignedTrailer, 5).push(b"ffffffffffffffff\r\n", &mut out).is_err());
        assert!(decoder(Streaming::UnsignedTrailer, 5).push(&[b'0'; 2_000], &mut out).is_err());
        assert!(decoder(Streaming::UnsignedTrailer, 5).push(b"-1\r\n", &mut out).is_err());
    }
}
