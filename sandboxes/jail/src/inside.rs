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

/// The same with each page counted once, which takes the kernel a walk over all of them. It ends when there is more than
/// `enough`, or when it has taken this thread `limit` of CPU time, and then with nothing.
pub(crate) fn memory_once_bytes(proc_dir: &OwnedFd, enough: u64, limit: Duration) -> Option<u64> {
    let from = cpu_of_this_thread();
    let mut sum = 0;
    for pid in pids(proc_dir) {
        if cpu_of_this_thread().saturating_sub(from) >= limit {
            return None;
        }
        // What the kernel does not show so is counted as it shows it.
        let shared = read(proc_dir, &format!("{pid}/smaps_rollup")).map(|text| proportional_bytes(&text));
        let all = || read(proc_dir, &format!("{pid}/status")).map(|text| resident_bytes(&text));
        sum += shared.or_else(all).unwrap_or(0);
        if sum > enough {
            break;
        }
    }
    Some(sum)
}

fn cpu_of_this_thread() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

fn each(proc_dir: &OwnedFd, file: &str) -> Vec<String> {
    pids(proc_dir).filter_map(|pid| read(proc_dir, &format!("{pid}/{file}"))).collect()
}

fn pids(proc_dir: &OwnedFd) -> impl Iterator<Item = u32> {
    let entries = Dir::read_from(proc_dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok())
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
    (field_kb(status, "RssAnon:") + field_kb(status, "RssShmem:")) * 1024
}

/// Pss_Anon and Pss_Shmem of proc_pid_smaps(5), in kB: a page that n processes share counts one n-th for each.
fn proportional_bytes(rollup: &str) -> u64 {
    (field_kb(rollup, "Pss_Anon:") + field_kb(rollup, "Pss_Shmem:")) * 1024
}

fn field_kb(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
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
    fn shared_memory_counts_in_proportion() {
        assert_eq!(
            proportional_bytes("Rss: 99 kB\nPss: 50 kB\nPss_Anon:  6 kB\nPss_File: 7 kB\nPss_Shmem: 2 kB\n"),
            8192
        );
    }

    #[test]
    fn our_own_processes_are_found() {
        let proc_dir = OwnedFd::from(std::fs::File::open("/proc").expect("there is a /proc"));
        assert!(memory_bytes(&proc_dir) > 0);
        let limit = Duration::from_secs(60);
        let once = memory_once_bytes(&proc_dir, 1, limit).expect("counted in time");
        assert!(once > 1, "{once}");
        assert_eq!(memory_once_bytes(&proc_dir, u64::MAX, Duration::ZERO), None);
    }
}
