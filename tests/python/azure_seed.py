"""Fills a vault with everything that a version can have, and prints what it did.

Usage: azure_seed.py VAULT AUTHORITY CERTIFICATE SECRET
"""

import datetime
import json
import sys

import azure_vault

vault, _ = azure_vault.client(*sys.argv[1:])
when = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
# Several versions in one second, each with its own tags, type and dates; one of them disabled.
vault.set_secret("orders-db", "one", tags={"team": "a", "step": "1"}, content_type="text/plain")
old = vault.set_secret("orders-db", "two", tags={"team": "a", "step": "2"}, not_before=when)
vault.set_secret("orders-db", '{"user": "app", "password": "three"}', tags={"team": "b"}, content_type="application/json")
vault.update_secret_properties("orders-db", old.properties.version, enabled=False)
vault.set_secret("Plain", "value")
vault.set_secret("expired", "still readable", expires_on=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
vault.set_secret("tags-fourteen", "x", tags={f"tag-{number:02}": "v" * number for number in range(14)})
vault.set_secret("empty", "")
vault.set_secret("long", "ü" * 12_000)
vault.set_secret("binary", "AAECAwQF/w==", content_type="application/octet-stream;base64")
for number in range(55):
    vault.set_secret("history", f"value {number}")
vault.set_secret("current-disabled", "nobody gets it", enabled=False)
vault.set_secret("gone", "deleted")
vault.begin_delete_secret("gone").wait()
print(json.dumps({"names": sorted(it.name for it in vault.list_properties_of_secrets())}))
