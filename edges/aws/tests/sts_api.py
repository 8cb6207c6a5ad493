"""What roles and users are given, and sessions of them. Run by `client.rs`; `python sts_api.py FUNCTION` runs one."""

import json
import os
import sys
import uuid

from lambda_api import ACCOUNT, client, code, refused

BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, resource="*"):
    return document({"Effect": "Allow", "Action": action, "Resource": resource})


TRUST = document({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def grants():
    iam, role, user, group = client("iam"), fresh("role"), fresh("user"), fresh("group")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_user(UserName=user)
    iam.create_group(GroupName=group)
    for kind, name in (("role", role), ("user", user), ("group", group)):
        who = {f"{kind.capitalize()}Name": name}

        def call(operation, **options):
            return getattr(iam, operation.replace("X", kind))(**who, **options)

        call("put_X_policy", PolicyName="i", PolicyDocument=json.dumps(allow("s3:*")))
        assert call("list_X_policies")["PolicyNames"] == ["i"]
        assert call("get_X_policy", PolicyName="i")["PolicyDocument"] == allow("s3:*")
        call("attach_X_policy", PolicyArn=BASIC)
        attached = call("list_attached_X_policies")["AttachedPolicies"]
        assert attached == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}], attached
        with refused("DeleteConflict", 409):
            call("delete_X")
        call("detach_X_policy", PolicyArn=BASIC)
        with refused("NoSuchEntity", 404):
            call("detach_X_policy", PolicyArn=BASIC)
        call("delete_X_policy", PolicyName="i")
        with refused("NoSuchEntity", 404):
            call("get_X_policy", PolicyName="i")
        with refused("NoSuchEntity", 404):
            call("attach_X_policy", PolicyArn="arn:aws:iam::aws:policy/Nothing")
        call("delete_X")


def boundaries():
    iam, role, user, name = client("iam"), fresh("role"), fresh("user"), fresh("limit")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_user(UserName=user)
    only_lists = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(allow("lambda:List*")))["Policy"]["Arn"]

    def uses():
        return iam.get_policy(PolicyArn=only_lists)["Policy"]["PermissionsBoundaryUsageCount"]

    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=only_lists)
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=only_lists)
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=only_lists)
    assert uses() == 2, uses()
    told = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": only_lists}
    assert iam.get_role(RoleName=role)["Role"]["PermissionsBoundary"] == told
    with refused("DeleteConflict", 409):
        iam.delete_policy(PolicyArn=only_lists)
    with refused("NoSuchEntity", 404):
        iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=only_lists + "x")

    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps(allow("lambda:*")))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    mine = client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    mine.list_functions()
    with refused("AccessDeniedException", 403) as error:
        mine.get_account_settings()
    assert "no permissions boundary allows the lambda:GetAccountSettings" in error.message, error.message
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess")
    assert uses() == 1, uses()
    mine.get_account_settings()
    iam.delete_user_permissions_boundary(UserName=user)
    assert "PermissionsBoundary" not in iam.get_user(UserName=user)["User"]
    iam.delete_role_permissions_boundary(RoleName=role)
    assert uses() == 0, uses()
    iam.delete_policy(PolicyArn=only_lists)


def person(iam, *statements):
    """A user with these statements; its name and the options of a client for it."""
    name = fresh("user")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document(*statements)))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return name, dict(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])


def when(action, **conditions):
    return {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": conditions}


def conditions_of_functions():
    iam, lam = client("iam"), client("lambda")
    _, keys = person(
        iam,
        when(["lambda:InvokeFunction", "lambda:TagResource"], StringEquals={"aws:ResourceTag/Team": "a"}),
        when("lambda:CreateFunction", StringEquals={"aws:RequestTag/team": "a"},
             **{"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost"]}}),
        when("lambda:UntagResource", **{"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}}),
        when("iam:PassRole", StringEquals={"iam:PassedToService": "lambda.amazonaws.com",
                                           "aws:ResourceTag/for": "functions"}))
    mine = client("lambda", **keys)
    role = fresh("role")
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    name = fresh("fn")
    made = dict(FunctionName=name, Runtime="python3.11", Handler="index.handler", Role=arn, Code={"ZipFile": code()})
    for tags in ({}, {"team": "b"}, {"team": "a", "other": "x"}):
        with refused("AccessDeniedException", 403) as told:
            mine.create_function(**made, Tags=tags)
        assert "lambda:CreateFunction" in told.message, told.message
    with refused("AccessDeniedException", 403) as told:
        mine.create_function(**made, Tags={"team": "a"})
    assert "iam:PassRole" in told.message, told.message
    iam.tag_role(RoleName=role, Tags=[{"Key": "for", "Value": "functions"}])
    arn = mine.create_function(**made, Tags={"team": "a", "cost": "1"})["FunctionArn"]
    lam.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    mine.invoke(FunctionName=name)
    mine.tag_resource(Resource=arn, Tags={"cost": "2"})
    mine.untag_resource(Resource=arn, TagKeys=["cost"])
    with refused("AccessDeniedException", 403):
        mine.untag_resource(Resource=arn, TagKeys=["cost", "team"])
    lam.tag_resource(Resource=arn, Tags={"team": "b"})
    with refused("AccessDeniedException", 403):
        mine.invoke(FunctionName=name)


def conditions_of_identities():
    iam, limit = client("iam"), "arn:aws:iam::aws:policy/AdministratorAccess"
    _, keys = person(
        iam,
        when(["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"],
             StringEquals={"iam:PermissionsBoundary": limit}),
        when("iam:AttachRolePolicy", ArnEquals={"iam:PolicyARN": BASIC}),
        when("iam:DeleteRole*", StringEquals={"iam:ResourceTag/owner": "me"}),
        when("iam:TagRole", StringEquals={"aws:RequestTag/owner": "me"}),
        when("iam:GetRole"),
        {"Effect": "Deny", "Action": "*", "Resource": f"arn:aws:iam::{ACCOUNT}:role/Secret*"})
    mine, role = client("iam", **keys), fresh("role")
    trust = json.dumps(TRUST)
    with refused("AccessDenied", 403):
        mine.create_role(RoleName=role, AssumeRolePolicyDocument=trust)
    with refused("AccessDenied", 403):
        mine.create_role(RoleName=role, AssumeRolePolicyDocument=trust, PermissionsBoundary=BASIC)
    mine.create_role(RoleName=role, AssumeRolePolicyDocument=trust, PermissionsBoundary=limit)
    mine.put_role_policy(RoleName=role, PolicyName="i", PolicyDocument=json.dumps(allow("s3:*")))
    with refused("AccessDenied", 403):
        mine.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=BASIC)
    mine.attach_role_policy(RoleName=role, PolicyArn=BASIC)
    with refused("AccessDenied", 403):
        mine.attach_role_policy(RoleName=role, PolicyArn=limit)
    with refused("AccessDenied", 403):
        mine.delete_role_policy(RoleName=role, PolicyName="i")
    with refused("AccessDenied", 403):
        mine.tag_role(RoleName=role, Tags=[{"Key": "owner", "Value": "you"}])
    mine.tag_role(RoleName=role, Tags=[{"Key": "owner", "Value": "me"}])
    mine.delete_role_policy(RoleName=role, PolicyName="i")
    iam.delete_role_permissions_boundary(RoleName=role)
    with refused("AccessDenied", 403):
        mine.put_role_policy(RoleName=role, PolicyName="i", PolicyDocument=json.dumps(allow("s3:*")))

    # Names are found in letters of either case; a deny is not got round by them.
    iam.create_role(RoleName="Secret", AssumeRolePolicyDocument=trust)
    for name in ("Secret", "SECRET", "secret"):
        with refused("AccessDenied", 403):
            mine.get_role(RoleName=name)


def keys_of(found):
    return {"aws_access_key_id": found["AccessKeyId"], "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"]}


def sessions():
    sts, iam, name = client("sts"), client("iam"), fresh("role")
    trust = document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole",
                      "Condition": {"StringEquals": {"sts:ExternalId": "secret"}}})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(allow("lambda:*")))
    with refused("AccessDenied", 403):
        sts.assume_role(RoleArn=arn, RoleSessionName="me")
    with refused("ValidationError", 400):
        sts.assume_role(RoleArn=arn, RoleSessionName="me", ExternalId="secret", DurationSeconds=7200)
    assumed = sts.assume_role(RoleArn=arn, RoleSessionName="me", ExternalId="secret",
                              Policy=json.dumps(allow("lambda:List*")))
    assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/me", assumed
    keys = keys_of(assumed["Credentials"])
    assert client("sts", **keys).get_caller_identity()["Arn"] == assumed["AssumedRoleUser"]["Arn"]
    client("lambda", **keys).list_functions()
    with refused("AccessDeniedException", 403) as told:
        client("lambda", **keys).get_account_settings()
    assert told.message.endswith("because no session policy allows the lambda:GetAccountSettings action"), told.message
    for known in (keys["aws_access_key_id"], os.environ["AWS_ACCESS_KEY_ID"]):
        assert sts.get_access_key_info(AccessKeyId=known)["Account"] == ACCOUNT
    mine = keys_of(sts.get_session_token()["Credentials"])
    assert client("sts", **mine).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    with refused("AccessDenied", 403):
        client("sts", **mine).get_session_token()
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.delete_role(RoleName=name)
    with refused("InvalidClientTokenId", 403):
        client("sts", **keys).get_caller_identity()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
