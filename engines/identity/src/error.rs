use crate::master_key::MasterKeyError;
use crate::policy::{MalformedPolicy, Reason, Source};
use dormouse_layers::LayerError;
use dormouse_model::Timestamp;

/// Why a request is not believed to come from whom it says. Each protocol gives these its own codes; the text is for the
/// caller and tells nothing that helps to guess.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// Nothing is signed. (`MissingAuthenticationToken`, 403; S3 `AccessDenied`)
    #[error("Request is missing Authentication Token")]
    MissingToken,
    /// The form of the authentication is broken or ambiguous. (`IncompleteSignature`, 400; S3 `AuthorizationHeaderMalformed`)
    #[error("{0}")]
    Incomplete(String),
    /// A header that matters is not covered by the signature. (`SignatureDoesNotMatch` or `InvalidSignatureException`, 403;
    /// S3 `AccessDenied`)
    #[error("There were headers present in the request which were not signed: {0}")]
    NotSigned(String),
    /// No active key has this id. (Query protocols: `InvalidClientTokenId`, JSON: `UnrecognizedClientException`, both 403;
    /// S3 `InvalidAccessKeyId`)
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The session token is not ours, or whom it was given to is gone. (As `UnknownKey`; S3 `InvalidToken`, 400)
    #[error("The security token included in the request is invalid.")]
    UnknownToken,
    /// The session is over. (Query: `ExpiredToken`, JSON: `ExpiredTokenException`, both 403; S3 `ExpiredToken`, 400)
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// The signature is another one, or its time is too far from ours. (Query and S3: `SignatureDoesNotMatch`, JSON:
    /// `InvalidSignatureException`, 403)
    #[error("{0}")]
    Mismatch(String),
    /// S3 only: the clocks are too far apart. (`RequestTimeTooSkewed`, 403)
    #[error("The difference between the request time and the current time is too large.")]
    Skewed,
    /// A presigned URL has had its time. (`SignatureDoesNotMatch` or `InvalidSignatureException`; S3 `AccessDenied`, 403)
    #[error("Request has expired: it was good until {ended}")]
    UrlExpired {
        /// Its last moment.
        ended: Timestamp,
    },
    /// The signed hash is not the one of the body. (As `Mismatch`; S3 `XAmzContentSHA256Mismatch`, 400)
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    BodyMismatch,
    /// What is said of the payload is not valid. (`InvalidRequest` or `IncompleteSignature`, 400)
    #[error("{0}")]
    Payload(String),
    /// Our own failure; the store could not be asked. (`ServiceUnavailable`, 503)
    #[error("identity cannot be checked now; try again")]
    Unavailable(#[from] LayerError),
}

impl AuthError {
    pub(crate) fn incomplete(text: impl Into<String>) -> Self {
        Self::Incomplete(text.into())
    }

    /// The answer to a signature that is simply another one.
    pub(crate) fn mismatch() -> Self {
        Self::Mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details."
                .to_owned(),
        )
    }
}

/// Why a caller may not, or why that is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthorizeError {
    /// May not. (`AccessDenied`, in JSON protocols `AccessDeniedException`, 403)
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// Our own failure; the store could not be asked. (`ServiceUnavailable`, 503)
    #[error("permissions cannot be checked now; try again")]
    Unavailable(#[from] LayerError),
}

/// The sentence that says who may not do what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessDenied {
    /// The caller's ARN.
    pub caller: String,
    /// `service:Operation`.
    pub action: String,
    /// The ARN, or `*`.
    pub resource: String,
    /// What decided.
    pub reason: Option<Reason>,
}

impl std::error::Error for AccessDenied {}

impl std::fmt::Display for AccessDenied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { caller, action, resource, reason } = self;
        write!(f, "User: {caller} is not authorized to perform: {action} on resource: {resource}")?;
        let name = |source: &Source| match source {
            Source::Identity => "identity-based policy",
            Source::Boundary => "permissions boundary",
            Source::Session => "session policy",
            Source::Resource => "resource-based policy",
        };
        match reason {
            None => Ok(()),
            Some(Reason::Implicit(source)) => write!(f, " because no {} allows the {action} action", name(source)),
            Some(Reason::Explicit(source)) => {
                let article = if *source == Source::Identity { "an" } else { "a" };
                write!(f, " with an explicit deny in {article} {}", name(source))
            }
        }
    }
}

/// Why an operation on accounts, users, roles, policies, keys or sessions was not done. The names are the codes that IAM
/// and STS use.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IamError {
    /// `NoSuchEntity`, 404.
    #[error("{0}")]
    NoSuchEntity(String),
    /// `EntityAlreadyExists`, 409.
    #[error("{0}")]
    AlreadyExists(String),
    /// `DeleteConflict`, 409: something is still attached.
    #[error("{0}")]
    DeleteConflict(String),
    /// `LimitExceeded`, 409.
    #[error("{0}")]
    LimitExceeded(String),
    /// `MalformedPolicyDocument`, 400.
    #[error("{0}")]
    MalformedPolicy(#[from] MalformedPolicy),
    /// `ValidationError`, 400.
    #[error("{0}")]
    Validation(String),
    /// `UnmodifiableEntity`, 400: it belongs to the platform.
    #[error("{0}")]
    Unmodifiable(String),
    /// `PackedPolicyTooLarge`, 400: the session would carry too much.
    #[error("{0}")]
    PackedPolicyTooLarge(String),
    /// `AccessDenied`, 403.
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// Our own failure. (`ServiceFailure`, 500; `ServiceUnavailable`, 503, when the store is away)
    #[error("the change could not be made now; try again")]
    Store(#[from] LayerError),
}

impl From<AuthorizeError> for IamError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Denied(denied) => Self::Denied(denied),
            AuthorizeError::Unavailable(error) => Self::Store(error),
        }
    }
}

/// Why a role cannot be used for a service.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RoleError {
    /// Not the ARN of a role.
    #[error("{0:?} is not the ARN of a role: it takes arn:aws:iam::ACCOUNT:role/NAME")]
    NotARole(String),
    /// A role of somebody else.
    #[error("Cross-account pass role is not allowed.")]
    OtherAccount,
    /// No such role, or its trust policy does not let the service in. One answer for both, as the service gives.
    #[error("The role defined for the function cannot be assumed by Lambda.")]
    NotAssumable,
    /// Our own failure.
    #[error("the role cannot be looked up now; try again")]
    Unavailable(#[from] LayerError),
}

/// Why identity cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The data was sealed under another one.
    #[error(
        "the master key is not the one that this data was sealed under; start with the file that was used before \
         (--master-key-file, or master.key beside the data)"
    )]
    WrongMasterKey,
    /// What the operator set cannot be a root key.
    #[error("{0}")]
    RootKey(String),
    /// The store cannot be read or written.
    #[error("identity cannot be read from the store: {0}")]
    Store(#[from] LayerError),
}
