"""Every field of every operation of Secrets Manager, from the service model of the installed botocore."""

import gzip
import json
import os

import botocore

path = os.path.join(os.path.dirname(botocore.__file__), "data", "secretsmanager", "2017-10-17", "service-2.json")
opened = gzip.open(path + ".gz") if os.path.exists(path + ".gz") else open(path, "rb")
model = json.load(opened)
shapes = model["shapes"]


def fields(name, above=()):
    shape = shapes[name]
    if shape["type"] == "list":
        yield from fields(shape["member"]["shape"], above)
    elif shape["type"] == "structure":
        for member, of in shape.get("members", {}).items():
            inside = list(fields(of["shape"], (*above, member)))
            if not inside:
                yield ".".join((*above, member))
            yield from inside


for operation, body in sorted(model["operations"].items()):
    for direction in ("input", "output"):
        if direction in body:
            for field in fields(body[direction]["shape"]):
                print(operation, direction, field)
