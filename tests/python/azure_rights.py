"""Reads the rights of a vault of the sandbox by Microsoft's own clients of the Resource Manager.

Usage: azure_rights.py VAULT AUTHORITY CERTIFICATE SECRET
"""

import json
import sys

from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient

import azure_vault

vault, authority, certificate, secret = sys.argv[1:]
name = vault.split("//")[1].split(".")[0]
subscription = "00000000-0000-4000-8000-000000000001"


class Credential(azure_vault.Credential):
    """Nobody tells the tenant here: any will do."""

    def get_token(self, *scopes, **more):
        return super().get_token(*scopes, tenant_id=more.get("tenant_id") or "any")


more = {"base_url": authority, "credential_scopes": [f"{authority}/.default"], "connection_verify": certificate}
credential = Credential(authority, certificate, secret)
vaults = KeyVaultManagementClient(credential, subscription, **more)
roles = AuthorizationManagementClient(credential, subscription, **more)
shown = vaults.vaults.get("sandbox", name)
found = []
for assignment in roles.role_assignments.list_for_scope(shown.id):
    role = roles.role_definitions.get_by_id(assignment.role_definition_id)
    found.append([assignment.scope, assignment.principal_id, assignment.principal_type, role.role_name])
policies = [[policy.object_id, policy.permissions.secrets] for policy in shown.properties.access_policies or []]
print(json.dumps({
    "id": shown.id, "uri": shown.properties.vault_uri, "by_role": shown.properties.enable_rbac_authorization,
    "assignments": found, "policies": policies,
}))
