use clap::CommandFactory as _;

use crate::args::{Cli, Completions};
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(completions: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Cli::command(), "dormouse", &mut script);
    output::bytes(script.trim_ascii_end())
}
