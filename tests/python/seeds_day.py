"""The day of an estate whose signing key rotates, by the services' own APIs: ENDPOINT REGION ACTION [FILE]. The clients are boto3's."""
import json
import sys
import time

import boto3

endpoint, region, action = sys.argv[1:4]
NAME = "orrange-p2p/api/production"


def client(service):
    return boto3.client(service, region, endpoint_url=endpoint)


def value(secrets):
    return json.loads(secrets.get_secret_value(SecretId=NAME)["SecretString"])


def plant():
    """The secret, another one, and the service that reads it at its start."""
    secrets, ecs = client("secretsmanager"), client("ecs")
    first = {"jwt_secret": "MARKER-jwt-one", "jwt_secret_previous": "MARKER-jwt-zero", "host": "db"}
    arn = secrets.create_secret(Name=NAME, SecretString=json.dumps(first))["ARN"]
    secrets.create_secret(Name="orrange-p2p/mail/production", SecretString="MARKER-mail")
    container = {"name": "api", "image": "api", "memory": 64,
                 "secrets": [{"name": "JWT", "valueFrom": f"{arn}:jwt_secret::"}]}
    task = ecs.register_task_definition(family="api", containerDefinitions=[container])
    ecs.create_cluster(clusterName="orrange")
    ecs.create_service(cluster="orrange", serviceName="api", desiredCount=1,
                       taskDefinition=task["taskDefinition"]["taskDefinitionArn"])
    return {}


def deploy(template):
    """The printed template, as CloudFormation takes it."""
    stacks = client("cloudformation")
    with open(template) as file:
        stacks.create_stack(StackName="lifeboat-events", TemplateBody=file.read(), Capabilities=["CAPABILITY_NAMED_IAM"])
    for _ in range(60):
        stack = stacks.describe_stacks(StackName="lifeboat-events")["Stacks"][0]
        if stack["StackStatus"] != "CREATE_IN_PROGRESS":
            return {"status": stack["StackStatus"]}
        time.sleep(0.2)
    return {"status": "late"}


def rotate():
    """What the rotation does: a new key, and the one of before is kept."""
    secrets = client("secretsmanager")
    now = value(secrets)
    now.update(jwt_secret="MARKER-jwt-two", jwt_secret_previous=now["jwt_secret"])
    secrets.put_secret_value(SecretId=NAME, SecretString=json.dumps(now))
    return {}


def look():
    service = client("ecs").describe_services(cluster="orrange", services=["api"])["services"][0]
    queue = client("sqs")
    url = queue.get_queue_url(QueueName="lifeboat-events")["QueueUrl"]
    left = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {"deployments": [deployment["id"] for deployment in service["deployments"]],
            "messages": int(left["ApproximateNumberOfMessages"]) + int(left["ApproximateNumberOfMessagesNotVisible"])}


def send(body):
    """A message of somebody else."""
    queue = client("sqs")
    queue.send_message(QueueUrl=queue.get_queue_url(QueueName="lifeboat-events")["QueueUrl"], MessageBody=body)
    return {}


actions = {"plant": plant, "deploy": deploy, "rotate": rotate, "look": look, "send": send}
print(json.dumps(actions[action](*sys.argv[4:])))
