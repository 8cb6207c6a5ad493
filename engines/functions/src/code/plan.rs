//! What a zip would put on disk, and whether it may. Pure: nothing is written.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

/// What is allowed in a zip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ZipLimits {
    /// Files, directories and links.
    pub(crate) entries: usize,
    /// Bytes of all files, counted while they are unpacked and not as the zip declares them.
    pub(crate) unpacked_bytes: u64,
}

/// Bytes of a path inside a zip.
const PATH_BYTES: usize = 1_024;
/// Bytes of one component of a path, as file systems have it.
const COMPONENT_BYTES: usize = 255;
/// Directories within directories.
const DEPTH: usize = 64;
/// Links that lead to links, as in the kernel.
const LINK_HOPS: usize = 40;

const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_LINK: u32 = 0o120_000;

/// Why a zip is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ZipRefusal {
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again. ({0})")]
    Broken(String),
    #[error("Unzipped size must be smaller than {0} bytes")]
    TooLarge(u64),
    #[error("The zip has {found} entries; at most {allowed} are allowed")]
    TooManyEntries { found: usize, allowed: usize },
    #[error("The zip is empty. Put at least one file into it")]
    Empty,
    #[error("The zip has an entry that is not allowed: {path:?} {why}")]
    Entry { path: String, why: &'static str },
}

impl From<ZipError> for ZipRefusal {
    fn from(error: ZipError) -> Self {
        Self::Broken(error.to_string())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File { executable: bool },
    Link { target: String },
}

/// Entries by their clean path (no empty, `.` or `..` component), with the place of their bytes in the archive.
/// Directories that are only implied are in it too, without a place.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) entries: BTreeMap<String, (Kind, Option<usize>)>,
}

pub(crate) type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Opens a zip and looks at every name, kind and link in it.
pub(crate) fn plan(zip: &[u8], limits: ZipLimits) -> Result<(Archive<'_>, Plan), ZipRefusal> {
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    if archive.len() > limits.entries {
        return Err(ZipRefusal::TooManyEntries { found: archive.len(), allowed: limits.entries });
    }
    if archive.has_duplicate_names() {
        return Err(ZipRefusal::Broken("it names the same file twice".to_owned()));
    }
    let mut plan = Plan::default();
    for index in 0..archive.len() {
        let (path, kind) = entry(&mut archive, index)?;
        if let Some(path) = path {
            plan.add(path, kind, index)?;
        }
    }
    if !plan.entries.values().any(|(kind, _)| matches!(kind, Kind::File { .. })) {
        return Err(ZipRefusal::Empty);
    }
    plan.check_links()?;
    Ok((archive, plan))
}

fn entry(archive: &mut Archive<'_>, index: usize) -> Result<(Option<String>, Kind), ZipRefusal> {
    let mut file = archive.by_index_raw(index)?;
    let name = String::from_utf8(file.name_raw().to_vec())
        .map_err(|_| refuse(&String::from_utf8_lossy(file.name_raw()), "is not UTF-8"))?;
    if file.encrypted() {
        return Err(refuse(&name, "is encrypted"));
    }
    let mode = file.unix_mode();
    let kind = match mode.map_or(0, |mode| mode & TYPE_MASK) {
        TYPE_LINK => Kind::Link { target: String::new() },
        _ if name.ends_with('/') => Kind::Directory,
        0 | TYPE_FILE => Kind::File { executable: mode.is_some_and(|mode| mode & 0o111 != 0) },
        TYPE_DIRECTORY => Kind::Directory,
        _ => return Err(refuse(&name, "is neither a file, a directory nor a symbolic link")),
    };
    let path = clean(&name)?;
    if !matches!(kind, Kind::Link { .. }) {
        return Ok((path, kind));
    }
    if file.size() > PATH_BYTES as u64 {
        return Err(refuse(&name, "is a symbolic link with too long a target"));
    }
    drop(file);
    file = archive.by_index(index)?;
    let mut target = String::new();
    let read = file.by_ref().take(PATH_BYTES as u64 + 1).read_to_string(&mut target);
    if read.is_err() || target.is_empty() || target.len() > PATH_BYTES || target.contains('\0') {
        return Err(refuse(&name, "is a symbolic link without a usable target"));
    }
    Ok((path, Kind::Link { target }))
}

/// The path without empty and `.` components; `None` for the root itself.
fn clean(name: &str) -> Result<Option<String>, ZipRefusal> {
    let why = match name {
        _ if name.len() > PATH_BYTES => "has too long a path",
        _ if name.starts_with('/') => "has an absolute path",
        _ if name.bytes().any(|b| b < 0x20 || b == 0x7F) => "has control characters in its path",
        _ if name.split('/').any(|part| part == "..") => "leads out of the package with '..'",
        _ if name.split('/').any(|part| part.len() > COMPONENT_BYTES) => "has too long a name in its path",
        _ if name.split('/').count() > DEPTH => "lies too deep",
        _ => "",
    };
    if !why.is_empty() {
        return Err(refuse(name, why));
    }
    let path = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
    Ok((!path.is_empty()).then_some(path))
}

fn refuse(path: &str, why: &'static str) -> ZipRefusal {
    let mut path = path.to_owned();
    path.truncate(path.floor_char_boundary(200));
    ZipRefusal::Entry { path, why }
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

impl Plan {
    fn add(&mut self, path: String, kind: Kind, index: usize) -> Result<(), ZipRefusal> {
        for parent in parents(&path) {
            match self.entries.get(parent) {
                Some((Kind::Directory, _)) => {}
                Some(_) => return Err(refuse(&path, "lies below what is not a directory")),
                None => {
                    self.entries.insert(parent.to_owned(), (Kind::Directory, None));
                }
            }
        }
        match (self.entries.get(&path), &kind) {
            (None, _) | (Some((Kind::Directory, _)), Kind::Directory) => {}
            _ => return Err(refuse(&path, "is in the zip twice")),
        }
        self.entries.insert(path, (kind, Some(index)));
        Ok(())
    }

    fn check_links(&self) -> Result<(), ZipRefusal> {
        let links = self.entries.iter().filter(|(_, (kind, _))| matches!(kind, Kind::Link { .. }));
        for (path, _) in links {
            if !self.stays_inside(path) {
                return Err(refuse(path, "is a symbolic link that leads out of the package"));
            }
        }
        Ok(())
    }

    /// Walks the path as the kernel would, following every link on the way.
    fn stays_inside(&self, path: &str) -> bool {
        let mut ahead: Vec<&str> = path.rsplit('/').collect();
        let mut at: Vec<&str> = Vec::new();
        let mut hops = 0;
        while let Some(part) = ahead.pop() {
            match part {
                "" | "." => continue,
                ".." => match at.pop() {
                    Some(_) => continue,
                    None => return false,
                },
                _ => at.push(part),
            }
            if let Some((Kind::Link { target }, _)) = self.entries.get(&at.join("/")) {
                hops += 1;
                if hops > LINK_HOPS || target.starts_with('/') {
                    return false;
                }
                at.pop();
                ahead.extend(target.rsplit('/'));
            }
        }
        true
    }
}
