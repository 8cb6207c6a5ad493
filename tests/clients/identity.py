"""Promise: nothing is allowed that no one granted."""

import datetime
import json
import urllib.request

import botocore.session
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from platform_under_test import *


def keys_of(answer):
    found = answer["Credentials"]
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }


def who_am_i():
    me = client("sts").get_caller_identity()
    assert me["Account"] == ACCOUNT and me["Arn"] == f"arn:aws:iam::{ACCOUNT}:root", me


def with_keys(service, **changed):
    keys = {"aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"]}
    return client(service, **{**keys, **changed})


def bad_signatures_are_refused():
    with expect_error("SignatureDoesNotMatch", 403):
        with_keys("sts", aws_secret_access_key="wrong").get_caller_identity()
    with expect_error("InvalidClientTokenId", 403):
        with_keys("sts", aws_access_key_id="AKIAUNKNOWNUNKNOWN00").get_caller_identity()
    with expect_error("InvalidSignatureException", 403):
        with_keys("lambda", aws_secret_access_key="wrong").list_functions()
    with expect_error("UnrecognizedClientException", 403):
        with_keys("lambda", aws_access_key_id="AKIAUNKNOWNUNKNOWN00").list_functions()
    try:
        urllib.request.urlopen(f"{ENDPOINT}/2015-03-31/functions")
        raise AssertionError("an unsigned request was served")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and error.headers["x-amzn-errortype"].startswith("MissingAuthenticationToken")


def a_user_may_what_its_policies_say():
    iam, name = client("iam"), unique("user")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    mine = client("lambda", **keys)
    assert client("sts", **keys).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}"
    with expect_error("AccessDeniedException", 403, contains="is not authorized to perform: lambda:ListFunctions"):
        mine.list_functions()
    target = function("def handler(e, c): return 1")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{target}"
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lambda:Invoke*", "Resource": arn}]}))
    eventually(lambda: allowed(lambda: mine.invoke(FunctionName=target)))
    with expect_error("AccessDeniedException", 403):
        mine.delete_function(FunctionName=target)
    iam.put_user_policy(UserName=name, PolicyName="q", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": "*", "Resource": "*"}]}))
    eventually(lambda: not allowed(lambda: mine.invoke(FunctionName=target)))
    iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with expect_error("UnrecognizedClientException", 403):
        mine.list_functions()


def allowed(call):
    try:
        call()
        return True
    except ClientError as error:
        assert "AccessDenied" in error.response["Error"]["Code"], error.response
        return False


def roles_are_assumed_by_whom_they_trust():
    sts, iam = client("sts"), client("iam")
    name = unique("trusting")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]}
    arn = role(name, trust=trust, policies=[{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"}]}])
    session = sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=900)
    keys = keys_of(session)
    me = client("sts", **keys).get_caller_identity()
    assert me["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/me", me
    client("lambda", **keys).list_functions()
    with expect_error("AccessDenied", 403):
        client("iam", **keys).create_user(UserName=unique("x"))
    broken = dict(keys, aws_session_token=keys["aws_session_token"][:-6] + "AAAAA=")
    with expect_error("UnrecognizedClientException", 403):
        client("lambda", **broken).list_functions()
    with expect_error("AccessDenied", 403):
        sts.assume_role(RoleArn=role(), RoleSessionName="me")
    temporary = keys_of(sts.get_session_token(DurationSeconds=900))
    client("lambda", **temporary).list_functions()


def iam_keeps_what_it_is_told():
    iam, name = client("iam"), unique("kept")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Description="d",
                           Tags=[{"Key": "k", "Value": "v"}])["Role"]
    got = iam.get_role(RoleName=name)["Role"]
    assert got["Arn"] == made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
    assert got["AssumeRolePolicyDocument"] == TRUST and got["Description"] == "d"
    with expect_error("EntityAlreadyExists", 409):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    with expect_error("MalformedPolicyDocument", 400):
        iam.create_role(RoleName=unique("x"), AssumeRolePolicyDocument="{")
    with expect_error("NoSuchEntity", 404):
        iam.get_role(RoleName=unique("absent"))
    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName=name, PolicyArn=basic)
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert attached == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": basic}], attached
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(document))
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["inline"]
    assert iam.get_role_policy(RoleName=name, PolicyName="inline")["PolicyDocument"] == document
    with expect_error("DeleteConflict", 409):
        iam.delete_role(RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn=basic)
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    iam.delete_role(RoleName=name)
    assert name not in [r["RoleName"] for p in iam.get_paginator("list_roles").paginate() for r in p["Roles"]]


def signatures_of_every_form():
    session = botocore.session.get_session()
    keys = session.get_credentials()
    url = f"{ENDPOINT}/2015-03-31/functions?MaxItems=1"

    def send(signer, **headers):
        request = AWSRequest(method="GET", url=url, headers=headers)
        signer.add_auth(request)
        prepared = request.prepare()
        return urllib.request.urlopen(urllib.request.Request(prepared.url, headers=dict(prepared.headers))).status

    assert send(SigV4Auth(keys, "lambda", REGION)) == 200
    assert send(SigV4QueryAuth(keys, "lambda", REGION, expires=60)) == 200
    stale = Credentials(keys.access_key, "not the secret")
    for signer in (SigV4Auth(stale, "lambda", REGION), SigV4QueryAuth(stale, "lambda", REGION, expires=60)):
        try:
            send(signer)
            raise AssertionError("a wrong secret was taken")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error


def skewed_clocks_are_refused():
    import botocore.auth as auth

    keys = botocore.session.get_session().get_credentials()
    real = auth.get_current_datetime if hasattr(auth, "get_current_datetime") else None
    request = AWSRequest(method="GET", url=f"{ENDPOINT}/2015-03-31/functions")
    if real is None:
        class Past(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return datetime.datetime.utcnow() - datetime.timedelta(hours=1)
        auth.datetime.datetime, kept = Past, auth.datetime.datetime
    else:
        auth.get_current_datetime = lambda **kw: real(**kw) - datetime.timedelta(hours=1)
    SigV4Auth(keys, "lambda", REGION).add_auth(request)
    prepared = request.prepare()
    try:
        urllib.request.urlopen(urllib.request.Request(prepared.url, headers=dict(prepared.headers)))
        raise AssertionError("a signature from an hour ago was taken")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and "expired" in error.read().decode().lower(), error
