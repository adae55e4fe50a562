"""Every field of every schema of Secret Manager, from the discovery document inside google-api-python-client."""

import json
import pathlib

import googleapiclient

folder = pathlib.Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
document = json.loads((folder / "secretmanager.v1.json").read_text())
for name, schema in sorted(document["schemas"].items()):
    for field in sorted(schema.get("properties", {})):
        print(name, field)
