//! From the head of a request to a service and an operation. Pure.
//!
//! A signed request goes to the service in its credential scope. An unsigned one can only be refused, but in the words of
//! the service that it was meant for: that is guessed from the host and the path.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::table::{Operation, Protocol, Segment, Service, ServiceId};

/// What routing looks at.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The `Host` header or the authority, with or without a port; may be empty.
    pub host: &'a str,
    /// The path as it was sent, still encoded.
    pub path: &'a str,
    /// The query string, decoded.
    pub query: &'a [(String, String)],
    /// The service in the credential scope of the signature, whether or not it is a good one.
    pub scope: Option<&'a str>,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Route {
    /// To an operation that method and path name.
    Operation {
        /// Its service.
        service: ServiceId,
        /// What to do.
        operation: &'static Operation,
        /// Values of the labels in the path, by wire name, decoded.
        labels: Vec<(String, String)>,
    },
    /// To an operation that the form in the body or in the query string names.
    Form {
        /// Its service.
        service: ServiceId,
    },
    /// To a service that is not there; the name is the one in the credential scope.
    UnknownService(String),
    /// To a path that the service does not have.
    UnknownPath {
        /// The service.
        service: ServiceId,
    },
}

/// Decides where a request goes.
pub fn route(head: &Head<'_>) -> Route {
    let service = match head.scope {
        Some(scope) => match ServiceId::named(scope) {
            Some(service) => service,
            None => return Route::UnknownService(scope.to_owned()),
        },
        None => guess(head),
    };
    let table = service.table();
    match table.protocol {
        Protocol::Query if head.path.trim_matches('/').is_empty() => Route::Form { service },
        Protocol::Query => Route::UnknownPath { service },
        Protocol::RestJson => match find(table, head) {
            Some((operation, labels)) => Route::Operation { service, operation, labels },
            None => Route::UnknownPath { service },
        },
    }
}

fn guess(head: &Head<'_>) -> ServiceId {
    let first_label = head.host.split('.').next().unwrap_or_default();
    match ServiceId::named(first_label) {
        Some(service) => service,
        None if head.path.trim_matches('/').is_empty() => ServiceId::Sts,
        None => ServiceId::Lambda,
    }
}

type Labels = Vec<(String, String)>;

/// The operation whose method, path and fixed query parameters match; of several, the one that says most.
fn find(table: &'static Service, head: &Head<'_>) -> Option<(&'static Operation, Labels)> {
    let path = head.path.strip_prefix('/').unwrap_or(head.path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.split('/').collect();
    let fits = |operation: &&'static Operation| {
        operation.method == *head.method && operation.fixed_query.iter().all(|pair| head.query.contains(pair))
    };
    let matching = table.operations.iter().filter(fits);
    let matching = matching.filter_map(|operation| Some((operation, match_path(&operation.path, &segments)?)));
    matching.max_by_key(|(operation, _)| {
        let literals = operation.path.iter().filter(|segment| matches!(segment, Segment::Literal(_))).count();
        (operation.fixed_query.len(), literals)
    })
}

fn match_path(template: &[Segment], segments: &[&str]) -> Option<Labels> {
    // What surely does not match is found out before anything is decoded.
    let literals_match = template.iter().zip(segments).all(|pair| match pair {
        (Segment::Literal(text), segment) => text == segment,
        _ => true,
    });
    let greedy = template.iter().any(|part| matches!(part, Segment::Greedy(_)));
    if !greedy && (template.len() != segments.len() || !literals_match) {
        return None;
    }
    let mut labels = Vec::new();
    let mut rest = segments;
    for (index, part) in template.iter().enumerate() {
        let (first, after) = rest.split_first()?;
        match part {
            Segment::Literal(text) if text == first => rest = after,
            Segment::Literal(_) => return None,
            Segment::Label(name) => {
                labels.push((name.clone(), decode(first)?));
                rest = after;
            }
            Segment::Greedy(name) => {
                // As many segments as leave one for each part that follows.
                let taken = rest.len().checked_sub(template.len() - index - 1).filter(|taken| *taken > 0)?;
                labels.push((name.clone(), decode(&rest[..taken].join("/"))?));
                rest = &rest[taken..];
            }
        }
    }
    rest.is_empty().then_some(labels)
}

/// A label: decoded, not empty.
fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn routed(method: &Method, path: &str, query: &[(String, String)], scope: Option<&str>, host: &str) -> Route {
        route(&Head { method, host, path, query, scope })
    }

    fn operation(method: Method, path: &str) -> Option<(&'static str, Labels)> {
        match routed(&method, path, &[], Some("lambda"), "localhost:4566") {
            Route::Operation { operation, labels, .. } => Some((&operation.name, labels)),
            _ => None,
        }
    }

    #[test]
    fn method_and_path_name_the_operation() {
        let (name, labels) = operation(Method::POST, "/2015-03-31/functions/greet/invocations").expect("a route");
        assert_eq!((name, labels), ("Invoke", vec![("FunctionName".to_owned(), "greet".to_owned())]));
        let (name, _) = operation(Method::GET, "/2015-03-31/functions/").expect("a route with a slash at its end");
        assert_eq!(name, "ListFunctions");
        let (_, labels) = operation(Method::GET, "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aa%2Fb").expect("a route");
        assert_eq!(labels, [("Resource".to_owned(), "arn:aws:lambda:a/b".to_owned())]);
        for (method, path) in [
            (Method::PATCH, "/2015-03-31/functions/greet"),
            (Method::GET, "/2015-03-31/functions//configuration"),
            (Method::GET, "/2015-03-31/functions/%ff"),
            (Method::GET, "/2015-03-31/functions/a/b/c/d"),
            (Method::GET, "/"),
        ] {
            assert!(operation(method, path).is_none(), "{path}");
        }
    }

    #[test]
    fn fixed_query_parameters_tell_operations_apart() {
        let name =
            |query: &[(String, String)]| match routed(&Method::GET, "/2018-10-31/layers", query, Some("lambda"), "") {
                Route::Operation { operation, .. } => operation.name.as_str(),
                _ => "",
            };
        assert_eq!(name(&[]), "ListLayers");
        assert_eq!(name(&[("find".to_owned(), "LayerVersion".to_owned())]), "GetLayerVersionByArn");
    }

    #[test]
    fn the_scope_decides_then_the_host_then_the_path() {
        let unsigned = |host: &str, path: &str| routed(&Method::POST, path, &[], None, host);
        assert!(matches!(
            routed(&Method::POST, "/", &[], Some("iam"), "sts.x"),
            Route::Form { service: ServiceId::Iam }
        ));
        assert!(matches!(unsigned("iam.localhost:4566", "/"), Route::Form { service: ServiceId::Iam }));
        assert!(matches!(unsigned("localhost", "/"), Route::Form { service: ServiceId::Sts }));
        assert!(matches!(unsigned("localhost", "/x"), Route::UnknownPath { service: ServiceId::Lambda }));
        assert!(matches!(routed(&Method::GET, "/b/k", &[], Some("s3"), ""), Route::UnknownService(s) if s == "s3"));
    }

    #[test]
    fn every_rest_operation_is_found_by_its_own_path() {
        for wanted in &ServiceId::Lambda.table().operations {
            let parts = wanted.path.iter().map(|segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Label(name) | Segment::Greedy(name) => format!("/{name}"),
            });
            let path: String = parts.collect();
            let found = routed(&wanted.method, &path, &wanted.fixed_query, Some("lambda"), "");
            let Route::Operation { operation, .. } = found else { panic!("{} at {path}: {found:?}", wanted.name) };
            assert_eq!(operation.name, wanted.name);
        }
    }

    #[test]
    fn a_greedy_label_takes_all_but_what_follows() {
        let template =
            [Segment::Literal("a".to_owned()), Segment::Greedy("Key".to_owned()), Segment::Literal("end".to_owned())];
        let key = |path: &str| match_path(&template, &path.split('/').collect::<Vec<_>>()).map(|l| l[0].1.clone());
        assert_eq!(key("a/b/c%20d/end"), Some("b/c d".to_owned()));
        assert_eq!(key("a/end"), None);
        assert_eq!(key("a/b/c"), None);
    }

    proptest! {
        #[test]
        fn any_label_is_read_back(name in ".{1,40}") {
            let path = format!("/2015-03-31/functions/{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
            let (_, labels) = operation(Method::GET, &path).expect("a route");
            prop_assert_eq!(&labels[0].1, &name);
        }

        #[test]
        fn no_path_makes_it_panic(path in ".{0,80}") {
            let _ = operation(Method::GET, &path);
        }
    }
}
