use dormouse_model::{AccountId, Timestamp};

/// Who asks, once the signature is verified. Good for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose principal it is.
    pub account: AccountId,
    /// What kind of principal.
    pub principal: Principal,
    /// As policies and messages name it: the user's ARN, or the one of the role's session.
    pub arn: String,
    /// `aws:userid`: the unique id, for a role followed by `:SESSION`.
    pub user_id: String,
    /// The key that signed; empty when nothing did.
    pub access_key_id: String,
    /// Only with temporary credentials.
    pub session: Option<Session>,
    /// Tags of the user or role, and of the session, which go before.
    pub tags: Vec<(String, String)>,
}

/// The kinds of principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The account itself; may do everything in it.
    Root,
    /// An IAM user.
    User {
        /// Its name.
        name: String,
        /// `AIDA...`; another one when the name is used again.
        id: String,
    },
    /// A session of a role.
    Role {
        /// The role's name.
        name: String,
        /// `AROA...`.
        id: String,
        /// The role's own ARN, with its path.
        arn: String,
        /// What the session calls itself.
        session: String,
    },
    /// A part of the platform that acts for itself, such as `events.amazonaws.com`.
    Service(String),
    /// Nobody that we know.
    Anonymous,
}

/// What temporary credentials say beside whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// When they were given out.
    pub issued: Timestamp,
    /// When they end.
    pub expires: Timestamp,
    /// Policies that narrow the session: one given as a document, and managed ones by ARN.
    pub policy: Option<String>,
    /// ARNs of managed policies that narrow it.
    pub policy_arns: Vec<String>,
}

impl Session {
    /// Whether policies narrow it at all.
    pub(crate) fn narrows(&self) -> bool {
        self.policy.is_some() || !self.policy_arns.is_empty()
    }
}

impl Caller {
    /// A part of the platform, asking for a resource of `account`.
    pub fn service(name: &str, account: AccountId) -> Self {
        Self {
            account,
            principal: Principal::Service(name.to_owned()),
            arn: name.to_owned(),
            user_id: name.to_owned(),
            access_key_id: String::new(),
            session: None,
            tags: Vec::new(),
        }
    }

    /// Nobody, asking for a resource of `account`, a public function URL for instance.
    pub fn anonymous(account: AccountId) -> Self {
        let principal = Principal::Anonymous;
        Self { principal, arn: "anonymous".to_owned(), user_id: "anonymous".to_owned(), ..Self::service("", account) }
    }

    /// True for keys that are not the account's own or a user's.
    pub fn is_temporary(&self) -> bool {
        self.session.is_some()
    }
}
