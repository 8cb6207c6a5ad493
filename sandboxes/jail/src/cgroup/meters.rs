use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::{SandboxCgroup, number_of};
use crate::Usage;

/// Most bytes of a file of counts that are read; `cpu.stat` is the longest, and begins with what is wanted.
const COUNTS_BYTES: usize = 512;

/// The kernel's counts of one sandbox, held open: they are read around every invocation, and to open a file of a cgroup
/// costs several times what it costs to read it.
#[derive(Debug)]
pub(crate) struct Meters {
    cpu: File,
    memory: File,
}

impl Meters {
    /// Absent where the kernel does not count.
    pub(crate) fn open(cgroup: &SandboxCgroup) -> Option<Self> {
        let (cpu, memory) = match cgroup {
            SandboxCgroup::V1(dirs) => {
                let cpu = dirs.cpuacct.as_ref()?.join("cpuacct.usage");
                (File::open(cpu), File::open(dirs.memory.as_ref()?.join("memory.max_usage_in_bytes")))
            }
            // Kernels before 5.19 know no peak; what is in use now stands in.
            SandboxCgroup::V2 { dir, .. } => {
                let peak = File::open(dir.join("memory.peak"));
                (File::open(dir.join("cpu.stat")), peak.or_else(|_| File::open(dir.join("memory.current"))))
            }
        };
        Some(Self { cpu: cpu.ok()?, memory: memory.ok()? })
    }

    /// What was used so far; absent once the cgroup is gone.
    pub(crate) fn read(&self) -> Option<Usage> {
        let mut buffer = [0; COUNTS_BYTES];
        let text = read(&self.cpu, &mut buffer)?;
        let micros = || number_of(text, "usage_usec").map(|us| us.saturating_mul(1_000));
        let cpu_ns = text.trim().parse().ok().or_else(micros)?;
        let memory_peak_bytes = read(&self.memory, &mut buffer)?.trim().parse().ok()?;
        Some(Usage { cpu: Duration::from_nanos(cpu_ns), memory_peak_bytes })
    }
}

fn read<'a>(file: &File, buffer: &'a mut [u8]) -> Option<&'a str> {
    let length = file.read_at(buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..length]).ok()
}
