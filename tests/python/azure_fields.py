"""Prints every field of every answer about secrets in the models of azure-keyvault-secrets: MODEL FIELD, one a line."""

import inspect

from azure.keyvault.secrets._generated import models

ANSWERS = ["BackupSecretResult", "DeletedSecretBundle", "DeletedSecretItem", "SecretBundle", "SecretItem", "SecretAttributes"]
KNOWN = ANSWERS + ["SecretSetParameters", "SecretUpdateParameters", "SecretRestoreParameters", "KeyVaultError", "KeyVaultErrorError"]

for name, model in inspect.getmembers(models, inspect.isclass):
    fields = {key: field for kind in model.__mro__ for key, field in vars(kind).items() if hasattr(field, "_rest_name_input")}
    if fields and name not in KNOWN:
        print(name, "unknown")
    if name in ANSWERS:
        for key, field in fields.items():
            print(name, field._rest_name_input or key)
