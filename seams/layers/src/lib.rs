//! What every engine needs on the store: records, catalogue, due-queue, lease, counter, expiry, outbox.
