//! `[[after]]`: hooks, which make the consumers of secrets take what a restore or a rotation left.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{ConfigError, is_default};

/// The workloads that `kubectl rollout` restarts.
const ROLLED_OUT: [&str; 3] = ["deployment", "statefulset", "daemonset"];

/// `[[after]]`: one hook. Plain data, and a part of every plan that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AfterSection {
    /// What it is called; no two have the same.
    pub name: String,
    /// After what it runs.
    pub on: Vec<Occasion>,
    /// What it does.
    pub kind: HookKind,
    /// After which it is ended, and failed.
    #[serde(default = "ten_minutes")]
    pub timeout: SignedDuration,
    /// It runs only for secrets of these names, with `*` and `?`; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// `ecs`: the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// `ecs`: the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `lambda`: the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// `ecs`, `lambda`: the region; that of the target otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `kubernetes`: the context of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// `kubernetes`: the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `kubernetes`: workloads to restart, such as `deployment/web`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart: Vec<String>,
    /// `kubernetes`: ExternalSecret objects to read again, before the restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_secrets: Vec<String>,
    /// `command`: the program and its arguments; no shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// `command`: what a drill runs instead, with `[drill] hooks = "dry"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry_command: Vec<String>,
    /// `command`: exit 0 is not enough, it also writes how many things it did into the file LIFEBOAT_DONE.
    #[serde(default, skip_serializing_if = "is_default")]
    pub counted: bool,
    /// `kubernetes`, `command`: variables that the process gets besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
}

/// After what a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A restore was verified.
    Restore,
    /// Every secret of the hook was rotated by `compromise run`.
    Compromise,
    /// `watch` captured a change of a secret.
    Event,
}

/// What a hook does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// A new deployment of a service.
    Ecs,
    /// An update of the configuration of a function.
    Lambda,
    /// kubectl.
    Kubernetes,
    /// A program.
    Command,
}

/// What a drill does about hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillHooks {
    /// They are printed; nothing is connected to and nothing is started.
    #[default]
    Print,
    /// Also their dry commands are run.
    Dry,
}

impl Occasion {
    /// As the configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Compromise => "compromise",
            Self::Event => "event",
        }
    }
}

impl HookKind {
    /// As the configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Lambda => "lambda",
            Self::Kubernetes => "kubernetes",
            Self::Command => "command",
        }
    }

    /// The keys that only some kinds have.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Ecs => &["cluster", "service", "region"],
            Self::Lambda => &["function", "region"],
            Self::Kubernetes => &["context", "namespace", "restart", "external_secrets", "environment"],
            Self::Command => &["command", "dry_command", "counted", "environment"],
        }
    }

    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Ecs => &["cluster", "service"],
            Self::Lambda => &["function"],
            Self::Kubernetes => &["context", "namespace"],
            Self::Command => &["command"],
        }
    }
}

impl AfterSection {
    /// The keys of single kinds that are set.
    fn set(&self) -> Vec<&'static str> {
        let is_set = [
            ("cluster", self.cluster.is_some()),
            ("service", self.service.is_some()),
            ("function", self.function.is_some()),
            ("region", self.region.is_some()),
            ("context", self.context.is_some()),
            ("namespace", self.namespace.is_some()),
            ("restart", !self.restart.is_empty()),
            ("external_secrets", !self.external_secrets.is_empty()),
            ("command", !self.command.is_empty()),
            ("dry_command", !self.dry_command.is_empty()),
            ("counted", self.counted),
            ("environment", !self.environment.is_empty()),
        ];
        is_set.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
    }

    fn fault(&self) -> Option<String> {
        let kind = self.kind.as_str();
        if self.name.is_empty() {
            return Some("a hook has no name".into());
        }
        if self.on.is_empty() {
            return Some("on is empty: write \"restore\", \"compromise\", or both".into());
        }
        if self.timeout <= SignedDuration::ZERO {
            return Some("timeout must be above 0".into());
        }
        let set = self.set();
        if let Some(key) = set.iter().find(|key| !self.kind.keys().contains(key)) {
            return Some(format!("a hook of kind {kind} has no {key}"));
        }
        if let Some(key) = self.kind.required().iter().find(|key| !set.contains(key)) {
            return Some(format!("a hook of kind {kind} needs {key}"));
        }
        let names = [("cluster", &self.cluster), ("service", &self.service), ("function", &self.function)];
        for (key, name) in names.into_iter().filter_map(|(key, name)| Some((key, name.as_ref()?))) {
            // An ARN or a qualifier would leave open which region, or which version, is meant.
            if !is_plain_name(name) {
                return Some(format!("{key} must be a name: letters, digits, - and _"));
            }
        }
        match self.kind {
            HookKind::Kubernetes => self.fault_of_kubernetes(),
            HookKind::Command => {
                let is_bad = |argv: &Vec<String>| argv.first().is_some_and(String::is_empty);
                let is_bad = is_bad(&self.command) || is_bad(&self.dry_command);
                is_bad.then(|| "the first word of a command is the program, and is empty".into())
            }
            HookKind::Ecs | HookKind::Lambda => None,
        }
        .or_else(|| {
            let bad = self.environment.iter().find(|name| name.is_empty() || name.contains(['=', '\0']))?;
            Some(format!("environment: {bad:?} is no name of a variable"))
        })
    }

    fn fault_of_kubernetes(&self) -> Option<String> {
        if self.restart.is_empty() && self.external_secrets.is_empty() {
            return Some("a hook of kind kubernetes needs restart or external_secrets".into());
        }
        let is_workload = |text: &&String| {
            text.split_once('/').is_some_and(|(kind, name)| ROLLED_OUT.contains(&kind) && is_object_name(name))
        };
        if let Some(bad) = self.restart.iter().find(|text| !is_workload(text)) {
            return Some(format!("restart: {bad:?} is not deployment/NAME, statefulset/NAME or daemonset/NAME"));
        }
        if let Some(bad) = self.external_secrets.iter().find(|name| !is_object_name(name)) {
            return Some(format!("external_secrets: {bad:?} is no name of an object"));
        }
        let words = [("context", &self.context), ("namespace", &self.namespace)];
        let bad = words.into_iter().find(|(_, word)| word.as_deref().is_none_or(str::is_empty));
        bad.map(|(key, _)| format!("{key} is empty"))
    }
}

/// Whether every hook can be meant, and each has a name of its own.
pub(super) fn validate(hooks: &[AfterSection]) -> Result<(), ConfigError> {
    let mut names = BTreeSet::new();
    for hook in hooks {
        if let Some(fault) = hook.fault() {
            return Err(ConfigError::After { name: hook.name.clone(), fault });
        }
        if !names.insert(&hook.name) {
            return Err(ConfigError::After { name: hook.name.clone(), fault: "two hooks have this name".into() });
        }
    }
    Ok(())
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// RFC 1123, as Kubernetes names objects. It begins with no dash, so that it is never taken for an option.
fn is_object_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !name.is_empty() && !name.starts_with(['-', '.']) && name.bytes().all(is_plain)
}

fn ten_minutes() -> SignedDuration {
    SignedDuration::from_mins(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AfterSection, String> {
        let hook: AfterSection = toml::from_str(text).map_err(|error| error.to_string())?;
        validate(std::slice::from_ref(&hook)).map_err(|error| error.to_string())?;
        Ok(hook)
    }

    #[test]
    fn each_kind_has_its_own_keys() {
        let ecs = parse("name = \"api\"\non = [\"restore\"]\nkind = \"ecs\"\ncluster = \"main\"\nservice = \"api\"");
        let ecs = ecs.unwrap();
        assert_eq!((ecs.timeout, ecs.on.as_slice()), (SignedDuration::from_mins(10), &[Occasion::Restore][..]));
        let timed = "name = \"x\"\non = [\"compromise\"]\nkind = \"command\"\ncommand = [\"true\"]\ntimeout = \"90s\"";
        assert_eq!(parse(timed).unwrap().timeout, SignedDuration::from_secs(90));
        let again: AfterSection = toml::from_str(&toml::to_string(&ecs).unwrap()).unwrap();
        assert_eq!(again, ecs, "its text round trips");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, says) in [
            ("on = []\nkind = \"command\"\ncommand = [\"x\"]", "on is empty"),
            ("on = [\"start\"]\nkind = \"command\"\ncommand = [\"x\"]", "unknown variant `start`"),
            ("on = [\"restore\"]\nkind = \"shell\"", "unknown variant `shell`"),
            ("on = [\"restore\"]\nkind = \"ecs\"\ncluster = \"c\"", "needs service"),
            (
                "on = [\"restore\"]\nkind = \"ecs\"\ncluster = \"c\"\nservice = \"s\"\nfunction = \"f\"",
                "has no function",
            ),
            ("on = [\"restore\"]\nkind = \"lambda\"\nfunction = \"f:live\"", "must be a name"),
            ("on = [\"restore\"]\nkind = \"kubernetes\"\ncontext = \"c\"\nnamespace = \"n\"", "needs restart"),
            (
                "on = [\"restore\"]\nkind = \"kubernetes\"\ncontext = \"c\"\nnamespace = \"n\"\nrestart = [\"pod/x\"]",
                "is not deployment/NAME",
            ),
            (
                "on = [\"restore\"]\nkind = \"kubernetes\"\ncontext = \"c\"\nnamespace = \"n\"\nexternal_secrets = [\"--all\"]",
                "is no name of an object",
            ),
            ("on = [\"restore\"]\nkind = \"command\"\ncommand = [\"\"]", "is the program"),
            ("on = [\"restore\"]\nkind = \"command\"\ncommand = [\"x\"]\ntimeout = \"0s\"", "above 0"),
            (
                "on = [\"restore\"]\nkind = \"command\"\ncommand = [\"x\"]\nenvironment = [\"A=b\"]",
                "is no name of a variable",
            ),
            ("on = [\"restore\"]\nkind = \"command\"\ncomand = [\"x\"]", "unknown field `comand`"),
        ] {
            let error = parse(&format!("name = \"x\"\n{text}")).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let hook = parse("name = \"x\"\non = [\"restore\"]\nkind = \"command\"\ncommand = [\"x\"]").unwrap();
        assert!(validate(&[hook.clone(), hook]).unwrap_err().to_string().contains("two hooks have this name"));
    }
}
