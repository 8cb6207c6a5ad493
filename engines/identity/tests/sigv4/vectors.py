"""Signs requests of our own with botocore's signers and writes what they answer to vectors.json.

Run with a Python that has botocore: python3 engines/identity/tests/sigv4/vectors.py
"""

import datetime
import json
import pathlib
from unittest import mock

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 11, 23, 5, 28, 44, tzinfo=datetime.timezone.utc)
HOST = "http://localhost:4566"

CASES = [
    ("lambda", "GET", "/2015-03-31/functions/", {}, b""),
    ("lambda", "POST", "/2015-03-31/functions/a%3Ab/invocations?Qualifier=%24LATEST", {"X-Amz-Invocation-Type": "Event"}, b'{"a": 1}'),
    ("lambda", "GET", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af", {}, b""),
    ("lambda", "GET", "/p?b=2&a=1&b=1&empty=&z=~tilde%20space", {}, b""),
    ("iam", "POST", "/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, b"Action=ListRoles&Version=2010-05-08"),
    ("sts", "POST", "/", {"X-Amz-Meta": "  several   blanks  "}, b"Action=GetCallerIdentity&Version=2011-06-15"),
    ("s3", "PUT", "/bucket/a%20key%28with%29/../dots//and%25", {}, b"body"),
    ("s3", "GET", "/bucket?list-type=2&prefix=a%2Fb", {}, b""),
]


def sign(auth, method, path, headers, body, token):
    credentials = Credentials("AKIAEXAMPLE", "a/secret+key", token)
    request = AWSRequest(method=method, url=HOST + path, headers=dict(headers), data=body)
    request.context["payload_signing_enabled"] = True
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=NOW.replace(tzinfo=None), create=True):
        auth(credentials).add_auth(request)
    prepared = request.prepare()
    return prepared


def main():
    vectors = []
    for service, method, path, headers, body in CASES:
        for token in (None, "a+session/token=="):
            for presigned in (False, True):
                if presigned and body:
                    continue
                s3 = service == "s3"
                if presigned:
                    kind = S3SigV4QueryAuth if s3 else SigV4QueryAuth
                    auth = lambda c: kind(c, service, "us-east-1", expires=900)
                else:
                    kind = S3SigV4Auth if s3 else SigV4Auth
                    auth = lambda c: kind(c, service, "us-east-1")
                prepared = sign(auth, method, path, headers, body, token)
                target = prepared.url.removeprefix(HOST)
                sent = {name: value if isinstance(value, str) else value.decode() for name, value in prepared.headers.items()}
                sent.pop("Content-Length", None)
                sent["Host"] = "localhost:4566"
                vectors.append({"service": service, "method": method, "target": target, "headers": sent, "body": body.decode(), "token": token})
    text = json.dumps(vectors, indent=1) + "\n"
    pathlib.Path(__file__).with_name("vectors.json").write_text(text)


main()
