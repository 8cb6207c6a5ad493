//! The second layer over the file system: what is not meant to be written stays so even if a mount were wrong.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

/// The newest rights and scopes that we ask for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V6;

/// How far the kernel enforces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enforced {
    Fully,
    Partly,
    Not,
}

/// Restricts this process and its children: everything can be read and executed, only what is beneath `writable` changed,
/// devices used. No signal and no abstract socket leaves the sandbox.
pub(crate) fn restrict(writable: &[PathBuf]) -> Result<Enforced, Box<dyn std::error::Error>> {
    let everything = AccessFs::from_all(NEWEST);
    let devices: BitFlags<AccessFs> =
        AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::Truncate | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)?
        .scope(Scope::AbstractUnixSocket)?
        .scope(Scope::Signal)?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::from_read(NEWEST)))?
        .add_rule(PathBeneath::new(PathFd::new("/dev")?, devices))?;
    for path in writable {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, everything))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Enforced::Fully,
        RulesetStatus::PartiallyEnforced => Enforced::Partly,
        RulesetStatus::NotEnforced => Enforced::Not,
    })
}
