"""One conversation with a server of Vault's kind, by hvac and by the bao command line: every answer, in a form to compare.

Usage: vault_face.py ADDRESS ROOT_TOKEN BAO

Times, UUIDs and random names become words; everything else is as it came.
"""

import json
import os
import re
import subprocess
import sys
import time

import hvac

ADDRESS, ROOT, BAO = sys.argv[1:]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RANDOM = {"request_id", "accessor", "creation_time", "id", "client_token", "entity_id", "server_time_utc", "cluster_name",
          "expire_time", "issue_time", "commit_date", "storage_type", "running_sha256", "secret_id_accessor", "orphan"}
SHOWN_HEADERS = ["Location", "Retry-After", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Vault-Namespace"]
cases = {}
root = hvac.Client(url=ADDRESS, token=ROOT)


def plain(value, key=None):
    if isinstance(value, dict):
        if key in ("key_info",) or "versions" in value:
            return {name: plain(item, name) for name, item in value.items() if name != "id"}
        return {name: plain(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if key in RANDOM and value not in ("", None):
        return "RANDOM"
    if key == "ttl" and isinstance(value, int):
        return "TTL" if value else 0
    if isinstance(value, str):
        return UUID.sub("UUID", TIME.sub("TIME", value)).replace(ADDRESS, "ADDRESS")
    return value


class Raw(str):
    """A body as it is."""


def ask(method, path, body=None, token=ROOT, namespace=None, kind="application/json", keep=True):
    """One request, escaped by the caller, without following redirects."""
    headers = {"X-Vault-Token": token} if token else {}
    headers["Content-Type"] = kind
    if namespace is not None:
        headers["X-Vault-Namespace"] = namespace
    data = body.encode("utf-8", "surrogateescape") if isinstance(body, Raw) else None if body is None else json.dumps(body)
    request = root.session.prepare_request(
        __import__("requests").Request(method, f"{ADDRESS}/v1/x", headers=headers, data=data))
    request.url = f"{ADDRESS}/v1/{path}"
    answer = root.session.send(request, allow_redirects=False)
    try:
        told = json.loads(answer.text) if answer.text else None
    except ValueError:
        told = answer.text
    told = told if keep else None
    headers = {name: answer.headers[name] for name in SHOWN_HEADERS if name in answer.headers}
    return [answer.status_code, headers, plain(told)]


def case(name, *answers):
    assert name not in cases, name
    cases[name] = list(answers)


def put(path, value, **options):
    body = {"data": value}
    if options:
        body["options"] = options
    return ask("POST", f"secret/data/{path}", body)


def merge(path, body, **more):
    return ask("PATCH", path, body, kind="application/merge-patch+json", **more)


def unordered(answer):
    """The server's order of these names is a different one each time."""
    answer[2]["data"]["keys"].sort()
    return answer


def metadata(path, **fields):
    return ask("POST", f"secret/metadata/{path}", fields)


def get(path, **more):
    return ask("GET", path, **more)


def cli(*words, token=ROOT, stdin=None, namespace=None):
    """One command of bao's own command line: its exit code and what it says."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "BAO_ADDR": ADDRESS, "BAO_TOKEN": token}
    if namespace:
        env["BAO_NAMESPACE"] = namespace
    ran = subprocess.run([BAO, *words], env=env, capture_output=True, text=True, input=stdin)
    try:
        out = plain(json.loads(ran.stdout))
    except ValueError:
        out = plain(ran.stdout)
    return [ran.returncode, out, plain(ran.stderr)]


def writes():
    case("nothing there", get("secret/data/a"), get("secret/metadata/a"), ask("LIST", "secret/metadata/"),
         get("secret/metadata?list=true"))
    case("first write", put("a", {"a": 1}), get("secret/data/a"))
    case("cas zero on a key that exists", put("a", {"a": 2}, cas=0))
    case("cas as text", put("a", {"a": 2}, cas="1"))
    case("cas that is no number", put("a", {"a": 2}, cas=1.5), put("a", {"a": 2}, cas="x"), put("a", {"a": 2}, cas=-1))
    case("cas null is zero", put("cas-null", {"a": 1}, cas=None), put("cas-null", {"a": 1}, cas=None))
    case("no data", ask("POST", "secret/data/a", {}), ask("POST", "secret/data/a"))
    case("data null", put("null", None), get("secret/data/null"))
    case("data of another type", put("a", "text"), put("a", [1]), put("a", ["x"]), put("a", 1))
    case("options of another type", ask("POST", "secret/data/a", {"data": {}, "options": "x"}),
         ask("POST", "secret/data/a", {"data": {}, "options": None}))
    case("no JSON", ask("POST", "secret/data/a", Raw("x")), ask("POST", "secret/data/a", Raw('{"data":{"a":1}')),
         ask("POST", "secret/data/a", Raw("{} x")), ask("POST", "secret/data/a", Raw("[]")),
         ask("POST", "secret/data/a", Raw('{"DATA":{}}')))
    case("the last of two equal keys", ask("POST", "secret/data/two", Raw('{"data":{"z":1,"a":2,"z":3}}')),
         get("secret/data/two"))
    odd = r'{"data":{"s":"<&>\u2028\u0000\ud800 \u007f é","pair":"\ud83d\ude00","half":"\udc00A"}}'
    case("odd text", ask("POST", "secret/data/odd-text", Raw(odd)), get("secret/data/odd-text"))
    case("no UTF-8", ask("POST", "secret/data/bytes", Raw('{"data":{"u":"\udcff\udcfe"}}')), get("secret/data/bytes"))
    numbers = '{"data":{"a":9007199254740993,"b":1.10,"c":-0,"e":12345678901234567890,"f":1e21,"g":0.0000001,"h":1E5,"k":123456.0}}'
    case("numbers are floats", ask("POST", "secret/data/numbers", Raw(numbers)), get("secret/data/numbers"),
         [root.session.get(f"{ADDRESS}/v1/secret/data/numbers", headers={"X-Vault-Token": ROOT}).text.split('"metadata"')[0].split('"data":{', 1)[1]])
    case("a number beyond floats", ask("POST", "secret/data/numbers", Raw('{"data":{"c":1e400}}')))
    case("too many strings", put("many", {f"k{n}": "v" for n in range(499)}), put("many", {f"k{n}": "v" for n in range(500)}),
         put("many", {"a": ["x"] * 1000}), put("many", {"a": [1] * 20000}))
    case("deep", ask("POST", "secret/data/deep", Raw('{"data":{"a":' + "[" * 90 + "]" * 90 + "}}")),
         get("secret/data/deep"))


def states():
    for number in range(1, 5):
        put("s", {"v": number})
    case("versions by number", *(get(f"secret/data/s?version={n}") for n in ("1", "0", "-1", "99", "x", "")))
    case("delete the current one", ask("DELETE", "secret/data/s"), get("secret/data/s"), get("secret/metadata/s"))
    case("delete twice", ask("DELETE", "secret/data/s"), get("secret/data/s"))
    case("undelete", ask("POST", "secret/undelete/s", {"versions": [4]}), get("secret/data/s"))
    case("delete by number", ask("POST", "secret/delete/s", {"versions": [2, "3", 99]}), get("secret/data/s?version=2"),
         get("secret/data/s?version=3"))
    case("destroy", ask("PUT", "secret/destroy/s", {"versions": [1, 2]}), get("secret/data/s?version=1"),
         get("secret/data/s?version=2"), get("secret/metadata/s"))
    case("undelete what is destroyed", ask("PUT", "secret/undelete/s", {"versions": "1,2,3"}), get("secret/metadata/s"))
    case("no versions named", ask("POST", "secret/undelete/s", {}), ask("POST", "secret/destroy/s", {}),
         ask("POST", "secret/delete/s", {"versions": []}), ask("POST", "secret/delete/s", {"versions": None}))
    case("versions that are no numbers", ask("POST", "secret/delete/s", {"versions": ["x"]}),
         ask("POST", "secret/delete/s", {"versions": [-1, 0]}), ask("POST", "secret/delete/s", {"versions": 4}))
    case("states of no key", *(ask("POST", f"secret/{what}/none", {"versions": [1]}) for what in ("delete", "undelete", "destroy")),
         ask("DELETE", "secret/data/none"), ask("DELETE", "secret/metadata/none"))
    case("delete several by query", ask("DELETE", "secret/data/s?versions=3"), get("secret/metadata/s"))
    case("write after delete", put("s", {"v": 5}), get("secret/data/s"))
    case("forget a key and begin anew", ask("DELETE", "secret/metadata/s"), get("secret/metadata/s"), get("secret/data/s"),
         put("s", {"v": 1}, cas=0))


def pruning():
    for number in range(1, 13):
        put("p", {"v": number})
    case("ten versions are kept", get("secret/metadata/p"), get("secret/data/p?version=2"), get("secret/data/p?version=3"))
    case("fewer prune at the next write", metadata("p", max_versions=3), get("secret/metadata/p"), put("p", {"v": 13}),
         get("secret/metadata/p"))
    case("the engine's wish is larger", ask("POST", "secret/config", {"max_versions": 5}),
         *(put("p", {"v": n}) for n in range(14, 18)), get("secret/metadata/p"), ask("POST", "secret/config", {"max_versions": 0}))
    case("more again", metadata("p", max_versions=20), *(put("p", {"v": n}) for n in range(18, 25)), get("secret/metadata/p"))
    recipe = [metadata("numbers-kept", max_versions=1)]
    recipe += [ask("POST", "secret/data/numbers-kept", {"data": {}, "options": {"cas": n}}) for n in range(0, 9)]
    recipe += [metadata("numbers-kept", max_versions=0), put("numbers-kept", {"v": "ten"}, cas=9), get("secret/metadata/numbers-kept")]
    case("placeholders vanish and numbers stay", *recipe)


def described():
    case("a key of metadata alone", metadata("m", custom_metadata={"a": "b"}), get("secret/metadata/m"), get("secret/data/m"),
         ask("LIST", "secret/metadata/"))
    case("nothing to say makes nothing", metadata("m"), metadata("n"), metadata("n", bogus=1), get("secret/metadata/n"),
         get("secret/metadata/m"))
    case("values that are refused", *(metadata("m", custom_metadata={"a": value}) for value in
         ("", "x\ny", "x\u200b", "é" * 256 + "x", "x" * 513, None, {"x": 1}, [1])), get("secret/metadata/m"))
    case("keys that are refused", *(metadata("m", custom_metadata={key: "y"}) for key in ("", "a\u0001", "k" * 129)))
    case("values at the limit", metadata("m", custom_metadata={"k" * 128: "é" * 256}), get("secret/metadata/m"))
    case("too many", metadata("m", custom_metadata={f"k{n}": "v" for n in range(65)}),
         metadata("m", custom_metadata={f"k{n}": "v" for n in range(64)}))
    case("numbers and truths become text", metadata("m", custom_metadata={"n": 5, "t": True, "f": 1.5, "no": False}),
         get("secret/metadata/m"))
    case("custom metadata of another type", metadata("m", custom_metadata=[1]), metadata("m", custom_metadata="x"))
    case("custom metadata taken back", metadata("m", custom_metadata=None), get("secret/metadata/m"))
    case("patch", merge("secret/metadata/m", {"custom_metadata": {"z": "1"}, "max_versions": 5}),
         merge("secret/metadata/m", {"custom_metadata": {"z": None, "y": "2"}}), get("secret/metadata/m"))
    case("patch refused", merge("secret/metadata/none", {"custom_metadata": {"a": "b"}}),
         merge("secret/metadata/m", {"custom_metadata": {"a": ""}}), merge("secret/metadata/m", {"custom_metadata": {"a": 5}}),
         ask("PATCH", "secret/metadata/m", {"custom_metadata": {}}))
    case("cas is required", metadata("m", cas_required=True, metadata_cas_required=True, delete_version_after="1h30m"),
         get("secret/metadata/m"), metadata("m", max_versions=2), metadata("m", max_versions=2, metadata_cas=3),
         put("m", {"a": "b"}))
    case("a deletion to come can be read", put("m", {"a": "b"}, cas=0), get("secret/metadata/m"), get("secret/data/m"))
    case("fields as text", metadata("t", max_versions="7", cas_required="true"), get("secret/metadata/t"))
    case("fields that are none", metadata("t", delete_version_after="bad"), metadata("t", delete_version_after="zzz"),
         metadata("t", delete_version_after="-5s"), metadata("t", cas_required="maybe"), metadata("t", max_versions=1.5),
         metadata("t", max_versions=-5), get("secret/metadata/t"))
    case("durations", *(answer for text in ("90", "2d", "1.5s", "250ms", 60) for answer in
         (metadata("d", delete_version_after=text), get("secret/metadata/d"))))
    case("config", get("secret/config"), ask("POST", "secret/config", {"max_versions": 3, "cas_required": True}),
         get("secret/config"), put("q", {"a": 1}),
         ask("POST", "secret/config", {"max_versions": 0, "cas_required": False, "delete_version_after": "2h"}),
         put("q", {"a": 1}), get("secret/metadata/q"), ask("POST", "secret/config", {"delete_version_after": "-1s"}),
         put("d", {"a": 1}), get("secret/config"), ask("POST", "secret/config", {"delete_version_after": "0s"}),
         ask("POST", "secret/config", {"max_versions": "x"}), ask("POST", "secret/config", {"delete_version_after": "zzz"}))


def changed():
    put("patched", {"v": 1})
    case("patch a value", merge("secret/data/patched", {"data": {"n": {"a": 1}}}), get("secret/data/patched"),
         merge("secret/data/patched", {"data": {"v": None, "n": {"b": 2}}, "options": {"cas": 2}}), get("secret/data/patched"),
         merge("secret/data/patched", {"data": {"v": None}, "options": {"cas": 1}}))
    case("patch what is not there", merge("secret/data/none", {"data": {"v": None}}), merge("secret/data/none", {}),
         ask("DELETE", "secret/data/patched"), merge("secret/data/patched", {"data": {"v": 1}}))
    put("sk", {"a": {"b": {"c": 1}, "e": {}}, "x": [1, {"y": 2}], "n": None})
    case("subkeys", *(get(f"secret/subkeys/sk{query}") for query in ("", "?depth=1", "?depth=2", "?version=9", "?depth=x")),
         ask("DELETE", "secret/data/sk"), get("secret/subkeys/sk"), get("secret/subkeys/none"))


def lists():
    for key in ("a", "b", "b/c", "d/e/f", "z"):
        put(f"l/{key}", {"v": 1})
    case("a key and a folder of one name", ask("LIST", "secret/metadata/l"), ask("LIST", "secret/metadata/l/b"),
         ask("LIST", "secret/metadata/l/a"), get("secret/data/l/b"), get("secret/data/l"))
    case("pages", *(ask("LIST", f"secret/metadata/l/?{query}") for query in
         ("limit=2", "after=b&limit=2", "after=b/", "limit=0", "limit=-1", "limit=x", "after=zz")),
         get("secret/metadata/l/?list=true&limit=1"))
    case("list as a query", get("secret/metadata/l?list=1"), get("secret/metadata/l?list=false"), get("secret/metadata/l?list=x"))
    case("scan", ask("SCAN", "secret/metadata/l"), get("secret/metadata/l/?scan=true"), ask("SCAN", "secret/metadata/nn/"))
    case("detailed", ask("LIST", "secret/detailed-metadata/l/"), get("secret/detailed-metadata/l/?list=true&limit=1"),
         ask("LIST", "secret/detailed-metadata/l/?after=b&limit=1"), ask("SCAN", "secret/detailed-metadata/l/"),
         ask("LIST", "secret/detailed-metadata/nn/"), get("secret/detailed-metadata/l/a"))
    put("l/a", {"v": 2})
    ask("DELETE", "secret/data/l/a")
    case("deleted keys are listed", ask("LIST", "secret/metadata/l/"))


def paths():
    odd = ["a%20b", "tr%20", "%25", "x%2Fy", "x%252Fy", "%3F", "%23", "+", ";", "%5C", "%22", "%3C%3E", "*", ":", "@",
           "%F0%9F%98%80", "A", "..b", "a..b", "%C3%A9", "a%2F%2Fb"]
    case("odd paths are taken", *(put(f"odd/{path}", {"v": 1}) for path in odd), ask("LIST", "secret/metadata/odd/"),
         ask("SCAN", "secret/metadata/odd/"), *(get(f"secret/data/odd/{path}") for path in odd))
    case("paths that are sent elsewhere", *(put(f"odd/{path}", {"v": 1}) for path in
         ("..", ".", "a/../b", "a/./b", "a//b", "/b", "a/..")))
    case("paths that are refused", *(put(f"odd/{path}", {"v": 1}) for path in
         ("x%2F..%2Fy", "%2E%2E/z", "%00", "a%00b", "a%09b", "a%0Ab", "a%0Db", "%7F", "a%C2%85b", "a%E2%80%8Bb", "a%2F", "tr/", "%FF")))
    case("long path", put("x" * 2000, {"v": 1}), get("secret/data/" + "x" * 2000))
    case("paths that are none", *(get(path) for path in
         ("secret", "secret/", "secret/data", "secret/data/", "secret/foo/bar", "nope/data/a", "sys/nope", "secret/data/l/")),
         ask("POST", "secret/foo", {"a": 1}), ask("LIST", "secret/"), ask("POST", "secret/data", {"data": {}}),
         ask("POST", "secret/data/", {"data": {}}), ask("DELETE", "secret/metadata"), metadata("tr/", max_versions=1))
    case("methods that are none", get("secret/delete/a"), ask("LIST", "secret/data/l"), ask("DELETE", "secret/config"),
         ask("DELETE", "secret/delete/a"), ask("FOO", "secret/data/a"), ask("HEAD", "secret/data/a"),
         ask("OPTIONS", "secret/data/a"), ask("PATCH", "secret/config", {}), merge("secret/config", {"max_versions": 3}))


def mounted():
    case("mount", ask("POST", "sys/mounts/kv1", {"type": "kv"}), ask("POST", "sys/mounts/kv1", {"type": "kv"}),
         ask("POST", "sys/mounts/secret/x", {"type": "kv"}), ask("POST", "sys/mounts/no", {"type": "nope"}),
         ask("POST", "sys/mounts/no", {}), ask("POST", "sys/mounts/te%20am", {"type": "kv-v2", "description": "two"}),
         ask("POST", "sys/mounts/deep/er", {"type": "kv", "options": {"version": "2"}}))
    case("told of mounts", *(get(path) for path in ("sys/internal/ui/mounts/kv1", "sys/internal/ui/mounts/secret/a/b",
         "sys/internal/ui/mounts/te%20am", "sys/internal/ui/mounts/nope", "sys/mounts/none", "sys/mounts/kv1/tune")))
    case("a mount with a space", ask("POST", "te%20am/data/a", {"data": {"v": 1}}), get("te%20am/data/a"),
         ask("POST", "deep/er/data/a", {"data": {"v": 1}}), get("deep/er/metadata/a"))
    case("plain engine", ask("POST", "kv1/a", Raw('{"n":9007199254740993,"f":1.10}')), get("kv1/a"),
         [root.session.get(f"{ADDRESS}/v1/kv1/a", headers={"X-Vault-Token": ROOT}).text.split('"data":')[1].split(',"wrap')[0]],
         ask("POST", "kv1/a", {}), ask("POST", "kv1/a"), ask("POST", "kv1/b/c", {"x": "y"}), ask("LIST", "kv1"),
         get("kv1/?list=true"), ask("LIST", "kv1/b"), ask("LIST", "kv1/none"), get("kv1/none"), get("kv1/b"), get("kv1/"),
         ask("POST", "kv1/", {"a": 1}), ask("POST", "kv1/x/", {"a": 1}), ask("SCAN", "kv1/"), ask("PATCH", "kv1/a", {}))
    case("leases of a plain engine", *(answer for value in ({"ttl": "1h"}, {"ttl": "bad"}, {"lease": "30m", "a": None}) for answer in
         (ask("POST", "kv1/ttl", value), get("kv1/ttl"))), ask("DELETE", "kv1/ttl"), get("kv1/ttl"))
    case("unmount", ask("DELETE", "sys/mounts/deep/er"), get("deep/er/data/a"), ask("DELETE", "sys/mounts/none"))


def namespaces():
    case("namespaces", ask("POST", "sys/namespaces/team", {}), ask("POST", "team/sys/namespaces/sub", {"custom_metadata": {"a": "b"}}),
         ask("LIST", "sys/namespaces"), unordered(ask("SCAN", "sys/namespaces")), get("sys/namespaces/team"), get("sys/namespaces/none"),
         ask("LIST", "sys/namespaces", namespace="team"), ask("LIST", "sys/namespaces", namespace="team/sub"))
    case("names that are refused", *(ask("POST", f"sys/namespaces/{name}", {}) for name in ("a/b", "a%20b", "root", "sys")))
    case("an engine two deep", ask("POST", "team/sub/sys/mounts/kv", {"type": "kv-v2"}),
         ask("POST", "team/sub/kv/data/a", {"data": {"a": 1}}), get("kv/data/a", namespace="team/sub"),
         get("sub/kv/data/a", namespace="team/"), get("team/sub/kv/data/a"), get("kv/data/a"),
         get("sys/internal/ui/mounts/kv", namespace="team/sub"))
    case("namespaces that are none", get("kv/data/a", namespace="nope"), get("secret/data/a", namespace="team"),
         get("kv/data/a", namespace="root"), get("secret/data/two", namespace="/"), get("sys/health", namespace="team/sub"),
         get("auth/token/lookup-self", namespace="team"))


def tokens():
    policy = ('path "secret/data/*" { capabilities = ["read"] }\npath "secret/metadata/*" { capabilities = ["read","list"] }\n'
              'path "secret/data/l/*" { capabilities = ["deny"] }\npath "secret/data/new/*" { capabilities = ["create"] }')
    case("policies", ask("PUT", "sys/policies/acl/ro", {"policy": policy}), get("sys/policies/acl/ro"), get("sys/policy/ro"),
         ask("LIST", "sys/policies/acl"), get("sys/policies/acl/none"))
    made = ask("POST", "auth/token/create", {"id": "limited", "policies": ["ro"], "ttl": "1h"})
    case("a limited token", made, get("auth/token/lookup-self", token="limited"),
         ask("POST", "auth/token/create", {"policies": ["ro"], "ttl": "1h", "no_default_policy": True, "meta": {"a": "b"}}),
         ask("POST", "auth/token/create", {"policies": ["ro"], "type": "batch", "ttl": "1m"}))
    case("what it may", *(get(path, token="limited") for path in
         ("secret/data/two", "secret/data/l/b", "secret/data/none", "secret/config", "sys/mounts", "sys/internal/ui/mounts/secret",
          "sys/internal/ui/mounts/kv1", "sys/internal/ui/namespaces", "nope/x", "secret/data/odd/../a")),
         ask("LIST", "secret/metadata/l", token="limited"), ask("LIST", "secret/detailed-metadata/", token="limited"),
         ask("SCAN", "secret/metadata/", token="limited"), ask("POST", "secret/data/two", {"data": {}}, token="limited"),
         ask("DELETE", "secret/metadata/two", token="limited"), ask("POST", "secret/undelete/two", {"versions": [1]}, token="limited"),
         get("kv/data/a", token="limited", namespace="team/sub"))
    case("create is not update", ask("POST", "secret/data/new/a", {"data": {}}, token="limited"),
         ask("POST", "secret/data/new/a", {"data": {}}, token="limited"))
    paths = ["secret/data/a", "secret/metadata/x", "secret/data/l/b", "sys/mounts", "secret/data/"]
    case("capabilities", ask("POST", "sys/capabilities-self", {"paths": paths}, token="limited"),
         ask("POST", "sys/capabilities-self", {"path": "secret/data/a"}, token="limited"),
         ask("POST", "sys/capabilities-self", {"paths": ["secret/data/a"]}))
    case("renew", ask("POST", "auth/token/renew-self", {"increment": "2h"}, token="limited"))
    for name, token in (("no token", None), ("a bogus token", "bogus")):
        case(name, *(get(path, token=token) for path in
             ("secret/data/a", "auth/token/lookup-self", "sys/internal/ui/mounts/secret", "sys/internal/ui/mounts", "nope/x", "sys/leader")),
             ask("POST", "auth/nope/login", {"role_id": "r"}, token=token))
    case("approle", ask("POST", "sys/auth/approle", {"type": "approle"}),
         ask("POST", "auth/approle/role/backup", {"token_policies": ["ro"], "token_ttl": "1h"}),
         get("auth/approle/role/backup/role-id"), ask("POST", "auth/approle/role/backup/secret-id", {}),
         ask("POST", "auth/approle/role/backup/role-id", {"role_id": "rid"}),
         ask("POST", "auth/approle/role/backup/custom-secret-id", {"secret_id": "sid"}),
         *(ask("POST", "auth/approle/login", body, token=None) for body in
           ({"role_id": "rid", "secret_id": "sid"}, {"role_id": "rid", "secret_id": "no"}, {"role_id": "no", "secret_id": "sid"}, {}, {"role_id": "rid"})))
    ask("POST", "auth/token/create", {"id": "short", "policies": ["root"], "ttl": "1s"})
    time.sleep(1.2)
    case("an expired token", get("secret/data/two", token="short"), get("auth/token/lookup-self", token="short"))
    case("a revoked token", ask("POST", "auth/token/revoke", {"token": "limited"}), get("secret/data/two", token="limited"))


def quotas():
    ask("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    case("a quota", ask("POST", "sys/quotas/rate-limit/q", {"rate": 2, "interval": "20s", "path": "secret/"}),
         get("sys/quotas/rate-limit/q"), *(get("secret/data/none")[:2] for _ in range(2)))
    refused = get("secret/data/none")
    refused[1] = sorted(refused[1])
    case("one too many", refused, get("kv1/none"), ask("DELETE", "sys/quotas/rate-limit/q"), get("secret/data/none"))
    case("quotas that are none", ask("POST", "sys/quotas/rate-limit/q", {"rate": 0}),
         ask("POST", "sys/quotas/rate-limit/q", {"rate": 2, "path": "nope/"}))


def by_hvac():
    kv = root.secrets.kv.v2

    def tried(call, *words, **named):
        try:
            answer = call(*words, **named)
            return plain(answer if isinstance(answer, (dict, bool, type(None))) else answer.status_code)
        except hvac.exceptions.VaultError as error:
            return [type(error).__name__, plain(str(error))]
    case("hvac writes and reads", tried(root.is_authenticated), tried(root.sys.is_sealed),
         tried(kv.create_or_update_secret, "h/a", {"x": "1"}), tried(kv.create_or_update_secret, "h/a", {"x": "2"}, cas=0),
         tried(kv.create_or_update_secret, "h/a", {"x": "2"}, cas=1), tried(kv.read_secret_version, "h/a", version=1),
         tried(kv.read_secret_metadata, "h/a"), tried(kv.list_secrets, "h"), tried(kv.list_secrets, "none"))
    case("hvac deletes and undoes it", tried(kv.delete_secret_versions, "h/a", [1]),
         tried(kv.read_secret_version, "h/a", version=1, raise_on_deleted_version=True),
         tried(kv.read_secret_version, "h/a", version=1, raise_on_deleted_version=False),
         tried(kv.undelete_secret_versions, "h/a", [1]), tried(kv.read_secret_version, "h/a", version=1),
         tried(kv.destroy_secret_versions, "h/a", [1]), tried(kv.read_secret_version, "h/a", version=1, raise_on_deleted_version=True),
         tried(kv.patch, "h/a", {"y": "3"}), tried(kv.delete_latest_version_of_secret, "h/a"),
         tried(kv.update_metadata, "h/a", max_versions=4, custom_metadata={"o": "p"}), tried(kv.read_secret_metadata, "h/a"),
         tried(kv.read_configuration), tried(kv.delete_metadata_and_all_versions, "h/a"), tried(kv.read_secret_metadata, "h/a"))
    v1 = root.secrets.kv.v1
    case("hvac and a plain engine", tried(v1.create_or_update_secret, "h", {"x": "1"}, mount_point="kv1"),
         tried(v1.read_secret, "h", mount_point="kv1"), tried(v1.list_secrets, "", mount_point="kv1"),
         tried(v1.delete_secret, "h", mount_point="kv1"), tried(v1.read_secret, "h", mount_point="kv1"))


def by_bao():
    case("bao writes and reads", cli("kv", "put", "-format=json", "secret/c/a", "x=1", "y=@nothing\\"),
         cli("kv", "put", "-format=json", "secret/c/a", "x=1"), cli("kv", "put", "-mount=secret", "c/a", "x=2"),
         cli("kv", "get", "-format=json", "secret/c/a"), cli("kv", "get", "-mount=secret", "c/a"),
         cli("kv", "get", "-field=x", "-version=1", "secret/c/a"), cli("kv", "get", "secret/none"),
         cli("kv", "put", "-cas=0", "secret/c/a", "x=3"), cli("kv", "patch", "-format=json", "secret/c/a", "z=9"),
         cli("kv", "list", "-format=json", "secret/c"), cli("kv", "list", "secret/none"))
    case("bao deletes and undoes it", cli("kv", "delete", "-versions=1", "secret/c/a"), cli("kv", "get", "-version=1", "secret/c/a"),
         cli("kv", "undelete", "-versions=1", "secret/c/a"), cli("kv", "get", "-field=x", "-version=1", "secret/c/a"),
         cli("kv", "destroy", "-versions=1,2", "secret/c/a"), cli("kv", "get", "-version=2", "secret/c/a"),
         cli("kv", "delete", "secret/c/a"), cli("kv", "get", "secret/c/a"), cli("kv", "undelete", "-versions=3", "secret/c/a"),
         cli("kv", "rollback", "-format=json", "-version=3", "secret/c/a"))
    case("bao and metadata", cli("kv", "metadata", "put", "-custom-metadata=o=p", "-max-versions=4", "secret/c/a"),
         cli("kv", "metadata", "get", "-format=json", "secret/c/a"), cli("kv", "metadata", "patch", "-custom-metadata=q=r", "secret/c/a"),
         cli("kv", "metadata", "get", "secret/c/a"), cli("kv", "metadata", "delete", "secret/c/a"), cli("kv", "get", "secret/c/a"))
    case("bao and a plain engine", cli("kv", "put", "kv1/c", "x=1"), cli("kv", "get", "-format=json", "kv1/c"), cli("kv", "list", "kv1"),
         cli("kv", "delete", "kv1/c"), cli("kv", "get", "kv1/c"))
    case("bao elsewhere", cli("kv", "get", "nope/a"), cli("kv", "get", "secret/two", token="bogus"),
         cli("kv", "get", "-format=json", "kv/a", namespace="team/sub"), cli("token", "lookup", "-format=json"))


def sealed():
    case("sealed", ask("PUT", "sys/seal"), get("secret/data/two"), get("sys/health"), get("sys/health?sealedcode=299"),
         get("sys/seal-status"), get("sys/internal/ui/mounts/secret"), get("sys/leader"), get("nope/x"),
         get("secret/data/two", token=None), ask("POST", "secret/data/two", Raw("x")))


for part in (writes, states, pruning, described, changed, lists, paths, mounted, namespaces, tokens, quotas, by_hvac, by_bao):
    part()
case("health", get("sys/health"), get("sys/seal-status"), get("sys/leader"), get("sys/init"))
sealed()
print(json.dumps(cases))
