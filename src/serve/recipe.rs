//! How an application is pointed here: variables of its environment, and nothing in its code.

use crate::text::shell;

/// Who reads secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// AWS SDK for JavaScript 3.
    Js,
    /// boto3.
    Python,
    /// AWS SDK for Java 2, Kotlin, Scala.
    Java,
    /// AWS SDK for Go 2.
    Go,
    /// The aws command.
    Cli,
    /// External Secrets Operator.
    Eso,
}

impl Language {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Js, Self::Python, Self::Java, Self::Go, Self::Cli, Self::Eso];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Js => "js",
            Self::Python => "python",
            Self::Java => "java",
            Self::Go => "go",
            Self::Cli => "cli",
            Self::Eso => "eso",
        }
    }

    /// The one with this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.word() == word)
    }
}

/// Keys, profiles and web identities in the environment win over the container's credentials in every SDK.
pub const UNSET: [&str; 10] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];

/// The lines for a shell, or for a manifest, for a server at `endpoint` and the token that a grant wrote to `token`.
pub fn recipe(language: Language, endpoint: &str, token: &str) -> String {
    if language == Language::Eso {
        return eso(endpoint, token);
    }
    let creds = format!("{endpoint}/creds");
    let mut text = format!(
        "unset {}\n\
         export AWS_ENDPOINT_URL_SECRETS_MANAGER={}\n\
         export AWS_ENDPOINT_URL_STS={}\n\
         export AWS_CONTAINER_CREDENTIALS_FULL_URI={}\n\
         export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={}\n",
        UNSET.join(" "),
        shell(endpoint),
        shell(endpoint),
        shell(&creds),
        shell(token)
    );
    if endpoint.starts_with("https:") {
        text.push_str(match language {
            Language::Js => "export NODE_EXTRA_CA_CERTS=CA.pem   # the authority of the server's certificate\n",
            Language::Java => {
                "# add the authority of the server's certificate to the trust store: -Djavax.net.ssl.trustStore=FILE\n"
            }
            Language::Go => "export SSL_CERT_FILE=CA.pem   # the authority of the server's certificate\n",
            _ => {
                "export AWS_CA_BUNDLE=CA.pem   # the authority of the server's certificate\n\
                 # boto3 and aws do not use AWS_CA_BUNDLE for credentials. Unless the system trusts the authority, set\n\
                 # AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN from `lifeboat break-glass grant --json`.\n"
            }
        });
    }
    text.push_str(notes(language));
    text
}

fn notes(language: Language) -> &'static str {
    match language {
        Language::Js => {
            "# @aws-sdk/client-secrets-manager 3.451 or newer, unmodified. An endpoint in the code wins: remove it.\n\
             # aws-sdk 2 does not read these variables: pass endpoint, and new AWS.RemoteCredentials() or the keys of\n\
             # `lifeboat break-glass grant --json`, to new AWS.SecretsManager().\n"
        }
        Language::Python => {
            "# boto3 1.28 or newer, unmodified. An endpoint_url or keys in the code win: remove them.\n\
             # Older ones: boto3.client(\"secretsmanager\", endpoint_url=…), same credentials.\n"
        }
        Language::Java => {
            "# AWS SDK for Java 2.28 or newer reads these variables, or -Daws.endpointUrlSecretsManager=….\n\
             # Older ones: SecretsManagerClient.builder().endpointOverride(URI.create(…)), same credentials.\n"
        }
        Language::Go => "# aws-sdk-go-v2 from November 2023 on, unmodified. aws-sdk-go 1: aws.Config{Endpoint: …}.\n",
        Language::Cli => {
            "# aws 2.13 or 1.29 and newer. Then: aws secretsmanager get-secret-value --secret-id NAME --region REGION\n"
        }
        Language::Eso => "",
    }
}

/// The operator reads variables of its own, and keys from a Secret or from its container.
fn eso(endpoint: &str, token: &str) -> String {
    format!(
        "# The controller's Deployment; the server must be reachable from its pod: run it as a sidecar, or with TLS.\n\
         env:\n\
         \u{20} - name: AWS_SECRETSMANAGER_ENDPOINT\n\
         \u{20}   value: {endpoint:?}\n\
         \u{20} - name: AWS_STS_ENDPOINT\n\
         \u{20}   value: {endpoint:?}\n\
         # The keys, for the secretRef of the SecretStore (they end with the grant; {token} holds the same right):\n\
         #   lifeboat break-glass grant external-secrets --secrets 'PATTERN' --for 12h --json\n\
         #   kubectl create secret generic lifeboat-keys --from-literal=access-key=… --from-literal=secret-key=… \\\n\
         #     --from-literal=session-token=…\n\
         # spec.provider.aws.auth.secretRef: accessKeyIDSecretRef, secretAccessKeySecretRef, sessionTokenSecretRef\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_unsets_what_would_win_and_sets_the_four() {
        for language in [Language::Js, Language::Python, Language::Java, Language::Go, Language::Cli] {
            let text = recipe(language, "http://127.0.0.1:4590", "/run/x y/token");
            assert!(text.starts_with("unset AWS_ACCESS_KEY_ID "), "{text}");
            assert!(text.contains("AWS_ENDPOINT_URL_SECRETS_MANAGER=http://127.0.0.1:4590\n"), "{text}");
            assert!(text.contains("FULL_URI=http://127.0.0.1:4590/creds\n"), "{text}");
            assert!(text.contains("TOKEN_FILE='/run/x y/token'\n"), "{text}");
            assert!(!text.contains("CA.pem"));
            assert_ne!(recipe(language, "https://glass:4590", "t"), recipe(language, "http://glass:4590", "t"));
        }
        let eso = recipe(Language::Eso, "https://glass:4590", "t");
        assert!(eso.contains("AWS_SECRETSMANAGER_ENDPOINT\n    value: \"https://glass:4590\"\n"), "{eso}");
    }
}
