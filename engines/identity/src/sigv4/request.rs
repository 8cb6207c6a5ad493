use super::presented;

/// A view of a request as it arrived: nothing decoded, nothing normalised.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// In capitals.
    pub method: &'a str,
    /// The path of the request line, still percent-encoded.
    pub path: &'a str,
    /// What follows the `?`, still percent-encoded; empty when nothing does.
    pub query: &'a str,
    /// Every header line, names in any case. `host` must be among them (HTTP/2: put `:authority` there).
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// What is known of the body when a request is authenticated.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// All of it; its hash is checked here.
    Whole(&'a [u8]),
    /// It is still to come. What the request says of it is signed, and whoever reads it keeps the
    /// [`BodyRule`](super::BodyRule) that authentication gives.
    ToCome,
}

/// For which day, region and service a request says that it was signed, and with which key.
///
/// Until the signature is verified this is a claim: good for routing, for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialScope {
    /// The access key id.
    pub access_key_id: String,
    /// `YYYYMMDD`.
    pub date: String,
    /// Such as `us-east-1`.
    pub region: String,
    /// The signing name: `lambda`, `iam`, `sts`, `s3`, ...
    pub service: String,
}

impl CredentialScope {
    /// Reads the scope from the `Authorization` header or the query, if either has a readable one.
    pub fn of(request: &SignedRequest<'_>) -> Option<Self> {
        presented::claimed_scope(request)
    }

    /// `KEY/YYYYMMDD/REGION/SERVICE/aws4_request`, each part bounded and of the letters that such parts have.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (key, date, region, service, end) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let word = |text: &str, most: usize| {
            (1..=most).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let is_date = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
        let fits = word(key, 128) && is_date && word(region, 64) && word(service, 64);
        if !fits || end != "aws4_request" || parts.next().is_some() {
            return None;
        }
        Some(Self {
            access_key_id: key.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }

    /// The scope as it stands in a string to sign: without the key.
    pub(crate) fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

impl<'a> SignedRequest<'a> {
    /// Every value of a header.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The query's parameters, still encoded; one without `=` has an empty value.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}
