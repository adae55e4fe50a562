"""Drives the emulator with boto3, a client it was not written with: every operation, its labels, errors and limits.

usage: emulator_boto3.py ENDPOINT [--moto] [--only PART]

With --moto the server is moto, and the checks that moto answers unlike AWS are left out: what
remains proves that the script itself asks the right questions. Where a text is compared, it is the
one that AWS was recorded to answer.
"""

import argparse
import datetime
import itertools
import json
import string
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from checks import among, check, matches, run, same

ACCOUNT, OTHER = "111111111111", "222222222222"
REGION, FAR = "eu-west-1", "eu-central-1"
LAMBDA = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate"

NOT_FOUND = "Secrets Manager can't find the specified secret."
NO_LABEL = "Secrets Manager can't find the specified secret value for staging label: "
NO_VERSION = "Secrets Manager can't find the specified secret value for VersionId: "
MARKED = "You can't perform this operation on the secret because it was marked for deletion."
BAD_NAME = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
REFUSED = {"InvalidParameterException", "InvalidRequestException", "ValidationException"}

arguments = argparse.ArgumentParser()
arguments.add_argument("endpoint")
arguments.add_argument("--moto", action="store_true")
arguments.add_argument("--only")
arguments = arguments.parse_args()


def client(service="secretsmanager", account=ACCOUNT, region=REGION, **credentials):
    return boto3.client(
        service,
        endpoint_url=arguments.endpoint,
        region_name=region,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
        **{"aws_access_key_id": account, "aws_secret_access_key": "any", **credentials},
    )


sm, far, other = client(), client(region=FAR), client(account=OTHER)
numbers = itertools.count(1)


def name(stem):
    return f"boto3/{stem}/{next(numbers)}"


def token():
    return str(uuid.uuid4())


def create(value="one", at=None, stem="secret", **more):
    """Creates a secret under a new name; its name and the id of its version."""
    more = {"Name": name(stem), "SecretString": value, **more}
    made = (at or sm).create_secret(**{key: part for key, part in more.items() if part is not None})
    return made["Name"], made.get("VersionId")


def put(secret, value, *labels, **more):
    if labels:
        more["VersionStages"] = list(labels)
    return sm.put_secret_value(SecretId=secret, SecretString=value, **more)["VersionId"]


def get(secret, at=None, **which):
    return (at or sm).get_secret_value(SecretId=secret, **which)["SecretString"]


def labels(secret, at=None):
    return (at or sm).describe_secret(SecretId=secret).get("VersionIdsToStages", {})


def refused(call, codes, text=None, **parameters):
    """The call must fail with one of the codes, HTTP 400, and the text where AWS was recorded."""
    codes = {codes} if isinstance(codes, str) else codes
    try:
        answer = call(**parameters)
    except ClientError as error:
        found = error.response["Error"]
        among(found["Code"], codes, "error code")
        if text is not None:
            same(found["Message"], text, "error text")
        if not arguments.moto:
            same(error.response["ResponseMetadata"]["HTTPStatusCode"], 400, "HTTP status")
        return error.response
    raise AssertionError(f"expected {codes}, got {answer!r}")


def moment(seconds=0):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


# CreateSecret


@check()
def create_answers_arn_name_and_version():
    wanted, secret = token(), name("create")
    made = sm.create_secret(Name=secret, SecretString="v", ClientRequestToken=wanted)
    same(made["Name"], secret)
    same(made["VersionId"], wanted)
    account = r"\d{12}" if arguments.moto else ACCOUNT
    matches(made["ARN"], f"arn:aws:secretsmanager:{REGION}:{account}:secret:{secret}-[A-Za-z0-9]{{6}}")


@check()
def create_keeps_any_token_of_32_to_64_characters_as_the_version():
    for wanted in ["terraform-20260101000000000000000001", "x" * 64, "y" * 32]:
        same(create(ClientRequestToken=wanted)[1], wanted)


@check()
def create_again_with_the_same_token_and_value_is_a_no_op():
    secret, version = create("v", ClientRequestToken=token())
    again = sm.create_secret(Name=secret, SecretString="v", ClientRequestToken=version)
    same(again["VersionId"], version)
    same(labels(secret), {version: ["AWSCURRENT"]})


@check()
def create_again_with_the_same_token_and_another_value_is_refused():
    secret, version = create("v", ClientRequestToken=token())
    refused(sm.create_secret, "ResourceExistsException", Name=secret, SecretString="w", ClientRequestToken=version)
    same(get(secret), "v")


@check()
def create_of_an_existing_name_is_refused():
    secret, _ = create()
    text = f"The operation failed because the secret {secret} already exists."
    refused(sm.create_secret, "ResourceExistsException", text, Name=secret, SecretString="two")


@check()
def create_without_a_value_has_no_version():
    secret = name("empty")
    made = sm.create_secret(Name=secret)
    assert "VersionId" not in made, made
    assert "VersionIdsToStages" not in sm.describe_secret(SecretId=secret)
    refused(sm.get_secret_value, "ResourceNotFoundException", NO_LABEL + "AWSCURRENT", SecretId=secret)


@check()
def the_first_value_of_an_empty_secret_becomes_current():
    secret = name("empty")
    sm.create_secret(Name=secret)
    first = sm.put_secret_value(SecretId=secret, SecretString="first")
    same(first["VersionStages"], ["AWSCURRENT"])
    same(get(secret), "first")


@check(wrong_in_moto="accepts any name")
def names_with_other_characters_are_refused_by_every_operation():
    for bad in ["Inv Name", " Inv Name", " Inv*Name? ", " Inv *?!]Name\\-"]:
        refused(sm.create_secret, "ValidationException", BAD_NAME, Name=bad, SecretString="v")
        refused(sm.get_secret_value, "ValidationException", BAD_NAME, SecretId=bad)
        refused(sm.describe_secret, "ValidationException", BAD_NAME, SecretId=bad)
        refused(sm.put_secret_value, "ValidationException", BAD_NAME, SecretId=bad, SecretString="v")
        refused(sm.update_secret, "ValidationException", BAD_NAME, SecretId=bad, SecretString="v")
        refused(sm.delete_secret, "ValidationException", BAD_NAME, SecretId=bad)
        refused(sm.list_secret_version_ids, "ValidationException", BAD_NAME, SecretId=bad)
        refused(sm.tag_resource, "ValidationException", BAD_NAME, SecretId=bad, Tags=[{"Key": "k", "Value": "v"}])
        refused(sm.untag_resource, "ValidationException", BAD_NAME, SecretId=bad, TagKeys=["k"])


@check()
def names_with_every_allowed_character_are_accepted():
    secret = "Valid/_+=.@-Name!" + string.ascii_letters + string.digits
    sm.create_secret(Name=secret, SecretString="v")
    same(get(secret), "v")


@check(wrong_in_moto="accepts any name")
def names_of_managed_secrets_cannot_be_made():
    refused(sm.create_secret, REFUSED, Name="rds!cluster-1234", SecretString="v")


@check(wrong_in_moto="no limit")
def names_of_512_characters_are_accepted_and_no_longer_ones():
    sm.create_secret(Name="n" * 512, SecretString="v")
    same(get("n" * 512), "v")
    refused(sm.create_secret, REFUSED, Name="n" * 513, SecretString="v")


@check()
def create_keeps_description_key_and_tags():
    tags = [{"Key": "team", "Value": "payments"}, {"Key": "Team", "Value": ""}]
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    secret, _ = create(Description="for payments", KmsKeyId=key, Tags=tags)
    found = sm.describe_secret(SecretId=secret)
    same((found["Description"], found["KmsKeyId"]), ("for payments", key))
    same(sorted(found["Tags"], key=lambda tag: tag["Key"]), sorted(tags, key=lambda tag: tag["Key"]))


# Values


@check()
def text_comes_back_byte_for_byte():
    for value in ["\ufeffbom", "nul\0inside", "a\r\nb\n", "astral \U0001f6df", "trailing  ", '{"a":1,"a":2}', "é" * 9]:
        same(get(create(value)[0]), value)


@check()
def bytes_come_back_byte_for_byte_and_stay_bytes():
    for value in [bytes(range(256)), b'{"valid":"json"}', b"\x00", b"text"]:
        secret, _ = create(value=None, SecretBinary=value)
        found = sm.get_secret_value(SecretId=secret)
        same(found["SecretBinary"], value)
        assert "SecretString" not in found


@check()
def versions_of_one_secret_may_differ_in_kind():
    secret, first = create("text")
    second = sm.put_secret_value(SecretId=secret, SecretBinary=b"\xff\xfe")["VersionId"]
    same(get(secret, VersionId=first), "text")
    same(sm.get_secret_value(SecretId=secret, VersionId=second)["SecretBinary"], b"\xff\xfe")


@check(wrong_in_moto="accepts both")
def text_and_bytes_together_are_refused():
    secret, _ = create()
    both = {"SecretString": "s", "SecretBinary": b"b"}
    refused(sm.create_secret, REFUSED, Name=name("both"), **both)
    refused(sm.put_secret_value, REFUSED, SecretId=secret, **both)
    refused(sm.update_secret, REFUSED, SecretId=secret, **both)


@check(wrong_in_moto="no limit")
def a_value_of_65536_bytes_is_accepted_and_one_more_is_refused():
    secret, _ = create("x" * 65536)
    same(len(get(secret)), 65536)
    sm.put_secret_value(SecretId=secret, SecretBinary=b"\x07" * 65536)
    refused(sm.put_secret_value, REFUSED, SecretId=secret, SecretString="x" * 65537)
    refused(sm.put_secret_value, REFUSED, SecretId=secret, SecretBinary=b"\x07" * 65537)
    refused(sm.update_secret, REFUSED, SecretId=secret, SecretString="x" * 65537)
    refused(sm.create_secret, REFUSED, Name=name("large"), SecretString="x" * 65537)


@check(wrong_in_moto="no limit")
def the_limit_counts_bytes_not_characters():
    create("é" * 32768)
    refused(sm.create_secret, REFUSED, Name=name("large"), SecretString="é" * 32769)


# PutSecretValue and labels


@check()
def put_moves_current_and_previous():
    secret, first = create()
    second = put(secret, "two")
    same(labels(secret), {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]})
    third = put(secret, "three")
    found = labels(secret)
    same((found[third], found[second]), (["AWSCURRENT"], ["AWSPREVIOUS"]))
    same((get(secret), get(secret, VersionStage="AWSPREVIOUS")), ("three", "two"))


@check(wrong_in_moto="shows versions without labels")
def describe_shows_only_versions_with_labels():
    secret, _ = create()
    second, third = put(secret, "two"), put(secret, "three")
    same(labels(secret), {second: ["AWSPREVIOUS"], third: ["AWSCURRENT"]})


@check()
def put_with_labels_leaves_current_alone():
    secret, first = create()
    second = put(secret, "two", "AWSPENDING")
    same(labels(secret), {first: ["AWSCURRENT"], second: ["AWSPENDING"]})
    same((get(secret), get(secret, VersionStage="AWSPENDING")), ("one", "two"))


@check(wrong_in_moto="labels in the order given; shows versions without labels")
def labels_come_back_sorted_and_move_from_other_versions():
    secret, first = create()
    answer = sm.put_secret_value(SecretId=secret, SecretString="2", VersionStages=["two", "one", "three"])
    same(answer["VersionStages"], ["one", "three", "two"])
    third = put(secret, "3", "two", "four", "one")
    same(labels(secret), {first: ["AWSCURRENT"], answer["VersionId"]: ["three"], third: ["four", "one", "two"]})
    same(sm.get_secret_value(SecretId=secret, VersionId=third)["VersionStages"], ["four", "one", "two"])


@check()
def an_old_version_can_be_put_as_previous():
    secret, current = create("new")
    old = put(secret, "old", "AWSPREVIOUS")
    same(labels(secret), {current: ["AWSCURRENT"], old: ["AWSPREVIOUS"]})


@check()
def put_again_with_the_same_token_and_value_moves_nothing():
    secret, _ = create()
    second = put(secret, "two", ClientRequestToken=token())
    third = put(secret, "three")
    same(put(secret, "two", ClientRequestToken=second), second)
    same(labels(secret)[third], ["AWSCURRENT"])


@check()
def put_with_a_used_token_and_another_value_is_refused():
    secret, first = create()
    refused(
        sm.put_secret_value, "ResourceExistsException", SecretId=secret, SecretString="other", ClientRequestToken=first
    )
    same(get(secret), "one")


@check(wrong_in_moto="no limit")
def twenty_labels_are_accepted_and_one_more_is_refused():
    secret, first = create()
    put(secret, "two", *[f"label-{number}" for number in range(19)])
    refused(
        sm.put_secret_value, "LimitExceededException", SecretId=secret, SecretString="three", VersionStages=["another"]
    )
    refused(
        sm.update_secret_version_stage,
        "LimitExceededException",
        SecretId=secret,
        VersionStage="another",
        MoveToVersionId=first,
    )


@check()
def put_to_a_missing_secret_is_refused():
    refused(sm.put_secret_value, "ResourceNotFoundException", NOT_FOUND, SecretId="missing", SecretString="v")


@check()
def the_same_version_id_in_two_secrets_is_two_versions():
    shared = token()
    a, b = create("a", ClientRequestToken=shared)[0], create("b", ClientRequestToken=shared)[0]
    same((get(a, VersionId=shared), get(b, VersionId=shared)), ("a", "b"))


# UpdateSecret


@check()
def update_with_a_value_makes_it_current():
    secret, first = create()
    answer = sm.update_secret(SecretId=secret, SecretString="two")
    same(labels(secret), {first: ["AWSPREVIOUS"], answer["VersionId"]: ["AWSCURRENT"]})


@check()
def update_of_the_description_makes_no_version():
    secret, first = create()
    answer = sm.update_secret(SecretId=secret, Description="new words")
    assert "VersionId" not in answer, answer
    found = sm.describe_secret(SecretId=secret)
    same((found["Description"], found["VersionIdsToStages"]), ("new words", {first: ["AWSCURRENT"]}))


@check()
def update_with_a_used_token_and_another_value_is_refused():
    secret, first = create()
    refused(sm.update_secret, "ResourceExistsException", SecretId=secret, SecretString="2", ClientRequestToken=first)
    same(get(secret), "one")


@check(wrong_in_moto="keeps an empty key")
def update_of_the_key_is_shown_and_an_empty_key_is_the_default():
    secret, _ = create()
    sm.update_secret(SecretId=secret, KmsKeyId="alias/mine")
    same(sm.describe_secret(SecretId=secret)["KmsKeyId"], "alias/mine")
    sm.update_secret(SecretId=secret, KmsKeyId="")
    assert "KmsKeyId" not in sm.describe_secret(SecretId=secret)


@check(wrong_in_moto="whole seconds")
def update_moves_the_date_of_change():
    secret, _ = create()
    before = sm.describe_secret(SecretId=secret)["LastChangedDate"]
    sm.update_secret(SecretId=secret, SecretString="one")
    assert sm.describe_secret(SecretId=secret)["LastChangedDate"] > before


# UpdateSecretVersionStage


def move(secret, label, to=None, away=None):
    more = {"MoveToVersionId": to, "RemoveFromVersionId": away}
    more = {key: value for key, value in more.items() if value}
    return sm.update_secret_version_stage(SecretId=secret, VersionStage=label, **more)


@check()
def moving_current_moves_previous_and_keeps_other_labels():
    secret, first = create()
    second = put(secret, "two", "PENDING")
    answer = move(secret, "AWSCURRENT", to=second, away=first)
    same((answer["Name"], "ARN" in answer), (secret, True))
    found = {version: sorted(stages) for version, stages in labels(secret).items()}
    same(found, {first: ["AWSPREVIOUS"], second: ["AWSCURRENT", "PENDING"]})
    move(secret, "PENDING", away=second)
    same(labels(secret), {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]})


@check(wrong_in_moto="answers the newest version whatever the labels say")
def rolling_back_swaps_current_and_previous():
    secret, first = create()
    second = put(secret, "two")
    move(secret, "AWSCURRENT", to=first, away=second)
    same(labels(secret), {first: ["AWSCURRENT"], second: ["AWSPREVIOUS"]})
    same(get(secret), "one")


@check(wrong_in_moto="loses AWSPREVIOUS when the new home had no label")
def a_version_without_labels_can_become_current_again():
    secret, first = create()
    second, third = put(secret, "two"), put(secret, "three")
    move(secret, "AWSCURRENT", to=first, away=third)
    same(labels(secret), {first: ["AWSCURRENT"], third: ["AWSPREVIOUS"]})
    same(get(secret, VersionId=second), "two")


@check(wrong_in_moto="accepts it: the label is on two versions")
def moving_a_label_without_naming_its_home_is_refused():
    secret, first = create()
    second, third = put(secret, "two", "blue"), put(secret, "three", "green")
    for more in [{}, {"RemoveFromVersionId": first}]:
        refused(
            sm.update_secret_version_stage,
            "InvalidParameterException",
            SecretId=secret,
            VersionStage="blue",
            MoveToVersionId=third,
            **more,
        )
    same(labels(secret), {first: ["AWSCURRENT"], second: ["blue"], third: ["green"]})


@check(wrong_in_moto="accepts it")
def current_cannot_be_taken_away():
    secret, first = create()
    refused(
        sm.update_secret_version_stage,
        REFUSED,
        SecretId=secret,
        VersionStage="AWSCURRENT",
        RemoveFromVersionId=first,
    )
    same(labels(secret), {first: ["AWSCURRENT"]})


@check(wrong_in_moto="another code")
def moving_a_label_to_a_missing_version_is_refused():
    secret, first = create()
    refused(
        sm.update_secret_version_stage,
        REFUSED | {"ResourceNotFoundException"},
        SecretId=secret,
        VersionStage="AWSCURRENT",
        MoveToVersionId=token(),
        RemoveFromVersionId=first,
    )
    same(labels(secret), {first: ["AWSCURRENT"]})


# GetSecretValue


@check()
def get_answers_the_whole_version():
    secret, version = create("v")
    found = sm.get_secret_value(SecretId=secret)
    same((found["Name"], found["VersionId"], found["VersionStages"]), (secret, version, ["AWSCURRENT"]))
    assert moment(-3600) < found["CreatedDate"] < moment(60), found["CreatedDate"]
    same(found["ARN"], sm.describe_secret(SecretId=secret)["ARN"])


@check()
def get_by_arn_and_by_arn_without_its_suffix():
    secret, _ = create("v")
    arn = sm.describe_secret(SecretId=secret)["ARN"]
    same((get(arn), get(arn[:-7])), ("v", "v"))


@check(wrong_in_moto="finds it")
def an_arn_whose_name_looks_suffixed_is_taken_as_whole():
    secret = f"boto3/Name{next(numbers)}-a1b2c3"
    arn = sm.create_secret(Name=secret, SecretString="v")["ARN"]
    same((get(secret), get(arn)), ("v", "v"))
    refused(sm.get_secret_value, "ResourceNotFoundException", NOT_FOUND, SecretId=arn[:-7])


@check()
def a_version_without_labels_is_readable_by_its_id():
    secret, first = create()
    put(secret, "two"), put(secret, "three")
    found = sm.get_secret_value(SecretId=secret, VersionId=first)
    same((found["SecretString"], found.get("VersionStages", [])), ("one", []))


@check(wrong_in_moto="another text for a missing version")
def get_names_what_is_missing():
    secret, version = create()
    missing = token()
    refused(sm.get_secret_value, "ResourceNotFoundException", NOT_FOUND, SecretId="missing")
    refused(
        sm.get_secret_value, "ResourceNotFoundException", NO_LABEL + "AWSPREVIOUS", SecretId=secret, VersionStage="AWSPREVIOUS"
    )
    refused(sm.get_secret_value, "ResourceNotFoundException", NO_VERSION + missing, SecretId=secret, VersionId=missing)


@check()
def get_by_id_and_a_label_of_another_version_is_refused():
    secret, first = create()
    second = put(secret, "two")
    text = "You provided a VersionStage that is not associated to the provided VersionId."
    refused(
        sm.get_secret_value, "InvalidRequestException", text, SecretId=secret, VersionId=second, VersionStage="AWSPREVIOUS"
    )
    same(get(secret, VersionId=first, VersionStage="AWSPREVIOUS"), "one")


# BatchGetSecretValue


@check()
def batch_answers_values_and_errors_side_by_side():
    secrets = [create(f"value {number}")[0] for number in range(3)]
    answer = sm.batch_get_secret_value(SecretIdList=[*secrets, "missing"])
    same(sorted(found["SecretString"] for found in answer["SecretValues"]), ["value 0", "value 1", "value 2"])
    same([error["SecretId"] for error in answer["Errors"]], ["missing"])
    matches(answer["Errors"][0]["ErrorCode"], "ResourceNotFound(Exception)?")


@check()
def batch_reads_a_binary_version_made_by_put():
    secret, _ = create()
    sm.put_secret_value(SecretId=secret, SecretBinary=b"\x00\xff")
    same(sm.batch_get_secret_value(SecretIdList=[secret])["SecretValues"][0]["SecretBinary"], b"\x00\xff")


@check()
def batch_names_a_scheduled_secret_among_the_errors():
    secret, _ = create()
    sm.delete_secret(SecretId=secret)
    answer = sm.batch_get_secret_value(SecretIdList=[secret])
    same((len(answer["SecretValues"]), len(answer["Errors"])), (0, 1))
    matches(answer["Errors"][0]["ErrorCode"], "InvalidRequest(Exception)?")


@check()
def batch_by_filter_pages_over_all():
    stem = name("batch")
    wanted = {create(f"{number}", Name=f"{stem}/{number:02}")[0] for number in range(45)}
    seen, more = [], {}
    while True:
        page = sm.batch_get_secret_value(Filters=[{"Key": "name", "Values": [stem]}], MaxResults=20, **more)
        assert len(page["SecretValues"]) <= 20
        seen += [found["Name"] for found in page["SecretValues"]]
        if not page.get("NextToken"):
            break
        more = {"NextToken": page["NextToken"]}
    same((len(seen), set(seen)), (45, wanted))


@check(wrong_in_moto="accepts them")
def batch_takes_ids_or_filters_and_at_most_twenty_ids():
    secret, _ = create()
    refused(sm.batch_get_secret_value, REFUSED, SecretIdList=[secret], Filters=[{"Key": "name", "Values": ["x"]}])
    refused(sm.batch_get_secret_value, REFUSED, SecretIdList=[f"id-{number}" for number in range(21)])
    refused(sm.batch_get_secret_value, REFUSED)


# ListSecrets


def listed(at=None, **which):
    pages = (at or sm).get_paginator("list_secrets").paginate(**which)
    return [found for page in pages for found in page["SecretList"]]


def found_by(key, *values):
    return sorted(found["Name"] for found in listed(Filters=[{"Key": key, "Values": list(values)}]))


@check()
def list_pages_over_every_secret_once():
    stem = name("many")
    wanted = [create("v", Name=f"{stem}/{number:03}")[0] for number in range(130)]
    pages = list(sm.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [stem]}]))
    assert all(len(page["SecretList"]) <= 100 for page in pages)
    seen = [found["Name"] for page in pages for found in page["SecretList"]]
    same((len(seen), sorted(seen)), (130, wanted))
    same(len(listed(MaxResults=7, Filters=[{"Key": "name", "Values": [stem]}])), 130)


@check(wrong_in_moto="no SortBy")
def list_can_be_sorted_by_name():
    stem = name("sorted")
    wanted = [f"{stem}/{part}" for part in "abcde"]
    for secret in ["c", "a", "e", "b", "d"]:
        create("v", Name=f"{stem}/{secret}")
    which = {"SortBy": "name", "MaxResults": 2, "Filters": [{"Key": "name", "Values": [stem]}]}
    same([found["Name"] for found in listed(SortOrder="asc", **which)], wanted)
    same([found["Name"] for found in listed(SortOrder="desc", **which)], wanted[::-1])


@check()
def list_filters_by_every_key():
    stem = name("filter")
    tagged, _ = create(Name=f"{stem}/a", Description="Payments Database", Tags=[{"Key": "tier", "Value": "gold"}])
    plain, _ = create(Name=f"{stem}/b", Description="billing mail")
    same(found_by("name", stem), [tagged, plain])
    same(found_by("name", stem.upper()), [])
    same(found_by("name", f"{stem}/a", f"{stem}/b"), [tagged, plain])
    both = [{"Key": "name", "Values": [stem]}]
    for key, value, wanted in [
        ("description", "payments", [tagged]),
        ("description", "BILLING", [plain]),
        ("tag-key", "tier", [tagged]),
        ("tag-value", "gold", [tagged]),
        ("tag-value", "silver", []),
        ("name", f"!{stem}/a", [plain]),
        ("all", "payments", [tagged]),
    ]:
        found = sorted(entry["Name"] for entry in listed(Filters=[*both, {"Key": key, "Values": [value]}]))
        same(found, wanted, f"{key}={value}")


@check(wrong_in_moto="shows versions without labels")
def list_entries_carry_metadata_and_labelled_versions_only():
    secret, _ = create(Description="words", Tags=[{"Key": "k", "Value": "v"}])
    second, third = put(secret, "two"), put(secret, "three")
    entry = listed(Filters=[{"Key": "name", "Values": [secret]}])[0]
    same(entry["SecretVersionsToStages"], {second: ["AWSPREVIOUS"], third: ["AWSCURRENT"]})
    same((entry["Description"], entry["Tags"]), ("words", [{"Key": "k", "Value": "v"}]))
    same(entry["ARN"], sm.describe_secret(SecretId=secret)["ARN"])
    assert entry["CreatedDate"] <= entry["LastChangedDate"]
    assert not {"ReplicationStatus", "ResourcePolicy", "DeletedDate"} & set(entry), entry


@check(wrong_in_moto="accepts them or answers 500")
def list_refuses_what_it_cannot_answer():
    refused(sm.list_secrets, REFUSED, MaxResults=101)
    refused(sm.list_secrets, REFUSED | {"InvalidNextTokenException"}, NextToken="no such token")
    refused(sm.list_secrets, REFUSED, Filters=[{"Key": "colour", "Values": ["red"]}])


# ListSecretVersionIds


@check(wrong_in_moto="shows versions without labels, with an empty list; no KmsKeyIds")
def versions_without_labels_are_listed_on_request_only():
    secret, first = create()
    second, third = put(secret, "two"), put(secret, "three")
    shown = sm.list_secret_version_ids(SecretId=secret)
    same({entry["VersionId"] for entry in shown["Versions"]}, {second, third})
    whole = {entry["VersionId"]: entry for entry in sm.list_secret_version_ids(SecretId=secret, IncludeDeprecated=True)["Versions"]}
    same(set(whole), {first, second, third})
    assert "VersionStages" not in whole[first], whole[first]
    same((whole[second]["VersionStages"], whole[third]["VersionStages"]), (["AWSPREVIOUS"], ["AWSCURRENT"]))
    same({tuple(entry["KmsKeyIds"]) for entry in whole.values()}, {("DefaultEncryptionKey",)})
    assert all("CreatedDate" in entry for entry in whole.values())
    same((shown["Name"], shown["ARN"]), (secret, sm.describe_secret(SecretId=secret)["ARN"]))


@check(wrong_in_moto="pages are ignored")
def versions_are_paged():
    secret, first = create("0")
    wanted = {first} | {put(secret, str(number)) for number in range(1, 120)}
    for size, pages_at_least in [(None, 2), (50, 3), (7, 18)]:
        seen, pages, more = [], 0, {"MaxResults": size} if size else {}
        while True:
            page = sm.list_secret_version_ids(SecretId=secret, IncludeDeprecated=True, **more)
            pages += 1
            assert len(page["Versions"]) <= (size or 100)
            seen += [entry["VersionId"] for entry in page["Versions"]]
            if not page.get("NextToken"):
                break
            more["NextToken"] = page["NextToken"]
        same((len(seen), set(seen)), (120, wanted))
        assert pages >= pages_at_least, (size, pages)


@check(wrong_in_moto="no limit")
def young_versions_are_never_pruned_but_have_a_quota():
    """AWS keeps every version of the last day; one in ten minutes (144 a day) it bears, the quota beyond has no number."""
    secret, first = create("0")
    for number in range(1, 145):
        put(secret, str(number))
    same(get(secret, VersionId=first), "0")

    def put_many():
        for number in range(145, 500):
            put(secret, str(number))

    refused(put_many, "LimitExceededException")
    same(len(labels(secret)), 2)


@check(wrong_in_moto="answers 500")
def versions_of_a_missing_secret_are_refused():
    refused(sm.list_secret_version_ids, "ResourceNotFoundException", NOT_FOUND, SecretId="missing")


# DescribeSecret


@check(wrong_in_moto="answers empty fields")
def describe_shows_only_fields_that_have_a_value():
    secret, _ = create()
    found = set(sm.describe_secret(SecretId=secret)) - {"ResponseMetadata"}
    same(found, {"ARN", "Name", "CreatedDate", "LastChangedDate", "VersionIdsToStages"})
    get(secret)
    accessed = sm.describe_secret(SecretId=secret)["LastAccessedDate"].astimezone(datetime.timezone.utc)
    same(accessed.time(), datetime.time(0, 0), "the day of access")


@check()
def describe_of_a_missing_secret_is_refused():
    refused(sm.describe_secret, "ResourceNotFoundException", NOT_FOUND, SecretId="missing")


# DeleteSecret and RestoreSecret


@check()
def delete_schedules_in_thirty_days_or_as_told():
    for days, more in [(30, {}), (7, {"RecoveryWindowInDays": 7})]:
        secret, version = create()
        answer = sm.delete_secret(SecretId=secret, **more)
        same(answer["Name"], secret)
        wanted = moment(days * 86400)
        assert abs((answer["DeletionDate"] - wanted).total_seconds()) < 120, (answer["DeletionDate"], wanted)
        found = sm.describe_secret(SecretId=secret)
        assert "DeletedDate" in found
        same(found["VersionIdsToStages"], {version: ["AWSCURRENT"]})


@check()
def delete_refuses_other_windows():
    secret, _ = create()
    for more in [{"RecoveryWindowInDays": 6}, {"RecoveryWindowInDays": 31}, {"RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True}]:
        refused(sm.delete_secret, "InvalidParameterException", SecretId=secret, **more)
    same(get(secret), "one")


@check()
def a_scheduled_secret_has_metadata_and_no_value():
    secret, version = create()
    sm.delete_secret(SecretId=secret)
    for which in [{}, {"VersionId": version}, {"VersionStage": "AWSCURRENT"}]:
        refused(sm.get_secret_value, "InvalidRequestException", None if arguments.moto else MARKED, SecretId=secret, **which)
    same([entry["VersionId"] for entry in sm.list_secret_version_ids(SecretId=secret)["Versions"]], [version])


@check()
def a_scheduled_secret_is_listed_on_request_only():
    secret, _ = create()
    sm.delete_secret(SecretId=secret)
    which = [{"Key": "name", "Values": [secret]}]
    same(listed(Filters=which), [])
    found = listed(Filters=which, IncludePlannedDeletion=True)
    same([(entry["Name"], "DeletedDate" in entry) for entry in found], [(secret, True)])


@check(wrong_in_moto="writes pass")
def a_scheduled_secret_refuses_writes():
    secret, version = create(Tags=[{"Key": "k", "Value": "v"}])
    sm.delete_secret(SecretId=secret)
    for call, more in [
        (sm.put_secret_value, {"SecretString": "two"}),
        (sm.update_secret, {"Description": "d"}),
        (sm.tag_resource, {"Tags": [{"Key": "a", "Value": "b"}]}),
        (sm.untag_resource, {"TagKeys": ["k"]}),
        (sm.update_secret_version_stage, {"VersionStage": "x", "MoveToVersionId": version}),
        (sm.put_resource_policy, {"ResourcePolicy": POLICY}),
        (sm.rotate_secret, {"RotationLambdaARN": LAMBDA, "RotateImmediately": False}),
    ]:
        refused(call, "InvalidRequestException", MARKED, SecretId=secret, **more)


@check(wrong_in_moto="another code")
def the_name_of_a_scheduled_secret_is_taken():
    secret, _ = create()
    sm.delete_secret(SecretId=secret)
    text = "You can't create this secret because a secret with this name is already scheduled for deletion."
    refused(sm.create_secret, "InvalidRequestException", text, Name=secret, SecretString="v")


@check()
def restore_keeps_the_arn_the_values_and_the_labels():
    secret, first = create()
    second = put(secret, "two")
    arn = sm.describe_secret(SecretId=secret)["ARN"]
    sm.delete_secret(SecretId=secret)
    answer = sm.restore_secret(SecretId=secret)
    same((answer["ARN"], answer["Name"]), (arn, secret))
    assert "DeletedDate" not in sm.describe_secret(SecretId=secret)
    same(labels(secret), {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]})
    same(get(secret), "two")


@check()
def force_deletes_at_once_and_a_new_secret_gets_another_arn():
    secret, _ = create("old")
    arn = sm.describe_secret(SecretId=secret)["ARN"]
    sm.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    refused(sm.describe_secret, "ResourceNotFoundException", NOT_FOUND, SecretId=secret)
    refused(sm.restore_secret, "ResourceNotFoundException", SecretId=secret)
    again = sm.create_secret(Name=secret, SecretString="new")
    assert again["ARN"] != arn
    same(get(secret), "new")


@check()
def force_works_on_a_scheduled_and_on_a_missing_secret():
    secret, _ = create()
    sm.delete_secret(SecretId=secret)
    sm.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    refused(sm.describe_secret, "ResourceNotFoundException", NOT_FOUND, SecretId=secret)
    made_up = sm.delete_secret(SecretId="never-was", ForceDeleteWithoutRecovery=True)
    same(made_up["Name"], "never-was")
    refused(sm.delete_secret, "ResourceNotFoundException", NOT_FOUND, SecretId="never-was")


# Resource policies

POLICY = """{
  "Version": "2012-10-17",
  "Statement": [ {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
                  "Action": "secretsmanager:GetSecretValue", "Resource": "*"} ]
}"""
PUBLIC = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}],
    }
)


@check()
def a_policy_comes_back_character_for_character():
    secret, _ = create()
    assert not sm.get_resource_policy(SecretId=secret).get("ResourcePolicy")
    answer = sm.put_resource_policy(SecretId=secret, ResourcePolicy=POLICY)
    same(answer["Name"], secret)
    found = sm.get_resource_policy(SecretId=secret)
    same((found["ResourcePolicy"], found["Name"], found["ARN"]), (POLICY, secret, answer["ARN"]))
    sm.delete_resource_policy(SecretId=secret)
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=secret)


@check(wrong_in_moto="has no check")
def a_public_policy_is_refused_when_asked_to():
    secret, _ = create()
    refused(
        sm.put_resource_policy, "PublicPolicyException", SecretId=secret, ResourcePolicy=PUBLIC, BlockPublicPolicy=True
    )
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=secret)
    sm.put_resource_policy(SecretId=secret, ResourcePolicy=PUBLIC)
    same(sm.get_resource_policy(SecretId=secret)["ResourcePolicy"], PUBLIC)


@check(wrong_in_moto="has no check")
def a_policy_that_is_none_or_too_long_is_refused():
    secret, _ = create()
    refused(sm.put_resource_policy, "MalformedPolicyDocumentException", SecretId=secret, ResourcePolicy="{not json")
    long = POLICY + " " * (20481 - len(POLICY))
    refused(sm.put_resource_policy, REFUSED, SecretId=secret, ResourcePolicy=long)
    sm.put_resource_policy(SecretId=secret, ResourcePolicy=long[:20480])


@check(wrong_in_moto="answers 500")
def validate_passes_a_good_policy_and_names_what_is_wrong_with_another():
    good = sm.validate_resource_policy(ResourcePolicy=POLICY)
    same((good["PolicyValidationPassed"], good.get("ValidationErrors", [])), (True, []))
    bad = sm.validate_resource_policy(ResourcePolicy=PUBLIC)
    same(bad["PolicyValidationPassed"], False)
    assert bad["ValidationErrors"][0]["ErrorMessage"]
    secret, _ = create()
    same(sm.validate_resource_policy(SecretId=secret, ResourcePolicy=POLICY)["PolicyValidationPassed"], True)


# Tags


def tags(secret):
    return {tag["Key"]: tag["Value"] for tag in sm.describe_secret(SecretId=secret).get("Tags", [])}


@check()
def tags_are_added_replaced_and_removed():
    secret, _ = create()
    sm.tag_resource(SecretId=secret, Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": ""}])
    sm.tag_resource(SecretId=secret, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    same(tags(secret), {"a": "2", "A": "", "b": "3"})
    sm.untag_resource(SecretId=secret, TagKeys=["a", "absent"])
    same(tags(secret), {"A": "", "b": "3"})
    sm.untag_resource(SecretId=secret, TagKeys=["A", "b"])
    same(sm.describe_secret(SecretId=secret)["Tags"], [])


@check(wrong_in_moto="no limit")
def fifty_tags_are_accepted_and_one_more_is_refused():
    secret, _ = create(Tags=[{"Key": f"k{number}", "Value": "v"} for number in range(50)])
    same(len(tags(secret)), 50)
    codes = REFUSED | {"LimitExceededException"}
    refused(sm.tag_resource, codes, SecretId=secret, Tags=[{"Key": "one-more", "Value": "v"}])
    sm.tag_resource(SecretId=secret, Tags=[{"Key": "k7", "Value": "new"}])
    same((len(tags(secret)), tags(secret)["k7"]), (50, "new"))


@check(wrong_in_moto="accepts them")
def system_tags_and_oversized_tags_are_refused():
    secret, _ = create()
    for tag in [{"Key": "aws:mine", "Value": "v"}, {"Key": "k" * 129, "Value": "v"}, {"Key": "k", "Value": "v" * 257}]:
        refused(sm.tag_resource, REFUSED, SecretId=secret, Tags=[tag])
        refused(sm.create_secret, REFUSED, Name=name("tag"), SecretString="v", Tags=[tag])
    same(tags(secret), {})


@check(wrong_in_moto="passes")
def tags_on_a_scheduled_secret_are_refused():
    secret, _ = create()
    sm.delete_secret(SecretId=secret)
    refused(sm.tag_resource, "InvalidRequestException", MARKED, SecretId=secret, Tags=[{"Key": "k", "Value": "v"}])


# Rotation


@check(wrong_in_moto="leaves AWSPENDING, drops the schedule")
def rotation_is_configured_without_rotating():
    secret, version = create()
    rules = {"ScheduleExpression": "cron(0 4 1 * ? *)", "Duration": "2h"}
    answer = sm.rotate_secret(SecretId=secret, RotationLambdaARN=LAMBDA, RotationRules=rules, RotateImmediately=False)
    same(answer["Name"], secret)
    found = sm.describe_secret(SecretId=secret)
    same((found["RotationEnabled"], found["RotationLambdaARN"]), (True, LAMBDA))
    same({key: found["RotationRules"].get(key) for key in rules}, rules)
    same((found["VersionIdsToStages"], get(secret)), ({version: ["AWSCURRENT"]}, "one"))
    sm.cancel_rotate_secret(SecretId=secret)
    found = sm.describe_secret(SecretId=secret)
    same(found.get("RotationEnabled", False), False)
    same({key: found["RotationRules"].get(key) for key in rules}, rules)


@check(wrong_in_moto="accepts it")
def rotation_takes_a_schedule_or_days_and_needs_a_function():
    secret, _ = create()
    text = "No Lambda rotation function ARN is associated with this secret."
    refused(sm.rotate_secret, "InvalidRequestException", text, SecretId=secret, RotateImmediately=False)
    both = {"AutomaticallyAfterDays": 30, "ScheduleExpression": "rate(10 days)"}
    refused(
        sm.rotate_secret, REFUSED, SecretId=secret, RotationLambdaARN=LAMBDA, RotationRules=both, RotateImmediately=False
    )
    assert "RotationRules" not in sm.describe_secret(SecretId=secret)


@check(wrong_in_moto="RotationEnabled stays false")
def rotation_by_days_is_kept():
    secret, _ = create()
    rules = {"AutomaticallyAfterDays": 30}
    sm.rotate_secret(SecretId=secret, RotationLambdaARN=LAMBDA, RotationRules=rules, RotateImmediately=False)
    found = sm.describe_secret(SecretId=secret)
    same((found["RotationEnabled"], found["RotationRules"]["AutomaticallyAfterDays"]), (True, 30))


# Replication


def replicated(stem="replica", **more):
    secret, version = create(stem=stem, AddReplicaRegions=[{"Region": FAR}], **more)
    return secret, version


@check(wrong_in_moto="another status")
def a_replica_reads_like_its_primary():
    secret, version = create(Description="words", Tags=[{"Key": "k", "Value": "v"}])
    answer = sm.replicate_secret_to_regions(SecretId=secret, AddReplicaRegions=[{"Region": FAR}])
    same([status["Region"] for status in answer["ReplicationStatus"]], [FAR])
    statuses = sm.describe_secret(SecretId=secret)["ReplicationStatus"]
    same([(status["Region"], status["Status"]) for status in statuses], [(FAR, "InSync")])
    copy = far.describe_secret(SecretId=secret)
    same((copy["PrimaryRegion"], copy["Description"], copy["Tags"]), (REGION, "words", [{"Key": "k", "Value": "v"}]))
    same(copy["ARN"], sm.describe_secret(SecretId=secret)["ARN"].replace(REGION, FAR))
    assert "ReplicationStatus" not in copy
    same((get(secret, at=far), labels(secret, at=far)), ("one", {version: ["AWSCURRENT"]}))
    same(listed(at=far, Filters=[{"Key": "name", "Values": [secret]}])[0]["PrimaryRegion"], REGION)


@check()
def a_replica_follows_its_primary():
    secret, _ = replicated()
    put(secret, "two")
    same(get(secret, at=far), "two")


@check(wrong_in_moto="another code or none")
def a_replica_is_read_only_and_holds_its_primary():
    secret, _ = replicated()
    refused(far.put_secret_value, "InvalidRequestException", SecretId=secret, SecretString="x")
    refused(far.update_secret, "InvalidRequestException", SecretId=secret, SecretString="x")
    refused(far.delete_secret, "InvalidRequestException", SecretId=secret)
    refused(sm.delete_secret, "InvalidRequestException", SecretId=secret)
    same(get(secret), "one")


@check()
def a_removed_replica_is_gone():
    secret, _ = replicated()
    answer = sm.remove_regions_from_replication(SecretId=secret, RemoveReplicaRegions=[FAR])
    same(answer.get("ReplicationStatus", []), [])
    refused(far.describe_secret, "ResourceNotFoundException", NOT_FOUND, SecretId=secret)
    sm.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


@check(wrong_in_moto="answers 500")
def a_promoted_replica_stands_alone_with_the_same_suffix():
    secret, _ = replicated()
    suffix = sm.describe_secret(SecretId=secret)["ARN"][-7:]
    answer = far.stop_replication_to_replica(SecretId=secret)
    same(answer["ARN"][-7:], suffix)
    assert "PrimaryRegion" not in far.describe_secret(SecretId=secret)
    far.put_secret_value(SecretId=secret, SecretString="mine")
    same((get(secret, at=far), get(secret)), ("mine", "one"))
    same(sm.describe_secret(SecretId=secret).get("ReplicationStatus", []), [])


@check()
def a_replica_never_overwrites_unless_told():
    secret, _ = create()
    create("theirs", at=far, Name=secret)
    sm.replicate_secret_to_regions(SecretId=secret, AddReplicaRegions=[{"Region": FAR}])
    same(sm.describe_secret(SecretId=secret)["ReplicationStatus"][0]["Status"], "Failed")
    same(get(secret, at=far), "theirs")
    sm.replicate_secret_to_regions(
        SecretId=secret, AddReplicaRegions=[{"Region": FAR}], ForceOverwriteReplicaSecret=True
    )
    same(get(secret, at=far), "one")


# GetRandomPassword


@check()
def random_passwords_keep_the_rules():
    def password(**more):
        return sm.get_random_password(**more)["RandomPassword"]

    same(len(password()), 32)
    assert password() != password()
    found = password(PasswordLength=64)
    same(len(found), 64)
    for kind in [string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation]:
        assert set(found) & set(kind), found
    digits = password(PasswordLength=200, ExcludeLowercase=True, ExcludeUppercase=True, ExcludePunctuation=True)
    same(set(digits) - set(string.digits), set())
    same(set(password(PasswordLength=400, ExcludeCharacters="abcXYZ1")) & set("abcXYZ1"), set())
    spaced = password(PasswordLength=4000, IncludeSpace=True, ExcludeNumbers=True)
    assert " " in spaced and not set(spaced) & set(string.digits)


@check(wrong_in_moto="another code")
def random_passwords_that_cannot_be_are_refused():
    refused(sm.get_random_password, REFUSED, PasswordLength=3)
    refused(sm.get_random_password, REFUSED, PasswordLength=4097)


# Accounts and regions


@check()
def regions_do_not_see_each_other():
    secret, _ = create()
    refused(far.describe_secret, "ResourceNotFoundException", NOT_FOUND, SecretId=secret)
    create("far", at=far, Name=secret)
    same((get(secret), get(secret, at=far)), ("one", "far"))
    same(listed(at=client(region="sa-east-1")), [])


@check(wrong_in_moto="one account for every key")
def accounts_do_not_see_each_other():
    secret, _ = create()
    refused(other.get_secret_value, "ResourceNotFoundException", NOT_FOUND, SecretId=secret)
    create("theirs", at=other, Name=secret)
    same((get(secret), get(secret, at=other)), ("one", "theirs"))
    same(other.describe_secret(SecretId=secret)["ARN"].split(":")[4], OTHER)
    arn = sm.describe_secret(SecretId=secret)["ARN"]
    refused(other.get_secret_value, {"ResourceNotFoundException", "AccessDeniedException", "InvalidRequestException"}, SecretId=arn)


@check(wrong_in_moto="one account for every key")
def sts_names_the_account_of_the_key():
    for account in [ACCOUNT, OTHER]:
        found = client("sts", account=account).get_caller_identity()
        same(found["Account"], account)
        matches(found["Arn"], rf"arn:aws:(iam|sts)::{account}:.+")
        assert found["UserId"]


@check()
def an_assumed_role_lands_in_its_account():
    role = f"arn:aws:iam::{OTHER}:role/restore"
    answer = client("sts").assume_role(RoleArn=role, RoleSessionName="drill")
    matches(answer["AssumedRoleUser"]["Arn"], f"arn:aws:sts::{OTHER}:assumed-role/restore/drill")
    given = answer["Credentials"]
    assert given["Expiration"] > moment(600), given["Expiration"]
    assumed = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    found = client("sts", **assumed).get_caller_identity()
    same((found["Account"], found["Arn"]), (OTHER, answer["AssumedRoleUser"]["Arn"]))
    there = client(**assumed)
    secret, _ = create("by role", at=there)
    same(there.describe_secret(SecretId=secret)["ARN"].split(":")[4], OTHER)
    refused(sm.describe_secret, "ResourceNotFoundException", NOT_FOUND, SecretId=secret)
    if not arguments.moto:
        same(get(secret, at=other), "by role")


raise SystemExit(run(arguments.moto, arguments.only))
