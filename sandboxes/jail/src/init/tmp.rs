use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode};
use rustix::mount::MountAttrFlags;

use super::{Birth, Failure, Step, root};
use crate::disk;

/// Files that a directory in memory may have. The disk image has one for each 16 KiB.
pub(super) const MEMORY_INODES: &str = "32768";

/// A detached mount for `/tmp`, owned by the program: the disk that was made ahead, one that is made now, or memory.
pub(super) fn make(birth: &Birth) -> Result<OwnedFd, Failure> {
    let mounted = match &birth.disk {
        Some(disk) => disk.try_clone().step("take the disk")?,
        None if birth.tmp_on_disk => disk::mount_empty(&birth.state_dir, birth.plan.tmp_mb)?,
        None => {
            let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            root::tmpfs(&format!("{}m", birth.plan.tmp_mb), "1777", flags)?
        }
    };
    root::own(&mounted, birth.outside_id).step("make /tmp")?;
    rustix::fs::chmodat(&mounted, ".", Mode::from_raw_mode(0o1777), AtFlags::empty()).step("make /tmp")?;
    Ok(mounted)
}
