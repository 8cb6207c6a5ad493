//! Promise: whoever was handed a cgroup of version 2, as a service manager does by `Delegate=yes` and a container by its
//! namespace, has the limits of the kernel in it, and leaves in it nothing but the processes that were there.

mod support;

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dormouse_jail::{ExitKind, Jailer, JailerConfig, LayerState};
use support::{House, NOBODY, Tools, attempt, shell};

const TOP: &str = "/sys/fs/cgroup";
/// In the inner process: the cgroup that it was handed.
const HANDED: &str = "DORMOUSE_TEST_HANDED";
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// A cgroup that was handed to a user. Dropping it removes it.
struct Handed {
    dir: PathBuf,
}

impl Handed {
    /// Absent where this is not root, or where version 2 has no controllers to hand down.
    fn to(uid: u32, name: &str) -> Option<Self> {
        let there = std::fs::read_to_string(format!("{TOP}/cgroup.controllers")).unwrap_or_default();
        if !support::is_root() || !CONTROLLERS.iter().all(|name| there.split_whitespace().any(|word| word == *name)) {
            eprintln!("skipped: this is about root on a host with the controllers in version 2 of cgroups");
            return None;
        }
        let dir = Path::new(TOP).join(format!("jail-test-{name}-{}", std::process::id()));
        std::fs::write(format!("{TOP}/cgroup.subtree_control"), "+cpu +memory +pids").expect("controllers");
        std::fs::create_dir(&dir).expect("a cgroup");
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            chown(dir.join(file), Some(uid), Some(uid)).expect("an owner");
        }
        Some(Self { dir })
    }

    /// Has it marked as the service manager marks what it delegates.
    fn marked(self) -> Self {
        rustix::fs::setxattr(&self.dir, "trusted.delegate", b"1", rustix::fs::XattrFlags::empty()).expect("a mark");
        self
    }

    /// Runs the same test again in it, by the words of another command.
    fn run(&self, test: &str, by: &str) {
        let tools = Tools::new();
        let program = tools.copy_of_this_test();
        let script = format!("echo $$ > {}/cgroup.procs && exec {by} \"$@\"", self.dir.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(program).args([test, "--exact", "--nocapture"]);
        let out = tools.lend(&mut command).env(HANDED, &self.dir).current_dir("/").output().expect("sh");
        let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success() && stdout.contains("1 passed"), "inside:\n{stdout}\n{stderr}");
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        for dir in support::directories(&self.dir).iter().rev().chain([&self.dir]) {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

/// In the cgroup: what is made there has its limits, what ends is gone, and the next one finds its way.
fn inside(top: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let house = House::open(Tools::new()).await;
        for name in ["cpu-limit", "memory-limit", "pids-limit", "freezer"] {
            let layer = house.jailer.layers().iter().find(|layer| layer.name == name);
            assert_eq!(layer.map(|layer| &layer.state), Some(&LayerState::Holds), "{name}");
        }

        let running = house.start(house.plan("one"), &shell("sleep 1000")).await;
        let made = support::directories(top);
        assert!(made.iter().any(|dir| dir.ends_with("one")), "{made:?}");
        running.freeze().await.expect("frozen");
        running.thaw().await.expect("thawed");
        assert_eq!(running.kill().await.exit, ExitKind::Signal(libc::SIGKILL));
        let (_, ended) = house.run(house.plan("hog"), &attempt(&["hog"])).await;
        assert_eq!((ended.exit, ended.out_of_memory), (ExitKind::Signal(libc::SIGKILL), true));
        let (said, _) = house.run(house.plan("bomb"), &attempt(&["fork-bomb"])).await;
        assert!(said.contains(&format!("errno {}", libc::EAGAIN)), "{said}");

        // A second one beside it, of a process that is no longer where it began.
        let config = JailerConfig::new(house.dir.path().join("second"));
        let second = Jailer::start(house.tools.spawner(), config).await.expect("a second jailer");
        assert!(second.layers().iter().any(|layer| layer.name == "memory-limit" && layer.state.holds()));
        second.stop().await;
        house.jailer.stop().await;
        let left = support::directories(top);
        assert_eq!(left, [top.join("dormouse-host")], "only the one for those that were here");
    });
    // Whoever handed it out removes it once everybody has left.
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn handed() -> Option<PathBuf> {
    std::env::var_os(HANDED).map(PathBuf::from)
}

#[test]
fn a_service_of_roots_has_limits() {
    match handed() {
        Some(top) => inside(&top),
        None => {
            if let Some(cgroup) = Handed::to(0, "root").map(Handed::marked) {
                cgroup.run("a_service_of_roots_has_limits", "");
            }
        }
    }
}

#[test]
fn a_service_of_an_ordinary_user_has_limits() {
    match handed() {
        Some(top) => inside(&top),
        None => {
            if let Some(cgroup) = Handed::to(NOBODY, "user") {
                let by = format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups");
                cgroup.run("a_service_of_an_ordinary_user_has_limits", &by);
            }
        }
    }
}

#[test]
fn a_container_has_limits() {
    match handed() {
        Some(_) => inside(Path::new(TOP)),
        None => {
            if let Some(cgroup) = Handed::to(0, "container") {
                let mount = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
                cgroup.run("a_container_has_limits", &format!("unshare --cgroup --mount sh -c '{mount}' sh"));
            }
        }
    }
}
