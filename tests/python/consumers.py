"""Makes consumers of secrets by the services' own APIs: ENDPOINT REGION. The clients are boto3's."""
import io
import json
import sys
import zipfile

import boto3

endpoint, region = sys.argv[1:]


def client(service):
    return boto3.client(service, region, endpoint_url=endpoint)


def trust(service):
    allow = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


iam, secrets, ecs, functions, kms = map(client, ["iam", "secretsmanager", "ecs", "lambda", "kms"])
account = client("sts").get_caller_identity()["Account"]
role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))["Role"]["Arn"]
via = {"StringEquals": {"kms:ViaService": f"secretsmanager.{region}.amazonaws.com"}}
owner = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "kms:*", "Resource": "*"}
reader = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "kms:Decrypt", "Resource": "*", "Condition": via}
key = kms.create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": [owner, reader]}))["KeyMetadata"]["Arn"]
one = secrets.create_secret(Name="app/one", SecretString="value-one", KmsKeyId=key)["ARN"]
two = secrets.create_secret(Name="app/two", SecretString="value-two")["ARN"]
allow = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "secretsmanager:GetSecretValue", "Resource": two}
secrets.put_resource_policy(SecretId="app/two", ResourcePolicy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
container = {
    "name": "web", "image": "web", "memory": 64,
    "secrets": [{"name": "PASSWORD", "valueFrom": f"{one}:password::"}],
    "environment": [{"name": "PLAIN", "value": "hunter2-of-ecs"}, {"name": "PARTIAL", "value": two[:-7]}],
}
task = ecs.register_task_definition(family="web", containerDefinitions=[container])["taskDefinition"]["taskDefinitionArn"]
ecs.register_task_definition(family="alone", containerDefinitions=[{**container, "environment": []}])
ecs.create_cluster(clusterName="main")
ecs.create_service(cluster="main", serviceName="web", taskDefinition=task, desiredCount=0)
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as archive:
    archive.writestr("f.py", "def f(event, context): pass")
variables = {"NAME": "app/one", "ARN": two, "PASSWORD": "hunter2-of-lambda"}
functions.create_function(FunctionName="mailer", Runtime="python3.12", Role=role, Handler="f.f",
                          Code={"ZipFile": code.getvalue()}, Environment={"Variables": variables})
print(json.dumps({"task": task, "key": key, "role": role, "one": one, "two": two}))
