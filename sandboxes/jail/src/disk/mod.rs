//! The disks that `/tmp` is on: copies of an empty file system, one for each size, mounted for one sandbox each.

mod ahead;
mod mount;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use ahead::Ahead;
pub(crate) use mount::mount_empty;

/// Where the empty file system of this size is.
pub(crate) fn template_path(state_dir: &Path, size_mb: u32) -> PathBuf {
    state_dir.join(format!("tmp-{size_mb}.ext4"))
}

/// Makes it when it is not there. Takes some tens of milliseconds the first time.
pub(crate) fn ensure_template(state_dir: &Path, size_mb: u32) -> io::Result<()> {
    let path = template_path(state_dir, size_mb);
    if path.exists() {
        return Ok(());
    }
    // Under a name of its own until it is whole: two may be at it.
    let draft = tempfile_name(state_dir, size_mb);
    let made = std::fs::File::create(&draft)
        .and_then(|file| file.set_len(u64::from(size_mb) << 20))
        .and_then(|()| make_file_system(&draft))
        .and_then(|()| std::fs::rename(&draft, &path));
    if made.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    made
}

fn tempfile_name(state_dir: &Path, size_mb: u32) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    state_dir.join(format!("draft-{size_mb}-{}-{unique}", std::process::id()))
}

/// No journal and nothing reserved: the disk is never read again after its sandbox.
fn make_file_system(path: &Path) -> io::Result<()> {
    let program = find_mkfs().ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "mkfs.ext4 is not installed: apt-get install e2fsprogs")
    })?;
    let out = Command::new(program)
        .args(["-q", "-F", "-m", "0", "-i", "16384", "-O", "^has_journal,^resize_inode"])
        .args(["-E", "lazy_itable_init=1,nodiscard"])
        .arg(path)
        .stdin(Stdio::null())
        .output()?;
    if out.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("mkfs.ext4: {}", String::from_utf8_lossy(&out.stderr).trim())))
}

/// It is often in a directory that ordinary paths leave out.
fn find_mkfs() -> Option<PathBuf> {
    ["/usr/sbin", "/sbin", "/usr/bin"]
        .into_iter()
        .map(|dir| Path::new(dir).join("mkfs.ext4"))
        .find(|path| path.exists())
}
