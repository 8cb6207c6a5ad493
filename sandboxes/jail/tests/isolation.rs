//! Promise: what runs in a sandbox reaches nothing that it was not given.

mod support;

use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;

use dormouse_jail::{ExitKind, LayerState, Mount};
use support::{as_each_user, attempt, exec, read_all, shell};

#[test]
fn a_program_runs_and_its_output_arrives() {
    as_each_user("a_program_runs_and_its_output_arrives", async |house| {
        let script = "echo out; echo err >&2; id -u; hostname; cat /etc/hosts; pwd; exit 3";
        let (said, ended) = house.run(house.plan("hello"), &shell(script)).await;
        assert_eq!(said, "out\n993\nsandbox\n127.0.0.1 localhost\n/var/task\nerr\n");
        assert_eq!((ended.exit, ended.out_of_memory), (ExitKind::Status(3), false));
        let (_, ended) = house.run(house.plan("killed"), &shell("kill -TERM $$")).await;
        assert_eq!(ended.exit, ExitKind::Signal(libc::SIGTERM));
    });
}

#[test]
fn everything_hostile_is_refused() {
    as_each_user("everything_hostile_is_refused", async |house| {
        let name = format!("dormouse-jail-test-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("an address");
        let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).expect("an abstract socket");
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("an address").port().to_string();
        let words = attempt(&["refused", &name, &port]);
        let (said, ended) = house.run(house.plan("hostile"), &words).await;
        assert_eq!(ended.exit, ExitKind::Status(0), "{said}");
        let got: BTreeMap<&str, i32> = said
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, errno)| (name, errno.parse().expect("an errno")))
            .collect();
        assert!(got.len() == 43, "{} attempts were made: {said}", got.len());
        let succeeded: Vec<_> = got.iter().filter(|(_, errno)| **errno == 0).collect();
        assert!(succeeded.is_empty(), "not refused: {succeeded:?}");
        for (name, errno) in [
            ("mount", libc::EPERM),
            ("clone3", libc::ENOSYS),
            ("io-uring", libc::ENOSYS),
            ("clone-user", libc::EPERM),
            ("public-network", libc::ENETUNREACH),
            ("metadata", libc::ENETUNREACH),
            ("host-loopback", libc::ECONNREFUSED),
            ("packet-socket", libc::EAFNOSUPPORT),
            ("sys", libc::ENOENT),
            ("tty", libc::ENOENT),
        ] {
            assert_eq!(got.get(name), Some(&errno), "{name}");
        }
    });
}

#[test]
fn nothing_of_the_host_is_visible() {
    as_each_user("nothing_of_the_host_is_visible", async |house| {
        let script = "ls /; echo -- ; ls /proc | grep '^[0-9]' | wc -l; ls /dev; echo --; ls /proc/self/fd | wc -l; \
                      cat /proc/net/dev | grep -c :; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; \
                      cat /proc/self/cgroup | grep -c dormouse; env";
        let (said, _) = house.run(house.plan("view"), &shell(script)).await;
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        let root = lines.split(|line| *line == "--").next().expect("a listing");
        assert_eq!(root, ["bin", "dev", "etc", "lib", "lib64", "proc", "tmp", "tools", "usr", "var"], "{said}");
        for line in
            ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "PATH=/usr/bin"]
        {
            assert!(lines.contains(&line), "{line:?} is missing: {said}");
        }
        let devices = ["fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"];
        for device in devices {
            assert!(lines.contains(&device), "/dev/{device} is missing: {said}");
        }
        assert!(!lines.contains(&"tty"));
        // init, the shell, and the commands of one pipeline.
        let processes: u32 = lines[root.len() + 1].parse().expect("a number");
        assert!(processes <= 5, "{processes} processes are visible");
    });
}

#[test]
fn links_on_the_way_to_a_target_are_refused() {
    as_each_user("links_on_the_way_to_a_target_are_refused", async |house| {
        let code = house.dir.path().join("code");
        std::fs::create_dir(&code).expect("a directory");
        std::os::unix::fs::symlink("/etc", code.join("link")).expect("a link");
        std::fs::create_dir(code.join("dir")).expect("a directory");
        std::fs::write(code.join("file"), "code").expect("a file");
        let bind = |source: &std::path::Path, target: &str| Mount::Bind {
            source: source.to_owned(),
            target: target.into(),
            writable: false,
        };
        let mut plan = house.plan("trick");
        plan.mounts.push(bind(&code, "/code"));
        plan.mounts.push(bind(&code, "/code/link/cron.d"));
        let error = house.jailer.prepare(plan).await.expect_err("a link was followed").to_string();
        assert!(error.contains("/code/link/cron.d"), "{error}");

        let prepared = house.jailer.prepare(house.plan("late")).await.expect("a sandbox");
        let mut late = exec(&shell("cat /var/task/file; ls /var/task/link 2>&1"));
        late.mounts = vec![bind(&code, "/var/task")];
        let mut running = prepared.run(late).await.expect("a running program");
        let said = read_all(running.stdout.take()).await;
        assert!(said.starts_with("codehosts"), "the link leads to the sandbox's own /etc: {said}");

        let prepared = house.jailer.prepare(house.plan("later")).await.expect("a sandbox");
        let mut late = exec(&shell("true"));
        late.mounts = vec![bind(&code, "/bin/code")];
        prepared.run(late).await.expect_err("a link was followed");
    });
}

#[test]
fn layers_merge_and_the_later_wins() {
    as_each_user("layers_merge_and_the_later_wins", async |house| {
        let layer = |name: &str, files: &[&str]| {
            let dir = house.dir.path().join(format!("layer:{name},x"));
            std::fs::create_dir(&dir).expect("a directory");
            for file in files {
                std::fs::write(dir.join(file), name).expect("a file");
            }
            dir
        };
        let sources = vec![layer("one", &["a", "b"]), layer("two", &["b", "c"])];
        let mut plan = house.plan("merged");
        plan.mounts.push(Mount::Merged { sources: sources.clone(), target: "/opt".into() });
        let (said, _) = house.run(plan, &shell("cd /opt; cat a b c; touch d 2>&1 | grep -o Read-only")).await;
        assert_eq!(said, "onetwotwoRead-only\n");
    });
}

#[test]
fn signals_do_not_move_init() {
    as_each_user("signals_do_not_move_init", async |house| {
        let (said, ended) = house.run(house.plan("signals"), &attempt(&["signal-init"])).await;
        assert_eq!((said.as_str(), ended.exit), ("still here\n", ExitKind::Status(0)));
    });
}

#[test]
fn a_missing_program_is_said_to_be_missing() {
    as_each_user("a_missing_program_is_said_to_be_missing", async |house| {
        let prepared = house.jailer.prepare(house.plan("missing")).await.expect("a sandbox");
        let error = prepared.run(exec(&["/no/such"])).await.expect_err("nothing was run").to_string();
        assert_eq!(error, "could not execute /no/such: No such file or directory (os error 2)");
    });
}

/// Whether the kernel is 6.12 or newer: before that, landlock has no scopes.
fn kernel_has_scopes() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel's version");
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(12))
}

#[test]
fn every_layer_holds_as_root_and_what_is_weaker_otherwise_is_said() {
    as_each_user("every_layer_holds_as_root_and_what_is_weaker_otherwise_is_said", async |house| {
        let config = dormouse_jail::JailerConfig::new(house.dir.path());
        let probed = dormouse_jail::probe(house.tools.spawner(), &config).await.expect("a probe");
        assert_eq!(probed, house.jailer.layers());
        let weak: Vec<&str> =
            probed.iter().filter(|layer| !layer.state.holds()).map(|layer| layer.name.as_str()).collect();
        assert!(probed.iter().all(|layer| layer.state.holds() == layer.remedy.is_none()));
        let may_be_weaker = ["own-uid", "memory-limit", "cpu-limit", "pids-limit", "freezer", "tmp-on-disk"];
        for name in &weak {
            let may_be =
                !support::is_root() && may_be_weaker.contains(name) || *name == "landlock" && !kernel_has_scopes();
            assert!(may_be, "{name} does not hold: {probed:#?}");
        }
        if support::is_root() {
            return;
        }
        let tmp = probed.iter().find(|layer| layer.name == "tmp-on-disk").expect("the layer");
        assert!(matches!(tmp.state, LayerState::Weaker(_)));
    });
}
