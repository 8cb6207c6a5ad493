use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags};

use super::{Birth, Failure, Step, net, tmp, tree};
use crate::{Listen, Mount};

/// The root's own files: small generated ones.
const ROOT_SIZE: &str = "16m";
const DEVICES: [(&str, u32); 5] = [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)];
/// Major number of all of them.
const MEMORY_DEVICES: u32 = 1;
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// What [`prepare`] made.
pub(super) struct Made {
    /// In the plan's order.
    pub(super) sockets: Vec<OwnedFd>,
    pub(super) proc_dir: OwnedFd,
}

/// Makes the sandbox around this process: namespaces, sockets, root.
pub(super) fn prepare(birth: &Birth) -> Result<Made, Failure> {
    for mut entrance in &birth.entrances {
        entrance.write_all(b"0").step("enter the cgroup")?;
    }
    // Survives every change of rights; the host's killer takes sandboxes before the node.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    for (namespace, kind) in &birth.namespaces.others {
        crate::sys::enter_namespace(namespace.as_fd(), *kind).step("enter a namespace")?;
    }
    crate::sys::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP).step("make namespaces")?;
    rustix::system::sethostname(birth.plan.hostname.as_bytes()).step("set the host name")?;
    net::add_local_ranges(&birth.plan.local_ranges).step("route local ranges")?;
    private_mounts()?;

    let stage = birth.state_dir.join("root");
    let mounted = tmpfs(ROOT_SIZE, "755", MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)?;
    rustix::mount::move_mount(&mounted, "", CWD, &stage, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .step("mount the root")?;
    let root = open_dir(CWD, stage.as_os_str()).step("open the root")?;
    for mount in &birth.plan.mounts {
        apply(root.as_fd(), mount, birth.outside_id)?;
    }
    devices(root.as_fd(), birth)?;
    attach_new(root.as_fd(), "/tmp", &tmp::make(birth)?)?;
    let proc = proc_mount()?;
    attach_new(root.as_fd(), "/proc", &proc)?;
    pivot(root.as_fd()).step("change the root")?;
    let sockets = open_all_sockets(&birth.plan.sockets)?;
    for dir in ["/", "/proc"] {
        let fd = open_dir(CWD, OsStr::new(dir)).step("open a mount")?;
        crate::sys::mount_setattr(fd.as_fd(), false, libc::MOUNT_ATTR_RDONLY, 0).step("make the root read-only")?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc_dir = rustix::fs::open("/proc", flags, Mode::empty()).step("open /proc")?;
    Ok(Made { sockets, proc_dir })
}

/// Makes this mount namespace one that nothing goes into or out of.
pub(crate) fn private_mounts() -> Result<(), Failure> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .step("make mounts private")
}

/// Attaches a detached mount at its target in the finished root.
pub(super) fn attach_late(mount: &Mount, tree: BorrowedFd<'_>) -> Result<(), Failure> {
    let (Mount::Bind { target, .. } | Mount::Merged { target, .. }) = mount else {
        return Err(format!("{mount:?} cannot be mounted late")).step("mount");
    };
    let root = open_dir(CWD, OsStr::new("/")).step("open the root")?;
    let place = find(root.as_fd(), target, None).step(&format!("find {}", target.display()))?;
    attach(tree, place.as_fd()).step(&format!("mount at {}", target.display()))
}

fn apply(root: BorrowedFd<'_>, mount: &Mount, owner: u32) -> Result<(), Failure> {
    let at = |target: &Path| format!("make {}", target.display());
    match mount {
        Mount::Bind { target, .. } | Mount::Merged { target, .. } => {
            let tree = tree::clone_tree(mount)?;
            let kind = if is_dir(&tree).step(&at(target))? { Kind::Dir } else { Kind::File };
            let place = find(root, target, Some(kind)).step(&at(target))?;
            attach(tree.as_fd(), place.as_fd()).step(&at(target))
        }
        Mount::Tmpfs { target, size_mb } => {
            let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            let mounted = tmpfs(&format!("{size_mb}m"), "1777", flags)?;
            own(&mounted, owner).step(&at(target))?;
            let place = find(root, target, Some(Kind::Dir)).step(&at(target))?;
            attach(mounted.as_fd(), place.as_fd()).step(&at(target))
        }
        Mount::Dir { target } => find(root, target, Some(Kind::Dir)).map(drop).step(&at(target)),
        Mount::Symlink { target, to } => {
            let (parent, name) = parent_of(root, target).step(&at(target))?;
            rustix::fs::symlinkat(to, parent, name).step(&at(target))
        }
        Mount::File { target, content, executable } => {
            let (parent, name) = parent_of(root, target).step(&at(target))?;
            let mode = Mode::from_raw_mode(if *executable { 0o555 } else { 0o444 });
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(parent, name, flags, mode).step(&at(target))?;
            std::fs::File::from(file).write_all(content.as_bytes()).step(&at(target))
        }
    }
}

/// What is made at the end of a path that is not there yet.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Dir,
    File,
}

/// Walks to `target`, one name at a time and never through a symbolic link; makes what is missing when told of what kind
/// the last is.
fn find(root: BorrowedFd<'_>, target: &Path, make: Option<Kind>) -> Result<OwnedFd, Errno> {
    let names = names(target)?;
    let mut at = root.try_clone_to_owned().map_err(|_| Errno::MFILE)?;
    for (n, name) in names.iter().enumerate() {
        let last = n + 1 == names.len();
        match make {
            Some(Kind::File) if last => make_file(&at, name)?,
            Some(_) => make_dir(&at, name)?,
            None => {}
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = rustix::fs::openat(&at, *name, flags, Mode::empty())?;
        match FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode) {
            FileType::Symlink => return Err(Errno::LOOP),
            FileType::Directory => {}
            _ if last => {}
            _ => return Err(Errno::NOTDIR),
        }
        at = next;
    }
    Ok(at)
}

fn make_dir(at: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn make_file(at: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(at, name, flags, Mode::from_raw_mode(0o444)) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

fn parent_of<'a>(root: BorrowedFd<'_>, target: &'a Path) -> Result<(OwnedFd, &'a OsStr), Errno> {
    let names = names(target)?;
    let name = *names.last().ok_or(Errno::INVAL)?;
    Ok((find(root, target.parent().ok_or(Errno::INVAL)?, Some(Kind::Dir))?, name))
}

/// The names of an absolute path without `..`.
fn names(path: &Path) -> Result<Vec<&OsStr>, Errno> {
    let mut parts = path.components();
    if parts.next() != Some(Component::RootDir) {
        return Err(Errno::INVAL);
    }
    parts.map(|part| if let Component::Normal(name) = part { Ok(name) } else { Err(Errno::INVAL) }).collect()
}

fn is_dir(fd: &OwnedFd) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Directory)
}

fn open_dir(at: BorrowedFd<'_>, path: &OsStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn attach(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", place, "", flags)
}

fn attach_new(root: BorrowedFd<'_>, target: &str, mounted: &OwnedFd) -> Result<(), Failure> {
    let step = format!("mount {target}");
    let place = find(root, Path::new(target), Some(Kind::Dir)).step(&step)?;
    attach(mounted.as_fd(), place.as_fd()).step(&step)
}

/// A detached file system in memory.
pub(super) fn tmpfs(size: &str, mode: &str, flags: MountAttrFlags) -> Result<OwnedFd, Failure> {
    let make = || -> Result<OwnedFd, Errno> {
        let fs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&fs, "size", size)?;
        rustix::mount::fsconfig_set_string(&fs, "nr_inodes", tmp::MEMORY_INODES)?;
        rustix::mount::fsconfig_set_string(&fs, "mode", mode)?;
        rustix::mount::fsconfig_create(&fs)?;
        rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, flags)
    };
    make().step("make a file system in memory")
}

/// Gives the root directory of a detached mount to the program.
pub(super) fn own(mounted: &OwnedFd, owner: u32) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(owner), Gid::from_raw(owner));
    rustix::fs::chownat(mounted, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
}

fn devices(root: BorrowedFd<'_>, birth: &Birth) -> Result<(), Failure> {
    let mounted = tmpfs("64k", "755", MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    attach_new(root, "/dev", &mounted)?;
    for (name, minor) in DEVICES {
        if birth.root {
            let number = rustix::fs::makedev(MEMORY_DEVICES, minor);
            rustix::fs::mknodat(&mounted, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), number)
                .step("make a device")?;
        } else {
            let tree = tree::device(&Path::new("/dev").join(name))?;
            let target = Path::new("/dev").join(name);
            let place = find(root, &target, Some(Kind::File)).step("make a device")?;
            attach(tree.as_fd(), place.as_fd()).step("make a device")?;
        }
    }
    for (name, to) in DEVICE_LINKS {
        rustix::fs::symlinkat(to, &mounted, name).step("make a link in /dev")?;
    }
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let shm = tmpfs(&format!("{}m", birth.plan.shm_mb), "1777", flags)?;
    own(&shm, birth.outside_id).step("make /dev/shm")?;
    attach_new(root, "/dev/shm", &shm)?;
    crate::sys::mount_setattr(mounted.as_fd(), false, libc::MOUNT_ATTR_RDONLY, 0).step("make /dev read-only")
}

fn proc_mount() -> Result<OwnedFd, Failure> {
    let make = || -> Result<OwnedFd, Errno> {
        let fs = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&fs)?;
        let flags =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, flags)
    };
    make().step("mount /proc")
}

/// Nothing of the host's tree is left in this namespace afterwards.
fn pivot(root: BorrowedFd<'_>) -> Result<(), Errno> {
    let old = open_dir(CWD, OsStr::new("/"))?;
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::process::fchdir(&old)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

/// Unix sockets are bound by their path inside, so all wait for the new root.
fn open_all_sockets(wanted: &[Listen]) -> Result<Vec<OwnedFd>, Failure> {
    for listen in wanted {
        if let Listen::Unix(path) = listen {
            let root = open_dir(CWD, OsStr::new("/")).step("open the root")?;
            parent_of(root.as_fd(), path).map(drop).step(&format!("make the directory of {}", path.display()))?;
        }
    }
    net::open_sockets(wanted).step("open the sandbox's sockets")
}
