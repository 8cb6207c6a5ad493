"""Operations of IAM and STS that no promise of the product shows by itself. Run by `client.rs`."""

import json
import sys

from lambda_api import *

DOCUMENT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
OTHER = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]}


def tags_of(answer):
    return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}


def roles():
    iam = client("iam")
    iam.create_role(RoleName="r", Path="/a/", AssumeRolePolicyDocument=json.dumps(TRUST), MaxSessionDuration=7200,
                    Tags=[{"Key": "k", "Value": "v"}])
    iam.update_role(RoleName="r", Description="first", MaxSessionDuration=3600)
    assert iam.update_role_description(RoleName="r", Description="second")["Role"]["Description"] == "second"
    got = iam.get_role(RoleName="r")["Role"]
    assert (got["Arn"], got["MaxSessionDuration"]) == (f"arn:aws:iam::{ACCOUNT}:role/a/r", 3600), got
    changed = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "lambda.amazonaws.com"}}]}
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(changed))
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"] == changed
    iam.tag_role(RoleName="r", Tags=[{"Key": "l", "Value": "w"}])
    iam.untag_role(RoleName="r", TagKeys=["k"])
    assert tags_of(iam.list_role_tags(RoleName="r")) == {"l": "w"}
    assert iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"] == []
    under_path = iam.list_roles(PathPrefix="/a/")["Roles"]
    assert [role["RoleName"] for role in under_path] == ["r"], under_path
    iam.delete_role(RoleName="r")
    with refused("NoSuchEntity", 404):
        iam.get_role(RoleName="r")


def users():
    iam = client("iam")
    made = iam.create_user(UserName="u", Tags=[{"Key": "k", "Value": "v"}])["User"]
    assert iam.get_user(UserName="u")["User"]["UserId"] == made["UserId"]
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["u"]
    iam.tag_user(UserName="u", Tags=[{"Key": "l", "Value": "w"}])
    iam.untag_user(UserName="u", TagKeys=["k"])
    assert tags_of(iam.list_user_tags(UserName="u")) == {"l": "w"}
    assert iam.list_groups_for_user(UserName="u")["Groups"] == []
    iam.put_user_policy(UserName="u", PolicyName="inline", PolicyDocument=json.dumps(DOCUMENT))
    assert iam.list_user_policies(UserName="u")["PolicyNames"] == ["inline"]
    assert iam.get_user_policy(UserName="u", PolicyName="inline")["PolicyDocument"] == DOCUMENT
    managed = iam.create_policy(PolicyName="m", PolicyDocument=json.dumps(DOCUMENT))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="u", PolicyArn=managed)
    assert [p["PolicyArn"] for p in iam.list_attached_user_policies(UserName="u")["AttachedPolicies"]] == [managed]
    with refused("DeleteConflict", 409):
        iam.delete_user(UserName="u")
    iam.detach_user_policy(UserName="u", PolicyArn=managed)
    iam.delete_user_policy(UserName="u", PolicyName="inline")
    iam.delete_user(UserName="u")
    with refused("NoSuchEntity", 404):
        iam.get_user(UserName="u")


def groups():
    iam = client("iam")
    made = iam.create_group(GroupName="Readers", Path="/a/")["Group"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/a/Readers" and made["GroupId"].startswith("AGPA"), made
    with refused("EntityAlreadyExists", 409):
        iam.create_group(GroupName="readers")
    for name in ("u1", "u2", "u3"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="Readers", UserName=name)
    with refused("NoSuchEntity", 404):
        iam.add_user_to_group(GroupName="Readers", UserName="nobody")
    pages = iam.get_paginator("get_group").paginate(GroupName="Readers", PaginationConfig={"PageSize": 2})
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [["u1", "u2"], ["u3"]]
    assert [group["GroupName"] for group in iam.list_groups(PathPrefix="/a/")["Groups"]] == ["Readers"]
    assert iam.list_groups(PathPrefix="/b/")["Groups"] == []
    assert iam.list_groups_for_user(UserName="u1")["Groups"] == [made]

    iam.put_group_policy(GroupName="Readers", PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:List*", "Resource": "*"}]}))
    key = iam.create_access_key(UserName="u1")["AccessKey"]
    mine = client("iam", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    mine.list_users()
    iam.remove_user_from_group(GroupName="Readers", UserName="u1")
    with refused("AccessDenied", 403):
        mine.list_users()
    iam.delete_group_policy(GroupName="Readers", PolicyName="p")
    with refused("DeleteConflict", 409):
        iam.delete_group(GroupName="Readers")
    with refused("DeleteConflict", 409):
        iam.delete_user(UserName="u2")
    for name in ("u2", "u3"):
        iam.remove_user_from_group(GroupName="Readers", UserName=name)
        iam.delete_user(UserName=name)
    iam.delete_group(GroupName="Readers")
    with refused("NoSuchEntity", 404):
        iam.get_group(GroupName="Readers")


def access_keys():
    iam, sts = client("iam"), client("sts")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    keys = dict(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert client("sts", **keys).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/u"
    assert sts.get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"] == ACCOUNT
    iam.update_access_key(UserName="u", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    listed = iam.list_access_keys(UserName="u")["AccessKeyMetadata"]
    assert [(k["AccessKeyId"], k["Status"]) for k in listed] == [(key["AccessKeyId"], "Inactive")], listed
    with refused("InvalidClientTokenId", 403):
        client("sts", **keys).get_caller_identity()
    iam.delete_access_key(UserName="u", AccessKeyId=key["AccessKeyId"])
    assert iam.list_access_keys(UserName="u")["AccessKeyMetadata"] == []


def policies():
    iam = client("iam")
    made = iam.create_policy(PolicyName="m", PolicyDocument=json.dumps(DOCUMENT), Description="d")["Policy"]
    arn = made["Arn"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
    assert [p["Arn"] for p in iam.list_policies(Scope="Local")["Policies"]] == [arn]
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(OTHER))["PolicyVersion"]
    assert (second["VersionId"], second["IsDefaultVersion"]) == ("v2", False), second
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == OTHER
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    with refused("DeleteConflict", 409):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v2"]
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}])
    iam.untag_policy(PolicyArn=arn, TagKeys=["k"])
    assert tags_of(iam.list_policy_tags(PolicyArn=arn)) == {"l": "w"}
    platforms = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert iam.list_policy_tags(PolicyArn=platforms)["Tags"] == []
    with refused("UnmodifiableEntity", 400):
        iam.tag_policy(PolicyArn=platforms, Tags=[{"Key": "k", "Value": "v"}])
    with refused("MalformedPolicyDocument", 400):
        iam.create_policy(PolicyName="x", PolicyDocument="{")
    with refused("MalformedPolicyDocument", 400):
        iam.create_policy(PolicyName="x", PolicyDocument=json.dumps(DOCUMENT).replace('"Resource"', '"Effect": "Deny", "Resource"'))
    iam.delete_policy(PolicyArn=arn)
    with refused("NoSuchEntity", 404):
        iam.get_policy(PolicyArn=arn)


def query_errors():
    iam = client("iam")
    with refused("ValidationError", 400) as told:
        iam.get_role(RoleName="a b")
    assert "at 'roleName'" in told.message, told.message
    with refused("NotImplementedException", 501) as told:
        iam.create_saml_provider(Name="p", SAMLMetadataDocument="x" * 1000)
    assert "CreateSAMLProvider" in told.message, told.message


if __name__ == "__main__":
    globals()[sys.argv[1]]()
