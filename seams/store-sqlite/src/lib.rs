//! The store seam on SQLite: one writer that groups waiting batches into one fsync.
