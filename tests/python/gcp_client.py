"""Google's own Python client of Secret Manager, at an address; every answer on the wire is held against the discovery document.

The document is the one inside google-api-python-client. A field that it does not know, a wrong type, an unknown enum or a method
that it does not have fails the script.
"""

import json
import pathlib
import re
import urllib.parse

import googleapiclient
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports.rest import SecretManagerServiceRestTransport

FOLDER = pathlib.Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
DOCUMENT = json.loads((FOLDER / "secretmanager.v1.json").read_text())
SCHEMAS = DOCUMENT["schemas"]

# The numbers of the enums that the tool meets, as the client's own types have them.
NUMBERS = {
    tuple(SCHEMAS[name]["properties"][field]["enum"]): [int(one) for one in enum]
    for name, field, enum in [
        ("Secret", "secretType", secretmanager_v1.Secret.SecretType),
        ("SecretVersion", "state", secretmanager_v1.SecretVersion.State),
    ]
}
checked = {"answers": 0, "refusals": 0, "methods": set()}


def methods(resource=DOCUMENT):
    for method in resource.get("methods", {}).values():
        pattern = re.sub(r"\\{[A-Za-z]+\\}", "[^/:]+", re.escape(method.get("flatPath", method["path"])))
        yield method["httpMethod"], re.compile("/" + pattern + "$"), method
    for inner in resource.get("resources", {}).values():
        yield from methods(inner)


METHODS = list(methods())


def wrong(value, schema, where):
    """What of a value does not fit a schema, one text for each."""
    if "$ref" in schema:
        return wrong(value, SCHEMAS[schema["$ref"]], where)
    kind = schema.get("type", "any")
    if kind == "object":
        if not isinstance(value, dict):
            return [f"{where}: no object"]
        found = []
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if known is None:
                found.append(f"{where}.{name}: unknown")
            else:
                found += wrong(inner, known, f"{where}.{name}")
        return found
    if kind == "array":
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [text for item in value for text in wrong(item, schema["items"], where + "[]")]
    if "enum" in schema:
        is_one = value in schema["enum"] or (isinstance(value, int) and value in NUMBERS[tuple(schema["enum"])])
        return [] if is_one else [f"{where}: {value!r} is no enum"]
    fits = {
        "string": lambda: isinstance(value, str) and (schema.get("format") != "int64" or re.fullmatch(r"-?\d+", value)),
        "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
        "boolean": lambda: isinstance(value, bool),
        "any": lambda: True,
    }
    return [] if fits[kind]() else [f"{where}: {value!r} is no {kind}"]


def check(verb, url, status, body):
    """Holds one answer against the document."""
    path = urllib.parse.urlsplit(url).path
    fitting = [method for known, pattern, method in METHODS if known == verb and pattern.match(path)]
    assert fitting, f"{verb} {path} is no method of the document"
    answer = json.loads(body)
    if status != 200:
        error = answer["error"]
        assert set(answer) == {"error"} and set(error) <= {"code", "message", "status", "details"}, answer
        assert error["code"] == status and error["message"] and re.fullmatch("[A-Z_]+", error["status"]), answer
        checked["refusals"] += 1
        return
    faults = wrong(answer, {"$ref": fitting[0]["response"]["$ref"]}, fitting[0]["id"])
    assert not faults, faults
    checked["answers"] += 1
    checked["methods"].add(fitting[0]["id"])


class Checked(requests.Session):
    """Only to name what is replaced."""


def _send(self, request, **options):
    answer = _sent(self, request, **options)
    check(request.method, request.url, answer.status_code, answer.content)
    return answer


_sent = requests.Session.send
requests.Session.send = _send


def client(address):
    parts = urllib.parse.urlsplit(address)
    transport = SecretManagerServiceRestTransport(
        host=parts.netloc, credentials=AnonymousCredentials(), url_scheme=parts.scheme
    )
    return secretmanager_v1.SecretManagerServiceClient(transport=transport)


def crc32c(data):
    """Castagnoli's checksum, bit by bit: nobody's library but ours knows it here."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = (rest >> 1) ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF


def dump(client, parent):
    """Everything below a project or one of its locations, as the client sees it."""
    estate = {}
    for secret in client.list_secrets(request={"parent": parent, "page_size": 3}):
        raw = type(secret).to_dict(secret, use_integers_for_enums=False)
        versions = {}
        for version in client.list_secret_versions(request={"parent": secret.name, "page_size": 2}):
            number = version.name.rsplit("/", 1)[1]
            versions[number] = {"state": version.state.name}
            if version.state.name == "ENABLED":
                payload = client.access_secret_version(name=version.name).payload
                assert payload.data_crc32c == crc32c(payload.data)
                versions[number]["data"] = payload.data.hex()
        policy = client.get_iam_policy(
            request={"resource": secret.name, "options": {"requested_policy_version": 3}}
        )
        bindings = sorted(
            [binding.role, sorted(binding.members), binding.condition.expression] for binding in policy.bindings
        )
        raw = {key: value for key, value in raw.items() if key not in ("name", "create_time", "etag") and value}
        estate[secret.name.rsplit("/", 1)[1]] = {"secret": raw, "versions": versions, "bindings": bindings}
    return estate
