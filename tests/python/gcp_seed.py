"""Fills a project with odd secrets by Google's own client, and prints what is there as that client sees it.

Usage: gcp_seed.py ADDRESS projects/PROJECT
"""

import json
import sys

from gcp_client import client, crc32c, dump
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

ADDRESS, PROJECT = sys.argv[1:]
ID = PROJECT.rsplit("/", 1)[1]
api = client(ADDRESS)


def make(name, *values, **secret):
    made = api.create_secret(
        parent=PROJECT, secret_id=name, secret={"replication": {"automatic": {}}, **secret}
    )
    for value in values:
        api.add_secret_version(parent=made.name, payload={"data": value, "data_crc32c": crc32c(value)})
    return made.name


def update(name, **secret):
    mask = field_mask_pb2.FieldMask(paths=list(secret))
    api.update_secret(secret={"name": name, **secret}, update_mask=mask)


def bind(name, *bindings):
    api.set_iam_policy(request={"resource": name, "policy": {"version": 3, "bindings": list(bindings)}})


app = make(
    "app", b"one", b'{"user": "a", "n": 1.50}', "dreiß 🔑".encode(),
    labels={"team": "a", "größe": "日本"},
    annotations={"note": "Any text: é 🔑", "team": "the same key as a label"},
    topics=[{"name": f"{PROJECT}/topics/rotate"}],
    rotation={
        "next_rotation_time": timestamp_pb2.Timestamp(seconds=4102444800),
        "rotation_period": duration_pb2.Duration(seconds=86400),
    },
)
update(app, version_aliases={"stable": 2, "first": 1})
reader = "serviceAccount:app@%s.iam.gserviceaccount.com" % ID
bind(
    app,
    {"role": "roles/secretmanager.secretAccessor", "members": [reader, "user:ana@example.com"]},
    {
        "role": "roles/secretmanager.viewer",
        "members": ["group:ops@example.com"],
        "condition": {"title": "until", "expression": "request.time < timestamp('2030-01-01T00:00:00Z')"},
    },
)
make("binary", bytes(range(256)), b"\x00", b"\xff\xfe")
large = make("large", b"x" * 65536)
labelled = make("labelled", b"v", labels={f"label-{number}": "" for number in range(10)}, secret_type="OTHER")
api.enable_secret_version(name=labelled + "/versions/1")
public = make("public", b"everybody's")
bind(public, {"role": "roles/secretmanager.secretAccessor", "members": ["allUsers"]})
disabled = make("disabled", b"one", b"two", b"three")
update(disabled, version_aliases={"old": 2})
api.disable_secret_version(name=disabled + "/versions/2")
destroyed = make("destroyed", b"one", b"two", b"three", b"four")
api.destroy_secret_version(name=destroyed + "/versions/1")
api.destroy_secret_version(name=destroyed + "/versions/4")
make("Empty_name-without-versions")
make("expiring", b"v", ttl=duration_pb2.Duration(seconds=86400))
make("delayed", b"v", version_destroy_ttl=duration_pb2.Duration(seconds=86400))
key = "projects/%s/locations/global/keyRings/r/cryptoKeys/k" % ID
make("encrypted", b"v", replication={"automatic": {"customer_managed_encryption": {"kms_key_name": key}}})
where = [{"location": "us-east1"}, {"location": "europe-west1"}]
make("replicated", b"v", replication={"user_managed": {"replicas": where}})
print(json.dumps(dump(api, PROJECT)))
