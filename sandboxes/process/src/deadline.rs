use std::time::Duration;

use dormouse_jail::ExitKind;
use dormouse_model::{Timestamp, limits};

/// How long until `deadline`; zero when it has passed.
pub(crate) fn remaining(deadline: Timestamp, now: Timestamp) -> Duration {
    deadline.since(now)
}

/// CPU time that a function of this memory gets per second, in thousandths of a core.
pub(crate) fn quota_millicores(memory_mb: u32) -> u32 {
    let millicores = u64::from(memory_mb) * 1000 / u64::from(limits::MEMORY_MB_PER_CORE);
    u32::try_from(millicores).unwrap_or(u32::MAX).max(1)
}

/// Two cores: runtimes start with threads beside their main one, and whoever waits for a start feels each pause.
const INIT_MILLICORES: u32 = 2_000;

/// What the init phase gets, or the function's quota when that is more.
pub(crate) fn init_millicores(memory_mb: u32) -> u32 {
    quota_millicores(memory_mb).max(INIT_MILLICORES)
}

/// How a program ended, in words for the caller of the function: `exit status 3`, `signal: killed`.
pub(crate) fn status_text(exit: ExitKind) -> String {
    match exit {
        ExitKind::Status(status) => format!("exit status {status}"),
        ExitKind::Signal(signal) => format!("signal: {}", signal_name(signal)),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        31 => "bad system call",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_in_proportion_to_memory_and_full_in_init() {
        assert_eq!(quota_millicores(1769), 1000);
        assert_eq!(quota_millicores(128), 72);
        assert_eq!(init_millicores(128), 2000);
        assert_eq!(init_millicores(10_240), 5788);
    }

    #[test]
    fn an_end_is_told_in_words() {
        assert_eq!(status_text(ExitKind::Status(3)), "exit status 3");
        assert_eq!(status_text(ExitKind::Signal(9)), "signal: killed");
        assert_eq!(status_text(ExitKind::Signal(40)), "signal: signal 40");
    }

    #[test]
    fn a_deadline_in_the_past_leaves_nothing() {
        assert_eq!(remaining(Timestamp(5), Timestamp(9)), Duration::ZERO);
        assert_eq!(remaining(Timestamp(1500), Timestamp(500)), Duration::from_secs(1));
    }
}
