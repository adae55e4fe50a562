"""Makes IAM users with one policy each, and a few secrets, on an AWS endpoint; prints the users' keys as JSON.

usage: iam_user.py ENDPOINT REGION NAME=POLICY_FILE ...
"""

import json
import sys

import boto3

endpoint, region, *users = sys.argv[1:]
root = {
    "endpoint_url": endpoint,
    "region_name": region,
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
}
secrets = boto3.client("secretsmanager", **root)
for number in range(3):
    secrets.create_secret(Name=f"app/{number}", SecretString=f"value {number}")
iam = boto3.client("iam", **root)
keys = {}
for user in users:
    name, file = user.split("=", 1)
    with open(file, encoding="utf-8") as policy:
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="lifeboat", PolicyDocument=policy.read())
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys[name] = [key["AccessKeyId"], key["SecretAccessKey"]]
print(json.dumps(keys))
