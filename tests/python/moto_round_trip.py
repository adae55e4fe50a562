"""Seeds a region by boto3, or compares two regions by boto3: the outside view of a round trip.

    moto_round_trip.py seed ENDPOINT REGION
    moto_round_trip.py compare ENDPOINT REGION OTHER
"""

import json
import sys

import boto3


def client(endpoint, region):
    return boto3.client("secretsmanager", endpoint_url=endpoint, region_name=region,
                        aws_access_key_id="test", aws_secret_access_key="test")


def seed(sm):
    token = "terraform-{:030d}".format
    policy = '{"Version": "2012-10-17",\n  "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:DeleteSecret", "Resource": "*"}]}'
    sm.create_secret(Name="p2p/database", Description="matching engine — ü", SecretString="one\r\n\ttab",
                     ClientRequestToken=token(1), Tags=[{"Key": "team", "Value": "core"}, {"Key": "Team", "Value": ""}])
    for n in range(2, 8):
        sm.put_secret_value(SecretId="p2p/database", ClientRequestToken=token(n), SecretString=f'{{"n":{n},"n":{n}}} \U0001f6a3')
    sm.put_resource_policy(SecretId="p2p/database", ResourcePolicy=policy)
    sm.update_secret_version_stage(SecretId="p2p/database", VersionStage="BLUE", MoveToVersionId=token(3))
    # Rolled back: AWSCURRENT on an older version than AWSPREVIOUS.
    sm.create_secret(Name="p2p/rolled-back", SecretString="old", ClientRequestToken=token(1))
    sm.put_secret_value(SecretId="p2p/rolled-back", SecretString="new", ClientRequestToken=token(2))
    sm.update_secret_version_stage(SecretId="p2p/rolled-back", VersionStage="AWSCURRENT",
                                   MoveToVersionId=token(1), RemoveFromVersionId=token(2))
    sm.create_secret(Name="p2p/keystore", SecretBinary=bytes(range(256)), ClientRequestToken=token(1))
    sm.put_secret_value(SecretId="p2p/keystore", SecretBinary=b'{"valid":"text"}', ClientRequestToken=token(2))
    sm.put_secret_value(SecretId="p2p/keystore", SecretString="now a string", ClientRequestToken=token(3))
    sm.create_secret(Name="p2p/reserved", Description="no value yet")
    for n in range(120):
        sm.create_secret(Name=f"bulk/{n:03d}", SecretString=f"value {n}")


def state(sm):
    secrets = {}
    names = [s["Name"] for page in sm.get_paginator("list_secrets").paginate() for s in page["SecretList"]]
    for name in names:
        described = sm.describe_secret(SecretId=name)
        versions = {}
        for v in sm.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)["Versions"]:
            got = sm.get_secret_value(SecretId=name, VersionId=v["VersionId"])
            value = ("string", got["SecretString"]) if "SecretString" in got else ("binary", got["SecretBinary"].hex())
            versions[v["VersionId"]] = (sorted(v.get("VersionStages", [])), value)
        secrets[name] = {
            "description": described.get("Description"),
            "tags": sorted((t["Key"], t["Value"]) for t in described.get("Tags", [])),
            "policy": sm.get_resource_policy(SecretId=name).get("ResourcePolicy"),
            "versions": versions,
        }
    return secrets


def main():
    mode, endpoint, region = sys.argv[1:4]
    if mode == "seed":
        return seed(client(endpoint, region))
    here, there = state(client(endpoint, region)), state(client(endpoint, sys.argv[4]))
    assert here.keys() == there.keys(), here.keys() ^ there.keys()
    for name, secret in here.items():
        for field in secret:
            assert secret[field] == there[name][field], f"{name}: {field} differs"
    unlabelled = sum(not stages for s in here.values() for stages, _ in s["versions"].values())
    print(json.dumps({"secrets": len(here), "versions": sum(len(s["versions"]) for s in here.values()), "unlabelled": unlabelled}))


main()
