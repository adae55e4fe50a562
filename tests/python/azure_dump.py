"""Prints every secret of a vault as Microsoft's client sees it: versions oldest first.

Usage: azure_dump.py VAULT AUTHORITY CERTIFICATE SECRET
"""

import json
import sys

import azure_vault

vault, _ = azure_vault.client(*sys.argv[1:])


def time(at):
    return at and at.isoformat()


def mark(properties):
    number = (properties.tags or {}).get("lifeboat-version", "0.").split(".")[0]
    return int(number)


estate = {}
for secret in vault.list_properties_of_secrets():
    rows = []
    found = azure_vault.versions(vault, secret.name).values()
    for properties, value in sorted(found, key=lambda it: (it[0].created_on, mark(it[0]))):
        rows.append({
            "value": value,
            "enabled": properties.enabled,
            "type": properties.content_type,
            "not_before": time(properties.not_before),
            "expires": time(properties.expires_on),
            "tags": properties.tags or {},
        })
    try:
        current = vault.get_secret(secret.name).value
    except Exception as error:
        current = type(error).__name__
    estate[secret.name] = {"versions": rows, "current": current}
print(json.dumps(estate))
