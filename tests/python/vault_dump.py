"""Prints every key of a KV engine, version 2, as the client hvac sees it.

Usage: vault_dump.py ADDRESS TOKEN MOUNT
"""

import json
import sys

import hvac

from vault_keys import keys

ADDRESS, TOKEN, MOUNT = sys.argv[1:]
client = hvac.Client(url=ADDRESS, token=TOKEN)
kv = client.secrets.kv.v2


def dump():
    estate = {}
    for path in sorted(set(keys(kv, MOUNT))):
        metadata = kv.read_secret_metadata(path, mount_point=MOUNT)["data"]
        values = {}
        for number, row in metadata["versions"].items():
            try:
                answer = kv.read_secret_version(
                    path, version=int(number), mount_point=MOUNT, raise_on_deleted_version=False
                )
                values[number] = answer["data"]["data"]
            except hvac.exceptions.InvalidPath:
                values[number] = None
        estate[path] = {"metadata": metadata, "values": values}
    return estate


print(json.dumps(dump()))
