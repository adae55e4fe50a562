"""Drives the emulator with the aws command, as an operator at a terminal would.

usage: emulator_cli.py ENDPOINT [--moto] [--only PART]

The aws command exits with 255 (its second major version: 254) when the service answered with an error.
"""

import argparse
import base64
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from checks import among, check, matches, run, same

ACCOUNT, OTHER = "111111111111", "222222222222"
REGION, FAR = "eu-west-1", "eu-central-1"
AWS = pathlib.Path(sys.executable).parent / "aws"
SERVICE_ERROR = {254, 255}

arguments = argparse.ArgumentParser()
arguments.add_argument("endpoint")
arguments.add_argument("--moto", action="store_true")
arguments.add_argument("--only")
arguments = arguments.parse_args()

folder = pathlib.Path(tempfile.mkdtemp(prefix="emulator-cli-"))
numbers = itertools.count(1)


def environment(account, region):
    """Nothing of the person who runs the tests: no profile, no configuration, no credentials."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": arguments.endpoint,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": region,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
        "PYTHONUTF8": "1",
    }


def aws(service, operation, *words, account=ACCOUNT, region=REGION):
    return subprocess.run(
        [sys.executable, str(AWS), service, operation, "--output", "json", *words],
        env=environment(account, region),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def answer(operation, *words, service="secretsmanager", **where):
    done = aws(service, operation, *words, **where)
    if done.returncode != 0:
        raise AssertionError(f"aws {operation} exited {done.returncode}: {done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else {}


def refused(code, text, operation, *words, **where):
    done = aws("secretsmanager", operation, *words, **where)
    among(done.returncode, SERVICE_ERROR, "exit code")
    named = f"An error occurred ({code}) when calling the "
    assert named in done.stderr, done.stderr
    assert text in done.stderr, done.stderr


def create(value="one", *words, **where):
    secret = f"cli/{next(numbers)}"
    made = answer("create-secret", "--name", secret, "--secret-string", value, *words, **where)
    return secret, made["VersionId"]


def get(secret, *words, **where):
    return answer("get-secret-value", "--secret-id", secret, *words, **where)["SecretString"]


def describe(secret, **where):
    return answer("describe-secret", "--secret-id", secret, **where)


@check()
def create_put_and_get():
    secret, first = create("one", "--description", "from a terminal")
    same(get(secret), "one")
    put = answer("put-secret-value", "--secret-id", secret, "--secret-string", "two")
    same(put["VersionStages"], ["AWSCURRENT"])
    same((get(secret), get(secret, "--version-stage", "AWSPREVIOUS")), ("two", "one"))
    same(get(secret, "--version-id", first), "one")
    found = describe(secret)
    same(found["Description"], "from a terminal")
    same(found["VersionIdsToStages"], {first: ["AWSPREVIOUS"], put["VersionId"]: ["AWSCURRENT"]})


@check()
def bytes_from_a_file_come_back_as_they_were():
    content = bytes(range(256)) + b"\n\xff\x00"
    file = folder / "value.bin"
    file.write_bytes(content)
    secret = f"cli/{next(numbers)}"
    answer("create-secret", "--name", secret, "--secret-binary", f"fileb://{file}")
    found = answer("get-secret-value", "--secret-id", secret)
    same(base64.b64decode(found["SecretBinary"]), content)
    assert "SecretString" not in found


@check()
def text_from_a_file_keeps_its_last_newline():
    file = folder / "value.txt"
    file.write_bytes("-----BEGIN KEY-----\nü\n".encode())
    secret, _ = create(f"file://{file}")
    same(get(secret), "-----BEGIN KEY-----\nü\n")


@check()
def list_pages_until_the_end():
    wanted = [create("v")[0] for _ in range(5)]
    found = answer("list-secrets", "--page-size", "2", "--filters", "Key=name,Values=cli/")
    names = [entry["Name"] for entry in found["SecretList"]]
    assert set(wanted) <= set(names), names
    same(len(names), len(set(names)), "names listed once")


@check(wrong_in_moto="shows versions without labels, with an empty list")
def versions_without_labels_are_listed_on_request():
    secret, first = create("one")
    for value in ["two", "three"]:
        answer("put-secret-value", "--secret-id", secret, "--secret-string", value)
    shown = answer("list-secret-version-ids", "--secret-id", secret)["Versions"]
    whole = answer("list-secret-version-ids", "--secret-id", secret, "--include-deprecated")["Versions"]
    same((len(shown), len(whole)), (2, 3))
    assert "VersionStages" not in next(entry for entry in whole if entry["VersionId"] == first)


@check(wrong_in_moto="answers the newest version whatever the labels say")
def a_label_is_moved_back():
    secret, first = create("one")
    second = answer("put-secret-value", "--secret-id", secret, "--secret-string", "two")["VersionId"]
    words = ["--move-to-version-id", first, "--remove-from-version-id", second]
    answer("update-secret-version-stage", "--secret-id", secret, "--version-stage", "AWSCURRENT", *words)
    same((get(secret), get(secret, "--version-stage", "AWSPREVIOUS")), ("one", "two"))


@check(wrong_in_moto="another text")
def delete_then_restore():
    secret, _ = create("kept")
    answer("delete-secret", "--secret-id", secret, "--recovery-window-in-days", "7")
    assert "DeletedDate" in describe(secret)
    refused("InvalidRequestException", "marked for deletion", "get-secret-value", "--secret-id", secret)
    answer("restore-secret", "--secret-id", secret)
    same(get(secret), "kept")


@check()
def delete_at_once():
    secret, _ = create()
    answer("delete-secret", "--secret-id", secret, "--force-delete-without-recovery")
    text = "Secrets Manager can't find the specified secret."
    refused("ResourceNotFoundException", text, "describe-secret", "--secret-id", secret)


@check()
def tags_are_set_and_removed():
    secret, _ = create("v", "--tags", "Key=team,Value=payments")
    answer("tag-resource", "--secret-id", secret, "--tags", "Key=tier,Value=gold")
    answer("untag-resource", "--secret-id", secret, "--tag-keys", "team")
    same(describe(secret)["Tags"], [{"Key": "tier", "Value": "gold"}])


@check()
def a_policy_is_put_read_and_deleted():
    statement = '{"Effect":"Allow", "Principal":{"AWS":"111111111111"}, "Action":"secretsmanager:*", "Resource":"*"}'
    policy = '{ "Version":"2012-10-17",  "Statement":[ ' + statement + " ] }"
    secret, _ = create()
    answer("put-resource-policy", "--secret-id", secret, "--resource-policy", policy)
    same(answer("get-resource-policy", "--secret-id", secret)["ResourcePolicy"], policy)
    answer("delete-resource-policy", "--secret-id", secret)
    assert "ResourcePolicy" not in answer("get-resource-policy", "--secret-id", secret)


@check()
def errors_name_their_code():
    secret, _ = create()
    missing = "Secrets Manager can't find the specified secret."
    refused("ResourceNotFoundException", missing, "get-secret-value", "--secret-id", "missing")
    exists = f"The operation failed because the secret {secret} already exists."
    refused("ResourceExistsException", exists, "create-secret", "--name", secret, "--secret-string", "v")
    words = ["--secret-id", secret, "--recovery-window-in-days", "6"]
    refused("InvalidParameterException", "", "delete-secret", *words)


@check(wrong_in_moto="one account for every key")
def accounts_and_regions_are_apart():
    secret, _ = create()
    same(answer("get-caller-identity", service="sts", account=OTHER)["Account"], OTHER)
    text = "Secrets Manager can't find the specified secret."
    refused("ResourceNotFoundException", text, "describe-secret", "--secret-id", secret, account=OTHER)
    refused("ResourceNotFoundException", text, "describe-secret", "--secret-id", secret, region=FAR)


@check(wrong_in_moto="another status")
def a_replica_is_read_in_its_region():
    secret, _ = create("shared")
    answer("replicate-secret-to-regions", "--secret-id", secret, "--add-replica-regions", f"Region={FAR}")
    same((get(secret, region=FAR), describe(secret, region=FAR)["PrimaryRegion"]), ("shared", REGION))


@check()
def a_random_password_has_its_length():
    found = answer("get-random-password", "--password-length", "40", "--exclude-punctuation")["RandomPassword"]
    matches(found, "[A-Za-z0-9]{40}")


raise SystemExit(run(arguments.moto, arguments.only))
