"""What boto3 gets from break-glass with environment variables alone. Prints no value: their hashes are compared."""

import hashlib
import os
import sys

import boto3
from botocore.exceptions import ClientError

NAME, EXPECTED, OTHER = sys.argv[1:4]
client = boto3.client("secretsmanager", region_name="us-east-1")


def ok(name, passed):
    if not passed:
        print("FAILED", name)
        sys.exit(1)
    print("ok", name)


def code(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    return "none", ""


def digest(answer):
    return hashlib.sha256(answer["SecretString"].encode()).hexdigest()


answer = client.get_secret_value(SecretId=NAME)
ok("a plain name of another region", digest(answer) == EXPECTED)
headers = answer["ResponseMetadata"]["HTTPHeaders"]
ok("the age is in a header", "; taken=" in headers["x-lifeboat-snapshot"] and "age=" in headers["x-lifeboat-snapshot"])
arn = answer["ARN"]
ok("the ARN is the provider's", arn.startswith("arn:aws:secretsmanager:eu-central-1:111111111111:secret:"))
ok("by its ARN", digest(client.get_secret_value(SecretId=arn)) == EXPECTED)
ok("by a partial ARN", digest(client.get_secret_value(SecretId=arn[:-7])) == EXPECTED)
version = answer["VersionId"]
ok("by a version", digest(client.get_secret_value(SecretId=NAME, VersionId=version)) == EXPECTED)
ok("the stage is there", answer["VersionStages"] == ["AWSCURRENT"])
ok("another stage", code(client.get_secret_value, SecretId=NAME, VersionStage="x")[0] == "ResourceNotFoundException")
described = client.describe_secret(SecretId=NAME)
ok("described", described["ARN"] == arn and version in described["VersionIdsToStages"])
pages = list(client.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 2}))
names = [entry["Name"] for page in pages for entry in page["SecretList"]]
ok("only what was granted is listed", names == sorted(names) and NAME in names and OTHER not in names and len(pages) > 1)
filtered = client.list_secrets(Filters=[{"Key": "name", "Values": [NAME]}])["SecretList"]
ok("filtered", [entry["Name"] for entry in filtered] == [NAME])
batch = client.batch_get_secret_value(SecretIdList=[NAME, OTHER])
ok("a batch gives what was granted", [digest(value) for value in batch["SecretValues"]] == [EXPECTED])
ok("and refuses the rest", [error["ErrorCode"] for error in batch["Errors"]] == ["AccessDeniedException"])
versions = client.list_secret_version_ids(SecretId=NAME)["Versions"]
ok("versions", version in [each["VersionId"] for each in versions])
ok("policy", client.get_resource_policy(SecretId=NAME)["Name"] == NAME)
ok("a password", len(client.get_random_password(PasswordLength=20)["RandomPassword"]) == 20)
ok("another consumer's secret", code(client.get_secret_value, SecretId=OTHER)[0] == "AccessDeniedException")
absent = NAME.replace("production", "absent")
ok("no such secret", code(client.get_secret_value, SecretId=absent)[0] == "ResourceNotFoundException")
for name, call in [
    ("put", lambda: code(client.put_secret_value, SecretId=NAME, SecretString=os.environ["PLANTED"])),
    ("create", lambda: code(client.create_secret, Name="new/one", SecretString=os.environ["PLANTED"])),
    ("delete", lambda: code(client.delete_secret, SecretId=NAME)),
    ("rotate", lambda: code(client.rotate_secret, SecretId=NAME)),
]:
    refused, message = call()
    ok(f"{name} is refused with the age", refused == "AccessDeniedException" and "read-only: break-glass of snapshot" in message)
identity = boto3.client("sts", region_name="us-east-1").get_caller_identity()
ok("who am I", identity["Account"] == "111111111111" and identity["Arn"].endswith("/lifeboat-break-glass/web"))
