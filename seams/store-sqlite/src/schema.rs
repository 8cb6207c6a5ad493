//! The file: its format, how an older one is brought up to date, how a connection is set up.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::open_error;
use crate::{OpenError, Settings};

/// The format that this program writes. It is the number of migrations.
pub const FORMAT: u32 = MIGRATIONS.len() as u32;

/// `DORM`, in the header of the file.
const APPLICATION_ID: u32 = 0x444F_524D;

/// Each brings a file from the format of its index to the next. A migration that was released is never changed.
const MIGRATIONS: &[&str] = &[
    // `kv` has the version before the value, so that reading keys and versions does not walk overflow pages.
    // `commits` remembers ids in the order of versions, so that remembering and forgetting touch the ends of the tree
    // only. Its newest row is never removed: it holds the last version and time.
    "CREATE TABLE kv (key BLOB PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
     CREATE TABLE commits (version INTEGER PRIMARY KEY, time INTEGER NOT NULL, id BLOB NOT NULL) STRICT;",
];

/// A database up to this size is checked as a whole when it is opened.
const CHECKED_WHOLE_BYTES: u64 = 32 * 1024 * 1024;
/// The write-ahead log is cut to this size when it is started over.
const WAL_KEPT_BYTES: u32 = 16 * 1024 * 1024;

/// Opens the database for writing, made or brought up to date if need be.
pub(crate) fn open_writer(path: &Path, settings: &Settings) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| open_error(path, &error);
    make_private(path).map_err(|error| OpenError::Io { path: path.into(), detail: error.to_string() })?;
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut db =
        connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, settings).map_err(failed)?;
    check_format(&db, path)?;
    if size > 0 && size <= CHECKED_WHOLE_BYTES {
        check_pages(&db, path, "quick_check")?;
    }
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(OpenError::Io { path: path.into(), detail: format!("no write-ahead log here, but {mode}") });
    }
    db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    db.pragma_update(None, "cache_size", -i64::from(settings.cache_kib)).map_err(failed)?;
    // The writer checkpoints itself: SQLite's own way swallows a failed fsync.
    db.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
    db.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES).map_err(failed)?;
    migrate(&mut db).map_err(failed)?;
    Ok(db)
}

/// Makes an empty file that is readable for this user alone, unless there is one. SQLite gives its log and its index the
/// mode of the database.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(|_| ())
}

/// Opens the database for reading beside the writer.
pub(crate) fn open_reader(path: &Path, settings: &Settings) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| open_error(path, &error);
    // Writable for the sake of the shared-memory index; `query_only` keeps the rest from being written.
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, settings).map_err(failed)?;
    db.pragma_update(None, "query_only", true).map_err(failed)?;
    db.pragma_update(None, "cache_size", -i64::from(settings.cache_kib / 8)).map_err(failed)?;
    Ok(db)
}

pub(crate) fn connect(path: &Path, flags: OpenFlags, settings: &Settings) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = match &settings.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs.as_str())?,
        None => Connection::open_with_flags(path, flags)?,
    };
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

/// Refuses a file of another program, of a newer one, or that is no database at all.
pub(crate) fn check_format(db: &Connection, path: &Path) -> Result<u32, OpenError> {
    let failed = |error: rusqlite::Error| open_error(path, &error);
    let number = |pragma: &str| db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, u32>(0));
    let application = number("application_id").map_err(failed)?;
    let found = number("user_version").map_err(failed)?;
    let tables: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if application != APPLICATION_ID && (application != 0 || found != 0 || tables != 0) {
        let detail = format!("its application id is {application:#x}");
        return Err(OpenError::Foreign { path: path.into(), detail });
    }
    if found > FORMAT {
        return Err(OpenError::Newer { path: path.into(), found, known: FORMAT });
    }
    Ok(found)
}

/// Runs one of SQLite's own checks, `quick_check` or `integrity_check`.
pub(crate) fn check_pages(db: &Connection, path: &Path, check: &str) -> Result<(), OpenError> {
    let verdict = db.query_row(&format!("PRAGMA {check}(1)"), [], |row| row.get::<_, String>(0));
    match verdict.map_err(|error| open_error(path, &error))? {
        fine if fine == "ok" => Ok(()),
        detail => Err(OpenError::Corrupt { path: path.into(), detail }),
    }
}

fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (format, migration) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        let step = db.transaction()?;
        step.execute_batch(migration)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.pragma_update(None, "user_version", format)?;
        step.commit()?;
        if format > 1 {
            tracing::info!(format, "the store was brought up to a newer format");
        }
    }
    Ok(())
}
