"""Drives a vault through every operation that Lifeboat uses, by Microsoft's own client, and checks every answer.

Usage: azure_face.py VAULT AUTHORITY CERTIFICATE SECRET
"""

import datetime
import json
import sys

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

import azure_vault

vault, credential = azure_vault.client(*sys.argv[1:])
checks = 0


def check(is_so, what):
    global checks
    checks += 1
    if not is_so:
        sys.exit(f"{what} is not so")


def refused(status, code, call, *arguments, **more):
    try:
        call(*arguments, **more)
    except HttpResponseError as error:
        inner = getattr(error.error, "innererror", None) or {}
        told = inner.get("code") or error.error.code
        check((error.status_code, told) == (status, code), f"{status} {code} ({error.status_code} {told})")
    else:
        sys.exit(f"{code} was expected")


when = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
made = vault.set_secret("App-One", "first", content_type="text/plain", tags={"team": "a"}, expires_on=when)
check(made.value == "first" and made.properties.content_type == "text/plain", "what was set")
check(made.properties.expires_on == when and made.properties.tags == {"team": "a"}, "what is beside it")
check(len(made.properties.version) == 32 and made.properties.enabled, "a version of 32 digits")
check(made.properties.created_on is not None and made.properties.recovery_level, "dates and recovery")
second = vault.set_secret("app-one", "sécond\n🔑")
check(second.properties.version != made.properties.version, "another version")
check(vault.get_secret("APP-ONE").value == "sécond\n🔑", "names that differ by case are one")
check(vault.get_secret("app-one", made.properties.version).value == "first", "an older version")
changed = vault.update_secret_properties("app-one", made.properties.version, enabled=False, tags={"x": ""}, not_before=when)
check(changed.enabled is False and changed.tags == {"x": ""} and changed.not_before == when, "a change of one version")
refused(403, "SecretDisabled", vault.get_secret, "app-one", made.properties.version)
found = azure_vault.versions(vault, "app-one")
check({value for _, value in found.values()} == {None, "sécond\n🔑"}, "the versions and their values")
for number in range(60):
    vault.set_secret(f"page-{number:02}", str(number))
names = [properties.name for properties in vault.list_properties_of_secrets()]
check(len(names) == 61 and len(set(names)) == 61, "every name, over pages of 25")
pages = [len(list(page)) for page in vault.list_properties_of_secrets(max_page_size=7).by_page()]
check(sum(pages) == 61 and max(pages) == 7, "pages of a size")
for number in range(30):
    vault.set_secret("many", str(number))
check(len(azure_vault.versions(vault, "many")) == 30, "every version, over pages")
refused(404, "SecretNotFound", vault.get_secret, "missing")
refused(400, "BadParameter", vault.set_secret, "a_b", "x")
refused(400, "BadParameter", vault.set_secret, "large", "x" * 25_601)
check(vault.set_secret("large", "x" * 25_600).properties.version, "25 KB")
refused(400, "BadParameter", vault.set_secret, "tags", "x", tags={str(n): "" for n in range(16)})
check(vault.set_secret("tags", "x", tags={str(n): "" for n in range(15)}).properties.version, "15 tags")
check(vault.set_secret("empty", "").value == "", "an empty value")
blob = vault.backup_secret("app-one")
deleted = vault.begin_delete_secret("app-one").result()
check(deleted.deleted_date and deleted.scheduled_purge_date and deleted.recovery_id, "what a deleted secret tells")
refused(409, "ObjectIsDeletedButRecoverable", vault.set_secret, "APP-one", "x")
check([it.name for it in vault.list_deleted_secrets()] == ["App-One"], "the deleted ones")
check(vault.get_deleted_secret("app-one").name == "App-One", "one of them")
vault.begin_recover_deleted_secret("app-one").wait()
check(len(azure_vault.versions(vault, "app-one")) == 2, "all of it is back")
try:
    vault.restore_secret_backup(blob)
    sys.exit("a backup was restored over a secret")
except ResourceExistsError:
    checks += 1
vault.begin_delete_secret("app-one").wait()
vault.purge_deleted_secret("app-one")
try:
    vault.get_deleted_secret("app-one")
    sys.exit("it was not purged")
except ResourceNotFoundError:
    checks += 1
restored = vault.restore_secret_backup(blob)
check(restored.name == "App-One", "a backup brings the name back")
found = azure_vault.versions(vault, "app-one")
check(set(found) == {made.properties.version, second.properties.version}, "and the ids of the versions")
check(set(credential.tenants) != {None}, "the client signed in where the vault said")
print(json.dumps({"checks": checks}))
