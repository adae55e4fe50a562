//! The least roles, as commands of gcloud: <https://docs.cloud.google.com/secret-manager/docs/access-control>.

use super::GcpAddress;

/// What a backup needs beside the two roles of Secret Manager that read: the policies of secrets.
const BACKUP: [&str; 9] = [
    "resourcemanager.projects.get",
    "secretmanager.locations.get",
    "secretmanager.locations.list",
    "secretmanager.secrets.get",
    "secretmanager.secrets.getIamPolicy",
    "secretmanager.secrets.list",
    "secretmanager.versions.access",
    "secretmanager.versions.get",
    "secretmanager.versions.list",
];
/// What a restore needs beside that, in the target alone.
const RESTORE: [&str; 8] = [
    "secretmanager.secrets.create",
    "secretmanager.secrets.delete",
    "secretmanager.secrets.setIamPolicy",
    "secretmanager.secrets.update",
    "secretmanager.versions.add",
    "secretmanager.versions.destroy",
    "secretmanager.versions.disable",
    "secretmanager.versions.enable",
];

/// A role that reads every secret of a project and changes nothing.
pub fn backup_roles(address: &GcpAddress) -> String {
    role("lifeboatBackup", "Lifeboat backup", &BACKUP, address)
}

/// A role that makes, reads back and removes secrets: for a target, never for a source.
pub fn restore_roles(address: &GcpAddress) -> String {
    let all: Vec<&str> = BACKUP.iter().chain(&RESTORE).copied().collect();
    role("lifeboatRestore", "Lifeboat restore", &all, address)
}

fn role(id: &str, title: &str, permissions: &[&str], address: &GcpAddress) -> String {
    let project = &address.project;
    let permissions = permissions.join(",");
    format!(
        "gcloud iam roles create {id} --project={project} --title='{title}' --stage=GA \\\n    --permissions={permissions}\n\
         gcloud projects add-iam-policy-binding {project} --role=projects/{project}/roles/{id} \\\n    \
         --member=serviceAccount:NAME@PROJECT.iam.gserviceaccount.com\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_changes_nothing() {
        let address = "gcp:acme-prod".parse().unwrap();
        let backup = backup_roles(&address);
        assert!(backup.contains("secretmanager.versions.access") && backup.contains("--project=acme-prod"));
        for verb in ["create,", "delete", "update", "add,", "destroy", "disable", "enable", "setIamPolicy"] {
            assert!(!backup.contains(&format!(".{verb}")), "{verb}");
        }
        assert!(restore_roles(&address).contains("secretmanager.versions.destroy"));
    }
}
