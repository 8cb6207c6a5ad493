//! Accounts, keys, roles and policies; who asks, and may they.
