//! The least rights of a backup, a restore and a drill, as a role of one's own.
//! <https://learn.microsoft.com/azure/role-based-access-control/permissions/security#microsoftkeyvault>.

use serde_json::json;

use super::AzureAddress;
use crate::provider::Role;

/// Listing secrets, versions and deleted secrets.
const LIST: &str = "Microsoft.KeyVault/vaults/secrets/readMetadata/action";
/// Reading a value.
const GET: &str = "Microsoft.KeyVault/vaults/secrets/getSecret/action";
/// Making a version.
const SET: &str = "Microsoft.KeyVault/vaults/secrets/setSecret/action";
/// Changing what a version has beside its value.
const UPDATE: &str = "Microsoft.KeyVault/vaults/secrets/update/action";
/// Taking a deleted secret back.
const RECOVER: &str = "Microsoft.KeyVault/vaults/secrets/recover/action";
/// Deleting a secret; it can be recovered.
const DELETE: &str = "Microsoft.KeyVault/vaults/secrets/delete";
/// Removing a deleted secret for good.
const PURGE: &str = "Microsoft.KeyVault/vaults/secrets/purge/action";

/// The definition of a role that has what a duty needs and nothing else, for `az role definition create`.
pub(super) fn definition(address: &AzureAddress, role: Role) -> String {
    let (name, what, actions): (_, _, &[&str]) = match role {
        Role::Backup => ("backup", "Reads the secrets of a key vault, and changes nothing", &[LIST, GET]),
        Role::Restore => {
            ("restore", "Writes secrets into a key vault, and deletes none", &[LIST, GET, SET, UPDATE, RECOVER])
        }
        Role::Drill | Role::Access | Role::Consumers => {
            let all: &[&str] = &[LIST, GET, SET, UPDATE, RECOVER, DELETE, PURGE];
            ("drill", "Writes secrets into the key vault of a drill, and removes them again", all)
        }
    };
    let definition = json!({
        "Name": format!("Lifeboat {name}"),
        "Description": format!("{what}: {}.", address.account()),
        "Actions": [],
        "NotActions": [],
        "DataActions": actions,
        "NotDataActions": [],
        "AssignableScopes": ["/subscriptions/SUBSCRIPTION"],
    });
    serde_json::to_string_pretty(&definition).expect("JSON is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_of_a_backup_changes_nothing_and_that_of_a_restore_deletes_nothing() {
        let actions = |role| {
            let text = definition(&"azure:prod".parse().unwrap(), role);
            let role: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(role["Actions"], json!([]));
            role["DataActions"].as_array().unwrap().clone()
        };
        assert_eq!(actions(Role::Backup), [LIST, GET]);
        assert!(!actions(Role::Restore).iter().any(|action| action == DELETE || action == PURGE));
        assert!(actions(Role::Drill).iter().any(|action| action == PURGE));
    }
}
