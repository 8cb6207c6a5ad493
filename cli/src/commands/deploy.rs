use super::connect;
use crate::args::Deploy;
use crate::deploy;
use crate::failure::Failure;

pub(crate) fn run(args: &Deploy) -> Result<(), Failure> {
    // The template is read before a platform is looked for: its mistakes are found without one.
    let project = deploy::Project::read(args)?;
    let client = connect(&args.connection)?;
    deploy::apply(&client, project, args.dry_run, args.connection.out.json())
}
