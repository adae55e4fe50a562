"""Drives a Secret Manager through every operation that the tool uses: by Google's own Python client, and by the client that
Google makes of the discovery document. Prints how many answers were held against that document.

Usage: gcp_face.py ADDRESS
"""

import base64
import datetime
import json
import sys

import gcp_client
import httplib2
from gcp_client import DOCUMENT, check, checked, client, crc32c
from google.api_core import exceptions
from google.cloud import secretmanager_v1 as sm
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2
from googleapiclient import discovery, errors

ADDRESS = sys.argv[1]
PROJECT = "projects/face-project"
api = client(ADDRESS)


def refused(status, words, call, **request):
    try:
        call(request=request)
    except exceptions.GoogleAPICallError as error:
        told = error.response.json()["error"]
        assert told["status"] == status and words in told["message"], told
        return
    raise AssertionError(f"{call.__name__} {request} was not refused")


def secrets():
    made = api.create_secret(
        request={
            "parent": PROJECT,
            "secret_id": "app",
            "secret": {
                "replication": {"automatic": {}},
                "labels": {"team": "a", "größe": "日本"},
                "annotations": {"note": "Any text: é 🔑"},
                "topics": [{"name": "projects/face-project/topics/t"}],
                "secret_type": sm.Secret.SecretType.OTHER,
            },
        }
    )
    number = made.name.split("/")[1]
    assert number.isdigit() and made.name == f"projects/{number}/secrets/app" and made.etag, made
    assert api.get_secret(name=f"{PROJECT}/secrets/app") == made == api.get_secret(name=made.name)
    assert made.secret_type == sm.Secret.SecretType.OTHER
    create = {"parent": PROJECT, "secret_id": "app", "secret": {"replication": {"automatic": {}}}}
    refused("ALREADY_EXISTS", "already exists", api.create_secret, **create)
    refused("INVALID_ARGUMENT", "Secret ID", api.create_secret, **{**create, "secret_id": "a/b"})
    refused("INVALID_ARGUMENT", "replication", api.create_secret, **{**create, "secret_id": "b", "secret": {}})
    for wrong in [
        {"labels": {"Team": "a"}},
        {"labels": {"team": "A"}},
        {"annotations": {"a/b": "c"}},
        {"annotations": {"a": "x" * 16384}},
        {"version_aliases": {"latest": 1}},
        {"version_aliases": {"a": 1}},
        {"rotation": {"next_rotation_time": timestamp_pb2.Timestamp(seconds=4102444800)}},
        {"expire_time": timestamp_pb2.Timestamp(seconds=1)},
        {"version_destroy_ttl": duration_pb2.Duration(seconds=60)},
        {"replication": {"user_managed": {"replicas": []}}},
    ]:
        secret = {"replication": {"automatic": {}}, **wrong}
        refused("INVALID_ARGUMENT", "", api.create_secret, parent=PROJECT, secret_id="b", secret=secret)
    refused("NOT_FOUND", "not found", api.get_secret, name=f"{PROJECT}/secrets/none")
    return made


def update(made):
    secret = {"name": made.name, "labels": {"team": "b"}, "etag": made.etag}
    mask = field_mask_pb2.FieldMask(paths=["labels"])
    changed = api.update_secret(secret=secret, update_mask=mask)
    assert dict(changed.labels) == {"team": "b"} and changed.etag != made.etag and changed.annotations
    refused("FAILED_PRECONDITION", "etag", api.update_secret, secret=secret, update_mask=mask)
    immutable = field_mask_pb2.FieldMask(paths=["replication"])
    del secret["etag"]
    refused("INVALID_ARGUMENT", "replication", api.update_secret, secret=secret, update_mask=immutable)


def versions(made):
    def add(data, checksum=True):
        payload = {"data": data}
        if checksum:
            payload["data_crc32c"] = crc32c(data)
        return api.add_secret_version(parent=made.name, payload=payload)

    first, second, third = add(b"one"), add(bytes(range(256))), add(b"three", checksum=False)
    assert [it.name.rsplit("/", 1)[1] for it in (first, second, third)] == ["1", "2", "3"]
    assert second.client_specified_payload_checksum and not third.client_specified_payload_checksum
    etag = api.get_secret(name=made.name).etag
    assert add(b"x" * 65536).state.name == "ENABLED"
    assert api.get_secret(name=made.name).etag == etag, "a version does not move the secret's etag"
    refused("INVALID_ARGUMENT", "required", api.add_secret_version, parent=made.name, payload={"data": b""})
    refused(
        "INVALID_ARGUMENT", "CRC32C", api.add_secret_version, parent=made.name,
        payload={"data": b"a", "data_crc32c": 1},
    )
    refused("INVALID_ARGUMENT", "", api.add_secret_version, parent=made.name, payload={"data": b"x" * 65537})
    read = api.access_secret_version(name=f"{PROJECT}/secrets/app/versions/2")
    assert read.name == second.name and read.payload.data == bytes(range(256))
    assert read.payload.data_crc32c == crc32c(read.payload.data)
    listed = list(api.list_secret_versions(request={"parent": made.name, "page_size": 1}))
    assert [it.name.rsplit("/", 1)[1] for it in listed] == ["4", "3", "2", "1"], "the newest comes first"
    api.disable_secret_version(name=third.name)
    refused("FAILED_PRECONDITION", "is in DISABLED state", api.access_secret_version, name=third.name)
    api.enable_secret_version(name=third.name)
    assert api.access_secret_version(name=third.name).payload.data == b"three"
    stale = {"name": third.name, "etag": third.etag}
    refused("FAILED_PRECONDITION", "etag", api.disable_secret_version, **stale)
    api.destroy_secret_version(name=f"{made.name}/versions/4")
    gone = api.get_secret_version(name=f"{made.name}/versions/latest")
    assert gone.state.name == "DESTROYED" and gone.destroy_time and gone.name.endswith("/4")
    latest = {"name": f"{made.name}/versions/latest"}
    refused("FAILED_PRECONDITION", "/versions/4] is in DESTROYED state", api.access_secret_version, **latest)
    for call in (api.enable_secret_version, api.disable_secret_version, api.destroy_secret_version):
        refused("FAILED_PRECONDITION", "DESTROYED", call, name=gone.name)
    refused("NOT_FOUND", "not found", api.access_secret_version, name=f"{made.name}/versions/9")
    aliased = api.update_secret(
        secret={"name": made.name, "version_aliases": {"stable": 1, "old": 4}},
        update_mask=field_mask_pb2.FieldMask(paths=["version_aliases"]),
    )
    assert dict(aliased.version_aliases) == {"stable": 1, "old": 4}
    assert api.access_secret_version(name=f"{made.name}/versions/stable").payload.data == b"one"


def delayed():
    secret = {"replication": {"automatic": {}}, "version_destroy_ttl": duration_pb2.Duration(seconds=86400)}
    made = api.create_secret(parent=PROJECT, secret_id="delayed", secret=secret)
    version = api.add_secret_version(parent=made.name, payload={"data": b"later"})
    scheduled = api.destroy_secret_version(name=version.name)
    assert scheduled.state.name == "DISABLED" and scheduled.scheduled_destroy_time
    back = api.enable_secret_version(name=version.name)
    assert back.state.name == "ENABLED" and not back.scheduled_destroy_time
    expiring = {"replication": {"automatic": {}}, "ttl": duration_pb2.Duration(seconds=600)}
    made = api.create_secret(parent=PROJECT, secret_id="expiring", secret=expiring)
    assert made.expire_time > datetime.datetime.now(datetime.timezone.utc)


def policies(made):
    empty = api.get_iam_policy(request={"resource": made.name})
    assert not empty.bindings and empty.etag
    condition = {"title": "t", "expression": "request.time < timestamp('2030-01-01T00:00:00Z')"}
    member = "serviceAccount:app@face-project.iam.gserviceaccount.com"
    binding = {"role": "roles/secretmanager.secretAccessor", "members": [member], "condition": condition}
    wrong = {"version": 1, "bindings": [binding], "etag": empty.etag}
    refused("INVALID_ARGUMENT", "version 3", api.set_iam_policy, resource=made.name, policy=wrong)
    api.set_iam_policy(request={"resource": made.name, "policy": {**wrong, "version": 3}})
    refused(
        "ABORTED", "concurrent", api.set_iam_policy, resource=made.name, policy={**wrong, "version": 3}
    )
    full = api.get_iam_policy(request={"resource": made.name, "options": {"requested_policy_version": 3}})
    assert full.bindings[0].condition.expression == condition["expression"] and full.version == 3
    bare = api.get_iam_policy(request={"resource": made.name, "options": {"requested_policy_version": 1}})
    assert "_withcond_" in bare.bindings[0].role and not bare.bindings[0].condition.expression
    may = api.test_iam_permissions(request={"resource": made.name, "permissions": ["secretmanager.versions.access"]})
    assert list(may.permissions) == ["secretmanager.versions.access"]


def regional():
    parent = f"{PROJECT}/locations/europe-west3"
    key = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/k"
    secret = {"customer_managed_encryption": {"kms_key_name": key}}
    made = api.create_secret(parent=parent, secret_id="app", secret=secret)
    assert "/locations/europe-west3/secrets/app" in made.name
    version = api.add_secret_version(parent=made.name, payload={"data": b"here"})
    assert version.customer_managed_encryption.kms_key_version_name.startswith(key)
    automatic = {"replication": {"automatic": {}}}
    refused("INVALID_ARGUMENT", "regional", api.create_secret, parent=parent, secret_id="b", secret=automatic)
    names = [it.name for it in api.list_secrets(parent=parent)]
    assert names == [made.name], "a location has secrets of its own"
    refused("NOT_FOUND", "Location", api.list_secrets, parent=f"{PROJECT}/locations/nowhere")
    located = api.list_locations(request={"name": PROJECT})
    assert "europe-west3" in [it.location_id for it in located.locations]


def replicas():
    key = "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k"
    where = [{"location": "us-east1", "customer_managed_encryption": {"kms_key_name": key}}, {"location": "us-central1"}]
    secret = {"replication": {"user_managed": {"replicas": where}}}
    made = api.create_secret(parent=PROJECT, secret_id="replicated", secret=secret)
    version = api.add_secret_version(parent=made.name, payload={"data": b"there"})
    assert [it.location for it in version.replication_status.user_managed.replicas] == ["us-east1", "us-central1"]


def listing():
    names = [it.name.rsplit("/", 1)[1] for it in api.list_secrets(request={"parent": PROJECT, "page_size": 2})]
    assert names == ["replicated", "expiring", "delayed", "app"], names
    filtered = api.list_secrets(request={"parent": PROJECT, "filter": "name:app"})
    assert [it.name.rsplit("/", 1)[1] for it in filtered] == ["app"] and filtered.total_size == 0


class Checking(httplib2.Http):
    def request(self, uri, method="GET", **options):
        answer, body = super().request(uri, method, **options)
        check(method, uri, answer.status, body)
        return answer, body


def second():
    """The client that Google makes of the document itself."""
    api = discovery.build_from_document(DOCUMENT, http=Checking(), client_options={"api_endpoint": ADDRESS})
    secrets = api.projects().secrets()
    body = {"replication": {"automatic": {}}, "labels": {"by": "second"}}
    made = secrets.create(parent=PROJECT, secretId="second", body=body).execute()
    payload = {"data": base64.b64encode(b"value").decode(), "dataCrc32c": str(crc32c(b"value"))}
    version = secrets.addVersion(parent=made["name"], body={"payload": payload}).execute()
    assert version["state"] == "ENABLED"
    read = secrets.versions().access(name=version["name"]).execute()
    assert read["payload"] == payload
    secrets.versions().disable(name=version["name"], body={}).execute()
    try:
        secrets.versions().access(name=version["name"]).execute()
        raise AssertionError("a disabled version was read")
    except errors.HttpError as error:
        assert error.status_code == 400 and "DISABLED" in error.reason
    secrets.patch(name=made["name"], updateMask="labels", body={"labels": {}}).execute()
    assert "labels" not in secrets.get(name=made["name"]).execute()
    policy = {"bindings": [{"role": "roles/viewer", "members": ["user:a@example.com"]}]}
    secrets.setIamPolicy(resource=made["name"], body={"policy": policy}).execute()
    asked = secrets.getIamPolicy(resource=made["name"], options_requestedPolicyVersion=3).execute()
    assert asked["bindings"] == policy["bindings"]
    try:
        secrets.delete(name=made["name"], etag='"0"').execute()
        raise AssertionError("a stale etag deleted a secret")
    except errors.HttpError as error:
        assert "etag" in error.reason
    secrets.delete(name=made["name"], etag=secrets.get(name=made["name"]).execute()["etag"]).execute()


made = secrets()
update(made)
versions(made)
delayed()
policies(made)
regional()
replicas()
listing()
second()
api.delete_secret(name=f"{PROJECT}/secrets/delayed")
refused("NOT_FOUND", "not found", api.get_secret, name=f"{PROJECT}/secrets/delayed")
print(json.dumps({**checked, "methods": sorted(checked["methods"]), "revision": DOCUMENT["revision"]}))
