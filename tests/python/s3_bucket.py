"""What only a bucket's owner does: make it, lock it, look behind delete markers. Prints one JSON value."""
import json, sys, time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

action, endpoint, region, bucket, key, secret, *rest = sys.argv[1:]
s3 = boto3.client(
    "s3", endpoint_url=endpoint, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
    config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
)


def create(lock):
    for attempt in range(120):
        try:
            s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock != "none",
                             CreateBucketConfiguration={"LocationConstraint": region})
            break
        except (EndpointConnectionError, ClientError):
            if attempt == 119:
                raise
            time.sleep(0.5)
    if lock != "none":
        rule = {"DefaultRetention": {"Mode": lock, "Days": 1}}
        s3.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
    return True


def versions(prefix=""):
    """Every version of every object, and whether it can be removed for good."""
    found = []
    for version in s3.list_object_versions(Bucket=bucket, Prefix=prefix).get("Versions", []):
        try:
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
            removed = True
        except ClientError:
            removed = False
        found.append({"key": version["Key"], "latest": version["IsLatest"], "removed": removed})
    return found


def undelete(prefix=""):
    """Takes the delete markers away: what a locked bucket holds comes back."""
    markers = s3.list_object_versions(Bucket=bucket, Prefix=prefix).get("DeleteMarkers", [])
    for marker in markers:
        s3.delete_object(Bucket=bucket, Key=marker["Key"], VersionId=marker["VersionId"])
    return len(markers)


def head(name):
    answer = s3.head_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED")
    return {name: str(answer.get(name)) for name in ("ChecksumSHA256", "ServerSideEncryption", "ObjectLockMode")}


def put(*names):
    for name in names:
        s3.put_object(Bucket=bucket, Key=name.encode().decode("unicode_escape"), Body=b"odd")
    return len(names)


print(json.dumps({"put": put, "create": create, "versions": versions, "undelete": undelete, "head": head}[action](*rest)))
