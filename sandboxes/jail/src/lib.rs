//! Makes isolated Linux process sandboxes and hands back their sockets and pipes; knows nothing of functions.
