//! Code becomes a zip. The same files give the same bytes: sorted names, one fixed time, two modes.

use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dormouse_model::limits;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::function::Code;
use super::ignore::Ignore;
use crate::failure::Failure;

/// Files in one zip; the format itself holds no more without its extension.
const FILES_MAX: usize = 65_535;

/// The zip of a function's code.
pub(crate) fn pack(code: &Code) -> Result<Vec<u8>, Failure> {
    let zip = match code {
        Code::Inline { file, text } => {
            zipped(vec![File { name: (*file).to_owned(), from: From::Text(text), executable: false }])?
        }
        Code::Path(path) if path.is_dir() => {
            let files = files_below(path)?;
            if files.is_empty() {
                return Err(Failure::failed(format!("{} holds no code; build it first", path.display())));
            }
            zipped(files)?
        }
        Code::Path(path) => existing(path)?,
    };
    if zip.len() > limits::ZIP_UPLOAD_BYTES {
        return Err(Failure::failed(format!(
            "the code is {} MB packed and may be {} MB; leave files out with {}",
            zip.len() >> 20,
            limits::ZIP_UPLOAD_BYTES >> 20,
            super::ignore::IGNORE_FILE
        )));
    }
    Ok(zip)
}

/// As the Lambda API has it: SHA-256 in base64.
pub(crate) fn digest(zip: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(zip))
}

/// A zip that somebody else made is sent as it is.
fn existing(path: &Path) -> Result<Vec<u8>, Failure> {
    let content = fs::read(path).map_err(|error| unreadable(path, &error))?;
    if content.starts_with(b"PK") {
        Ok(content)
    } else {
        Err(Failure::failed(format!("{} is neither a directory nor a zip file; change CodeUri", path.display())))
    }
}

struct File<'a> {
    /// With `/` between its parts.
    name: String,
    from: From<'a>,
    executable: bool,
}

enum From<'a> {
    Text(&'a str),
    Path(PathBuf),
}

fn files_below(dir: &Path) -> Result<Vec<File<'static>>, Failure> {
    let ignore = Ignore::of(dir).map_err(|error| unreadable(dir, &error))?;
    let mut walk = Walk { ignore, files: Vec::new(), size_bytes: 0, above: Vec::new() };
    walk.directory(dir, "")?;
    walk.files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(walk.files)
}

struct Walk {
    ignore: Ignore,
    files: Vec<File<'static>>,
    size_bytes: u64,
    /// Real paths of the directories that we are in: a link to one of them has no end.
    above: Vec<PathBuf>,
}

impl Walk {
    /// Links are followed: what they lead to is packed in their place, because a zip with links is refused.
    fn directory(&mut self, dir: &Path, prefix: &str) -> Result<(), Failure> {
        let real = fs::canonicalize(dir).map_err(|error| unreadable(dir, &error))?;
        if self.above.contains(&real) {
            return Err(Failure::failed(format!("{} leads back into itself; remove the link", dir.display())));
        }
        self.above.push(real);
        for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, &error))? {
            let entry = entry.map_err(|error| unreadable(dir, &error))?;
            let path = entry.path();
            let name = entry
                .file_name()
                .into_string()
                .map_err(|_| Failure::failed(format!("{} has a name that is not UTF-8; rename it", path.display())))?;
            let name = format!("{prefix}{name}");
            if !self.ignore.matches(&name) {
                self.entry(&path, name)?;
            }
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: String) -> Result<(), Failure> {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if metadata.is_dir() {
            return self.directory(path, &format!("{name}/"));
        }
        if !metadata.is_file() {
            return Err(Failure::failed(format!("{} is no ordinary file; leave it out", path.display())));
        }
        self.size_bytes += metadata.len();
        if self.size_bytes > limits::UNPACKED_CODE_BYTES || self.files.len() >= FILES_MAX {
            return Err(Failure::failed(format!(
                "the code has more than {FILES_MAX} files or {} MB; leave files out with {}",
                limits::UNPACKED_CODE_BYTES >> 20,
                super::ignore::IGNORE_FILE
            )));
        }
        let executable = metadata.permissions().mode() & 0o111 != 0;
        self.files.push(File { name, from: From::Path(path.to_path_buf()), executable });
        Ok(())
    }
}

fn zipped(files: Vec<File<'_>>) -> Result<Vec<u8>, Failure> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(mode);
        writer.start_file(file.name, options)?;
        match file.from {
            From::Text(text) => writer.write_all(text.as_bytes())?,
            From::Path(path) => {
                let content = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
                writer.write_all(&content)?;
            }
        }
    }
    Ok(writer.finish()?.into_inner())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn project() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("b.py", "b");
        write("a/x.py", "x");
        write("a/__pycache__/x.pyc", "no");
        write(".git/HEAD", "no");
        write("node_modules/.bin/tool", "no");
        write("node_modules/m/index.js", "m");
        write("notes.txt", "no");
        write(".dormouseignore", "notes.txt\n");
        write("bootstrap", "#!/bin/sh\n");
        fs::set_permissions(dir.path().join("bootstrap"), fs::Permissions::from_mode(0o700)).expect("set");
        symlink("b.py", dir.path().join("c.py")).expect("linked");
        symlink("a", dir.path().join("d")).expect("linked");
        dir
    }

    fn names_and_modes(zip: &[u8]) -> Vec<(String, u32)> {
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).expect("a zip");
        (0..archive.len())
            .map(|n| {
                let file = archive.by_index(n).expect("a file");
                (file.name().expect("a name").into_owned(), file.unix_mode().unwrap_or_default() & 0o7777)
            })
            .collect()
    }

    #[test]
    fn a_directory_is_packed_sorted_without_what_is_no_code() {
        let dir = project();
        let zip = pack(&Code::Path(dir.path().to_path_buf())).expect("packed");
        let expected = [
            ("a/x.py", 0o644),
            ("b.py", 0o644),
            ("bootstrap", 0o755),
            ("c.py", 0o644),
            ("d/x.py", 0o644),
            ("node_modules/m/index.js", 0o644),
        ];
        let expected: Vec<_> = expected.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect();
        assert_eq!(names_and_modes(&zip), expected);
        let mut text = String::new();
        let mut archive = zip::ZipArchive::new(Cursor::new(&zip)).expect("a zip");
        archive.by_name("c.py").expect("followed").read_to_string(&mut text).expect("text");
        assert_eq!(text, "b");
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let (one, two) = (project(), project());
        fs::File::open(two.path().join("b.py")).and_then(|f| f.set_modified(std::time::UNIX_EPOCH)).expect("set");
        let zips = [one, two].map(|dir| pack(&Code::Path(dir.path().to_path_buf())).expect("packed"));
        assert_eq!(digest(&zips[0]), digest(&zips[1]));
    }

    #[test]
    fn what_cannot_be_packed_is_named() {
        let empty = tempfile::tempdir().expect("a directory");
        let refusal = |path: &Path| pack(&Code::Path(path.to_path_buf())).expect_err("a refusal").message;
        assert!(refusal(empty.path()).contains("holds no code"));
        symlink(".", empty.path().join("self")).expect("linked");
        assert!(refusal(empty.path()).contains("leads back into itself"));
        fs::remove_file(empty.path().join("self")).expect("removed");
        symlink("nowhere", empty.path().join("gone")).expect("linked");
        assert!(refusal(empty.path()).contains("gone cannot be read"));
        let file = empty.path().join("code.txt");
        fs::write(&file, "text").expect("written");
        assert!(refusal(&file).contains("neither a directory nor a zip file"));
    }
}
