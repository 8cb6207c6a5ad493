//! The process that makes sandboxes.

/// Serves the node on standard input, a socket, until it closes; then ends everything and exits. To be called first
/// thing in `main`, before any thread is started.
pub fn main() -> ! {
    std::process::exit(1)
}
