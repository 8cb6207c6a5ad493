"""What every client-side test needs: clients with the right keys, a role, and zips made of text."""

import io
import json
import os
import time
import uuid
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
ACCOUNT = "000000000000"
REGION = "us-east-1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}

# Nothing is tried again behind our back: an error that a client would hide is one that we want to see.
# Nor is a bad parameter caught by the client: it is the platform that must refuse it.
NO_RETRY = Config(
    retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=120, connect_timeout=10)


def client(service, **options):
    return boto3.client(service, config=options.pop("config", NO_RETRY), **options)


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def zip_of(files):
    """A zip of {path: text or bytes}; an entry whose name ends in `bootstrap` is executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, date_time=(2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if path.endswith("bootstrap") else 0o100644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def role(name=None, trust=TRUST, policies=()):
    """The ARN of a new role that Lambda may assume."""
    iam = client("iam")
    made = iam.create_role(RoleName=name or unique("role"), AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    for number, policy in enumerate(policies):
        iam.put_role_policy(RoleName=made["RoleName"], PolicyName=f"p{number}", PolicyDocument=json.dumps(policy))
    return made["Arn"]


def function(source, name=None, runtime="python3.11", handler="index.handler", file="index.py", **options):
    """Creates a function of one file and waits until it is active; answers its name."""
    lam = client("lambda")
    name = name or unique("fn")
    files = source if isinstance(source, dict) else {file: source}
    lam.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler=handler,
        Role=options.pop("Role", None) or role(),
        Code={"ZipFile": zip_of(files)},
        **options,
    )
    lam.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return name


def invoke(name, event=None, **options):
    """The whole answer of one invocation, with its payload read."""
    answer = client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **options)
    answer["Payload"] = answer["Payload"].read()
    return answer


def result(name, event=None, **options):
    """What the function returned; it must not have failed."""
    answer = invoke(name, event, **options)
    assert "FunctionError" not in answer, answer["Payload"]
    return json.loads(answer["Payload"])


def failure(name, event=None, **options):
    """The error object that the function failed with."""
    answer = invoke(name, event, **options)
    assert answer.get("FunctionError") == "Unhandled", answer
    assert answer["StatusCode"] == 200
    return json.loads(answer["Payload"])


class expect_error:
    """`with expect_error("ResourceNotFoundException", 404):` what is inside must be refused so."""

    def __init__(self, code, status=None, contains=None):
        self.code, self.status, self.contains = code, status, contains

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert error is not None, f"nothing was refused; {self.code} was expected"
        if not isinstance(error, ClientError):
            return False
        self.error = error
        found = error.response["Error"]
        assert found["Code"] == self.code, error.response
        if self.status is not None:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == self.status, error.response
        if self.contains is not None:
            assert self.contains in found["Message"], found["Message"]
        return True


def eventually(check, within=30, every=0.05):
    """What `check` answers as soon as it is true; what it last answered is in the complaint."""
    until = time.monotonic() + within
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"not within {within} s: {answer!r}")
        time.sleep(every)
