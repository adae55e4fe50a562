"""Makes a container in Azurite, signed with the account's key. ENDPOINT CONTAINER KEY"""
import base64, email.utils, hashlib, hmac, sys, urllib.request

endpoint, container, key = sys.argv[1:]
account = endpoint.rsplit("/", 1)[1]
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
resource = f"/{account}/{account}/{container}\nrestype:container"
text = "PUT" + "\n" * 12 + "".join(f"{name}:{value}\n" for name, value in sorted(headers.items())) + resource
signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
headers["Authorization"] = f"SharedKey {account}:{signature}"
request = urllib.request.Request(f"{endpoint}/{container}?restype=container", method="PUT", headers=headers)
urllib.request.urlopen(request).close()
