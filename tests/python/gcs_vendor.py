"""What Google's own client gets of fake-gcs-server. ENDPOINT

Prints a JSON object: the same conditional upload by the JSON API, by the XML API (the client uses it for uploads in parts and
for signed URLs), and by the XML API with an Authorization header, as Google documents it.
"""
import datetime, json, sys, tempfile, urllib.error, urllib.request

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2 import service_account

endpoint = sys.argv[1]
client = storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint})
bucket = client.create_bucket("vendor")
told = {}


def status(call):
    try:
        return call() or 200
    except exceptions.GoogleAPICallError as error:
        return error.code
    except urllib.error.HTTPError as error:
        return [error.code, json.loads(error.read())["error"]["message"]]


def upload(text):
    return status(lambda: bucket.blob("json/a").upload_from_string(text, if_generation_match=0))


told["json"] = [upload("one"), upload("two"), bucket.blob("json/a").download_as_text()]

key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
info = {"client_email": "a@b.iam.gserviceaccount.com", "private_key": pem, "token_uri": "https://127.0.0.1:9/token"}
signer = service_account.Credentials.from_service_account_info(info)
first = {"x-goog-if-generation-match": "0"}


def put(url, headers, text):
    request = urllib.request.Request(url, data=text.encode(), method="PUT", headers=headers)
    return status(lambda: urllib.request.urlopen(request).status)


url = bucket.blob("signed/a").generate_signed_url(
    datetime.timedelta(minutes=5), method="PUT", version="v4", headers=first, credentials=signer, api_access_endpoint=endpoint
)
told["signed"] = [put(url, first, "one"), put(url, first, "two"), bucket.blob("signed/a").download_as_text()]
headers = {**first, "Authorization": "Bearer none", "Content-Type": "application/octet-stream"}
told["header"] = put(f"{endpoint}/vendor/header/a", headers, "one")

with tempfile.NamedTemporaryFile() as file:
    file.write(b"7" * (6 << 20))
    file.flush()
    parts = lambda: transfer_manager.upload_chunks_concurrently(
        file.name, bucket.blob("parts/a"), chunk_size=5 << 20, worker_type=transfer_manager.THREAD
    )
    try:
        parts()
        told["parts"] = 200
    except Exception as error:
        told["parts"] = str(getattr(error, "response", error))[:200]
print(json.dumps(told))
