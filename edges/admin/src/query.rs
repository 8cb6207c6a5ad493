//! The parameters of a query, each known by name.

use std::collections::BTreeMap;
use std::str::FromStr;

use dormouse_model::Timestamp;

use crate::error::AdminError;

/// Parameters that were decoded. What nobody takes is an error, so that a misspelt one is not silently without effect.
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Decodes a query; `allowed` are the names that the operation takes.
    pub(crate) fn read(text: &str, allowed: &[&str]) -> Result<Self, AdminError> {
        let mut found = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !allowed.contains(&name.as_str()) {
                let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
                return Err(AdminError::Invalid(format!("{name:?} is not a parameter here: there are {allowed}")));
            }
            if found.insert(name.clone(), value).is_some() {
                return Err(AdminError::Invalid(format!("the parameter {name} is there twice")));
            }
        }
        Ok(Self(found))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value of any type that can be read from text.
    pub(crate) fn get<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, AdminError> {
        let refuse = |text: &str| AdminError::Invalid(format!("{name}={text} is not {what}"));
        self.text(name).map(|text| text.parse().map_err(|_| refuse(text))).transpose()
    }

    /// A time in milliseconds since the epoch.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, AdminError> {
        Ok(self.get(name, "a time: it takes milliseconds since the epoch")?.map(Timestamp))
    }

    /// `1` or `true`, `0` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, AdminError> {
        match self.text(name) {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true" | "") => Ok(true),
            Some(text) => Err(AdminError::Invalid(format!("{name}={text} is not 1 or 0"))),
        }
    }
}

/// Undoes percent-encoding. A plus is a plus: that is how the query was signed.
fn decode(text: &str) -> Result<String, AdminError> {
    let refuse = || AdminError::Invalid(format!("{text:?} is not percent-encoded UTF-8"));
    percent_encoding::percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::read("function=a%20b&since=5&follow=1&&empty=", &["function", "since", "follow", "empty"]);
        let query = query.expect("a query");
        assert_eq!(query.text("function"), Some("a b"));
        assert_eq!(query.time("since").expect("a time"), Some(Timestamp(5)));
        assert_eq!(query.time("until").expect("no time"), None);
        assert!(query.flag("follow").expect("a flag") && !query.flag("other").expect("a flag"));
        assert_eq!(query.text("empty"), Some(""));
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for text in ["sinse=5", "since=1&since=2", "since=%ff"] {
            assert!(Query::read(text, &["since"]).is_err(), "{text}");
        }
        let query = Query::read("since=yesterday&follow=maybe", &["since", "follow"]).expect("a query");
        assert!(query.time("since").is_err() && query.flag("follow").is_err());
    }
}
