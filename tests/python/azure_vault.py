"""A client of azure-keyvault-secrets for a vault of the sandbox, and where its names lead."""

import socket
import time

import requests
from azure.core.credentials import AccessToken
from azure.keyvault.secrets import SecretClient

_getaddrinfo = socket.getaddrinfo


def _here(host, *rest, **more):
    """Names below localhost are this machine (RFC 6761), whatever the resolver thinks."""
    if isinstance(host, str) and host.endswith(".localhost"):
        host = "127.0.0.1"
    return _getaddrinfo(host, *rest, **more)


socket.getaddrinfo = _here


class Credential:
    """Signs in with the client secret, in the tenant that the vault names."""

    def __init__(self, authority, certificate, secret):
        self.authority, self.certificate, self.secret = authority, certificate, secret
        self.tenants = []

    def get_token(self, *scopes, tenant_id=None, **_):
        self.tenants.append(tenant_id)
        form = {
            "client_id": "sandbox",
            "client_secret": self.secret,
            "grant_type": "client_credentials",
            "scope": " ".join(scopes),
        }
        url = f"{self.authority}/{tenant_id}/oauth2/v2.0/token"
        told = requests.post(url, data=form, verify=self.certificate, timeout=30)
        told.raise_for_status()
        told = told.json()
        return AccessToken(told["access_token"], int(time.time()) + told["expires_in"])


def client(vault, authority, certificate, secret):
    credential = Credential(authority, certificate, secret)
    made = SecretClient(vault, credential, connection_verify=certificate, retry_total=2)
    return made, credential


def versions(vault, name):
    """Properties and values of every version by its id; None for one that is disabled."""
    found = {}
    for properties in vault.list_properties_of_secret_versions(name):
        value = vault.get_secret(name, properties.version).value if properties.enabled else None
        found[properties.version] = (properties, value)
    return found
