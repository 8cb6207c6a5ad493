//! A sandbox's processes as its own `/proc` shows them: where the kernel keeps no count for the whole.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{Dir, Mode, OFlags};

/// CPU time of everything in the sandbox, the ended ones included that were waited for.
pub(crate) fn cpu(proc_dir: &OwnedFd) -> Duration {
    let ticks: u64 = each(proc_dir, "stat").iter().map(|text| cpu_ticks(text).unwrap_or(0)).sum();
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / crate::sys::clock_ticks()))
}

/// Resident memory that belongs to no file. What a fork shares with its parent counts for both.
pub(crate) fn memory_bytes(proc_dir: &OwnedFd) -> u64 {
    each(proc_dir, "status").iter().map(|text| resident_bytes(text)).sum()
}

fn each(proc_dir: &OwnedFd, file: &str) -> Vec<String> {
    let Ok(entries) = Dir::read_from(proc_dir) else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str().ok()?.parse::<u32>().ok());
    pids.filter_map(|pid| read(proc_dir, &format!("{pid}/{file}"))).collect()
}

fn read(proc_dir: &OwnedFd, path: &str) -> Option<String> {
    let file = rustix::fs::openat(proc_dir.as_fd(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    std::io::read_to_string(std::fs::File::from(file)).ok()
}

/// Own and waited-for children's, user and system: fields 14 to 17 of proc_pid_stat(5).
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name in parentheses may contain anything; the last one closes it.
    let after = &stat[stat.rfind(')')? + 1..];
    after.split_whitespace().skip(11).take(4).map(|field| field.parse::<u64>().ok()).sum()
}

/// RssAnon and RssShmem of proc_pid_status(5), in kB.
fn resident_bytes(status: &str) -> u64 {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    (field("RssAnon:") + field("RssShmem:")) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_past_any_name() {
        let stat = "7 (a) b (c) R 1 7 7 0 -1 4194304 9 9 9 9 10 20 3 4 20 0 1 0";
        assert_eq!(cpu_ticks(stat), Some(37));
        assert_eq!(cpu_ticks("7 (x"), None);
    }

    #[test]
    fn memory_of_files_does_not_count() {
        assert_eq!(resident_bytes("VmRSS:\t 99 kB\nRssAnon:\t 8 kB\nRssFile:\t 7 kB\nRssShmem:\t 2 kB\n"), 10 * 1024);
    }

    #[test]
    fn our_own_processes_are_found() {
        let proc_dir = OwnedFd::from(std::fs::File::open("/proc").expect("there is a /proc"));
        assert!(memory_bytes(&proc_dir) > 0);
    }
}
