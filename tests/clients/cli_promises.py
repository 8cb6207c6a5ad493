"""Promise: every command does what its help says, answers people in text and programs in JSON, and ends with the right code."""

import difflib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading

from cli import dormouse, lines_of_log
from platform_under_test import ENDPOINT, eventually

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARIFF = os.path.join(ROOT, "packaging", "tariff.example.toml")

# What differs from run to run, as it is shown in golden files.
MASKS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<hex>"),
    (re.compile(r"\bA[KS]IA[A-Z0-9]{16}\b"), "<key>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+0000)"), "<time>"),
    (re.compile(r"\b[A-Za-z0-9+/]{43}="), "<sha256>"),
    (re.compile(r"python:3\.\d+\.\d+"), "python:<version>"),
    (re.compile(r"(Duration|Billed Duration|Max Memory Used): [\d.]+"), r"\1: <n>"),
)
MEASURED = {
    "billed_ms", "cpu_seconds", "duration_ms", "gb_seconds", "init_ms", "memory_peak_bytes", "cost", "code_bytes",
    "secret_access_key", "runtime_exact", "remedy",
}

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Cat:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/
      Handler: cat.handler
      Runtime: python3.11
      EventInvokeConfig:
        MaximumRetryAttempts: 0
"""
CODE = """
import sys
def handler(event, context):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    if event.get("fail"):
        raise ValueError("no cheese")
    return event
"""


def masked(value, key=None):
    if key in MEASURED and value is not None:
        return f"<{key}>"
    if isinstance(value, dict):
        return {name: masked(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, str):
        for pattern, mask in MASKS:
            value = pattern.sub(mask, value)
    return value


def golden(name, value):
    """Compares with tests/clients/golden/NAME; DORMOUSE_TEST_WRITE_GOLDEN=1 writes it anew."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True)
    text = masked(text).rstrip() + "\n"
    path = os.path.join(HERE, "golden", name)
    if os.environ.get("DORMOUSE_TEST_WRITE_GOLDEN"):
        with open(path, "w") as file:
            file.write(text)
    with open(path) as file:
        expected = file.read()
    lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), "expected", "now", lineterm="")
    assert expected == text, f"{name} differs; DORMOUSE_TEST_WRITE_GOLDEN=1 if it is meant to\n" + "\n".join(lines)


def objects(*command, **options):
    """What a command answers as JSON lines."""
    return [json.loads(line) for line in dormouse(*command, "--output", "json", **options).stdout.splitlines()]


def refused(*command, code=1, says=(), **options):
    """A command that must fail with this exit code and a sentence that has all the words."""
    ran = dormouse(*command, check=False, **options)
    assert ran.returncode == code, f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    assert re.search("^error: ", ran.stderr, re.MULTILINE), ran.stderr
    for words in says:
        assert words in ran.stderr, ran.stderr
    return ran


def project(folder, template=TEMPLATE, code=CODE):
    os.makedirs(os.path.join(folder, "src"), exist_ok=True)
    for path, text in (("template.yaml", template), ("src/cat.py", code)):
        with open(os.path.join(folder, path), "w") as file:
            file.write(text)
    return folder


def deployed(name="zoo"):
    """The name of a function that gives its event back, or fails when asked to."""
    with tempfile.TemporaryDirectory() as folder:
        dormouse("deploy", project(folder), "--name", name)
    return f"{name}-Cat"


def init_deploy_invoke():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for template in ("python", "nodejs"):
            assert f"cd hello-{template}" in dormouse("init", template).stdout
            refused("init", template, code=2, says=["is not empty"])
            assert "created" in dormouse("deploy", f"hello-{template}", "--name", template).stdout
            answer = json.loads(dormouse("invoke", f"{template}-Hello", "--payload", '{"name": "mouse"}').stdout)
            assert answer["message"] == "Hello, mouse!", answer
        made = objects("init", "provided", "elsewhere")[0]
        assert made["directory"] == "elsewhere" and "build.sh" in made["files"], made
        refused("deploy", "elsewhere", code=2, says=["template.yaml:10:", "build the code first"])


def deploy_changes_what_differs():
    with tempfile.TemporaryDirectory() as folder:
        command = ("deploy", project(folder), "--name", "zoo")
        assert objects(*command, "--dry-run")[0]["action"] == "would be created"
        assert objects("functions") == []
        golden("deploy-created.json", [masked(change) for change in objects(*command)])
        assert objects(*command)[0]["action"] == "unchanged"
        project(folder, code=CODE.replace("return event", "return 'meow'"))
        assert objects(*command, "--dry-run")[0]["changed"] == ["code"]
        assert objects(*command)[0]["changed"] == ["code"]
        assert dormouse("invoke", "zoo-Cat").stdout == '"meow"\n'
        project(folder, TEMPLATE.replace("Handler:", "Timeout: 7\n      Handler:"))
        assert objects(*command)[0]["changed"] == ["code", "configuration"]
        assert objects("functions")[0]["timeout_secs"] == 7
        project(folder, TEMPLATE.replace("Handler:", "Timeout: soon\n      Frobs: 1\n      Handler:"))
        refused(*command, code=2, says=["template.yaml:8: Cat: Timeout takes", "template.yaml:9: Cat: there is no property"])
        project(folder, TEMPLATE.replace("python3.11", "python9.9"))
        refused(*command, says=["python9.9"])
    assert objects("delete", "--stack", "zoo") == [{"id": "zoo-Cat", "done": "deleted", "role": "zoo-CatRole"}]
    assert objects("functions") == []
    refused("delete", "--stack", "zoo", says=["there is no stack zoo"])


def invoke_in_all_its_forms():
    name = deployed()
    assert dormouse("invoke", name).stdout == "{}\n"
    assert dormouse("invoke", name, "--payload", '{"a": 1}').stdout == '{"a": 1}\n'
    assert dormouse("invoke", name, "--payload", "-", input='{"b": 2}').stdout == '{"b": 2}\n'
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write('{"c": 3}')
        file.flush()
        assert dormouse("invoke", name, "--payload", f"@{file.name}").stdout == '{"c": 3}\n'
    assert dormouse("invoke", name, "--qualifier", "$LATEST").stdout == "{}\n"
    refused("invoke", name, "--qualifier", "7", says=["ResourceNotFoundException"])

    tail = dormouse("invoke", name, "--tail")
    assert tail.stdout == "{}\n" and "to stderr" in tail.stderr and "REPORT RequestId" in tail.stderr, tail
    answer = objects("invoke", name)[0]
    # Two pipes: which of their lines comes first is not promised.
    answer["log_tail"] = sorted(answer["log_tail"].splitlines())
    golden("invoke.json", masked(answer))

    failed = dormouse("invoke", name, "--payload", '{"fail": true}', check=False)
    assert failed.returncode == 1 and json.loads(failed.stdout)["errorType"] == "ValueError", failed
    assert failed.stderr.startswith("error: the function failed (Unhandled): ValueError: no cheese"), failed.stderr
    told = json.loads(dormouse("invoke", name, "--payload", '{"fail": 1}', "--output", "json", check=False).stdout)
    assert told["function_error"] == "Unhandled" and told["payload"]["errorMessage"] == "no cheese", told

    for mistake in ((), (name, "--payload", "{a}"), (name, "--payload", "@/no/such/file"), (name, "--async", "--tail")):
        refused("invoke", *mistake, code=2)
    refused("invoke", "absent", says=["ResourceNotFoundException"])
    refused("invoke", name, "--endpoint", "http://127.0.0.1:1", says=["cannot be reached", "dormouse up"])


def logs_are_printed_and_followed():
    name = deployed()
    follower = subprocess.Popen(
        [os.environ["DORMOUSE_BIN"], "logs", name, "--follow", "--output", "json"], stdout=subprocess.PIPE, text=True)
    records = []

    def read():
        for line in follower.stdout:
            records.append(json.loads(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        for call in range(1, 4):
            dormouse("invoke", name)
            eventually(lambda: sum(r["text"].startswith("REPORT") for r in records) == call)
    finally:
        # Not SIGINT, which whoever runs the tests in the background has told their processes to ignore.
        follower.terminate()
        follower.wait(timeout=30)
        reader.join(timeout=30)
    told = objects("logs", name)
    assert told == records, (told, records)
    # Two streams reach the platform through two pipes: their order among each other is not promised.
    first = [r for r in told if r["request_id"] in (None, told[-1]["request_id"])]
    golden("logs.json", [masked(r) for r in sorted(first, key=lambda r: (r["stream"], r["text"].split(" ")[0]))])
    text = dormouse("logs", name).stdout.splitlines()
    assert [line.split(" ", 1)[1] for line in text] == [r["text"] for r in told]
    assert dormouse("logs", name, "--since", "2100-01-01T00:00:00Z").stdout == ""
    assert len(dormouse("logs", name, "--since", "1h").stdout.splitlines()) == len(told)
    refused("logs", name, "--since", "yesterday", code=2, says=["2h or 3d"])
    refused("logs", "absent", says=["NotFound"])


def a_follower_does_not_hold_up_a_stop():
    name = deployed()
    dormouse("invoke", name)
    follower = subprocess.Popen(
        [os.environ["DORMOUSE_BIN"], "logs", name, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # To the last line that there is, so that nothing is in a buffer of ours when the rest is read.
    assert any("REPORT" in line for line in iter(follower.stdout.readline, ""))
    os.kill(int(os.environ["DORMOUSE_PID"]), signal.SIGTERM)
    # Well before the limit of the drain, which cuts what is left.
    stdout, stderr = follower.communicate(timeout=20)
    assert follower.returncode == 0 and stdout == "" and "is stopping" in stderr, (stdout, stderr)


def events_are_listed_redriven_and_dropped():
    name = deployed()
    ids = []
    for _ in range(2):
        accepted = objects("invoke", name, "--async", "--payload", '{"fail": true}')[0]
        assert accepted["status_code"] == 202, accepted
        ids.append(accepted["request_id"])
    exhausted = lambda count: eventually(lambda: len(found := objects("events", "list")) == count and found)
    listed = exhausted(2)
    assert sorted(event["id"] for event in listed) == sorted(ids)
    golden("events-list.json", [masked(event) for event in listed])
    golden("events-list.txt", re.sub(" +", " ", dormouse("events", "list").stdout))
    shown = objects("events", "show", ids[0])[0]
    assert shown["payload"] == '{"fail": true}' and shown["attempts"] == 1, shown
    assert f"id: {ids[0]}" in dormouse("events", "show", ids[0]).stdout
    assert objects("events", "list", "--function", name) == listed
    assert objects("events", "list", "--function", "another") == []

    # The mended function takes what the broken one could not.
    with tempfile.TemporaryDirectory() as folder:
        dormouse("deploy", project(folder, code=CODE.replace('event.get("fail")', "False")), "--name", "zoo")
    assert objects("events", "redrive", ids[0]) == [{"id": ids[0], "done": "sent again"}]
    exhausted(1)
    eventually(lambda: sum(ids[0] in line for line in lines_of_log(name) if line.startswith("REPORT")) == 2)
    assert objects("events", "drop", ids[1]) == [{"id": ids[1], "done": "dropped"}]
    assert objects("events", "list") == []
    assert "No event is exhausted." in dormouse("events", "list").stderr
    refused("events", "drop", ids[1], says=[ids[1]])
    refused("events", "show", "nonsense", says=["is not the id of an event"])
    refused("events", "redrive", code=2)


def functions_and_usage():
    assert "dormouse init" in dormouse("functions").stderr
    name = deployed()
    golden("functions.json", [masked(function) for function in objects("functions")])
    function = objects("functions")[0]
    assert function["runs_on"].startswith("python:3."), function
    assert function["runtime_exact"] == function["runs_on"].startswith("python:3.11."), function
    for payload in ("{}", "{}", '{"fail": true}'):
        dormouse("invoke", name, "--payload", payload, check=False)
    used = eventually(lambda: (rows := objects("usage")) and rows[0]["invocations"] == 3 and rows)
    golden("usage.json", [masked(row) for row in used])
    priced = objects("usage", "--tariff", TARIFF)[0]
    assert priced["cost"] > 0 and priced["currency"] == "USD", priced
    bill = dormouse("usage", "--tariff", TARIFF).stdout.splitlines()
    assert bill[-1].startswith("total") and bill[-1].endswith(" USD"), bill
    refused("usage", "--tariff", "/dev/null", code=2, says=["currency"])


def as_other(key, *command, **options):
    """A command signed with another key."""
    ours = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    os.environ.update(AWS_ACCESS_KEY_ID=key["access_key_id"], AWS_SECRET_ACCESS_KEY=key["secret_access_key"])
    try:
        return dormouse(*command, check=False, **options)
    finally:
        os.environ.update(ours)


def accounts_see_nothing_of_each_other():
    name = deployed()
    accepted = objects("invoke", name, "--async", "--payload", '{"fail": true}')[0]["request_id"]
    eventually(lambda: objects("events", "list"))
    other = objects("accounts", "create", "--id", "123456789012", "--name", "other")[0]
    golden("accounts-create.json", masked(other))
    golden("accounts-list.json", [masked(account) for account in objects("accounts", "list")])
    refused("accounts", "create", "--id", "123456789012", says=["exists already"])
    refused("accounts", "create", "--id", "12", code=2, says=["exactly 12 digits"])

    for command in (("functions",), ("events", "list"), ("usage",)):
        told = as_other(other, *command)
        assert (told.returncode, told.stdout) == (0, ""), (command, told)
    root = os.environ["AWS_ACCESS_KEY_ID"]
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    for command, words in (
        (("invoke", name), "ResourceNotFoundException"),
        (("invoke", arn), "AccessDenied"),
        (("logs", name), "NotFound"),
        (("logs", arn), "AccessDenied"),
        (("events", "show", accepted), "NotFound"),
        (("events", "redrive", accepted), "NotFound"),
        (("events", "drop", accepted), "NotFound"),
        (("delete", name), "ResourceNotFoundException"),
        (("delete", arn), "AccessDenied"),
        (("delete", "--stack", "zoo"), "there is no stack"),
        (("accounts", "list"), "AccessDenied"),
        (("accounts", "create"), "AccessDenied"),
        (("keys", "list", "--account", "000000000000"), "AccessDenied"),
        (("keys", "create", "--account", "000000000000"), "AccessDenied"),
        (("keys", "revoke", root), "AccessDenied"),
    ):
        told = as_other(other, *command)
        assert told.returncode == 1 and words in told.stderr, (command, told)
    # Nothing of it happened.
    assert dormouse("invoke", name).stdout == "{}\n"
    assert [event["id"] for event in objects("events", "list")] == [accepted]


def keys_come_and_go():
    made = objects("keys", "create")[0]
    golden("keys-create.json", masked(made))
    assert sorted(key["access_key_id"] for key in objects("keys", "list")) == sorted(
        [made["access_key_id"], os.environ["AWS_ACCESS_KEY_ID"]])
    assert as_other(made, "functions").returncode == 0
    assert objects("keys", "revoke", made["access_key_id"]) == [{"id": made["access_key_id"], "done": "revoked"}]
    told = as_other(made, "functions", "--region", "eu-north-7")
    assert told.returncode == 1 and "for the region eu-north-7 of --region" in told.stderr, told
    told = as_other(made, "functions")
    assert told.returncode == 1 and f"signed with the key {made['access_key_id']} of AWS_ACCESS_KEY_ID" in told.stderr, told
    refused("keys", "revoke", made["access_key_id"], says=["there is no access key"])
    text = dormouse("keys", "create")
    assert "secret_access_key: " in text.stdout and "not shown again" in text.stderr, text


def the_host_is_described():
    checks = dormouse("doctor", "--output", "json", check=False)
    groups = {check["group"] for check in map(json.loads, checks.stdout.splitlines())}
    assert groups == {"sandbox", "runtime", "sdk", "data", "port"}, checks
    needed = [c for c in map(json.loads, checks.stdout.splitlines()) if c["required"] and c["state"] != "holds"]
    assert (checks.returncode == 1) == bool(needed), checks
    assert "seccomp" in dormouse("doctor", check=False).stdout
    assert any(row["key"] == "listen" and row["origin"] == "default" for row in objects("config"))
    for shell in ("bash", "zsh", "fish"):
        assert dormouse("completions", shell).stdout


def backup_and_restore():
    name = deployed()
    with tempfile.TemporaryDirectory() as folder:
        archive, restored = os.path.join(folder, "backup"), os.path.join(folder, "restored")
        told = objects("backup", archive, "--with-master-key")[0]
        assert (told["path"], told["size_bytes"]) == (archive, os.path.getsize(archive)), told
        assert os.stat(archive).st_mode & 0o777 == 0o600
        refused("backup", archive, says=["exists"])
        refused("restore", archive, says=["is not empty"])
        assert objects("restore", archive, "--data-dir", restored)[0]["data_dir"] == restored
        refused("restore", "/dev/null", "--data-dir", os.path.join(folder, "other"), says=["is no backup"])
        up = subprocess.Popen(
            [os.environ["DORMOUSE_BIN"], "up", "--data-dir", restored, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True)
        try:
            endpoint, *words = up.stdout.readline().split()
            assert endpoint.startswith("http://127.0.0.1:") and endpoint != ENDPOINT
            # The secret is not told a second time: it is the one of the backup.
            assert [word.split("=")[0] for word in words] == ["region", "account_id", "access_key_id"], words
            assert dormouse("invoke", name, "--endpoint", endpoint).stdout == "{}\n"
        finally:
            up.terminate()
            assert up.wait(timeout=60) == 0
        # Whoever restored it has the key: what `up` left is enough for other commands, also without the variables.
        with open(os.path.join(restored, "endpoint.json")) as file:
            assert json.load(file)["secret_access_key"] == os.environ["AWS_SECRET_ACCESS_KEY"]
        # Without the master key nothing is started, and no other key is made in its place.
        os.remove(os.path.join(restored, "master.key"))
        refused("up", "--data-dir", restored, "--listen", "127.0.0.1:0", says=["there is no master key at", "mode 0600"])
        assert not os.path.exists(os.path.join(restored, "master.key"))
