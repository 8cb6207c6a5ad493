//! Readers that wait. A wake-up says that there is something; the file says what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dormouse_model::Timestamp;
use tokio::sync::Notify;

use super::{Shared, read};
use crate::{FunctionKey, LogFollow, LogQuery, LogRecord, TelemetryResult};

/// Who waits for which log. Holds nothing for logs that nobody follows.
#[derive(Default)]
pub(super) struct Followers {
    waiting: Mutex<HashMap<FunctionKey, (Arc<Notify>, usize)>>,
}

impl Followers {
    pub(super) fn wake(&self, function: &FunctionKey) {
        if let Some((news, _)) = self.lock().get(function) {
            news.notify_waiters();
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn join(&self, function: &FunctionKey) -> Arc<Notify> {
        let mut waiting = self.lock();
        let (news, count) = waiting.entry(function.clone()).or_default();
        *count += 1;
        Arc::clone(news)
    }

    fn leave(&self, function: &FunctionKey) {
        let mut waiting = self.lock();
        let Some((_, count)) = waiting.get_mut(function) else { return };
        *count -= 1;
        if *count == 0 {
            waiting.remove(function);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FunctionKey, (Arc<Notify>, usize)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reader that waits. Its place is a cursor, so that it crosses from segment to segment as a page does.
pub(super) struct FileFollow {
    shared: Arc<Shared>,
    query: LogQuery,
    news: Arc<Notify>,
}

impl FileFollow {
    pub(super) fn new(shared: Arc<Shared>, query: LogQuery) -> Self {
        let news = shared.followers.join(&query.function);
        Self { shared, query: LogQuery { until: Timestamp(u64::MAX), limit: LogQuery::LIMIT, ..query }, news }
    }
}

impl Drop for FileFollow {
    fn drop(&mut self) {
        self.shared.followers.leave(&self.query.function);
    }
}

#[async_trait]
impl LogFollow for FileFollow {
    async fn next(&mut self) -> TelemetryResult<Vec<LogRecord>> {
        loop {
            let news = Arc::clone(&self.news);
            let mut told = std::pin::pin!(news.notified());
            // From here on a wake-up is remembered, so none is lost between reading and waiting.
            told.as_mut().enable();
            let page = read::page(Arc::clone(&self.shared), self.query.clone()).await?;
            self.query.after = Some(page.cursor);
            if !page.records.is_empty() {
                return Ok(page.records);
            }
            if !page.more {
                told.await;
            }
        }
    }
}
