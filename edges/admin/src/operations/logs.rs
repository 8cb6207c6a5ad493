use bytes::Bytes;
use dormouse_front::{Response, ResponseBody, ResponseSender, response};
use dormouse_model::{FunctionRef, Timestamp};
use dormouse_telemetry::{FunctionKey, LogFollow, LogPage, LogQuery, LogRecord, TelemetryResult};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use std::sync::Arc;

use crate::access::Call;
use crate::answer::JSON_LINES;
use crate::error::AdminError;
use crate::query::Query;

/// Where a page ended; to be passed on as `after`.
const CURSOR_HEADER: &str = "x-dormouse-cursor";
/// Whether there was more when a page was read.
const MORE_HEADER: &str = "x-dormouse-more";
/// Pieces of a stream that a slow client may leave waiting.
const PIECES: usize = 4;

/// `GET logs?function=NAME[&since=MS][&until=MS][&request_id=ID][&limit=N][&after=CURSOR][&follow=1]`
///
/// With a limit one page, and where it ended; without, all that there is; with `follow` also all that comes.
pub(super) async fn get(call: &Call<'_>) -> Result<Response, AdminError> {
    let names = ["function", "since", "until", "request_id", "limit", "after", "follow"];
    let query = Query::read(&call.query, &names)?;
    let wanted = wanted(call, &query)?;
    let name = wanted.function.function.clone();
    call.may(&call.caller.account, "function", name.as_str()).await?;
    let logs = &call.parts.logs;
    let first = logs.read(wanted.clone()).await?;
    if first.records.is_empty() && !first.more && wanted.after.is_none() {
        // A function that is gone may have left a log; one that never was is a mistake in the name.
        let whole = logs.read(LogQuery { limit: 1, ..LogQuery::all(wanted.function.clone()) }).await?;
        if whole.records.is_empty() {
            call.parts.functions.get_function(&call.caller.account, &name, None).await?;
        }
    }
    if query.text("limit").is_some() && !query.flag("follow")? {
        return Ok(one_page(&first));
    }
    let (sender, body) = ResponseBody::stream(PIECES);
    let mut response = http::Response::new(body);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
    if query.flag("follow")? {
        let mut follow = logs.follow(LogQuery { after: Some(first.cursor), ..wanted });
        let draining = call.request.draining();
        tokio::spawn(async move {
            let sent = sender.send(lines(&first.records)).await;
            if sent.is_ok() && stream_news(&sender, &mut *follow, draining).await {
                // The client may have gone at the very end.
                let _ = sender.end().await;
            }
        });
    } else {
        let logs = Arc::clone(logs);
        tokio::spawn(async move {
            let read = |after| logs.read(LogQuery { after: Some(after), ..wanted.clone() });
            if stream_pages(&sender, first, read).await {
                // The client may have gone at the very end.
                let _ = sender.end().await;
            }
        });
    }
    Ok(response)
}

fn wanted(call: &Call<'_>, query: &Query) -> Result<LogQuery, AdminError> {
    let name = query.text("function").ok_or_else(|| AdminError::Invalid("function=NAME is needed".to_owned()))?;
    let named: FunctionRef = name.parse()?;
    if named.account.is_some_and(|account| account != call.caller.account) {
        return Err(AdminError::Denied(format!("{name} belongs to another account; only its owner reads its log")));
    }
    let function = FunctionKey { account: call.caller.account.clone(), function: named.name };
    let limit: Option<usize> = query.get("limit", "a number of records")?;
    if limit == Some(0) {
        return Err(AdminError::Invalid(format!("limit=0 is not allowed: it takes 1 to {}", LogQuery::LIMIT)));
    }
    Ok(LogQuery {
        function,
        since: query.time("since")?.unwrap_or(Timestamp(0)),
        until: query.time("until")?.unwrap_or(Timestamp(u64::MAX)),
        request_id: query.get("request_id", "a UUID")?,
        limit: limit.unwrap_or(LogQuery::LIMIT),
        after: query.get("after", "a cursor: pass on the one that the last page came with")?,
    })
}

fn one_page(page: &LogPage) -> Response {
    let mut response = response(StatusCode::OK, JSON_LINES, lines(&page.records));
    if let Ok(cursor) = HeaderValue::from_str(&page.cursor.to_string()) {
        response.headers_mut().insert(CURSOR_HEADER, cursor);
    }
    response.headers_mut().insert(MORE_HEADER, HeaderValue::from_static(if page.more { "1" } else { "0" }));
    response
}

/// Sends page after page. False when the client has gone, or a page cannot be read: then the stream is cut short.
async fn stream_pages<F>(
    sender: &ResponseSender,
    first: LogPage,
    read: impl Fn(dormouse_telemetry::LogCursor) -> F,
) -> bool
where
    F: Future<Output = TelemetryResult<LogPage>>,
{
    let mut page = first;
    loop {
        if !page.records.is_empty() && sender.send(lines(&page.records)).await.is_err() {
            return false;
        }
        if !page.more {
            return true;
        }
        page = match read(page.cursor).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a log cannot be read further");
                return false;
            }
        };
    }
}

/// Sends records as they are written. True when the node stops; false when the client has gone, or the log cannot be read.
async fn stream_news(sender: &ResponseSender, follow: &mut dyn LogFollow, draining: impl Future<Output = ()>) -> bool {
    let mut draining = std::pin::pin!(draining);
    loop {
        let news = tokio::select! {
            () = sender.gone() => return false,
            () = &mut draining => return true,
            news = follow.next() => news,
        };
        match news {
            Ok(records) if sender.send(lines(&records)).await.is_err() => return false,
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "a log cannot be followed further");
                return false;
            }
        }
    }
}

/// A record as it is shown.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    version: String,
    instance: &'a str,
    stream: dormouse_telemetry::LogStream,
    request_id: Option<String>,
    text: std::borrow::Cow<'a, str>,
}

fn lines(records: &[LogRecord]) -> Bytes {
    let mut out = Vec::with_capacity(records.len() * 200);
    for record in records {
        let line = Line {
            time: record.time.to_string(),
            version: record.version.to_string(),
            instance: &record.instance,
            stream: record.stream,
            request_id: record.request_id.map(|id| id.to_string()),
            text: String::from_utf8_lossy(&record.text),
        };
        // Strings and nulls: there is nothing in it that JSON cannot say.
        if serde_json::to_writer(&mut out, &line).is_ok() {
            out.push(b'\n');
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use dormouse_model::VersionNumber;
    use dormouse_telemetry::LogStream;

    use super::*;

    #[test]
    fn a_record_is_one_line() {
        let record = LogRecord {
            time: Timestamp(1_795_325_324_007),
            version: VersionNumber::Latest,
            instance: "i-1".into(),
            stream: LogStream::Stdout,
            request_id: None,
            text: Bytes::from_static(b"a\nb\xff"),
        };
        let expected = concat!(
            r#"{"time":"2026-11-22T05:28:44.007Z","version":"$LATEST","instance":"i-1","stream":"stdout","#,
            r#""request_id":null,"text":"a\nb"#,
            "\u{fffd}",
            "\"}\n"
        );
        assert_eq!(lines(&[record]), expected);
    }
}
