use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;

use crate::args::Init;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(init: &Init) -> Result<(), Failure> {
    let template = init.template;
    let dir = init.dir.clone().unwrap_or_else(|| PathBuf::from(format!("hello-{}", template.name())));
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format!("{} is not empty; name another directory", dir.display())));
    }
    for file in template.files() {
        let path = dir.join(file.path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, file.text));
        let mode = if file.executable { 0o755 } else { 0o644 };
        let written = written.and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
        written.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))?;
    }
    if init.out.json() {
        let files: Vec<&str> = template.files().iter().map(|file| file.path).collect();
        return output::json(&json!({ "directory": dir.display().to_string(), "files": files }));
    }
    output::line(format_args!("Made {}. Next:\n", dir.display()))?;
    output::line(format_args!("  cd {}", dir.display()))?;
    template.next_steps().iter().try_for_each(|step| output::line(format_args!("  {step}")))
}
