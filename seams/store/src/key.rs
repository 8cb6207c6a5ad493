//! Keys of several parts that keep their order.
//!
//! A part may hold every byte. It is written with 0x00 as 0x00 0xFF and closed by 0x00 0x01, so that a part sorts before
//! every part that it is a prefix of, and no key is a prefix of another key with the same number of parts.

use bytes::Bytes;
