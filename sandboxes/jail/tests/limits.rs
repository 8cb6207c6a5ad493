//! Promise: what runs in a sandbox takes no more than it was given, and its end is reported as what it was.

mod support;

use std::time::{Duration, Instant};

use dormouse_jail::{ExitKind, Mount};
use support::{as_each_user, as_root, attempt, read_all, shell};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// The number after a word of the output.
fn number(said: &str, word: &str) -> u64 {
    let mut words = said.split_whitespace();
    words.find(|w| *w == word).unwrap_or_else(|| panic!("no {word:?} in {said:?}"));
    words.next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no number after {word:?} in {said:?}"))
}

#[test]
fn a_fork_bomb_is_bounded() {
    as_each_user("a_fork_bomb_is_bounded", async |house| {
        let (said, _) = house.run(house.plan("bomb"), &attempt(&["fork-bomb"])).await;
        let forked = number(&said, "forked");
        assert!((20..=32).contains(&forked), "{said}");
        assert_eq!(number(&said, "errno"), libc::EAGAIN as u64);
    });
}

#[test]
fn a_crowd_under_a_small_quota_dies_at_once() {
    as_root(async |house| {
        let mut plan = house.plan("crowd");
        plan.pids_max = 512;
        plan.memory_bytes = 512 << 20;
        // They wait for each other: beside those that spin, the last would take minutes to come.
        let script = "mkfifo /tmp/go; i=0; while [ $i -lt 400 ]; do (read x < /tmp/go; while :; do :; done) & i=$((i+1)); done; \
                      : > /tmp/go; echo there; wait";
        let mut running = house.start(plan, &shell(script)).await;
        let mut out = pipe::Receiver::from_owned_fd(running.stdout.take().expect("a pipe")).expect("a pipe");
        out.read_exact(&mut [0; 6]).await.expect("a line");
        // At a hundredth of a core, each would wait its turn to die for minutes.
        running.set_cpu(10).expect("a new quota");
        let ended = tokio::time::timeout(Duration::from_secs(60), running.kill()).await.expect("the end of all");
        assert_eq!(ended.exit, ExitKind::Signal(libc::SIGKILL));
    });
}

#[test]
fn a_memory_hog_is_killed_and_it_is_said_why() {
    as_each_user("a_memory_hog_is_killed_and_it_is_said_why", async |house| {
        let (_, ended) = house.run(house.plan("hog"), &attempt(&["hog"])).await;
        assert_eq!((ended.exit, ended.out_of_memory), (ExitKind::Signal(libc::SIGKILL), true));
        // A child takes the memory; the sandbox ends as a whole.
        let (_, ended) = house.run(house.plan("child"), &attempt(&["hog-in-child"])).await;
        assert!(ended.out_of_memory);
        let (_, ended) = house.run(house.plan("modest"), &shell("kill -9 $$")).await;
        assert_eq!((ended.exit, ended.out_of_memory), (ExitKind::Signal(libc::SIGKILL), false));
    });
}

#[test]
fn a_full_disk_is_the_sandboxes_own() {
    as_each_user("a_full_disk_is_the_sandboxes_own", async |house| {
        let mut plan = house.plan("disk");
        plan.mounts.push(Mount::Tmpfs { target: "/scratch".into(), size_mb: 2 });
        for (dir, mb) in [("/tmp", 16), ("/dev/shm", 4), ("/scratch", 2)] {
            let (said, _) = house.run(plan.clone(), &attempt(&["fill", dir])).await;
            let wrote = number(&said, "wrote");
            assert!(wrote <= mb << 20 && wrote >= (mb << 20) * 8 / 10, "{dir}: {said}");
            assert_eq!(number(&said, "errno"), libc::ENOSPC as u64, "{dir}");
        }
        let (said, _) = house.run(plan, &attempt(&["inodes", "/tmp"])).await;
        assert!(number(&said, "files") <= 32_768, "{said}");
        assert_eq!(number(&said, "errno"), libc::ENOSPC as u64);
    });
}

#[test]
fn tmp_is_empty_for_each_and_writable() {
    as_each_user("tmp_is_empty_for_each_and_writable", async |house| {
        for name in ["first", "second"] {
            let script = "ls -A /tmp | wc -l; echo x > /tmp/file && cat /tmp/file";
            let (said, _) = house.run(house.plan(name), &shell(script)).await;
            assert_eq!(said, "0\nx\n");
        }
    });
}

#[test]
fn cpu_time_follows_the_quota() {
    as_root(async |house| {
        let mut plan = house.plan("quota");
        plan.cpu_millicores = 100;
        let from = Instant::now();
        let (said, _) = house.run(plan, &attempt(&["burn", "200"])).await;
        assert_eq!(said, "burnt\n");
        assert!(from.elapsed() >= Duration::from_millis(1_500), "200 ms at a tenth took {:?}", from.elapsed());
    });
}

#[test]
fn usage_counts_what_was_used() {
    as_each_user("usage_counts_what_was_used", async |house| {
        // Goes on after that: what has ended is asked for below.
        let script = "/tools/attempt burn 300; echo; exec /tools/attempt count-up > /dev/null";
        let mut running = house.start(house.plan("usage"), &shell(script)).await;
        let mut out = pipe::Receiver::from_owned_fd(running.stdout.take().expect("a pipe")).expect("a pipe");
        let mut line = [0; 7];
        out.read_exact(&mut line).await.expect("a line");
        let usage = running.usage();
        drop(out);
        // Without cgroups it is counted in ticks, of which a busy machine loses some.
        assert!(usage.cpu >= Duration::from_millis(200), "{usage:?}");
        running.set_cpu(500).expect("a new quota");
        let ended = running.kill().await;
        assert!(!ended.out_of_memory);
        assert!(running.usage().cpu >= Duration::from_millis(200));
        assert!(!support::is_root() || running.usage().memory_peak_bytes > 0);
    });
}

#[test]
fn a_frozen_sandbox_stands_still_and_goes_on() {
    as_each_user("a_frozen_sandbox_stands_still_and_goes_on", async |house| {
        let mut running = house.start(house.plan("frozen"), &attempt(&["count-up"])).await;
        let mut out = pipe::Receiver::from_owned_fd(running.stdout.take().expect("a pipe")).expect("a pipe");
        let mut some = [0; 16];
        out.read_exact(&mut some).await.expect("some numbers");
        for _ in 0..3 {
            running.freeze().await.expect("frozen");
            let cpu = running.usage().cpu;
            // What was printed before it stood still is all that there is.
            let mut rest = vec![0; 1 << 20];
            while let Ok(read) = tokio::time::timeout(Duration::from_millis(50), out.read(&mut rest)).await {
                assert_ne!(read.expect("a pipe"), 0);
            }
            assert_eq!(running.usage().cpu, cpu);
            running.thaw().await.expect("thawed");
            out.read_exact(&mut some).await.expect("more numbers");
        }
        running.freeze().await.expect("frozen");
        let ended = running.kill().await;
        assert_eq!(ended.exit, ExitKind::Signal(libc::SIGKILL));
        assert!(read_all(Some(out.into_nonblocking_fd().expect("the pipe"))).await.len() < 1 << 20);
    });
}
