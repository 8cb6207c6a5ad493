use dormouse_model::Timestamp;
use dormouse_store::StoreError;

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
    Unavailable(#[source] StoreError),
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
