//! The Lambda Runtime API as a state machine and two servers: HTTP and framed; knows nothing of isolation.
