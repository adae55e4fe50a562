"""Writes the key of a service account that nobody has.

Usage: gcp_key.py FILE
"""

import json
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
account = {
    "type": "service_account",
    "project_id": "source-project",
    "private_key_id": "1",
    "private_key": pem,
    "client_email": "backup@source-project.iam.gserviceaccount.com",
    "client_id": "1",
    "token_uri": "https://oauth2.googleapis.com/token",
    "universe_domain": "googleapis.com",
}
with open(sys.argv[1], "w") as file:
    json.dump(account, file)
print("{}")
