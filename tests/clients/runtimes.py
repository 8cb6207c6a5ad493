"""Promise: the official runtime clients run unmodified, and what a function finds beside its code is what it relies on."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import time

import awslambdaric

from platform_under_test import *

SITE_PACKAGES = pathlib.Path(awslambdaric.__file__).parent.parent
# The official client for Python and what it needs, as pip installed them.
OFFICIAL = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
FAILING = """
import sys
class Odd(Exception): pass
def handler(event, context):
    if event == "raise": raise Odd("no such thing")
    if event == "exit": sys.exit(4)
    if event == "unserialisable": return object()
    return {"pid": __import__("os").getpid()}
"""


def interpreter():
    """An interpreter that sandboxes see, of the version that the native part of the official client was built for."""
    path = "/usr/bin/python%d.%d" % sys.version_info[:2]
    assert os.path.exists(path), (
        f"{path} is missing: sandboxes see the programs of /usr/bin, so the environment of the tests has to be made with "
        "one of them (remove it and run `make test` with /usr/bin first in PATH)")
    return path


def official_python(source, handler="index.handler", **options):
    """A `provided` function that ships the official client, as people do who bring their own version of Python."""
    files = {"bootstrap": f'#!/bin/sh\nexec {interpreter()} -m awslambdaric "$_HANDLER"\n', "index.py": source}
    for entry in SITE_PACKAGES.iterdir():
        if entry.name.startswith(OFFICIAL):
            inside = [path for path in entry.rglob("*") if path.is_file()] if entry.is_dir() else [entry]
            files.update({str(path.relative_to(SITE_PACKAGES)): path.read_bytes()
                          for path in inside if "__pycache__" not in path.parts})
    return function(files, runtime="provided.al2023", handler=handler, Timeout=30, **options)


def tail(answer):
    return base64.b64decode(answer["LogResult"]).decode()


def init_line(name):
    """Which version the first instance of a function says that it runs on. Logs are written some time after the answer."""
    lines = eventually(lambda: [entry for entry in dormouse("logs", name) if "INIT_START" in json.dumps(entry)])
    return next(text for text in lines[0].values() if "INIT_START" in str(text)).split("\t")[0]


def dormouse(*command):
    """The JSON lines that a command prints."""
    ran = subprocess.run([os.environ["DORMOUSE_BIN"], *command, "--output", "json"], capture_output=True, text=True)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def failed(answer, error_type, message):
    body = json.loads(answer["Payload"])
    assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled", answer
    assert body["errorType"] == error_type and message in body["errorMessage"], body
    return body


def the_official_python_client_answers():
    name = official_python("""
import os
def handler(event, context):
    print("seen", event["a"])
    return {"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn, "pid": os.getpid(),
            "left": context.get_remaining_time_in_millis(), "name": context.function_name,
            "version": context.function_version, "memory": context.memory_limit_in_mb,
            "custom": context.client_context and context.client_context.custom,
            "client": __import__("awslambdaric").__file__, "trace": os.environ.get("_X_AMZN_TRACE_ID")}
""", MemorySize=256)
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    first = invoke(name, {"a": [1, "ü"]}, LogType="Tail", ClientContext=context)
    assert "FunctionError" not in first, first
    body = json.loads(first["Payload"])
    assert body["event"] == {"a": [1, "ü"]} and body["id"] == first["ResponseMetadata"]["RequestId"]
    assert body["client"].startswith("/var/task/awslambdaric/"), body
    assert body["arn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert (body["name"], body["version"], body["memory"]) == (name, "$LATEST", "256")
    assert 0 < body["left"] <= 30_000 and body["custom"] == {"k": "v"} and body["trace"].startswith("Root=1-")
    log = tail(first)
    assert "seen [1, 'ü']" in log, log
    assert init_line(name) == "INIT_START Runtime Version: provided:al2023"
    again = invoke(name, {"a": "x" * 1_000_000}, LogType="None")
    assert json.loads(again["Payload"])["event"] == {"a": "x" * 1_000_000}
    assert json.loads(again["Payload"])["pid"] == body["pid"], "the instance is used again"


def errors_of_the_official_python_client():
    name = official_python(FAILING, MemorySize=256)
    pid = result(name, "fine")["pid"]
    raised = failed(invoke(name, "raise"), "Odd", "no such thing")
    assert any("raise Odd" in frame for frame in raised["stackTrace"]), raised
    failed(invoke(name, "unserialisable"), "Runtime.MarshalError", "Unable to marshal response")
    assert result(name, "fine")["pid"] == pid, "an error of the handler does not end the instance"
    failed(invoke(name, "exit"), "Runtime.ExitError", "exit status 4")
    assert result(name, "fine")["pid"], "after an exit a new instance answers"
    missing = official_python("x = 1", MemorySize=256)
    failed(invoke(missing), "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'")
    broken = official_python("import not_there\ndef handler(event, context): return 1", MemorySize=256)
    failed(invoke(broken), "Runtime.ImportModuleError", "No module named 'not_there'")


def what_fails_in_init_is_said_as_by_the_official_client():
    """The answer is what the client has posted, and there is no request yet whose id it could name."""
    syntax = "def handler(e, c) return 1"
    for source, handler in (("import not_there", "index.handler"), ("x = 1", "index.handler"), (syntax, "index.handler"),
                            ("x = 1", "handler"), ("x = 1", "sys.handler"), ("x = 1", "no/such.handler"),
                            ("raise ValueError('at import')", "index.handler")):
        theirs = invoke(official_python(source, handler=handler, MemorySize=256))
        ours = invoke(function(source, handler=handler, MemorySize=256))
        assert ours["FunctionError"] == theirs["FunctionError"] == "Unhandled"
        theirs, ours = json.loads(theirs["Payload"]), json.loads(ours["Payload"])
        assert theirs["requestId"] == "", theirs
        # Above the frames of the code are those of the client itself.
        for body in (theirs, ours):
            body["stackTrace"] = body["stackTrace"][-1:]
        assert ours == theirs, (handler, ours, theirs)


def rust_function():
    bootstrap = pathlib.Path(os.environ["RUST_BOOTSTRAP"]).read_bytes()
    return function({"bootstrap": bootstrap}, runtime="provided.al2023", handler="unused", Timeout=20, MemorySize=256)


def the_rust_client_answers():
    name = rust_function()
    # This client takes a context only when it is whole.
    fields = ("installationId", "appTitle", "appVersionName", "appVersionCode", "appPackageName")
    told = {"client": dict.fromkeys(fields, "x"), "custom": {"k": "v"}, "env": {}}
    context = base64.b64encode(json.dumps(told).encode()).decode()
    before = time.time() * 1000
    answer = invoke(name, {"n": [1, "ü"]}, LogType="Tail", ClientContext=context)
    assert "FunctionError" not in answer, answer
    body = json.loads(answer["Payload"])
    assert body["event"] == {"n": [1, "ü"]} and body["id"] == answer["ResponseMetadata"]["RequestId"]
    assert body["arn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert (body["name"], body["memory"], body["version"]) == (name, 256, "$LATEST")
    assert before < body["deadline"] <= time.time() * 1000 + 20_000 and body["client"] == {"k": "v"}
    assert body["trace"].startswith("Root=1-"), body
    assert "asked for null" in tail(answer)
    large = {"n": "y" * 2_000_000}
    assert result(name, large)["event"] == large


def errors_and_panics_of_the_rust_client():
    name = rust_function()
    body = json.loads(invoke(name, {"do": "fail"})["Payload"])
    assert body["errorMessage"] == "this went wrong" and body["errorType"], body
    answer = invoke(name, {"do": "panic"}, LogType="Tail")
    body = json.loads(answer["Payload"])
    assert answer["FunctionError"] == "Unhandled" and "this should not happen" in body["errorMessage"], body
    assert "panicked at" in tail(answer), tail(answer)
    assert result(name, {"n": 1})["event"] == {"n": 1}, "a panic is the handler's end, not the instance's"
    failed(invoke(name, {"do": "exit"}), "Runtime.ExitError", "exit status 3")
    assert result(name, {"n": 2})["event"] == {"n": 2}


def another_version_than_the_one_asked_for_is_named():
    checks = dormouse("doctor")
    source = {"index.py": "import sys\ndef handler(e, c): return 'python:%d.%d.%d' % sys.version_info[:3]",
              "index.js": "exports.handler = async () => 'nodejs:' + process.versions.node"}
    # The exact one where the host has it, and every family's first that it has not.
    asked = {"python3.12"}
    for family in ("python", "nodejs"):
        weaker = [check["name"] for check in checks if check["name"].startswith(family) and check["state"] == "weaker"]
        asked.update(weaker[:1])
    substituted = 0
    for runtime in sorted(asked):
        check = next(check for check in checks if check["name"] == runtime)
        name = function(source, runtime=runtime, MemorySize=256, Timeout=30)
        used = result(name)
        assert init_line(name) == f"INIT_START Runtime Version: {used}", (runtime, init_line(name))
        assert check["detail"].split()[0] == used, check
        exact = used.replace(":", "").startswith(runtime.removesuffix(".x") + ".")
        assert exact == (check["state"] == "holds"), check
        listed = next(line for line in dormouse("functions") if line["name"] == name)
        assert (listed["runs_on"], listed["runtime_exact"]) == (used, exact), listed
        if not exact:
            substituted += 1
            assert check["remedy"], check
    assert substituted, "this host has every version of Python and of Node.js"


def the_sdk_is_there_for_python():
    name = function("""
import boto3, botocore
def handler(event, context):
    clients = [boto3.client(service).meta.service_model.service_name for service in ("lambda", "sts")]
    return {"versions": [boto3.__version__, botocore.__version__], "from": boto3.__file__, "clients": clients}
""", MemorySize=512, Timeout=60)
    found = result(name)
    assert found["from"].startswith("/var/runtime/") and found["clients"] == ["lambda", "sts"], found
    # What the function ships goes before what is there.
    own = function({"index.py": "import boto3\ndef handler(e, c): return boto3.__version__",
                    "boto3.py": "__version__ = 'my own'"})
    assert result(own) == "my own"


def the_sdk_is_there_for_nodejs():
    require = "const {LambdaClient} = require('@aws-sdk/client-lambda');" \
        "exports.handler = async () => typeof new LambdaClient({}).send;"
    name = function(require, runtime="nodejs20.x", file="index.js", MemorySize=512, Timeout=60)
    assert result(name) == "function"
    imported = "import {STSClient, GetCallerIdentityCommand} from '@aws-sdk/client-sts';" \
        "export const handler = async () => (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn;"
    name = function(imported, runtime="nodejs20.x", file="index.mjs", MemorySize=512, Timeout=60)
    assert f"/{name}" in result(name)
