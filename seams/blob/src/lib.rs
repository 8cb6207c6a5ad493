//! The blob seam: streamed put, ranged get, delete, list.
//!
//! A blob is written once under a name that its writer chose and never changed. The bytes are on disk, and their name
//! too, before [`Blobs::put`] returns; only then may a record that names them be committed.
