"""Promise: code written for Lambda is kept, run when it is called, and answered."""

import base64
import hashlib
import json
import time

from platform_under_test import *

ECHO = """
def handler(event, context):
    print("seen", event)
    return {"event": event, "name": context.function_name, "version": context.function_version,
            "arn": context.invoked_function_arn, "id": context.aws_request_id,
            "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis()}
"""


def create_and_invoke_python():
    name = function(ECHO, Timeout=5, MemorySize=256)
    answer = invoke(name, {"a": [1, "ü"]}, LogType="Tail")
    body = json.loads(answer["Payload"])
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert body["event"] == {"a": [1, "ü"]}
    assert (body["name"], body["version"]) == (name, "$LATEST")
    assert body["arn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert str(body["memory"]) == "256" and 0 < body["left"] <= 5000
    assert body["id"] == answer["ResponseMetadata"]["RequestId"]
    log = base64.b64decode(answer["LogResult"]).decode()
    for part in (f"START RequestId: {body['id']} Version: $LATEST", "seen ", f"END RequestId: {body['id']}",
                 f"REPORT RequestId: {body['id']}", "Billed Duration:", "Memory Size: 256 MB", "Max Memory Used:"):
        assert part in log, log


def create_and_invoke_nodejs():
    source = "exports.handler = async (event, context) => { console.log('seen'); return {twice: event.n * 2, id: context.awsRequestId}; };"
    name = function(source, runtime="nodejs20.x", file="index.js")
    answer = invoke(name, {"n": 21}, LogType="Tail")
    body = json.loads(answer["Payload"])
    assert body["twice"] == 42 and body["id"] == answer["ResponseMetadata"]["RequestId"]
    assert f"{body['id']}\tINFO\tseen" in base64.b64decode(answer["LogResult"]).decode()


def configuration_is_kept():
    lam, name = client("lambda"), unique("kept")
    code, arn = zip_of({"index.py": ECHO}), role()
    made = lam.create_function(
        FunctionName=name, Runtime="python3.11", Handler="index.handler", Role=arn, Code={"ZipFile": code},
        Description="what it does", Timeout=7, MemorySize=192, Environment={"Variables": {"ONE": "1", "TWO": "zwei"}},
        Tags={"team": "mice"}, EphemeralStorage={"Size": 600}, Architectures=["x86_64"],
    )
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    lam.get_waiter("function_active_v2").wait(FunctionName=name)
    got = lam.get_function(FunctionName=name)
    found = got["Configuration"]
    assert found["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    assert found["CodeSize"] == len(code) and found["State"] == "Active"
    assert found["Environment"]["Variables"] == {"ONE": "1", "TWO": "zwei"}
    assert (found["Timeout"], found["MemorySize"], found["EphemeralStorage"]) == (7, 192, {"Size": 600})
    assert found["Description"] == "what it does" and found["Role"] == arn and found["Version"] == "$LATEST"
    assert found["FunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert got["Tags"] == {"team": "mice"} and found["LastUpdateStatus"] == "Successful"
    import urllib.request

    with urllib.request.urlopen(got["Code"]["Location"]) as download:
        assert download.read() == code
    only = lam.get_function_configuration(FunctionName=name)
    assert only["RevisionId"] == found["RevisionId"] and only["LastModified"].endswith("+0000")


def update_code_and_configuration():
    lam = client("lambda")
    name = function("def handler(e, c): return 1")
    assert result(name) == 1
    first = lam.get_function_configuration(FunctionName=name)
    lam.update_function_code(FunctionName=name, ZipFile=zip_of({"index.py": "def handler(e, c): return 2"}))
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert result(name) == 2
    second = lam.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"GIVEN": "y"}}, Timeout=9, Handler="index.handler", MemorySize=130)
    assert second["RevisionId"] != first["RevisionId"]
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    lam.update_function_code(
        FunctionName=name, ZipFile=zip_of({"index.py": "import os\ndef handler(e, c): return os.environ['GIVEN']"}))
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert result(name) == "y"
    with expect_error("PreconditionFailedException", 412):
        lam.update_function_configuration(FunctionName=name, Timeout=3, RevisionId=first["RevisionId"])
    assert lam.get_function_configuration(FunctionName=name)["Timeout"] == 9
    dry = lam.update_function_code(FunctionName=name, ZipFile=zip_of({"index.py": "x = 1"}), DryRun=True)
    assert dry["CodeSha256"]
    assert result(name) == "y"


def list_and_delete():
    lam = client("lambda")
    arn = role()
    names = sorted(function("def handler(e, c): return 0", name=unique("listed"), Role=arn) for _ in range(5))
    pages = lam.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    found = [f["FunctionName"] for page in pages for f in page["Functions"]]
    assert sorted(n for n in found if n.startswith("listed")) == names
    gone = lam.delete_function(FunctionName=names[0])
    assert gone["ResponseMetadata"]["HTTPStatusCode"] in (200, 204)
    with expect_error("ResourceNotFoundException", 404, contains=names[0]):
        lam.get_function(FunctionName=names[0])
    with expect_error("ResourceNotFoundException", 404):
        invoke(names[0])
    with expect_error("ResourceNotFoundException", 404):
        lam.delete_function(FunctionName=names[0])


def versions_are_immutable():
    lam = client("lambda")
    name = function("def handler(e, c): return [1, c.function_version, c.invoked_function_arn]")
    one = lam.publish_version(FunctionName=name, Description="first")
    assert (one["Version"], one["Description"]) == ("1", "first")
    assert lam.publish_version(FunctionName=name)["Version"] == "1", "nothing changed, so nothing new is published"
    lam.update_function_code(FunctionName=name, ZipFile=zip_of({"index.py": "def handler(e, c): return [2, c.function_version]"}))
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    two = lam.publish_version(FunctionName=name)
    assert two["Version"] == "2"
    lam.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2")
    assert result(name, Qualifier="1") == [1, "1", one["FunctionArn"]]
    assert result(name, Qualifier="2") == [2, "2"]
    assert result(name) == [2, "$LATEST"]
    answer = invoke(f"{name}:1")
    assert answer["ExecutedVersion"] == "1"
    listed = [v["Version"] for v in lam.list_versions_by_function(FunctionName=name)["Versions"]]
    assert listed == ["$LATEST", "1", "2"], listed
    with expect_error("PreconditionFailedException", 412):
        lam.publish_version(FunctionName=name, RevisionId="00000000-0000-0000-0000-000000000000")
    lam.delete_function(FunctionName=name, Qualifier="1")
    with expect_error("ResourceNotFoundException", 404):
        invoke(name, Qualifier="1")
    assert result(name, Qualifier="2") == [2, "2"]


def aliases_route():
    lam = client("lambda")
    name = function("def handler(e, c): return 1")
    lam.publish_version(FunctionName=name)
    lam.update_function_code(FunctionName=name, ZipFile=zip_of({"index.py": "def handler(e, c): return 2"}))
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    lam.publish_version(FunctionName=name)
    made = lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="d")
    assert made["AliasArn"].endswith(f":function:{name}:live") and made["FunctionVersion"] == "1"
    assert result(name, Qualifier="live") == 1
    with expect_error("ResourceConflictException", 409):
        lam.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    with expect_error("ResourceNotFoundException", 404):
        lam.create_alias(FunctionName=name, Name="next", FunctionVersion="9")
    lam.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    answers = [invoke(name, Qualifier="live") for _ in range(40)]
    assert {a["ExecutedVersion"] for a in answers} == {"1", "2"}, "each version has a half"
    assert all(json.loads(a["Payload"]) == int(a["ExecutedVersion"]) for a in answers)
    lam.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}})
    assert result(name, Qualifier="live") == 2
    assert [a["Name"] for a in lam.list_aliases(FunctionName=name)["Aliases"]] == ["live"]
    with expect_error("ResourceConflictException", 409):
        lam.delete_function(FunctionName=name, Qualifier="2")
    got = lam.get_alias(FunctionName=name, Name="live")
    with expect_error("PreconditionFailedException", 412):
        lam.update_alias(FunctionName=name, Name="live", FunctionVersion="1", RevisionId=made["RevisionId"])
    assert got["FunctionVersion"] == "2"
    lam.delete_alias(FunctionName=name, Name="live")
    with expect_error("ResourceNotFoundException", 404):
        lam.get_alias(FunctionName=name, Name="live")


def tags_are_kept():
    lam = client("lambda")
    name = function("def handler(e, c): return 1", Tags={"a": "1"})
    arn = lam.get_function_configuration(FunctionName=name)["FunctionArn"]
    lam.tag_resource(Resource=arn, Tags={"b": "2", "c": "3"})
    lam.untag_resource(Resource=arn, TagKeys=["a", "b"])
    assert lam.list_tags(Resource=arn)["Tags"] == {"c": "3"}
    with expect_error("InvalidParameterValueException", 400):
        lam.tag_resource(Resource=arn, Tags={"dormouse:egress": "perhaps"})


def invocation_types():
    lam = client("lambda")
    name = function("def handler(e, c): return c.client_context.custom if c.client_context else None")
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    assert result(name, ClientContext=context) == {"k": "v"}
    assert invoke(name, InvocationType="DryRun")["StatusCode"] == 204
    accepted = invoke(name, {}, InvocationType="Event")
    assert accepted["StatusCode"] == 202 and accepted["Payload"] == b""
    with expect_error("InvalidRequestContentException", 400):
        lam.invoke(FunctionName=name, Payload=b"{not json")
    with expect_error("RequestTooLargeException", 413):
        lam.invoke(FunctionName=name, Payload=b'"' + b"x" * (6 * 1024 * 1024) + b'"')
    assert result(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}") is None
    assert result(f"{ACCOUNT}:function:{name}") is None
    with expect_error("ResourceNotFoundException", 404):
        invoke(name, Qualifier="nowhere")


def errors_of_user_code():
    lam = client("lambda")
    raised = failure(function("def handler(e, c): raise ValueError('no good')"))
    assert raised["errorType"] == "ValueError" and raised["errorMessage"] == "no good", raised
    assert any("handler" in line for line in raised["stackTrace"]), raised
    assert failure(function("x = 1"))["errorType"] == "Runtime.HandlerNotFound"
    assert failure(function("import nothing_like_this"))["errorType"] == "Runtime.ImportModuleError"
    assert failure(function("def handler(e, c) return 1"))["errorType"] == "Runtime.UserCodeSyntaxError"
    assert failure(function("def handler(e, c): return {1, 2}"))["errorType"] == "Runtime.MarshalError"
    exits = failure(function("import os\ndef handler(e, c): os._exit(3)"))
    assert exits["errorType"] == "Runtime.ExitError" and "exit status 3" in exits["errorMessage"], exits
    name = function("def handler(e, c): return 'x' * (7 * 1024 * 1024)")
    assert failure(name)["errorType"] == "Function.ResponseSizeTooLarge"
    timed = function("import time\ndef handler(e, c):\n  if e == 1: return 1\n  time.sleep(60)", Timeout=1)
    before = time.monotonic()
    slow = failure(timed)
    assert "Task timed out after 1.00 seconds" in slow["errorMessage"], slow
    assert time.monotonic() - before < 20
    assert result(timed, 1) == 1, "the next call is served by a fresh instance"
    hog = function("def handler(e, c):\n  if e == 1: return 1\n  x = []\n  while True: x.append(bytearray(1 << 20))", Timeout=30)
    assert failure(hog)["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError")
    assert result(hog, 1) == 1


def instances_are_reused_and_expire():
    source = "import os, uuid\nME = str(uuid.uuid4())\ndef handler(e, c): return ME"
    name = function(source)
    first = result(name)
    assert {result(name) for _ in range(5)} == {first}
    client("lambda").update_function_configuration(FunctionName=name, Description="new")
    client("lambda").get_waiter("function_updated_v2").wait(FunctionName=name)
    assert result(name) != first, "a changed configuration runs in a new instance"


def reserved_concurrency_is_exact():
    from concurrent.futures import ThreadPoolExecutor

    lam = client("lambda")
    name = function("import time\ndef handler(e, c): time.sleep(2); return 1", Timeout=20)
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    assert lam.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 2

    def call(_):
        try:
            return invoke(name)["StatusCode"]
        except ClientError as error:
            assert error.response["Error"]["Code"] == "TooManyRequestsException", error.response
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
            assert error.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded", error.response
            return 429

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(call, range(6)))
    assert answers.count(200) == 2 and answers.count(429) == 4, answers
    lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with expect_error("TooManyRequestsException", 429):
        invoke(name)
    lam.delete_function_concurrency(FunctionName=name)
    assert result(name) == 1
    with expect_error("InvalidParameterValueException", 400):
        lam.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=950)


def bad_requests_are_refused():
    lam, arn = client("lambda"), role()
    good = {"Runtime": "python3.11", "Handler": "index.handler", "Role": arn,
            "Code": {"ZipFile": zip_of({"index.py": "def handler(e, c): return 1"})}}
    with expect_error("InvalidParameterValueException", 400):
        lam.create_function(FunctionName=unique("bad"), **{**good, "Role": f"arn:aws:iam::{ACCOUNT}:role/absent"})
    trusting_nobody = role(trust={"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
    with expect_error("InvalidParameterValueException", 400, contains="cannot be assumed by Lambda"):
        lam.create_function(FunctionName=unique("bad"), **{**good, "Role": trusting_nobody})
    with expect_error("InvalidParameterValueException", 400):
        lam.create_function(FunctionName=unique("bad"), **{**good, "Runtime": "cobol85"})
    with expect_error("ValidationException", 400):
        lam.create_function(FunctionName="no spaces here", **good)
    with expect_error("ValidationException", 400):
        lam.create_function(FunctionName=unique("bad"), **good, MemorySize=64)
    with expect_error("InvalidParameterValueException", 400):
        lam.create_function(FunctionName=unique("bad"), **{**good, "Code": {"ZipFile": b"this is no zip"}})
    with expect_error("InvalidParameterValueException", 400):
        lam.create_function(FunctionName=unique("bad"), **{**good, "Code": {"ZipFile": zip_of({"../../etc/x": "y"})}})
    with expect_error("InvalidParameterValueException", 400):
        lam.create_function(FunctionName=unique("bad"), **good, Environment={"Variables": {"AWS_REGION": "x"}})
    name = unique("twice")
    lam.create_function(FunctionName=name, **good)
    with expect_error("ResourceConflictException", 409):
        lam.create_function(FunctionName=name, **good)
    with expect_error("NotImplementedException", 501):
        lam.create_function_url_config(FunctionName=name, AuthType="NONE")


def the_sdk_calls_back():
    name = function(
        "import boto3\ndef handler(e, c): return boto3.client('sts').get_caller_identity()['Arn']", Timeout=30, MemorySize=512)
    arn = result(name)
    assert ":assumed-role/" in arn and arn.endswith(f"/{name}"), arn


def code_acts_under_its_role():
    """A function calls another one: refused until a policy of its role allows it, and never under anybody else's name."""
    iam = client("iam")
    target = function("def handler(e, c): return ['target was given', e]")
    arn = role()
    caller = function("""
import boto3, json
def handler(event, context):
    try:
        answer = boto3.client("lambda").invoke(FunctionName=event["call"], Payload=json.dumps(event["with"]))
        return json.loads(answer["Payload"].read())
    except Exception as error:
        return getattr(error, "response", {}).get("Error", {}).get("Code") or repr(error)
""", Timeout=60, MemorySize=512, Role=arn)
    assert result(caller, {"call": target, "with": 1}) == "AccessDeniedException"
    target_arn = client("lambda").get_function_configuration(FunctionName=target)["FunctionArn"]
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": target_arn}]}
    iam.put_role_policy(RoleName=arn.rsplit("/", 1)[1], PolicyName="call", PolicyDocument=json.dumps(policy))
    assert eventually(lambda: (found := result(caller, {"call": target, "with": 2})) != "AccessDeniedException" and found) \
        == ["target was given", 2]
    assert result(caller, {"call": caller, "with": {}}) == "AccessDeniedException", "only what the policy names"
    iam.delete_role_policy(RoleName=arn.rsplit("/", 1)[1], PolicyName="call")
    eventually(lambda: result(caller, {"call": target, "with": 3}) == "AccessDeniedException")


def a_sandbox_has_so_many_connections_to_the_platform():
    name = function("""
import os, select, socket, time
def handler(event, context):
    host, port = os.environ["AWS_ENDPOINT_URL"].rsplit("/", 1)[1].rsplit(":", 1)
    held = [socket.create_connection((host, int(port)), timeout=20) for _ in range(72)]
    for connection in held:
        connection.sendall(b"GET /_dormouse/health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    def answered(among, wait):
        return select.select(among, [], [], wait)[0]
    first, until = [], time.monotonic() + 30
    while len(first) < 64 and time.monotonic() < until:
        first = answered(held, 1)
    first = answered(held, 0) if not answered([c for c in held if c not in first], 1) else answered(held, 1)
    count = len(first)
    for connection in first:
        connection.close()
    rest, until = [c for c in held if c not in first], time.monotonic() + 30
    late = []
    while len(late) < len(rest) and time.monotonic() < until:
        late = answered(rest, 1)
    return [count, len(late)]
""", Timeout=120, MemorySize=512)
    assert result(name) == [64, 8]
