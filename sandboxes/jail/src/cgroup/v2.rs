use std::io;
use std::path::Path;

use super::{CPU_PERIOD_US, SANDBOXES_WEIGHT, cpu_quota_us, make_dir, number_of, write};
use crate::Plan;

/// The controllers that limit sandboxes.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// Where the processes go that stood in the cgroup which has to hand controllers down.
pub(super) const LEAF: &str = "dormouse-host";
/// How often processes are moved there before it is given up.
const MOVES_MAX: u32 = 10;

/// `cpu.weight` of a cgroup that nobody gave one, and the range of it.
const WEIGHT_OF_A_CORE: u64 = 100;
const WEIGHT_MAX: u64 = 10_000;

/// Makes the base and has it hand down the controllers that there are.
pub(super) fn create_base(base: &Path) -> io::Result<()> {
    let parent = base.parent().ok_or(io::ErrorKind::InvalidInput)?;
    hand_down(parent)?;
    make_dir(base)?;
    hand_down(base)?;
    if has_word(&std::fs::read_to_string(parent.join("cgroup.subtree_control"))?, "cpu") {
        write(&base.join("cpu.weight"), &(WEIGHT_OF_A_CORE * SANDBOXES_WEIGHT).to_string())?;
    }
    Ok(())
}

/// A cgroup with processes of its own hands nothing down: they move to a leaf first. What they start meanwhile is found by
/// another turn.
fn hand_down(dir: &Path) -> io::Result<()> {
    let there = std::fs::read_to_string(dir.join("cgroup.controllers"))?;
    let handed = std::fs::read_to_string(dir.join("cgroup.subtree_control"))?;
    let Some(request) = request(&there, &handed) else { return Ok(()) };
    let mut turn = 0;
    loop {
        match write(&dir.join("cgroup.subtree_control"), &request) {
            Err(error) if has_processes(&error) && turn < MOVES_MAX => move_to_leaf(dir)?,
            other => return other,
        }
        turn += 1;
    }
}

/// What to write to have the controllers handed down that are not yet. All at once: `cpu` alone is granted to a cgroup with
/// processes too, and makes it one of threads, which `memory` refuses from then on.
fn request(there: &str, handed: &str) -> Option<String> {
    let missing = CONTROLLERS.into_iter().filter(|name| has_word(there, name) && !has_word(handed, name));
    let words: Vec<String> = missing.map(|name| format!("+{name}")).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Whether this is how the kernel says so: the second when `cpu` or `pids` is handed down already. Source:
/// `cgroup_vet_subtree_control_enable` of the kernel.
fn has_processes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::Unsupported)
}

fn move_to_leaf(dir: &Path) -> io::Result<()> {
    let leaf = dir.join(LEAF);
    make_dir(&leaf)?;
    for pid in std::fs::read_to_string(dir.join("cgroup.procs"))?.lines() {
        // One that has just ended is no longer there to be moved.
        let _ = write(&leaf.join("cgroup.procs"), pid);
    }
    Ok(())
}

/// What a base hands down.
pub(super) fn controllers(base: &Path) -> Vec<String> {
    let handed = std::fs::read_to_string(base.join("cgroup.subtree_control")).unwrap_or_default();
    handed.split_whitespace().map(str::to_owned).collect()
}

pub(super) fn make(dir: &Path, controllers: &[String], plan: &Plan) -> io::Result<()> {
    std::fs::create_dir(dir)?;
    let has = |name: &str| controllers.iter().any(|c| c == name);
    if has("memory") {
        write(&dir.join("memory.max"), &plan.memory_bytes.to_string())?;
        write(&dir.join("memory.oom.group"), "1")?;
        // The file is absent where the kernel has no swap accounting.
        let swap = dir.join("memory.swap.max");
        if swap.exists() {
            write(&swap, "0")?;
        }
    }
    if has("cpu") {
        set_cpu(dir, plan.cpu_millicores)?;
    }
    if has("pids") {
        write(&dir.join("pids.max"), &(plan.pids_max + 1).to_string())?;
    }
    Ok(())
}

pub(super) fn set_cpu(dir: &Path, millicores: u32) -> io::Result<()> {
    let weight = (u64::from(millicores) * WEIGHT_OF_A_CORE / 1_000).clamp(1, WEIGHT_MAX);
    write(&dir.join("cpu.weight"), &weight.to_string())?;
    write(&dir.join("cpu.max"), &format!("{} {CPU_PERIOD_US}", cpu_quota_us(millicores)))
}

pub(super) fn event(dir: &Path, file: &str, key: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(dir.join(file))?;
    number_of(&text, key).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{file} has no {key}")))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_whitespace().any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_asked_for_at_once() {
        assert_eq!(request("cpuset cpu io memory pids\n", "\n").as_deref(), Some("+cpu +memory +pids"));
        assert_eq!(request("cpu memory pids\n", "pids\n").as_deref(), Some("+cpu +memory"));
        assert_eq!(request("memory pids\n", "memory\n").as_deref(), Some("+pids"));
        assert_eq!(request("cpuset io\n", "\n"), None);
    }
}
