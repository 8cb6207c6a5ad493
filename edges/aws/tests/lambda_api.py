"""Operations of the Lambda API that no promise of the product shows by itself. Run by `client.rs` against an edge whose
sandboxes are not real; `python lambda_api.py FUNCTION` runs one."""

import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
import zipfile

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
ACCOUNT, REGION = "000000000000", "us-east-1"
ROLE = os.environ["TEST_ROLE_ARN"]


def client(service, **options):
    config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
    return boto3.client(service, config=config, region_name=options.pop("region_name", REGION), **options)


def code(text="def handler(e, c): return e"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", text)
    return buffer.getvalue()


def function(**options):
    lam, name = client("lambda"), f"fn-{uuid.uuid4().hex[:8]}"
    lam.create_function(FunctionName=name, Runtime="python3.11", Handler="index.handler", Role=ROLE,
                        Code={"ZipFile": code()}, **options)
    lam.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return lam, name


class refused:
    def __init__(self, code, status):
        self.expected = (code, status)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert isinstance(error, ClientError), error or f"nothing was refused; {self.expected} was expected"
        self.message = error.response["Error"]["Message"]
        found = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        assert found == self.expected, error.response
        assert error.response["ResponseMetadata"]["RequestId"], error.response
        return True


def event_invoke_config():
    lam, name = function()
    with refused("ResourceNotFoundException", 404):
        lam.get_function_event_invoke_config(FunctionName=name)
    put = lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    assert put["MaximumRetryAttempts"] == 1 and put["FunctionArn"].endswith(f":function:{name}:$LATEST"), put
    assert abs(put["LastModified"].timestamp() - time.time()) < 600, put
    updated = lam.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=120)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (1, 120), updated
    got = lam.get_function_event_invoke_config(FunctionName=name)
    assert (got["MaximumRetryAttempts"], got["MaximumEventAgeInSeconds"]) == (1, 120), got
    with refused("ValidationException", 400):
        lam.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=3)
    listed = lam.get_paginator("list_function_event_invoke_configs").paginate(FunctionName=name).build_full_result()
    assert [c["FunctionArn"] for c in listed["FunctionEventInvokeConfigs"]] == [got["FunctionArn"]], listed
    lam.delete_function_event_invoke_config(FunctionName=name)
    with refused("ResourceNotFoundException", 404):
        lam.get_function_event_invoke_config(FunctionName=name)


def account_settings():
    lam, name = function()
    before = lam.get_account_settings()
    assert before["AccountLimit"]["ConcurrentExecutions"] == 1000, before
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=100)
    after = lam.get_account_settings()
    unreserved = [s["AccountLimit"]["UnreservedConcurrentExecutions"] for s in (before, after)]
    assert unreserved[0] - unreserved[1] == 100, unreserved
    assert after["AccountUsage"]["FunctionCount"] >= 1 and after["AccountUsage"]["TotalCodeSize"] > 0, after
    assert lam.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 100}
    lam.delete_function(FunctionName=name)


def invoke_async():
    lam, name = function()
    assert lam.invoke_async(FunctionName=name, InvokeArgs=b'{"a": 1}')["Status"] == 202
    with refused("InvalidRequestContentException", 400):
        lam.invoke_async(FunctionName=name, InvokeArgs=b"{")


def lifecycle():
    lam, name = function(Description="d", Tags={"a": "1"}, Environment={"Variables": {"KEY": "v"}})
    got = lam.get_function(FunctionName=name)
    found = got["Configuration"]
    assert (found["FunctionName"], found["Description"], found["Timeout"], found["MemorySize"]) == (name, "d", 3, 128)
    assert found["Environment"] == {"Variables": {"KEY": "v"}} and got["Tags"] == {"a": "1"}, got
    assert (found["State"], found["LastUpdateStatus"], found["PackageType"]) == ("Active", "Successful", "Zip"), found
    with urllib.request.urlopen(got["Code"]["Location"]) as download:
        assert download.read() == code()
    for spoiled in (got["Code"]["Location"][:-1] + "g", got["Code"]["Location"].replace(name, "other")):
        try:
            urllib.request.urlopen(spoiled)
            raise AssertionError("a spoiled link was good")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error
    changed = lam.update_function_configuration(FunctionName=name, Timeout=9, Environment={"Variables": {}},
                                                RevisionId=found["RevisionId"])
    assert changed["Timeout"] == 9 and "Environment" not in changed, changed
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    for revision in (found["RevisionId"], "never given out"):
        with refused("PreconditionFailedException", 412):
            lam.update_function_configuration(FunctionName=name, Timeout=3, RevisionId=revision)
    lam.update_function_code(FunctionName=name, ZipFile=code("x = 1"), Publish=True)
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    versions = lam.get_paginator("list_versions_by_function").paginate(FunctionName=name).build_full_result()["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1"], versions
    assert lam.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    with refused("ResourceNotFoundException", 404):
        lam.get_function(FunctionName=name)


def aliases():
    lam, name = function()
    version = lam.publish_version(FunctionName=name, Description="one")
    assert (version["Version"], version["Description"]) == ("1", "one"), version
    made = lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="d")
    assert made["AliasArn"].endswith(f":{name}:live"), made
    lam.update_function_code(FunctionName=name, ZipFile=code("x = 2"))
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    lam.publish_version(FunctionName=name)
    weights = {"AdditionalVersionWeights": {"2": 0.25}}
    assert lam.update_alias(FunctionName=name, Name="live", RoutingConfig=weights)["RoutingConfig"] == weights
    with refused("InvalidParameterValueException", 400):
        lam.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 0.1, "2": 0.2}})
    cleared = lam.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in cleared, cleared
    assert [a["Name"] for a in lam.list_aliases(FunctionName=name, FunctionVersion="1")["Aliases"]] == ["live"]
    assert lam.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"] == []
    got = lam.get_function_configuration(FunctionName=name, Qualifier="live")
    assert got["Version"] == "1" and got["FunctionArn"].endswith(":live"), got
    assert lam.get_function_configuration(FunctionName=f"{name}:1")["FunctionArn"].endswith(":1")
    assert lam.delete_alias(FunctionName=name, Name="live")["ResponseMetadata"]["HTTPStatusCode"] == 204


def invocations():
    lam, name = function()
    answer = lam.invoke(FunctionName=name, Payload=json.dumps({"a": "ü"}), LogType="Tail")
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST", answer
    assert "LogResult" in answer, answer
    assert lam.invoke(FunctionName=name, InvocationType="Event")["StatusCode"] == 202
    assert lam.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    with refused("InvalidRequestContentException", 400) as told:
        lam.invoke(FunctionName=name, Payload=b"{not json")
    assert told.message.startswith("Could not parse request body into json: "), told.message
    with refused("RequestTooLargeException", 413):
        lam.invoke(FunctionName=name, Payload=b'"' + b"x" * (6 << 20) + b'"')
    with refused("RequestTooLargeException", 413):
        lam.invoke(FunctionName=name, Payload=b'"' + b"x" * (1 << 20) + b'"', InvocationType="Event")
    for qualifier in ("nowhere", "9"):
        with refused("ResourceNotFoundException", 404):
            lam.invoke(FunctionName=name, Qualifier=qualifier)
    with refused("ResourceNotFoundException", 404):
        lam.invoke(FunctionName=f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:{name}")
    with refused("AccessDeniedException", 403):
        lam.invoke(FunctionName=f"arn:aws:lambda:{REGION}:111111111111:function:{name}")
    with refused("ValidationException", 400) as told:
        lam.invoke(FunctionName="a b")
    assert "at 'functionName'" in told.message, told.message


def pages():
    lam, names = client("lambda"), sorted(function()[1] for _ in range(3))
    pages = list(lam.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
    listed = [f["FunctionName"] for page in pages for f in page["Functions"]]
    assert len(pages) > 1 and set(names) <= set(listed) and listed == sorted(listed), listed
    assert "State" not in pages[0]["Functions"][0], pages[0]
    every = lam.list_functions(FunctionVersion="ALL")["Functions"]
    assert any(f["FunctionName"] == names[0] for f in every)


def refusals():
    lam, name = function()
    good = {"Runtime": "python3.11", "Handler": "index.handler", "Role": ROLE, "Code": {"ZipFile": code()}}
    with refused("ResourceConflictException", 409):
        lam.create_function(FunctionName=name, **good)
    with refused("ValidationException", 400) as told:
        lam.create_function(FunctionName="x" * 65, **good)
    assert told.message.endswith("Member must have length less than or equal to 64"), told.message
    with refused("ValidationException", 400) as told:
        lam.create_function(FunctionName="new", **{**good, "Role": "me"}, Timeout=901)
    assert told.message.startswith("2 validation errors detected: "), told.message
    for part in ({"Layers": [f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:l:1"]}, {"PackageType": "Image"},
                 {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}):
        with refused("InvalidParameterValueException", 400) as told:
            lam.create_function(FunctionName="new", **good, **part)
        assert "is not supported by this version of Dormouse" in told.message, told.message
    with refused("InvalidParameterValueException", 400):
        lam.create_function(FunctionName="new", **{**good, "Code": {}})
    with refused("NotImplementedException", 501) as told:
        lam.list_layers()
    assert told.message.startswith("The operation ListLayers is not implemented"), told.message
    with refused("InvalidParameterValueException", 400):
        lam.put_function_concurrency(FunctionName=f"{name}:1", ReservedConcurrentExecutions=1)
    with refused("ResourceNotFoundException", 404):
        lam.list_tags(Resource=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:absent")


def identities():
    lam, name = function()
    stranger = dict(aws_access_key_id="AKIAUNKNOWNUNKNOWN12", aws_secret_access_key="x")
    with refused("UnrecognizedClientException", 403):
        client("lambda", **stranger).list_functions()
    with refused("InvalidClientTokenId", 403):
        client("sts", **stranger).get_caller_identity()
    wrong = dict(aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="wrong")
    with refused("InvalidSignatureException", 403):
        client("lambda", **wrong).get_function(FunctionName=name)
    with refused("SignatureDoesNotMatch", 403):
        client("sts", **wrong).get_caller_identity()
    with refused("InvalidSignatureException", 403) as told:
        client("lambda", region_name="eu-west-1").list_functions()
    assert "eu-west-1" in told.message, told.message
    unsigned = Config(signature_version=__import__("botocore").UNSIGNED)
    with refused("MissingAuthenticationTokenException", 403):
        boto3.client("lambda", config=unsigned, region_name=REGION).list_functions()
    for service, call in (("dynamodb", "list_tables"), ("sqs", "list_queues"), ("sns", "list_topics")):
        with refused("NotImplementedException", 501) as told:
            getattr(client(service), call)()
        assert f"The service {service} is not part of this version" in told.message, told.message


def raw_requests():
    """What no client of AWS would send."""
    from botocore.session import get_session

    def send(method, path, body=b"", headers=()):
        request = AWSRequest(method=method, url=ENDPOINT + path, data=body, headers=dict(headers))
        SigV4Auth(get_session().get_credentials(), "lambda", REGION).add_auth(request)
        raw = urllib.request.Request(ENDPOINT + path, data=body or None, method=method, headers=dict(request.headers))
        try:
            with urllib.request.urlopen(raw) as answer:
                return answer.status, answer.headers.get("x-amzn-errortype"), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("x-amzn-errortype"), error.read()

    lam, name = function()
    assert send("GET", "/2015-03-31/functions/")[0] == 200
    assert send("GET", "/2015-03-31/functions/?MaxItems=0")[:2] == (400, "ValidationException")
    assert send("GET", "/2015-03-31/functions/?MaxItems=many")[:2] == (400, "SerializationException")
    assert send("GET", "/nowhere")[:2] == (404, "UnknownOperationException")
    assert send("PATCH", f"/2015-03-31/functions/{name}")[:2] == (404, "UnknownOperationException")
    path = f"/2015-03-31/functions/{name}/configuration"
    for body in (b"{", b"[]", b'{"Timeout":"3"}', b"[" * 100_000, b"\xff", b'{"Timeout":1e400}', b'{"Timeout":3.5}',
                 b'{"Timeout":' + b"9" * 100_000 + b"}", b'{"Environment":' + b'{"Variables":' * 10_000 + b"1" + b"}" * 10_001,
                 b'{"Timeout":3,}', b"\xef\xbb\xbf{}", b'{"Timeout":3}{}', b'{"Description":"\\ud800"}'):
        status, kind, answer = send("PUT", path, body)
        assert (status, kind) == (400, "SerializationException"), (body[:20], status, kind)
        assert json.loads(answer)["message"], answer
    # As the service does it: the last one counts, and is checked.
    assert json.loads(send("PUT", path, b'{"Timeout":901,"Timeout":5}')[2])["Timeout"] == 5
    assert send("PUT", path, b'{"Timeout":5,"Timeout":901}')[:2] == (400, "ValidationException")
    assert send("PUT", path, b'{"Timeout":-99999999999}')[0] == 400
    status, kind, answer = send("PUT", path, b"{}" + b" " * (2 << 20))
    assert (status, kind) == (413, "RequestEntityTooLargeException"), (status, kind)
    invoke = f"/2015-03-31/functions/{name}/invocations"
    assert send("POST", invoke, b"{}", {"X-Amz-Invocation-Type": "Later"})[:2] == (400, "ValidationException")
    assert send("POST", invoke, b"{}", {"X-Amz-Client-Context": "!"})[:2] == (400, "InvalidRequestContentException")
    assert send("POST", invoke, b"[" * 100_000)[:2] == (400, "InvalidRequestContentException")
    for odd in ("%2e%2e", "a%2Fb", "%252e", f"{name}%00", f"{name}%0d%0ax:%20y"):
        assert send("GET", f"/2015-03-31/functions/{odd}")[0] in (400, 404), odd


def audit_trail():
    lam, name = function()
    with refused("ResourceNotFoundException", 404):
        lam.get_function(FunctionName="absent")
    wrong = dict(aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="wrong")
    with refused("InvalidSignatureException", 403):
        client("lambda", **wrong).delete_function(FunctionName=name)
    lam.invoke(FunctionName=name)
    wanted = [
        ("lambda:CreateFunction", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}", None),
        ("lambda:GetFunction", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:absent", "ResourceNotFoundException"),
        ("lambda:DeleteFunction", None, "InvalidSignatureException"),
    ]
    until = time.monotonic() + 30
    while True:
        with open(os.environ["TEST_AUDIT"]) as trail:
            records = [json.loads(line) for line in trail if line.endswith("\n")]
        found = [(r["action"], r.get("resource"), r.get("error")) for r in records]
        if all(record in found for record in wanted):
            break
        assert time.monotonic() < until, found
        time.sleep(0.05)
    first = records[0]
    assert (first["account"], first["source_ip"]) == (ACCOUNT, "127.0.0.1") and first["caller"].endswith(":root"), first
    assert first["access_key_id"] == os.environ["AWS_ACCESS_KEY_ID"] and first["request_id"], first
    assert not any("Invoke" in r["action"] for r in records), records


if __name__ == "__main__":
    globals()[sys.argv[1]]()
