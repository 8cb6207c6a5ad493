//! `backup` and `restore`: all that cannot be made again, in one file.
//!
//! The file is a zip: `dormouse.json` (what it is), `store.db` (one snapshot of the store), `blobs/` (uploaded code), and
//! `master.key` if that is asked for: whoever has both can be anyone. Logs and usage records are not in it.
//!
//! A backup is taken beside a running node, by another process. Code is named by its digest and written before its
//! record, so what the snapshot names was there when it was taken; what is removed from then on is held by the node until
//! it is in the copy.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use dormouse_blob::Hold;
use dormouse_store_sqlite::{FILE_NAME, backup_beside};
use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::config::Config;

const MANIFEST: &str = "dormouse.json";
const KEY: &str = "master.key";
/// Counted up when an older program could not read the file.
const FORMAT: u32 = 1;
/// Most bytes of a manifest or a key.
const SMALL_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    program: String,
}

/// Copies everything of the data directory into one new file, readable by its owner alone; the master key only
/// `with_key`. Gives its size in bytes.
///
/// # Errors
/// When there is no store, the file is there already, or something cannot be read or written; no file is left then.
pub fn backup(config: &Config, to: &Path, with_key: bool) -> Result<u64> {
    ensure!(!to.exists(), "{} exists; name a file that does not", to.display());
    let store = config.data_dir.join(FILE_NAME);
    ensure!(store.is_file(), "{} holds no store; name the data directory with --data-dir", config.data_dir.display());
    let staging = Staging::new(&config.data_dir)?;
    let hold = Hold::take(&config.blobs_dir())?;
    let snapshot = staging.0.join(FILE_NAME);
    backup_beside(&config.data_dir, &snapshot)?;
    let mut blobs = BTreeMap::new();
    staging.link_blobs(&config.blobs_dir().join("blobs"), &mut blobs)?;
    staging.link_blobs(&hold.blobs(), &mut blobs)?;
    drop(hold);
    let key = with_key.then(|| config.master_key_path());

    let partial = partial_path(to);
    let written = write(&partial, &snapshot, &blobs, key.as_deref()).and_then(|size| {
        fs::rename(&partial, to).with_context(|| format!("{} cannot be written", to.display()))?;
        Ok(size)
    });
    if written.is_err() {
        // The error that is returned says what went wrong.
        let _ = fs::remove_file(&partial);
    }
    written
}

fn partial_path(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// A directory beside the data in which blobs are held by links. It goes when this does.
struct Staging(PathBuf);

impl Staging {
    fn new(data_dir: &Path) -> Result<Self> {
        let dir = data_dir.join(format!(".backup-{}", std::process::id()));
        // What another process of this number left after a crash.
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("{} cannot be removed", dir.display()))?;
        }
        let made = fs::DirBuilder::new().mode(0o700).create(&dir);
        made.with_context(|| format!("{} cannot be made", dir.display()))?;
        Ok(Self(dir))
    }

    /// Links what is there and not linked yet, by its path below `root`.
    fn link_blobs(&self, root: &Path, linked: &mut BTreeMap<String, PathBuf>) -> Result<()> {
        for (name, path) in files_below(root)? {
            if linked.contains_key(&name) {
                continue;
            }
            let held = self.0.join(linked.len().to_string());
            match fs::hard_link(&path, &held) {
                Ok(()) => drop(linked.insert(name, held)),
                // It was removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("{} cannot be linked", path.display())),
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, dir = %self.0.display(), "what a backup used could not be removed");
        }
    }
}

fn files_below(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut dirs = vec![(String::new(), root.to_path_buf())];
    while let Some((prefix, dir)) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", dir.display())),
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("{} cannot be read", dir.display()))?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| anyhow::anyhow!("{name:?} is no name of a blob"))?;
            let name = format!("{prefix}{name}");
            // A blob that is removed meanwhile has no type any more.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push((format!("{name}/"), entry.path())),
                Ok(kind) if kind.is_file() => found.push((name, entry.path())),
                _ => {}
            }
        }
    }
    Ok(found)
}

fn write(to: &Path, snapshot: &Path, blobs: &BTreeMap<String, PathBuf>, key: Option<&Path>) -> Result<u64> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to);
    let file = file.with_context(|| format!("{} cannot be written", to.display()))?;
    let mut zip = ZipWriter::new(io::BufWriter::new(file));
    let plain = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    let plain = plain.unix_permissions(0o600);
    zip.start_file(MANIFEST, plain)?;
    let manifest = Manifest { format: FORMAT, program: env!("CARGO_PKG_VERSION").to_owned() };
    zip.write_all(&serde_json::to_vec(&manifest)?)?;
    // Code is packed already; the store is not.
    put(&mut zip, FILE_NAME, snapshot, plain.compression_method(CompressionMethod::Deflated))?;
    if let Some(key) = key {
        put(&mut zip, KEY, key, plain)?;
    }
    for (name, path) in blobs {
        put(&mut zip, &format!("blobs/{name}"), path, plain)?;
    }
    let file = zip.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn put(zip: &mut ZipWriter<impl Write + io::Seek>, name: &str, path: &Path, options: SimpleFileOptions) -> Result<()> {
    let mut file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    zip.start_file(name, options)?;
    io::copy(&mut file, zip).with_context(|| format!("{} cannot be copied", path.display()))?;
    Ok(())
}

/// Fills a data directory that holds nothing from a backup. Gives whether the master key is there too; without it the
/// operator has to put it there before the node is started.
///
/// # Errors
/// When the directory holds anything, or the file is no backup, a newer one than this program knows, or damaged. The
/// directory is left empty then.
pub fn restore(config: &Config, from: &Path) -> Result<bool> {
    let dir = &config.data_dir;
    let mut entries = fs::read_dir(dir).into_iter().flatten();
    ensure!(entries.next().is_none(), "{} is not empty; name a directory that is, with --data-dir", dir.display());
    let file = File::open(from).with_context(|| format!("{} cannot be read", from.display()))?;
    let mut zip =
        ZipArchive::new(io::BufReader::new(file)).with_context(|| format!("{} is no backup", from.display()))?;
    check_manifest(&mut zip, from)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("{} cannot be made", dir.display()))?;
    let unpacked = unpack(&mut zip, config);
    if unpacked.is_err() {
        for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            // The error that is returned says what went wrong.
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
    unpacked.map(|()| config.master_key_path().is_file())
}

fn check_manifest(zip: &mut ZipArchive<impl io::Read + io::Seek>, from: &Path) -> Result<()> {
    let text = small(zip, MANIFEST).with_context(|| format!("{} is no backup", from.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("{} is no backup", from.display()))?;
    if manifest.format > FORMAT {
        bail!("{} was made by a newer program ({}); restore it with that", from.display(), manifest.program);
    }
    Ok(())
}

fn small(zip: &mut ZipArchive<impl io::Read + io::Seek>, name: &str) -> Result<Vec<u8>> {
    let mut entry = zip.by_name(name)?;
    ensure!(entry.size() <= SMALL_BYTES_MAX, "{name} is too large");
    let mut content = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(&mut entry, SMALL_BYTES_MAX), &mut content)?;
    Ok(content)
}

fn unpack(zip: &mut ZipArchive<impl io::Read + io::Seek>, config: &Config) -> Result<()> {
    let blobs_dir = config.blobs_dir();
    // The store has no name in the data directory before it is checked.
    let staged = config.data_dir.join("restored.db");
    for n in 0..zip.len() {
        let mut entry = zip.by_index(n)?;
        let name = entry.name().context("a name in the backup cannot be read")?.into_owned();
        let path = match name.as_str() {
            MANIFEST => continue,
            FILE_NAME => staged.clone(),
            KEY if config.master_key_file.is_some() => continue,
            KEY => config.master_key_path(),
            name if name.starts_with("blobs/") && is_plain(name) => blobs_dir.join(name),
            _ => bail!("the backup holds {name:?}, which does not belong there"),
        };
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        io::copy(&mut entry, &mut file).with_context(|| format!("{name} of the backup is damaged"))?;
        file.sync_all()?;
    }
    ensure!(staged.is_file(), "the backup holds no store");
    dormouse_store_sqlite::restore(&staged, &config.data_dir)?;
    fs::remove_file(&staged)?;
    Ok(())
}

/// Whether a name leads nowhere but down.
fn is_plain(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dormouse_store_sqlite::{Settings, SqliteStore};

    use super::*;
    use crate::config::{Sources, resolve};

    fn config(dir: &Path) -> Config {
        let environment = vec![("DORMOUSE_DATA_DIR".to_owned(), dir.display().to_string())];
        resolve(&Sources { environment, ..Sources::default() }).expect("it fits").config
    }

    fn data(dir: &Path) -> (Config, Arc<SqliteStore>) {
        let config = config(&dir.join("data"));
        let store = SqliteStore::open(&config.data_dir, Settings::default()).expect("a store");
        fs::create_dir_all(config.data_dir.join("blobs/ab")).expect("made");
        fs::write(config.data_dir.join("blobs/ab/abc"), "code").expect("written");
        fs::write(config.master_key_path(), "key").expect("written");
        (config, Arc::new(store))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_backup_beside_an_open_store_is_restored_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let (config_1, _open) = data(dir.path());
        let file = dir.path().join("backup");
        let size = backup(&config_1, &file, true).expect("a backup");
        assert_eq!(fs::metadata(&file).expect("there").len(), size);
        let names: Vec<_> =
            fs::read_dir(&config_1.data_dir).expect("readable").flatten().map(|e| e.file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().starts_with(".backup")), "{names:?}");

        let without = dir.path().join("without");
        backup(&config_1, &without, false).expect("a backup");
        let config_3 = config(&dir.path().join("keyless"));
        assert!(!restore(&config_3, &without).expect("restored"), "the key is not in it");

        let config_2 = config(&dir.path().join("restored"));
        assert!(restore(&config_2, &file).expect("restored"));
        assert_eq!(fs::read_to_string(config_2.data_dir.join("blobs/ab/abc")).expect("there"), "code");
        assert_eq!(fs::read_to_string(config_2.master_key_path()).expect("there"), "key");
        SqliteStore::open(&config_2.data_dir, Settings::default()).expect("a store");
        let told = restore(&config_2, &file).expect_err("a refusal").to_string();
        assert!(told.contains("is not empty"), "{told}");
        let told = backup(&config_1, &file, true).expect_err("a refusal").to_string();
        assert!(told.contains("exists"), "{told}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_backup_leaves_the_directory_empty() {
        let dir = tempfile::tempdir().expect("a directory");
        let (config_1, _open) = data(dir.path());
        let file = dir.path().join("backup");
        backup(&config_1, &file, true).expect("a backup");
        let whole = fs::read(&file).expect("readable");
        let config_2 = config(&dir.path().join("restored"));
        let mut damaged = whole.clone();
        let code = whole.windows(4).position(|bytes| bytes == b"code").expect("stored as it is");
        damaged[code] ^= 1;
        for content in [whole[..whole.len() / 2].to_vec(), b"text".to_vec(), damaged] {
            fs::write(&file, content).expect("written");
            restore(&config_2, &file).expect_err("a refusal");
            assert_eq!(fs::read_dir(&config_2.data_dir).into_iter().flatten().count(), 0);
        }
    }

    #[test]
    fn a_directory_without_a_store_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let told = backup(&config(dir.path()), &dir.path().join("b"), false).expect_err("a refusal").to_string();
        assert!(told.contains("holds no store"), "{told}");
    }

    #[test]
    fn names_lead_down_only() {
        assert!(is_plain("blobs/a/b"));
        assert!(!is_plain("blobs/../../etc") && !is_plain("/blobs"));
    }
}
