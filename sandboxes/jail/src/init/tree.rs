use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};

use super::{Failure, Step};
use crate::Mount;

const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const HARMLESS: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// A detached mount of what a [`Mount::Bind`] or [`Mount::Merged`] names on the host.
pub(crate) fn clone_tree(mount: &Mount) -> Result<OwnedFd, Failure> {
    match mount {
        Mount::Bind { source, writable, .. } => bind(source, *writable, HARMLESS),
        Mount::Merged { sources, .. } => match sources.as_slice() {
            [] => Err("a merged mount needs a source").step("mount"),
            [one] => bind(one, false, HARMLESS),
            many => merged(many),
        },
        other => Err(format!("{other:?} cannot be mounted late")).step("mount"),
    }
}

/// A device of the host, for those who may not make their own.
pub(super) fn device(source: &Path) -> Result<OwnedFd, Failure> {
    bind(source, true, libc::MOUNT_ATTR_NOSUID)
}

fn bind(source: &Path, writable: bool, attributes: u64) -> Result<OwnedFd, Failure> {
    let step = || format!("mount {}", source.display());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, source, flags).step(&step())?;
    let set = attributes | if writable { 0 } else { READ_ONLY };
    // Private: what is mounted or unmounted on the host later does not come in, and nothing goes out.
    crate::sys::mount_setattr(tree.as_fd(), true, set, libc::MS_PRIVATE).step(&step())?;
    Ok(tree)
}

/// The sources are named by descriptor: so no path is too long and no character in it means anything.
fn merged(sources: &[PathBuf]) -> Result<OwnedFd, Failure> {
    let step = "mount several directories as one";
    let mut opened = Vec::with_capacity(sources.len());
    for source in sources {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        opened.push(rustix::fs::open(source, flags, Mode::empty()).step(&format!("open {}", source.display()))?);
    }
    // The first one named is the uppermost.
    let named: Vec<String> = opened.iter().rev().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd())).collect();
    let overlay = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).step(step)?;
    rustix::mount::fsconfig_set_string(&overlay, "lowerdir", named.join(":")).step(step)?;
    rustix::mount::fsconfig_create(&overlay).step(step)?;
    let flags =
        MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    rustix::mount::fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, flags).step(step)
}
