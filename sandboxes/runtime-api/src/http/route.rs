use http::Method;

const PREFIX: &str = "/2018-06-01/runtime/";

/// What a runtime calls.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call<'a> {
    Ping,
    Next,
    Response {
        id: &'a str,
    },
    Error {
        id: &'a str,
    },
    InitError,
    /// `restore/next` and `restore/error`, which exist only where instances start from snapshots.
    Restore,
}

/// What is called does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    Path,
    Method { allowed: &'static str },
}

/// Reads method and path, purely.
pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Result<Call<'a>, NoRoute> {
    if path == "/ping" {
        return only(method, Method::GET, Call::Ping);
    }
    let rest = path.strip_prefix(PREFIX).ok_or(NoRoute::Path)?;
    match rest {
        "invocation/next" => return only(method, Method::GET, Call::Next),
        "init/error" => return only(method, Method::POST, Call::InitError),
        "restore/next" => return only(method, Method::GET, Call::Restore),
        "restore/error" => return only(method, Method::POST, Call::Restore),
        _ => {}
    }
    let (id, verb) = rest.strip_prefix("invocation/").and_then(|r| r.split_once('/')).ok_or(NoRoute::Path)?;
    match verb {
        "response" => only(method, Method::POST, Call::Response { id }),
        "error" => only(method, Method::POST, Call::Error { id }),
        _ => Err(NoRoute::Path),
    }
}

fn only<'a>(method: &Method, allowed: Method, call: Call<'a>) -> Result<Call<'a>, NoRoute> {
    if *method == allowed {
        return Ok(call);
    }
    Err(NoRoute::Method { allowed: if allowed == Method::GET { "GET" } else { "POST" } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_the_contract_are_read() {
        let get = |path| route(&Method::GET, path);
        let post = |path| route(&Method::POST, path);
        assert_eq!(get("/ping"), Ok(Call::Ping));
        assert_eq!(get("/2018-06-01/runtime/invocation/next"), Ok(Call::Next));
        assert_eq!(post("/2018-06-01/runtime/invocation/a-b/response"), Ok(Call::Response { id: "a-b" }));
        assert_eq!(post("/2018-06-01/runtime/invocation/a-b/error"), Ok(Call::Error { id: "a-b" }));
        assert_eq!(post("/2018-06-01/runtime/init/error"), Ok(Call::InitError));
        assert_eq!(get("/2018-06-01/runtime/restore/next"), Ok(Call::Restore));
        assert_eq!(post("/2018-06-01/runtime/restore/error"), Ok(Call::Restore));
    }

    #[test]
    fn what_the_contract_does_not_have_is_not_there() {
        assert_eq!(route(&Method::GET, "/"), Err(NoRoute::Path));
        assert_eq!(route(&Method::GET, "/2018-06-01/runtime/invocation/x"), Err(NoRoute::Path));
        assert_eq!(route(&Method::POST, "/2018-06-01/runtime/invocation/a/b/response"), Err(NoRoute::Path));
        let wrong = route(&Method::POST, "/2018-06-01/runtime/invocation/next");
        assert_eq!(wrong, Err(NoRoute::Method { allowed: "GET" }));
    }
}
