//! Promise: whatever ends, and however, nothing is left.

mod support;

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dormouse_jail::{ExitKind, Jailer, JailerConfig};
use support::{House, Tools, as_each_user, as_root, attempt, shell, traces};

/// Waits for what is done in the background; the end of all is that it is done.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let from = Instant::now();
    while !holds() {
        assert!(from.elapsed() < Duration::from_secs(20), "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn descriptors() -> BTreeSet<String> {
    let fds = std::fs::read_dir("/proc/self/fd").expect("our descriptors").flatten();
    fds.filter_map(|fd| Some(std::fs::read_link(fd.path()).ok()?.display().to_string())).collect()
}

fn marks(house: &House) -> Vec<String> {
    support::marks(&house.dir.path().join("jail"))
}

/// Disks for `/tmp` that stand ready when all sandboxes had the same size.
const DISKS_READY: usize = 2;

fn disks(traces: &[String]) -> usize {
    traces.iter().filter(|trace| trace.starts_with("loop ")).count()
}

/// Whether nothing is left but what a jailer without sandboxes has.
fn at_rest(left: &[String]) -> bool {
    let base = |trace: &String| trace.rsplit('/').next().unwrap_or("").starts_with("dormouse-");
    let mut others = left.iter().filter(|trace| !trace.starts_with("loop "));
    disks(left) <= DISKS_READY && others.all(|trace| trace.starts_with("cgroup ") && base(trace))
}

#[test]
fn a_killed_sandbox_leaves_nothing() {
    as_each_user("a_killed_sandbox_leaves_nothing", async |house| {
        house.run(house.plan("warm"), &shell("true")).await;
        if support::is_root() {
            eventually("disks that stand ready", || disks(&traces(&marks(&house))) == DISKS_READY).await;
        }
        let before = descriptors().len();
        let running = house.start(house.plan("killed"), &shell("sleep 1000 & sleep 1000 & sleep 1000")).await;
        let pid = running.pid();
        assert!(alive(pid));
        if support::is_root() {
            let there = traces(&marks(&house));
            assert!(there.iter().any(|trace| trace.ends_with("/killed")), "{there:?}");
            assert!(disks(&there) >= DISKS_READY, "{there:?}");
        }
        let ended = running.kill().await;
        assert_eq!((ended.exit, ended.out_of_memory), (ExitKind::Signal(libc::SIGKILL), false));
        assert!(!alive(pid));
        let left = traces(&marks(&house));
        assert!(at_rest(&left), "{left:?}");
        drop(running);
        eventually("every descriptor closed", || descriptors().len() <= before).await;
    });
}

#[test]
fn dropping_is_killing_at_every_stage() {
    as_each_user("dropping_is_killing_at_every_stage", async |house| {
        let prepared = house.jailer.prepare(house.plan("prepared")).await.expect("a sandbox");
        drop(prepared);
        let running = house.start(house.plan("running"), &shell("sleep 1000")).await;
        let pid = running.pid();
        drop(running);
        eventually("the end of the process", || !alive(pid)).await;
        // Given up in the middle of being made.
        for delay_us in [0, 100, 500, 1_000, 2_000, 5_000] {
            let making = house.jailer.prepare(house.plan("given-up"));
            let _ = tokio::time::timeout(Duration::from_micros(delay_us), making).await;
            let marks = marks(&house);
            eventually("the removal", || at_rest(&traces(&marks))).await;
        }
        house.jailer.stop().await;
        let left = traces(&marks(&house));
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn fifty_at_once_are_made_and_removed() {
    as_each_user("fifty_at_once_are_made_and_removed", async |house| {
        let mut making = tokio::task::JoinSet::new();
        for n in 0..50 {
            let (jailer, plan) = (house.jailer.clone(), house.plan(&format!("many-{n}")));
            making.spawn(async move {
                let prepared = jailer.prepare(plan).await.expect("a sandbox");
                prepared.run(support::exec(&attempt(&["count-up"]))).await.expect("a running program")
            });
        }
        let all = making.join_all().await;
        let pids: BTreeSet<i32> = all.iter().map(dormouse_jail::Running::pid).collect();
        assert_eq!(pids.len(), 50);
        drop(all);
        house.jailer.stop().await;
        assert!(!pids.into_iter().any(alive));
        let left = traces(&marks(&house));
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn the_end_of_the_spawner_is_the_end_of_all_and_is_known() {
    as_each_user("the_end_of_the_spawner_is_the_end_of_all_and_is_known", async |house| {
        let running = house.start(house.plan("orphan"), &shell("sleep 1000")).await;
        if support::is_root() {
            running.freeze().await.expect("frozen");
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).expect("a status");
        let spawner = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim();
        let spawner = rustix::process::Pid::from_raw(spawner.parse().expect("a pid")).expect("a pid");
        rustix::process::kill_process(spawner, rustix::process::Signal::KILL).expect("killed");
        tokio::time::timeout(Duration::from_secs(20), house.jailer.closed()).await.expect("known to have ended");
        running.wait().await;
        eventually("the end of the sandbox", || !alive(running.pid())).await;
        let error = house.jailer.prepare(house.plan("none")).await.expect_err("no spawner, no sandbox").to_string();
        assert_eq!(error, "the spawner process has ended; no sandbox can be made");
        eventually("the end of what stood ready", || traces(&marks(&house)).is_empty()).await;
    });
}

/// Not a test of its own: the node that [`a_killed_node_leaves_what_the_next_one_removes`] kills.
#[test]
fn node_to_be_killed() {
    let Some(dir) = std::env::var_os("DORMOUSE_TEST_NODE_DIR") else { return };
    let tools = Tools::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let config = JailerConfig::new(dir);
        let jailer = Jailer::start(tools.spawner(), config).await.expect("a jailer");
        let house = House { tools, jailer, dir: tempfile::tempdir().expect("a directory") };
        let frozen = house.start(house.plan("frozen"), &shell("sleep 1000")).await;
        let busy = house.start(house.plan("busy"), &attempt(&["burn", "1000000"])).await;
        frozen.freeze().await.expect("frozen");
        let status = std::fs::read_to_string(format!("/proc/{}/status", busy.pid())).expect("a status");
        let spawner = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim();
        println!("\nnode {spawner} {} {}", frozen.pid(), busy.pid());
        std::future::pending::<()>().await;
    });
}

fn kill_and_sweep(spawner_too: bool) {
    as_root(async |house| {
        let state = house.dir.path().join("other");
        let mut node = Command::new(std::env::current_exe().expect("a program"))
            .args(["node_to_be_killed", "--exact", "--nocapture"])
            .env("DORMOUSE_TEST_NODE_DIR", &state)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a node");
        let line = std::io::BufRead::lines(std::io::BufReader::new(node.stdout.take().expect("a pipe")))
            .map(|line| line.expect("a line"))
            .find(|line| line.starts_with("node "))
            .expect("what the node made");
        let pids: Vec<i32> = line.split(' ').skip(1).map(|pid| pid.parse().expect("a pid")).collect();
        let bystander = house.start(house.plan("bystander"), &shell("sleep 1000")).await;
        if spawner_too {
            let spawner = rustix::process::Pid::from_raw(pids[0]).expect("a pid");
            rustix::process::kill_process(spawner, rustix::process::Signal::KILL).expect("killed");
        }
        node.kill().expect("killed");
        node.wait().expect("ended");
        let jailer = Jailer::start(house.tools.spawner(), JailerConfig::new(&state)).await.expect("the next node");
        for pid in &pids {
            eventually("the end of the old processes", || !alive(*pid)).await;
        }
        assert!(alive(bystander.pid()), "another node's sandbox was removed");
        let marks = support::marks(&state);
        let left = traces(&marks);
        assert!(at_rest(&left) && disks(&left) == 0, "{left:?}");
        jailer.stop().await;
        let left = traces(&marks);
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn a_killed_node_leaves_what_its_spawner_removes() {
    kill_and_sweep(false);
}

#[test]
fn a_killed_node_and_spawner_leave_what_the_next_one_removes() {
    kill_and_sweep(true);
}

#[test]
fn a_directory_in_use_is_left_alone() {
    as_root(async |house| {
        let lock = std::fs::File::open(house.dir.path().join("jail/lock")).expect("the lock");
        assert!(lock.as_raw_fd() >= 0);
        let taken = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        assert_eq!(taken, Err(rustix::io::Errno::WOULDBLOCK));
    });
}
