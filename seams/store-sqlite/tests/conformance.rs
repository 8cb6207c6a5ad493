//! The suite of the store seam over SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use dormouse_store::Store;
use dormouse_store_sqlite::{Settings, SqliteStore};
use dormouse_testkit::store_suite::StoreFactory;

struct Sqlite(tempfile::TempDir);

#[async_trait]
impl StoreFactory for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path(), Settings::default()).expect("the directory opens"))
    }
}

dormouse_testkit::store_conformance!(Sqlite(tempfile::tempdir().expect("a temporary directory")));
