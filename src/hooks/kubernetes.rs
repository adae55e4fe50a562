//! kubectl, the operator's own: which commands, and what its answers must show.
//!
//! <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/>,
//! <https://external-secrets.io/latest/introduction/faq/>.

use std::fmt;

use crate::config::AfterSection;

const KUBECTL: &str = "kubectl";
/// What `rollout status` prints at the end of deployments, daemon sets and stateful sets.
const ENDS: [&str; 3] = ["successfully rolled out", "rolling update complete", "roll out complete"];
/// The lines that [`Synced`] reads.
const STATE: &str = concat!(
    r#"--output=jsonpath={.metadata.name}{"\n"}{.status.syncedResourceVersion}{"\n"}"#,
    r#"{.status.conditions[?(@.type=="Ready")].status}{"\n"}{.status.conditions[?(@.type=="Ready")].reason}"#
);

/// How far an ExternalSecret is. Its operator hashes the annotations that it saw into the version, and writes it only when it has
/// read the values and made the secret: <https://external-secrets.io/latest/api/spec/#external-secrets.io/v1.ExternalSecretStatus>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Synced {
    version: String,
    ready: String,
    reason: String,
}

impl Synced {
    pub(super) fn read(printed: &str) -> Self {
        let mut lines = printed.lines().skip(1).map(|line| line.trim().to_owned());
        let mut next = || lines.next().unwrap_or_default();
        Self { version: next(), ready: next(), reason: next() }
    }

    /// Whether values were read again since `before`, by an operator that saw a mark which is newer than that.
    pub(super) fn follows(&self, before: &Self) -> bool {
        !self.version.is_empty() && self.version != before.version && self.ready == "True"
    }
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => f.write_str("its operator says nothing of it"),
            reason => write!(f, "Ready is {}: {reason}", self.ready),
        }
    }
}

fn step(section: &AfterSection, words: &[&str]) -> Vec<String> {
    let place = [("context", &section.context), ("namespace", &section.namespace)];
    let place = place.map(|(key, value)| format!("--{key}={}", value.as_deref().unwrap_or_default()));
    let words = words.iter().map(|word| (*word).to_owned());
    std::iter::once(KUBECTL.to_owned()).chain(place).chain(words).collect()
}

/// Asks how far an ExternalSecret is.
pub(super) fn state(section: &AfterSection, name: &str) -> Vec<String> {
    step(section, &["get", &format!("externalsecret/{name}"), STATE])
}

/// Makes its operator read the values again.
pub(super) fn annotate(section: &AfterSection, name: &str, mark: &str) -> Vec<String> {
    let (object, mark) = (format!("externalsecret/{name}"), format!("force-sync={mark}"));
    step(section, &["annotate", "--overwrite", "--output=name", &object, &mark])
}

/// Restarts every workload, then waits for each.
pub(super) fn rollouts(section: &AfterSection) -> Vec<Vec<String>> {
    let restarts =
        section.restart.iter().map(|workload| step(section, &["rollout", "restart", "--output=name", workload]));
    // It waits without a limit of its own: the hook has one.
    let waits = section.restart.iter().map(|workload| step(section, &["rollout", "status", "--watch=true", workload]));
    restarts.chain(waits).collect()
}

/// Every command that changes something, or waits for that, as a plan shows it. Between the two parts it asks how far each
/// ExternalSecret is.
pub(super) fn changes(section: &AfterSection) -> Vec<Vec<String>> {
    let marks = section.external_secrets.iter().map(|name| annotate(section, name, "MARK"));
    marks.chain(rollouts(section)).collect()
}

/// Whether what a command printed shows that it did something: exit 0 alone proves nothing.
pub(super) fn is_shown(step: &[String], printed: &str) -> bool {
    let object = |text: &str| !text.is_empty() && step.iter().any(|word| word.ends_with(&format!("/{text}")));
    let has = |word: &str| step.iter().any(|other| other == word);
    if has("status") {
        return printed.lines().any(|line| ENDS.iter().any(|end| line.contains(end)));
    }
    if has("get") {
        return printed.lines().next().is_some_and(object);
    }
    // `--output=name` prints the kind with its group, and the name.
    printed.lines().any(|line| line.trim_end().rsplit_once('/').is_some_and(|(_, name)| object(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_prints_must_show_what_it_did() {
        let step = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let restart = step("kubectl rollout restart --output=name deployment/web");
        assert!(is_shown(&restart, "deployment.apps/web\n"));
        for nothing in ["", "deployment.apps/other\n", "web\n", "error: no\n"] {
            assert!(!is_shown(&restart, nothing), "{nothing}");
        }
        let status = step("kubectl rollout status --watch=true statefulset/db");
        assert!(is_shown(
            &status,
            "Waiting for 1 pods to be ready...\nstatefulset rolling update complete 1 pods at revision db-1...\n"
        ));
        assert!(!is_shown(&status, "") && !is_shown(&status, "Waiting for 1 pods to be ready...\n"));
    }

    #[test]
    fn a_secret_was_read_again_when_its_version_is_another_one() {
        let hook = "name = \"pods\"\non = [\"restore\"]\nkind = \"kubernetes\"";
        let step = state(&toml::from_str(hook).unwrap(), "web-env");
        assert!(is_shown(&step, "web-env\n1-ab\nTrue\nSecretSynced"));
        assert!(!is_shown(&step, "") && !is_shown(&step, "\n") && !is_shown(&step, "other\n1-ab\nTrue\n"));
        let read = |version: &str, ready: &str| Synced::read(&format!("web-env\n{version}\n{ready}\nWhy"));
        let before = read("1-ab", "True");
        assert!(read("1-cd", "True").follows(&before) && read("1-cd", "True").follows(&Synced::read("web-env")));
        for not_yet in [read("1-ab", "True"), read("1-cd", "False"), read("", "True"), Synced::read("")] {
            assert!(!not_yet.follows(&before), "{not_yet:?}");
        }
    }
}
