//! Lines that show by themselves whether they are whole.
//!
//! A frame is eight hexadecimal digits of the CRC-32 of its body, a space, the body, and a newline. The body is JSON and
//! so holds no newline and no other character below the space. After a kill or on a full disk a file may end within a
//! frame. A line without its newline never counts: readers do not take it, and the next writer spoils it with [`MEND`]
//! before it goes on, so that it cannot come back to life. A line whose sum is wrong is skipped and counted, never
//! guessed at.

/// Ends a torn line: "cancel", which no body holds. A character that a body may hold could be the very one that was torn
/// off, and would make the frame whole again.
pub(crate) const MEND: &[u8] = b"\x18\n";

/// Appends a frame around `body`, which must hold no character below the space.
pub(crate) fn write(out: &mut Vec<u8>, body: &[u8]) {
    debug_assert!(body.iter().all(|b| *b >= b' '), "a frame's body is one line without control characters");
    out.extend_from_slice(format!("{:08x} ", crc32fast::hash(body)).as_bytes());
    out.extend_from_slice(body);
    out.push(b'\n');
}

/// The body of a line (without its newline), if the line is a whole frame.
pub(crate) fn body(line: &[u8]) -> Option<&[u8]> {
    let (sum, body) = (line.get(..8)?, line.get(9..)?);
    let digits = sum.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (digits && line[8] == b' ' && crc32fast::hash(body) == sum).then_some(body)
}

#[cfg(test)]
/// Splits off the first line: the line without its newline, and how many bytes it takes with it.
pub(crate) fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|&b| b == b'\n')?;
    Some((&bytes[..end], end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_has_this_form() {
        let mut out = Vec::new();
        write(&mut out, b"{\"a\":1}");
        assert_eq!(out, b"561bacaf {\"a\":1}\n".to_vec(), "{}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn what_ends_a_torn_line_never_completes_it() {
        let mut whole = Vec::new();
        write(&mut whole, b"is it?");
        for kept in 0..whole.len() {
            let mut file = whole[..kept].to_vec();
            file.extend_from_slice(MEND);
            assert_eq!(read_all(&file), Vec::<Vec<u8>>::new(), "{kept} bytes kept");
        }
    }

    /// All bodies that a reader takes from a file.
    fn read_all(mut file: &[u8]) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while let Some((one, length)) = line(file) {
            bodies.extend(body(one).map(<[u8]>::to_vec));
            file = &file[length..];
        }
        bodies
    }

    proptest! {
        /// A writer that dies at any byte, and a second one that mends the torn line first: every whole frame of both is
        /// read, in order, and nothing else.
        #[test]
        fn a_torn_frame_is_skipped(
            before in prop::collection::vec("[ -~]{0,40}", 0..6),
            after in prop::collection::vec("[ -~]{0,40}", 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut file = Vec::new();
            let mut ends = Vec::new();
            for text in &before {
                write(&mut file, text.as_bytes());
                ends.push(file.len());
            }
            let kept = cut.index(file.len() + 1);
            file.truncate(kept);
            let mut expected: Vec<Vec<u8>> =
                before.iter().zip(&ends).filter(|(_, end)| **end <= kept).map(|(text, _)| text.clone().into()).collect();
            if file.last().is_some_and(|last| *last != b'\n') {
                file.extend_from_slice(MEND);
            }
            for text in &after {
                write(&mut file, text.as_bytes());
                expected.push(text.clone().into());
            }
            prop_assert_eq!(read_all(&file), expected);
        }

        /// One changed byte spoils at most the lines that it touches, and never makes up a record.
        #[test]
        fn a_changed_byte_is_noticed(
            texts in prop::collection::vec("[ -~]{1,40}", 1..6),
            at in any::<prop::sample::Index>(),
            to in any::<u8>(),
        ) {
            let mut file = Vec::new();
            for text in &texts {
                write(&mut file, text.as_bytes());
            }
            let at = at.index(file.len());
            file[at] = to;
            for found in read_all(&file) {
                prop_assert!(texts.iter().any(|text| text.as_bytes() == found));
            }
        }
    }
}
