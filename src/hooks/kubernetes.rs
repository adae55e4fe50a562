//! kubectl, the operator's own: which commands, and what its answers must show.
//!
//! <https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/>,
//! <https://external-secrets.io/latest/introduction/faq/>.

use crate::config::AfterSection;

const KUBECTL: &str = "kubectl";
/// What `rollout status` prints at the end of deployments, daemon sets and stateful sets.
const ENDS: [&str; 3] = ["successfully rolled out", "rolling update complete", "roll out complete"];

/// The commands, in their order: values are read again before workloads start with them.
pub(super) fn steps(section: &AfterSection, time: &str) -> Vec<Vec<String>> {
    let step = |words: &[&str]| {
        let place = [("context", &section.context), ("namespace", &section.namespace)];
        let place = place.map(|(key, value)| format!("--{key}={}", value.as_deref().unwrap_or_default()));
        let words = words.iter().map(|word| (*word).to_owned());
        std::iter::once(KUBECTL.to_owned()).chain(place).chain(words).collect::<Vec<_>>()
    };
    let mut steps = Vec::new();
    for name in &section.external_secrets {
        let (object, mark) = (format!("externalsecret/{name}"), format!("force-sync={time}"));
        steps.push(step(&["annotate", "--overwrite", "--output=name", &object, &mark]));
    }
    for workload in &section.restart {
        steps.push(step(&["rollout", "restart", "--output=name", workload]));
    }
    for workload in &section.restart {
        // It waits without a limit of its own: the hook has one.
        steps.push(step(&["rollout", "status", "--watch=true", workload]));
    }
    steps
}

/// Whether what a command printed shows that it did something: exit 0 alone proves nothing.
pub(super) fn is_shown(step: &[String], printed: &str) -> bool {
    let object = |text: &str| step.iter().any(|word| word.ends_with(&format!("/{text}")));
    if step.iter().any(|word| word == "status") {
        return printed.lines().any(|line| ENDS.iter().any(|end| line.contains(end)));
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
}
