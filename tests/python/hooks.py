"""Consumers of secrets for hooks, by the services' own APIs: ENDPOINT REGION plant ARN|look. The clients are boto3's."""
import io
import json
import sys
import zipfile

import boto3

endpoint, region, action = sys.argv[1:4]


def client(service):
    return boto3.client(service, region, endpoint_url=endpoint)


def plant(arn):
    iam, ecs, functions = map(client, ["iam", "ecs", "lambda"])
    allow = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    container = {
        "name": "web", "image": "web", "memory": 64,
        "secrets": [{"name": "PASSWORD", "valueFrom": f"{arn}:password::"}],
        "repositoryCredentials": {"credentialsParameter": arn[:-7]},
        "logConfiguration": {"logDriver": "splunk", "secretOptions": [{"name": "token", "valueFrom": arn}]},
        "environment": [{"name": "PLAIN", "value": "MARKER-of-ecs"}],
    }
    task = ecs.register_task_definition(family="web", containerDefinitions=[container],
                                        tags=[{"key": "team", "value": "blue"}])["taskDefinition"]["taskDefinitionArn"]
    ecs.create_cluster(clusterName="main")
    ecs.create_service(cluster="main", serviceName="web", taskDefinition=task, desiredCount=1)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("f.py", "def f(event, context): pass")
    variables = {"ARN": arn, "PASSWORD": "MARKER-of-lambda"}
    functions.create_function(FunctionName="mailer", Runtime="python3.12", Role=role, Handler="f.f",
                              Code={"ZipFile": code.getvalue()}, Environment={"Variables": variables})
    return {"task": task}


def look():
    ecs, functions = client("ecs"), client("lambda")
    service = ecs.describe_services(cluster="main", services=["web"])["services"][0]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"], include=["TAGS"])
    configuration = functions.get_function_configuration(FunctionName="mailer")
    return {
        "container": task["taskDefinition"]["containerDefinitions"][0], "tags": task["tags"],
        "revision": task["taskDefinition"]["revision"],
        "deployments": [deployment["id"] for deployment in service["deployments"]],
        "variables": configuration["Environment"]["Variables"], "update": configuration["RevisionId"],
    }


print(json.dumps({"plant": plant, "look": look}[action](*sys.argv[4:])))
