//! The least policy of a backup, in HCL: <https://developer.hashicorp.com/vault/docs/concepts/policies>.

use super::super::VaultAddress;

/// What reads every key of an engine and writes nothing; `None` where a policy cannot name the mount: in its paths `*` and `+`
/// stand for anything.
pub fn backup_policy(address: &VaultAddress) -> Option<String> {
    let mount = &address.mount;
    if mount.is_empty() || mount.contains(['*', '+', '"', '\\']) || mount.chars().any(char::is_control) {
        return None;
    }
    let rule = |path: &str, may: &str| format!("path \"{mount}/{path}\" {{\n  capabilities = [{may}]\n}}\n");
    let namespace = address.namespace.as_ref().map(|name| format!("# Belongs into the namespace {name}.\n"));
    Some(
        [
            namespace.unwrap_or_default(),
            rule("metadata/*", "\"read\", \"list\""),
            rule("data/*", "\"read\""),
            "# OpenBao alone: names and metadata come together, in pages. Vault takes no notice of it.\n".into(),
            rule("detailed-metadata/*", "\"list\""),
            format!("# An engine of version 1 needs this line alone:\n# path \"{mount}/*\" {{ capabilities = [\"read\", \"list\"] }}\n"),
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_reading_is_allowed_and_an_odd_mount_has_no_policy() {
        let policy = backup_policy(&"vault:https://v/team%20a/kv?namespace=x/y".parse().unwrap()).unwrap();
        assert!(policy.contains("path \"team a/kv/data/*\" {\n  capabilities = [\"read\"]\n}"), "{policy}");
        assert!(policy.contains("namespace x/y"), "{policy}");
        for verb in ["create", "update", "delete", "sudo", "patch"] {
            assert!(!policy.contains(verb), "{policy}");
        }
        for mount in ["a*", "a+b", "a%22b", "a%5Cb", "a%0Ab"] {
            let address = format!("vault:https://v/{mount}").parse().unwrap();
            assert_eq!(backup_policy(&address), None, "{mount}");
        }
    }
}
