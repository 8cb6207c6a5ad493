//! What a method and a path mean. Pure.

use http::Method;

use crate::error::AdminError;

/// Everything that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    Metrics,
    Admin(Operation),
}

/// Everything that takes a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Logs,
    Usage,
    Functions,
    Runtimes,
    ListEvents,
    ShowEvent(String),
    RedriveEvent(String),
    DropEvent(String),
    ListAccounts,
    CreateAccount,
    ListKeys,
    CreateKey,
    RevokeKey(String),
}

impl Operation {
    /// The action that a policy must allow.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::Logs => "dormouse:GetLogs",
            Self::Usage => "dormouse:GetUsage",
            Self::Functions => "dormouse:ListFunctions",
            Self::Runtimes => "dormouse:ListRuntimes",
            Self::ListEvents => "dormouse:ListEvents",
            Self::ShowEvent(_) => "dormouse:GetEvent",
            Self::RedriveEvent(_) => "dormouse:RedriveEvent",
            Self::DropEvent(_) => "dormouse:DropEvent",
            Self::ListAccounts => "dormouse:ListAccounts",
            Self::CreateAccount => "dormouse:CreateAccount",
            Self::ListKeys => "dormouse:ListKeys",
            Self::CreateKey => "dormouse:CreateKey",
            Self::RevokeKey(_) => "dormouse:RevokeKey",
        }
    }

    /// Whether it changes something, and so is in the audit trail.
    pub(crate) fn changes(&self) -> bool {
        use Operation as O;
        matches!(self, O::RedriveEvent(_) | O::DropEvent(_) | O::CreateAccount | O::CreateKey | O::RevokeKey(_))
    }
}

/// Finds what is asked for. `path` is as it was sent; ids in it need no escapes.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, AdminError> {
    let absent = || AdminError::NoSuchPath(path.to_owned());
    let rest = path.strip_prefix("/_dormouse/").ok_or_else(absent)?;
    let only_get = |route: Route| match *method {
        Method::GET | Method::HEAD => Ok(route),
        _ => Err(AdminError::Method("GET")),
    };
    match rest {
        "health" => return only_get(Route::Health),
        "metrics" => return only_get(Route::Metrics),
        _ => {}
    }
    let rest = rest.strip_prefix("admin/").ok_or_else(absent)?;
    let parts: Vec<&str> = rest.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(absent());
    }
    operation(method, &parts).ok_or_else(absent)?.map(Route::Admin)
}

/// None when there is nothing at the path; an error when there is, but not for this method.
fn operation(method: &Method, parts: &[&str]) -> Option<Result<Operation, AdminError>> {
    use Operation as O;
    let id = |id: &&str| (*id).to_owned();
    let by_method: &[(Method, Operation)] = &match parts {
        ["logs"] => vec![(Method::GET, O::Logs)],
        ["usage"] => vec![(Method::GET, O::Usage)],
        ["functions"] => vec![(Method::GET, O::Functions)],
        ["runtimes"] => vec![(Method::GET, O::Runtimes)],
        ["events"] => vec![(Method::GET, O::ListEvents)],
        ["events", event] => vec![(Method::GET, O::ShowEvent(id(event))), (Method::DELETE, O::DropEvent(id(event)))],
        ["events", event, "redrive"] => vec![(Method::POST, O::RedriveEvent(id(event)))],
        ["accounts"] => vec![(Method::GET, O::ListAccounts), (Method::POST, O::CreateAccount)],
        ["keys"] => vec![(Method::GET, O::ListKeys), (Method::POST, O::CreateKey)],
        ["keys", key] => vec![(Method::DELETE, O::RevokeKey(id(key)))],
        _ => return None,
    };
    let found = by_method.iter().find(|(allowed, _)| allowed == method).map(|(_, operation)| operation.clone());
    Some(found.ok_or_else(|| match by_method {
        [(only, _)] if only == Method::POST => AdminError::Method("POST"),
        [(only, _)] if only == Method::DELETE => AdminError::Method("DELETE"),
        [_] => AdminError::Method("GET"),
        [_, (Method::DELETE, _)] => AdminError::Method("GET, DELETE"),
        _ => AdminError::Method("GET, POST"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_means_one_thing() {
        let admin = |operation| Route::Admin(operation);
        for (method, path, route_) in [
            (Method::GET, "health", Route::Health),
            (Method::HEAD, "health", Route::Health),
            (Method::GET, "metrics", Route::Metrics),
            (Method::GET, "admin/logs", admin(Operation::Logs)),
            (Method::GET, "admin/usage", admin(Operation::Usage)),
            (Method::GET, "admin/functions", admin(Operation::Functions)),
            (Method::GET, "admin/runtimes", admin(Operation::Runtimes)),
            (Method::GET, "admin/events", admin(Operation::ListEvents)),
            (Method::GET, "admin/events/e", admin(Operation::ShowEvent("e".into()))),
            (Method::DELETE, "admin/events/e", admin(Operation::DropEvent("e".into()))),
            (Method::POST, "admin/events/e/redrive", admin(Operation::RedriveEvent("e".into()))),
            (Method::GET, "admin/accounts", admin(Operation::ListAccounts)),
            (Method::POST, "admin/accounts", admin(Operation::CreateAccount)),
            (Method::GET, "admin/keys", admin(Operation::ListKeys)),
            (Method::POST, "admin/keys", admin(Operation::CreateKey)),
            (Method::DELETE, "admin/keys/k", admin(Operation::RevokeKey("k".into()))),
        ] {
            assert_eq!(route(&method, &format!("/_dormouse/{path}")).expect("a route"), route_, "{method} {path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        for (method, path, allowed) in [
            (Method::POST, "health", "GET"),
            (Method::DELETE, "admin/logs", "GET"),
            (Method::GET, "admin/events/e/redrive", "POST"),
            (Method::GET, "admin/keys/k", "DELETE"),
            (Method::POST, "admin/events/e", "GET, DELETE"),
            (Method::PUT, "admin/keys", "GET, POST"),
        ] {
            let error = route(&method, &format!("/_dormouse/{path}")).expect_err("no route");
            assert!(matches!(error, AdminError::Method(told) if told == allowed), "{method} {path}: {error}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_there() {
        for path in [
            "/_dormouse",
            "/_dormouse/",
            "/_dormouse/x",
            "/_dormouse/admin",
            "/_dormouse/admin/",
            "/_dormouse/admin/logs/",
            "/_dormouse/admin//logs",
            "/_dormouse/admin/events//redrive",
            "/_dormouse/admin/keys/a/b",
            "/x",
        ] {
            let error = route(&Method::GET, path).expect_err("no route");
            assert!(matches!(error, AdminError::NoSuchPath(_)), "{path}: {error}");
        }
    }
}
