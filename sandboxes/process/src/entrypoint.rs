use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The program that the function of a `provided` runtime brings: its path inside the sandbox, or why it cannot run.
pub(crate) fn find(code: &Path, layers: &[PathBuf]) -> Result<PathBuf, String> {
    let in_code = (code.join("bootstrap"), "/var/task/bootstrap");
    // Where layers meet, the later one wins.
    let in_layers = layers.iter().rev().map(|layer| (layer.join("bootstrap"), "/opt/bootstrap"));
    for (host, inside) in std::iter::once(in_code).chain(in_layers) {
        let Ok(about) = std::fs::metadata(&host) else { continue };
        if !about.is_file() {
            continue;
        }
        if about.permissions().mode() & 0o111 == 0 {
            return Err(format!("{inside} is not executable: set its x permission before packing the zip"));
        }
        return Ok(PathBuf::from(inside));
    }
    Err("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_with(mode: Option<u32>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        if let Some(mode) = mode {
            let file = dir.path().join("bootstrap");
            std::fs::write(&file, "#!/bin/sh\n").expect("written");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
        }
        dir
    }

    #[test]
    fn the_code_goes_before_layers() {
        let (code, layer) = (dir_with(Some(0o755)), dir_with(Some(0o755)));
        let layers = [layer.path().to_owned()];
        assert_eq!(find(code.path(), &layers), Ok("/var/task/bootstrap".into()));
        assert_eq!(find(dir_with(None).path(), &layers), Ok("/opt/bootstrap".into()));
    }

    #[test]
    fn what_cannot_be_executed_is_said() {
        assert!(find(dir_with(None).path(), &[]).expect_err("nothing there").contains("bootstrap"));
        assert!(find(dir_with(Some(0o644)).path(), &[]).expect_err("no x").contains("not executable"));
    }
}
