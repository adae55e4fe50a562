"""Gives the secret of SECRET_ID a new value, as a rotation script of an estate does; as ROTATOR, if that is set."""
import os

import boto3

rotator = os.environ.get("ROTATOR")
key = {"aws_access_key_id": rotator, "aws_secret_access_key": "x"} if rotator else {}
client = boto3.client("secretsmanager", os.environ["SECRET_REGION"], **key)
client.put_secret_value(SecretId=os.environ["SECRET_ID"], SecretString="new")
