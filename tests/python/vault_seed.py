"""Fills a dev server of OpenBao with odd keys by the client hvac, and prints what is there as that client sees it.

Usage: vault_seed.py ADDRESS ROOT_TOKEN
"""

import json
import sys

import hvac

from vault_keys import keys

ADDRESS, TOKEN = sys.argv[1:]
client = hvac.Client(url=ADDRESS, token=TOKEN)
kv = client.secrets.kv.v2
POLICY = """
path "secret/data/*" { capabilities = ["read"] }
path "secret/metadata/*" { capabilities = ["read", "list"] }
path "%s" { capabilities = ["deny"] }
"""


def put(path, *values):
    for value in values:
        kv.create_or_update_secret(path, secret=value)


def seed():
    put("app/db", {"user": "app", "password": "one"}, {"user": "app", "password": "two & <three>"})
    kv.update_metadata("app/db", custom_metadata={"owner": "team é", "tier": "gold"}, max_versions=7, cas_required=True)
    put("app/gone", {"v": "1"}, {"v": "2"}, {"v": "3"})
    kv.delete_secret_versions("app/gone", [2])
    kv.destroy_secret_versions("app/gone", [1])
    put("app/all-deleted", {"v": "1"})
    kv.delete_latest_version_of_secret("app/all-deleted")
    put("both", {"is": "a key"})
    put("both/below", {"is": "below a key"})
    kv.update_metadata("only-metadata", custom_metadata={"note": "no version"})
    put("pruned", *({"v": str(number)} for number in range(1, 14)))
    kv.update_metadata("leaves-later", delete_version_after="1h")
    put("leaves-later", {"v": "still there"})
    put("odd name/with % and ?#+;", {"ünïcode": "✓", "nested": {"a": [1, None, True, "x\n\0y"]}})
    put("numbers", {"large": 9007199254740992, "half": 0.5})
    put("big", {"value": "x" * 300_000})
    put("empty", {})
    for number in range(40):
        put(f"many/{number:02}", {"v": str(number)})
    put("denied/key", {"v": "nobody reads this"})


def dump():
    estate = {}
    for path in sorted(set(keys(kv, "secret"))):
        metadata = kv.read_secret_metadata(path)["data"]
        values = {}
        for number, row in metadata["versions"].items():
            gone = row["destroyed"] or (row["deletion_time"] and path != "leaves-later")
            if not gone:
                answer = kv.read_secret_version(path, version=int(number), raise_on_deleted_version=False)
                values[number] = answer["data"]["data"]
        estate[path] = {"metadata": metadata, "values": values}
    return estate


seed()
client.sys.create_or_update_policy("backup", POLICY % "secret/data/denied/*")
client.sys.enable_auth_method("approle")
client.auth.approle.create_or_update_approle("backup", token_policies=["backup"], token_ttl="1h")
role_id = client.auth.approle.read_role_id("backup")["data"]["role_id"]
secret_id = client.auth.approle.generate_secret_id("backup")["data"]["secret_id"]
print(json.dumps({"role_id": role_id, "secret_id": secret_id, "estate": dump()}))
