use std::path::{Path, PathBuf};

use super::v2::LEAF;
use super::{Hierarchy, V1Dirs};

/// Where this process may make cgroups, under a directory of this name. Nothing is made or changed here.
pub(crate) fn find(name: &str) -> Hierarchy {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let root = rustix::process::geteuid().is_root();
    decide(&mounts, &own, name, |own_dir, mount| {
        // Where an earlier jailer of this process moved it to.
        let own_dir = own_dir.parent().filter(|_| own_dir.ends_with(LEAF)).unwrap_or(own_dir);
        let delegated = ["user.delegate", "trusted.delegate"].into_iter().any(|attribute| {
            let mut value = [0u8; 8];
            matches!(rustix::fs::getxattr(own_dir, attribute, &mut value[..]), Ok(1) if value[0] == b'1')
        });
        // Root that was not handed a subtree makes its own at the top, beside the slices of the service manager.
        if root && !delegated { mount.to_owned() } else { own_dir.to_owned() }
    })
}

/// One line of mountinfo: what of the file system is mounted, and where.
struct Mount<'a> {
    root: &'a str,
    at: &'a str,
    kind: &'a str,
    options: &'a str,
}

fn decide(mounts: &str, own: &str, name: &str, v2_parent: impl Fn(&Path, &Path) -> PathBuf) -> Hierarchy {
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(parse_mount).collect();
    let v1 = |controller: &str| -> Option<PathBuf> {
        let has = |list: &str| list.split(',').any(|word| word == controller);
        let mount = mounts.iter().find(|mount| mount.kind == "cgroup" && has(mount.options))?;
        let path = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            has(parts.next()?).then(|| parts.next())?
        })?;
        Some(place(mount, path).join(name))
    };
    let dirs = V1Dirs {
        memory: v1("memory"),
        cpu: v1("cpu"),
        cpuacct: v1("cpuacct"),
        pids: v1("pids"),
        freezer: v1("freezer"),
    };
    if dirs.memory.is_some() {
        return Hierarchy::V1(dirs);
    }
    let unified = mounts.iter().find(|mount| mount.kind == "cgroup2");
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    match (unified, path) {
        (Some(mount), Some(path)) => Hierarchy::V2 {
            base: v2_parent(&place(mount, path), Path::new(mount.at)).join(name),
            controllers: Vec::new(),
        },
        _ => Hierarchy::None { why: "no cgroup file system with a memory controller is mounted".to_owned() },
    }
}

fn parse_mount(line: &str) -> Option<Mount<'_>> {
    let (place, source) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let mut source = source.split(' ');
    Some(Mount { root: place.next()?, at: place.next()?, kind: source.next()?, options: source.nth(1)? })
}

/// Where a path of the hierarchy is to be found in the file system.
fn place(mount: &Mount<'_>, path: &str) -> PathBuf {
    let below = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or(path);
    Path::new(mount.at).join(below.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separate_hierarchies_are_preferred_where_they_have_the_memory_controller() {
        let mounts = "30 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      31 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/\n";
        let Hierarchy::V1(dirs) = decide(mounts, own, "x", |own, _| own.to_owned()) else { panic!("not version 1") };
        assert_eq!(dirs.memory.as_deref(), Some(Path::new("/sys/fs/cgroup/memory/a/b/x")));
        assert_eq!(dirs.cpu, dirs.cpuacct);
        assert_eq!(dirs.cpu.as_deref(), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/x")));
        assert_eq!(dirs.pids, None);
        assert_eq!(dirs.all().len(), 2);
    }

    #[test]
    fn the_unified_hierarchy_is_found_through_its_mount() {
        let mounts = "32 25 0:29 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let found = decide(mounts, "0::/outer/svc\n", "x", |own, _| own.to_owned());
        assert_eq!(found.bases(), [PathBuf::from("/sys/fs/cgroup/svc/x")]);
        let top = decide(mounts, "0::/outer/svc\n", "x", |_, mount| mount.to_owned());
        assert_eq!(top.bases(), [PathBuf::from("/sys/fs/cgroup/x")]);
    }

    #[test]
    fn no_cgroups_is_a_fact_with_a_reason() {
        assert!(matches!(decide("", "", "x", |own, _| own.to_owned()), Hierarchy::None { .. }));
    }
}
