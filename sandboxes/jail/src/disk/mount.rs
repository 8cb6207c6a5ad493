use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::init::{Failure, Step};

/// Disks that are made at the same time are given the same free device; all but one ask again.
const LOOP_TRIES: u32 = 500;
/// What the device says it is, to an operator who lists them.
const LABEL: &str = "dormouse-tmp";

/// A detached mount of a fresh copy of the empty file system of this size. The copy has no name and the device frees
/// itself, so that nothing is left when the mount is gone, however that came about.
pub(crate) fn mount_empty(state_dir: &Path, size_mb: u32) -> Result<OwnedFd, Failure> {
    let template = super::template_path(state_dir, size_mb);
    let image = copy_sparse(&template, state_dir).step("copy the empty disk")?;
    let (device, _held) = attach_loop(&image).step("attach a loop device")?;
    let make = || -> Result<OwnedFd, Errno> {
        let fs = rustix::mount::fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&fs, "source", &device)?;
        // The disk ends with its sandbox: nothing in it has to survive, so nothing is initialised ahead or flushed.
        rustix::mount::fsconfig_set_flag(&fs, "noinit_itable")?;
        rustix::mount::fsconfig_set_flag(&fs, "nobarrier")?;
        rustix::mount::fsconfig_create(&fs)?;
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, flags)
    };
    let mounted = make().step(&format!("mount {device}"))?;
    // For repairs, of which there will be none; code that lists `/tmp` expects to find what it put there.
    rustix::fs::unlinkat(&mounted, "lost+found", AtFlags::REMOVEDIR).step("empty the new disk")?;
    Ok(mounted)
}

fn copy_sparse(template: &Path, dir: &Path) -> io::Result<std::fs::File> {
    let mut from = std::fs::File::open(template)?;
    let size = from.metadata()?.len();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mut to = std::fs::File::from(rustix::fs::open(dir, flags, Mode::from_raw_mode(0o600))?);
    if rustix::fs::ioctl_ficlone(&to, &from).is_ok() {
        return Ok(to);
    }
    to.set_len(size)?;
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(&from, rustix::fs::SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            other => other?,
        };
        let end = rustix::fs::seek(&from, rustix::fs::SeekFrom::Hole(start))?;
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        io::copy(&mut io::Read::take(&mut from, end - start), &mut to)?;
        at = end;
    }
    Ok(to)
}

/// The device's path, and a descriptor that holds it until it is mounted.
fn attach_loop(image: &std::fs::File) -> io::Result<(String, std::fs::File)> {
    let open = |path: &str| std::fs::OpenOptions::new().read(true).write(true).open(path);
    let control = open("/dev/loop-control")?;
    for turn in 0..LOOP_TRIES {
        let path = format!("/dev/loop{}", crate::sys::free_loop(control.as_fd())?);
        match open(&path) {
            Ok(device) => match crate::sys::configure_loop(device.as_fd(), image.as_fd(), LABEL) {
                Ok(()) => return Ok((path, device)),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => return Err(error),
            },
            // The device has been promised, its node comes a moment later.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        crate::sys::pause(Duration::from_micros(u64::from(turn.min(20)) * 50));
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "no loop device came free"))
}
