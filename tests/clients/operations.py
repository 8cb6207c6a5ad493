"""Promise: it starts, stops and fails in ways that an operator understands, and leaves nothing behind."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from cli import dormouse, lines_of_log, records_of_log
from platform_under_test import *


def call_some_functions():
    python = function("def handler(e, c): open('/tmp/x', 'w').write('y'); return e")
    node = function("exports.handler = async (e) => e;", runtime="nodejs20.x", file="index.js")
    for n in range(3):
        assert result(python, n) == n and result(node, n) == n


def old_lines_give_way_to_new_ones():
    name = function("def handler(e, c): print('line', e, 'x' * 100_000)", name="talks")
    for n in range(40):
        assert result(name, n) is None
    eventually(lambda: any(line.startswith("line 39 ") for line in lines_of_log(name)))
    kept = [int(line.split()[1]) for line in lines_of_log(name) if line.startswith("line ")]
    assert 4 <= len(kept) <= 14 and kept == list(range(40 - len(kept), 40)), kept


def old_logs_are_gone():
    other = function("def handler(e, c): print('a line of today')")
    assert result(other) is None
    eventually(lambda: not lines_of_log("talks"))
    assert any("a line of today" in line for line in lines_of_log(other))


def sigterm_during_a_call():
    name = function("import time\ndef handler(e, c): time.sleep(3); return 'finished'", Timeout=20)
    answers = []
    caller = threading.Thread(target=lambda: answers.append(result(name)))
    caller.start()
    eventually(lambda: any("START" in line for line in lines_of_log(name)))
    os.kill(int(os.environ["DORMOUSE_PID"]), signal.SIGTERM)
    caller.join()
    assert answers == ["finished"]


def raw(request, read=True):
    host, port = ENDPOINT.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(request)
    if not read:
        return connection
    connection.settimeout(60)
    return connection.recv(65536)


def a_client_that_hangs_up_does_not_stop_a_call():
    import botocore.session
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    name = function("import time\ndef handler(e, c): time.sleep(1); print('came to its end')", Timeout=20)
    path = f"/2015-03-31/functions/{name}/invocations"
    request = AWSRequest(method="POST", url=ENDPOINT + path, data=b"{}")
    SigV4Auth(botocore.session.get_session().get_credentials(), "lambda", REGION).add_auth(request)
    host = ENDPOINT.removeprefix("http://")
    head = "".join(f"{k}: {v}\r\n" for k, v in request.headers.items())
    connection = raw(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n{head}\r\n{{}}".encode(), read=False)
    eventually(lambda: any("START" in line for line in lines_of_log(name)))
    connection.close()
    eventually(lambda: "came to its end" in lines_of_log(name))


def slow_and_broken_clients_hurt_nobody():
    name = function("def handler(e, c): return e")
    held = [raw(b"POST /2015-03-31/functions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n", read=False) for _ in range(50)]
    assert result(name, 1) == 1
    for nonsense in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n"):
        answer = raw(nonsense)
        assert answer == b"" or answer.split(b" ")[1].startswith(b"4") or answer.split(b" ")[1].startswith(b"5"), answer
    many = b"".join(b"X-%d: y\r\n" % n for n in range(10000))
    assert raw(b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n").split(b" ")[1] in (b"431", b"400")
    assert result(name, 2) == 2
    for connection in held:
        connection.close()


def ten_thousand_connections():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = min(10_000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, want + 400), hard))
    name = function("def handler(e, c): return e")
    host, port = ENDPOINT.removeprefix("http://").split(":")
    held = []
    for _ in range(want):
        held.append(socket.create_connection((host, int(port))))
    assert len(held) == want
    assert result(name, "still here") == "still here"
    for connection in held:
        connection.close()


def an_instance_that_ended_is_not_used_again():
    name = function(
        "import os, threading, time\n"
        "def leave():\n  time.sleep(0.05)\n  os._exit(3)\n"
        "def handler(e, c):\n"
        "  if e == 'leave': threading.Thread(target=leave).start()\n"
        "  return 'answered'")

    def instances():
        metrics = urllib.request.urlopen(f"{ENDPOINT}/_dormouse/metrics").read().decode()
        return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("dormouse_instances{"))

    assert result(name, "stay") == "answered" and instances() == 1
    for _ in range(2):
        assert result(name, "leave") == "answered"
        # The platform looks at it when it would freeze it. A call in the instant of the end itself may still meet it.
        eventually(lambda: instances() == 0)
        assert result(name, "stay") == "answered"


def aws(*arguments):
    program = os.path.join(os.path.dirname(sys.executable), "aws")
    ran = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def the_aws_cli_works():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        package = os.path.join(folder, "code.zip")
        open(package, "wb").write(zip_of({"index.py": "def handler(e, c): return e"}))
        made = json.loads(aws("lambda", "create-function", "--function-name", "by-cli", "--runtime", "python3.11",
                              "--handler", "index.handler", "--role", role(), "--zip-file", f"fileb://{package}"))
        assert made["FunctionName"] == "by-cli"
        aws("lambda", "wait", "function-active-v2", "--function-name", "by-cli")
        answer = os.path.join(folder, "answer")
        told = json.loads(aws("lambda", "invoke", "--function-name", "by-cli", "--payload", '{"a": 1}', answer))
        assert told["StatusCode"] == 200 and json.load(open(answer)) == {"a": 1}
        assert "by-cli" in aws("lambda", "list-functions", "--output", "text")
        assert json.loads(aws("sts", "get-caller-identity"))["Account"] == ACCOUNT
        aws("lambda", "delete-function", "--function-name", "by-cli")


def logs_usage_and_metrics():
    name = function("import sys\ndef handler(e, c):\n  print('to stdout'); print('to stderr', file=sys.stderr); return 1")
    answer = invoke(name)
    rid = answer["ResponseMetadata"]["RequestId"]
    lines = eventually(lambda: (found := lines_of_log(name)) and any("REPORT" in l for l in found) and found)
    for part in ("INIT_START Runtime Version:", f"START RequestId: {rid} Version: $LATEST", "to stdout", "to stderr",
                 f"END RequestId: {rid}", f"REPORT RequestId: {rid}\tDuration: "):
        assert any(line.startswith(part) for line in lines), (part, lines)
    order = [next(n for n, line in enumerate(lines) if line.startswith(part)) for part in ("INIT_START", "START", "to stdout", "END", "REPORT")]
    assert order == sorted(order), lines
    said = next(r for r in records_of_log(name) if r["text"] == "to stdout")
    assert said["request_id"] == rid, said
    bills = eventually(lambda: [u for u in map(json.loads, dormouse("usage", "--output", "json").stdout.splitlines())
                                if u.get("function") == name])
    assert bills[0]["invocations"] == 1 and bills[0]["cold_starts"] == 1, bills
    metrics = urllib.request.urlopen(f"{ENDPOINT}/_dormouse/metrics").read().decode()
    for line in ('dormouse_build_info{version="', "dormouse_start_time_seconds ", 'dormouse_instances{state="idle"} 1',
                 f'dormouse_concurrency{{account="{ACCOUNT}"}} 0', "# TYPE dormouse_invocations_total counter"):
        assert line in metrics, (line, metrics)
    assert urllib.request.urlopen(f"{ENDPOINT}/_dormouse/health").status == 200


def backup_under_load_restores():
    import tempfile

    name = function("def handler(e, c): return e")
    stop = threading.Event()

    def load():
        while not stop.is_set():
            invoke(name, {}, InvocationType="Event")

    senders = [threading.Thread(target=load) for _ in range(4)]
    for sender in senders:
        sender.start()
    with tempfile.TemporaryDirectory() as folder:
        archive = os.path.join(folder, "backup")
        try:
            dormouse("backup", archive, "--data-dir", os.environ["DORMOUSE_DATA_DIR"], "--with-master-key")
        finally:
            stop.set()
            for sender in senders:
                sender.join()
        restored = os.path.join(folder, "restored")
        dormouse("restore", archive, "--data-dir", restored)
        up = subprocess.Popen([os.environ["DORMOUSE_BIN"], "up", "--data-dir", restored, "--listen", "127.0.0.1:0", "--output", "json"],
                              stdout=subprocess.PIPE, text=True)
        try:
            endpoint = json.loads(up.stdout.readline())["endpoint"]
            lam = client("lambda", endpoint_url=endpoint)
            assert lam.invoke(FunctionName=name, Payload=b"5")["Payload"].read() == b"5"
        finally:
            up.terminate()
            assert up.wait(timeout=60) == 0


def full_disk_is_refused_and_recovers():
    """The data directory is a small file system in the platform's own mount namespace."""
    data = f"/proc/{os.environ['DORMOUSE_PID']}/root{os.environ['DORMOUSE_DATA_DIR']}"
    name = function("def handler(e, c): print('ran', e['n'])")
    warm = function("def handler(e, c): return e")
    assert result(warm, 1) == 1
    accepted = set()

    def send(n):
        try:
            if invoke(name, {"n": n, "filler": "x" * 50_000}, InvocationType="Event")["StatusCode"] == 202:
                accepted.add(n)
        except ClientError as error:
            return error.response

    assert send(0) is None
    filler = os.path.join(data, "filler")
    refused = None
    with open(filler, "wb", buffering=0) as file:
        for n in range(1, 1000):
            try:
                while True:
                    file.write(b"x" * 65536)
            except OSError as error:
                assert error.errno == 28, error
            refused = send(n)
            if refused is not None:
                break
    assert refused is not None, "a full disk was not noticed"
    assert refused["ResponseMetadata"]["HTTPStatusCode"] in (500, 503), refused
    assert refused["Error"]["Code"] == "ServiceException", refused
    assert "full" in refused["Error"]["Message"] or "space" in refused["Error"]["Message"], refused
    # What is warm keeps answering.
    assert result(warm, 2) == 2
    os.remove(filler)
    eventually(lambda: send(1000) is None)

    def finished():
        metrics = urllib.request.urlopen(f"{ENDPOINT}/_dormouse/metrics").read().decode()
        ends = [line for line in metrics.splitlines() if line.startswith("dormouse_async_finished_total{")]
        assert all('outcome="success"' in line for line in ends), ends
        return sum(int(line.rsplit(" ", 1)[1]) for line in ends)

    # What was said into a log while the disk was full may be lost; what was accepted is not.
    eventually(lambda: finished() == len(accepted), within=60)
    assert result(name, {"n": -1}) is None and result(warm, 3) == 3


def served_over_tls():
    import ssl

    name = function("import boto3\ndef handler(e, c): return e")
    assert ENDPOINT.startswith("https://") and result(name, "sealed") == "sealed"
    host, port = ENDPOINT.removeprefix("https://").split(":")
    first = ssl.get_server_certificate((host, int(port)))
    certificate, key = os.environ["CERTIFICATE"], os.environ["KEY"]
    os.replace(certificate + ".next", certificate)
    os.replace(key + ".next", key)
    second = eventually(lambda: (now := ssl.get_server_certificate((host, int(port)))) != first and now)
    os.environ["AWS_CA_BUNDLE"] = certificate
    assert open(certificate).read().strip() == second.strip()
    assert result(name, "sealed anew") == "sealed anew"


def control_plane_calls_are_recorded():
    secret = unique("never-to-be-written-down")
    name = function("def handler(e, c): return e", Environment={"Variables": {"TOKEN": secret}})
    iam = client("iam")
    user = unique("user")
    iam.create_user(UserName=user)
    made = iam.create_access_key(UserName=user)["AccessKey"]
    with expect_error("ResourceNotFoundException"):
        client("lambda").get_function(FunctionName="absent")
    path = os.path.join(os.environ["DORMOUSE_DATA_DIR"], "audit", "audit.jsonl")
    wanted = {"lambda:CreateFunction", "iam:CreateUser", "iam:CreateAccessKey", "lambda:GetFunction"}

    def records():
        found = [json.loads(line) for line in open(path).read().splitlines()]
        return found if wanted <= {record["action"] for record in found} else None

    found = eventually(records)
    text = open(path).read()
    for hidden in (secret, made["SecretAccessKey"], os.environ["AWS_SECRET_ACCESS_KEY"]):
        assert hidden not in text
    created = next(r for r in found if r["action"] == "lambda:CreateFunction")
    assert created["resource"].endswith(f":function:{name}") and created["error"] is None, created
    assert created["access_key_id"] == os.environ["AWS_ACCESS_KEY_ID"] and created["source_ip"] == "127.0.0.1", created
    missed = next(r for r in found if r["action"] == "lambda:GetFunction" and r["error"])
    assert missed["error"] == "ResourceNotFoundException", missed


def calls_are_billed():
    name = function("def handler(e, c): return e")
    for n in range(3):
        result(name, n)
    tariff = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "tariff.example.toml")

    def bill():
        lines = dormouse("usage", "--tariff", tariff, "--output", "json").stdout.splitlines()
        return next((b for b in map(json.loads, lines) if b.get("function") == name and b["invocations"] == 3), None)

    found = eventually(bill)
    assert found["cost"] > 0, found


def slow_clients_are_cut_and_hold_up_nobody():
    """Some send the head of a request for ever, a byte at a time, some its body; the platform is told to wait two seconds."""
    name = function("def handler(e, c): return e")
    host, port = ENDPOINT.removeprefix("http://").split(":")
    begun = [b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ",
             b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 4000\r\n\r\n{"]
    left = []
    for n in range(400):
        connection = socket.create_connection((host, int(port)))
        connection.sendall(begun[n % 2])
        connection.setblocking(False)
        left.append(connection)
    assert result(name, "meanwhile") == "meanwhile"

    def is_cut(connection):
        try:
            connection.send(b"x")
            answer = connection.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True
        assert not answer or answer.startswith(b"HTTP/1.1 408 "), answer
        return True

    def all_are_cut():
        left[:] = [connection for connection in left if not is_cut(connection)]
        return not left

    eventually(all_are_cut, within=120)
    assert result(name, "after") == "after"


def large_uploads_wait_for_each_other():
    """Six uploads of some 12 MB into a node that holds 16 MB of them: all come through, one after the other."""
    made, role_arn, package = [], role(), zip_of({"index.py": "def handler(e, c): return e"})
    noise = io.BytesIO(package)
    with zipfile.ZipFile(noise, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("noise", os.urandom(9_000_000))

    def upload(n):
        client("lambda").create_function(FunctionName=f"large-{n}", Runtime="python3.11", Handler="index.handler",
                                         Role=role_arn, Code={"ZipFile": noise.getvalue()})
        made.append(n)

    uploads = [threading.Thread(target=upload, args=(n,)) for n in range(6)]
    for thread in uploads:
        thread.start()
    for thread in uploads:
        thread.join()
    assert sorted(made) == list(range(6)), made
