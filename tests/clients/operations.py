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
    assert "dormouse_" in metrics and "# TYPE" in metrics, metrics[:500]
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
            dormouse("backup", archive)
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
