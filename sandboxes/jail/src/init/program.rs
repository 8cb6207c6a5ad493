use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags};

use super::{Failure, Step};
use crate::wire::{self, FromInit};
use crate::{Exec, Plan, sys};

/// Descriptors are moved up here while they are put in their places.
const FLOOR: i32 = 64;

/// Executes the program in a child of this already hardened process. `fds` are standard output, standard error, and the
/// channel if there is one. Returns its pid once the kernel has accepted it.
pub(super) fn start(exec: &Exec, plan: &Plan, fds: Vec<OwnedFd>, socket: BorrowedFd<'_>) -> Result<i32, Failure> {
    let call = Call::new(exec).step("read the program's arguments")?;
    let (said, say) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step("make a pipe")?;
    let Some(pid) = sys::fork().step("fork")? else { become_program(exec, plan, &call, fds, say) };
    drop((say, fds));
    let mut reason = String::new();
    std::fs::File::from(said).read_to_string(&mut reason).step("wait for the program")?;
    if reason.is_empty() {
        wire::send(socket, &FromInit::Started, &[]).step("report to the node")?;
        return Ok(pid);
    }
    let program = exec.program.display().to_string();
    let _ = wire::send(socket, &FromInit::ExecFailed { program, reason }, &[]);
    sys::exit_now(1)
}

struct Call {
    program: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Call {
    fn new(exec: &Exec) -> Result<Self, std::ffi::NulError> {
        let list = |list: &[String]| list.iter().map(|text| CString::new(text.as_str())).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            program: CString::new(exec.program.as_os_str().as_bytes())?,
            argv: list(&exec.argv)?,
            env: list(&exec.env)?,
        })
    }
}

fn become_program(exec: &Exec, plan: &Plan, call: &Call, fds: Vec<OwnedFd>, say: OwnedFd) -> ! {
    let say = sys::duplicate_above(say.as_fd(), FLOOR);
    let failed = arrange(exec, plan, fds).map(|()| sys::execute(&call.program, &call.argv, &call.env));
    let reason = match failed {
        Ok(error) => error.to_string(),
        Err(Failure { step, reason }) => format!("{step}: {reason}"),
    };
    if let Ok(say) = say {
        let _ = rustix::io::write(&say, reason.as_bytes());
    }
    sys::exit_now(127)
}

fn arrange(exec: &Exec, plan: &Plan, fds: Vec<OwnedFd>) -> Result<(), Failure> {
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).step("open /dev/null")?;
    let places = [0, 1, 2].into_iter().chain(exec.channel_fd);
    let mut moved = Vec::with_capacity(4);
    for (fd, place) in std::iter::once(&null).chain(&fds).zip(places) {
        let floor = FLOOR.max(exec.channel_fd.unwrap_or(0) + 1);
        moved.push((sys::duplicate_above(fd.as_fd(), floor).step("arrange descriptors")?, place));
    }
    // The numbers below may be about to be taken over: nothing may close them by their old owners.
    std::mem::forget((null, fds));
    for (fd, place) in &moved {
        sys::place(fd.as_fd(), *place).step("arrange descriptors")?;
    }
    rustix::process::chdir(&exec.cwd).step(&format!("change to {}", exec.cwd.display()))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::setsid().step("start a session")?;
    sys::limit(libc::RLIMIT_NPROC, u64::from(plan.pids_max) + 1).step("limit processes")?;
    sys::limit(libc::RLIMIT_NOFILE, plan.nofile).step("limit open files")?;
    sys::set_blocked(&[]);
    Ok(())
}
