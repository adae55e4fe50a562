//! Why a storage could not be used, as far as its words tell: for the sentence about what to do.

/// The cause of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There are no credentials.
    NoCredentials,
    /// The credentials have expired.
    Expired,
    /// The service does not know the credentials.
    Refused,
    /// The service knows them and does not allow this.
    Denied,
    /// There is no such bucket or container.
    Bucket,
    /// The bucket is in another region.
    Region,
    /// This machine's clock is wrong.
    Clock,
    /// A certificate that is not trusted.
    Tls,
    /// A web page came instead of an answer.
    WebPage,
    /// Nothing answers there.
    Network,
    /// No room.
    Full,
}

/// Words of a reason, in lower case, and what they mean; the first that is found counts.
const WORDS: [(&str, Cause); 39] = [
    ("requesttimetooskewed", Cause::Clock),
    ("requestexpired", Cause::Clock),
    ("signature not yet current", Cause::Clock),
    ("signature expired", Cause::Clock),
    ("clock", Cause::Clock),
    ("web page", Cause::WebPage),
    ("nosuchbucket", Cause::Bucket),
    ("containernotfound", Cause::Bucket),
    ("invalidbucketname", Cause::Bucket),
    ("permanentredirect", Cause::Region),
    ("authorizationheadermalformed", Cause::Region),
    ("illegallocationconstraint", Cause::Region),
    ("301 moved permanently", Cause::Region),
    ("expiredtoken", Cause::Expired),
    ("expired", Cause::Expired),
    ("credentialsnotloaded", Cause::NoCredentials),
    ("no providers", Cause::NoCredentials),
    ("no credentials", Cause::NoCredentials),
    ("not loaded", Cause::NoCredentials),
    ("credential provider was not enabled", Cause::NoCredentials),
    ("profile", Cause::NoCredentials),
    ("invalidaccesskeyid", Cause::Refused),
    ("signaturedoesnotmatch", Cause::Refused),
    ("invalidclienttokenid", Cause::Refused),
    ("unrecognizedclient", Cause::Refused),
    ("authenticationfailed", Cause::Refused),
    ("401 unauthorized", Cause::Refused),
    ("accessdenied", Cause::Denied),
    ("403 forbidden", Cause::Denied),
    ("permission denied", Cause::Denied),
    ("certificate", Cause::Tls),
    ("unknownissuer", Cause::Tls),
    ("tls", Cause::Tls),
    ("connection refused", Cause::Network),
    ("dns", Cause::Network),
    ("timed out", Cause::Network),
    ("connect", Cause::Network),
    ("no space", Cause::Full),
    ("quota exceeded", Cause::Full),
];

impl Cause {
    /// What a reason means, if it is known.
    pub fn of(reason: &str) -> Option<Self> {
        let reason = reason.to_lowercase();
        WORDS.iter().find(|(words, _)| reason.contains(words)).map(|(_, cause)| *cause)
    }

    /// What to do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "there are no credentials for it: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or add \
                 profile=NAME to its address (`aws configure list-profiles` shows the names)"
            }
            Self::Expired => "the credentials have expired: sign in again, or get new ones, then run the command again",
            Self::Refused => "the service does not know these credentials: check that key and secret belong together",
            Self::Denied => {
                "the credentials are valid but have no permission: use others, or give them access to the bucket (docs/iam.md)"
            }
            Self::Bucket => "there is no such bucket: check its name and its account",
            Self::Region => "the bucket is in another region: set region=REGION in its address",
            Self::Clock => "this machine's clock is wrong: set it, then run the command again",
            Self::Tls => {
                "the certificate is not trusted: set SSL_CERT_FILE or AWS_CA_BUNDLE to the authority's file, and check \
                 whether a proxy intercepts the connection"
            }
            Self::WebPage => {
                "the answer is a web page, not that of a storage: sign in to the network, or check HTTPS_PROXY and the endpoint"
            }
            Self::Network => {
                "nothing answers there: check the network, the endpoint and HTTPS_PROXY, then run it again"
            }
            Self::Full => "free some space there, then run the command again",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_is_told_apart() {
        for (reason, cause) in [
            ("Server returned non-2xx status code: 403 Forbidden (AccessDenied)", Cause::Denied),
            ("Server returned non-2xx status code: 403 Forbidden (RequestTimeTooSkewed)", Cause::Clock),
            ("Server returned non-2xx status code: 403 Forbidden (InvalidAccessKeyId)", Cause::Refused),
            ("Server returned non-2xx status code: 403 Forbidden (SignatureDoesNotMatch)", Cause::Refused),
            ("Server returned non-2xx status code: 400 Bad Request (ExpiredToken)", Cause::Expired),
            ("Server returned non-2xx status code: 400 Bad Request (AuthorizationHeaderMalformed)", Cause::Region),
            ("Server returned non-2xx status code: 404 Not Found (NoSuchBucket)", Cause::Bucket),
            ("connection refused", Cause::Network),
            ("dns error", Cause::Network),
            ("invalid peer certificate: UnknownIssuer", Cause::Tls),
            ("no providers in chain provided credentials", Cause::NoCredentials),
            ("it is a web page", Cause::WebPage),
            ("no space left", Cause::Full),
        ] {
            assert_eq!(Cause::of(reason), Some(cause), "{reason}");
        }
        assert_eq!(Cause::of("something else"), None);
    }
}
