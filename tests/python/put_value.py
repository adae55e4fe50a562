"""Gives the secret of SECRET_ID a new value, as a rotation script of an estate does."""
import os

import boto3

boto3.client("secretsmanager", os.environ["SECRET_REGION"]).put_secret_value(SecretId=os.environ["SECRET_ID"], SecretString="new")
