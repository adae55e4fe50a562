"""Makes an organization with secrets in every account, by boto3; prints the accounts as JSON.

    moto_organization.py ENDPOINT REGION...
"""

import json
import sys

import boto3

MANAGEMENT = "123456789012"


def client(service, endpoint, region, **credentials):
    keys = credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, endpoint_url=endpoint, region_name=region, **keys)


def main(endpoint, regions):
    organizations = client("organizations", endpoint, "us-east-1")
    organizations.create_organization(FeatureSet="ALL")
    members = {}
    # More than one page of ListAccounts.
    for name in ["core", "payments", "closed"] + [f"empty-{n}" for n in range(20)]:
        made = organizations.create_account(AccountName=name, Email=f"{name}@example.com")
        members[name] = made["CreateAccountStatus"]["AccountId"]
    organizations.close_account(AccountId=members["closed"])
    for account in [MANAGEMENT, members["core"], members["payments"]]:
        role = client("sts", endpoint, "us-east-1").assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/seed", RoleSessionName="seed")["Credentials"]
        for region in regions:
            secrets = client("secretsmanager", endpoint, region, aws_access_key_id=role["AccessKeyId"],
                             aws_secret_access_key=role["SecretAccessKey"], aws_session_token=role["SessionToken"])
            secrets.create_secret(Name="app/database", SecretString=f"{account} {region}")
    print(json.dumps({"management": MANAGEMENT, **members}))


main(sys.argv[1], sys.argv[2:])
