"""Promise: an accepted event is never lost."""

import json
import sys
import threading
import urllib.request

from platform_under_test import *

# The function writes what it saw into its answer; what ran is counted by its log and its dead letters, from outside.


def accepted_events_run():
    name = function("def handler(e, c): print('ran', e['n'])")
    for n in range(20):
        assert invoke(name, {"n": n}, InvocationType="Event")["StatusCode"] == 202
    eventually(lambda: ran(name) == set(range(20)))


def ran(name):
    from cli import lines_of_log

    return {int(line.split("ran ")[1]) for line in lines_of_log(name) if "ran " in line}


def send_until_told():
    """Senders that go on until the platform goes away, or standard input ends: one that was between two requests finds the
    platform there again. Prints the id of each event whose 202 came."""
    lam, name, printing, told = client("lambda"), os.environ["FUNCTION"], threading.Lock(), threading.Event()

    def listen():
        sys.stdin.read()
        told.set()

    threading.Thread(target=listen, daemon=True).start()

    def send():
        while not told.is_set():
            try:
                answer = lam.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
            except Exception:
                return
            with printing:
                print(answer["ResponseMetadata"]["RequestId"], flush=True)

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def create_failing():
    name = os.environ["FUNCTION"]
    function("def handler(e, c): raise ValueError('always')", name=name)
    client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)


def create_answering():
    function("def handler(e, c): return e", name=os.environ["FUNCTION"])


def it_answers():
    assert result(os.environ["FUNCTION"], 7) == 7


def create_with_secrets():
    """Prints a link to the code."""
    name, secret = "with-secrets", os.environ["SECRET"]
    function("import os\ndef handler(e, c): return os.environ['WORD']", name=name,
             Environment={"Variables": {"WORD": secret + "-1"}})
    lam = client("lambda")
    lam.publish_version(FunctionName=name)
    lam.update_function_configuration(FunctionName=name, Environment={"Variables": {"WORD": secret + "-2"}})
    lam.publish_version(FunctionName=name)
    print(lam.get_function(FunctionName=name)["Code"]["Location"])


def secrets_are_there():
    """And the link is good."""
    name, secret = "with-secrets", os.environ["SECRET"]
    assert result(name) == secret + "-2" and result(f"{name}:1") == secret + "-1"
    shown = client("lambda").get_function_configuration(FunctionName=name, Qualifier="1")
    assert shown["Environment"] == {"Variables": {"WORD": secret + "-1"}}, shown
    with urllib.request.urlopen(os.environ["LINK"]) as download:
        assert download.headers["Content-Length"] == str(len(download.read()))


def dead(name):
    from cli import dormouse

    lines = dormouse("events", "list", "--function", name, "--output", "json").stdout.splitlines()
    return [json.loads(line) for line in lines]


def all_accepted_came_to_their_end():
    accepted = set(open(os.environ["ACCEPTED"]).read().split())
    name = os.environ["FUNCTION"]
    missing = lambda: accepted - {event["id"] for event in dead(name)}
    try:
        eventually(lambda: not missing(), within=120, every=0.5)
    except AssertionError:
        raise AssertionError(f"{len(missing())} of {len(accepted)} accepted events are lost: {sorted(missing())[:5]}")


def failed_events_are_tried_again_and_kept():
    name = function("def handler(e, c):\n  print('ran 1')\n  raise ValueError('always')")
    client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=2)
    sent = invoke(name, {"k": "v"}, InvocationType="Event")["ResponseMetadata"]["RequestId"]
    event = eventually(lambda: dead(name))[0]
    assert event["id"] == sent and event["attempts"] == 3, event
    from cli import dormouse, lines_of_log

    shown = json.loads(dormouse("events", "show", sent, "--output", "json").stdout)
    assert json.loads(shown["payload"]) == {"k": "v"} if isinstance(shown["payload"], str) else shown["payload"] == {"k": "v"}, shown
    assert eventually(lambda: len([l for l in lines_of_log(name) if l == "ran 1"]) == 3)
    lam = client("lambda")
    lam.update_function_code(FunctionName=name, ZipFile=zip_of({"index.py": "def handler(e, c): print('better')"}))
    lam.get_waiter("function_updated_v2").wait(FunctionName=name)
    dormouse("events", "redrive", sent)
    eventually(lambda: "better" in lines_of_log(name))
    assert eventually(lambda: not dead(name)) is True


def events_of_a_stopped_function_are_kept():
    name = function("def handler(e, c): return 1")
    client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    sent = invoke(name, {}, InvocationType="Event")["ResponseMetadata"]["RequestId"]
    event = eventually(lambda: dead(name))[0]
    assert event["id"] == sent, event
    from cli import dormouse

    dormouse("events", "drop", sent)
    assert dead(name) == []


def destinations_get_the_record():
    lam = client("lambda")
    keeper = function("import json\ndef handler(e, c): print('record', json.dumps(e))")
    name = function("def handler(e, c):\n  if e['n'] == 0: raise ValueError('no zeros')\n  return 100 // e['n']")
    arn = lambda f: f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{f}"
    lam.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=1,
        DestinationConfig={"OnSuccess": {"Destination": arn(keeper)}, "OnFailure": {"Destination": arn(keeper)}})
    good = invoke(name, {"n": 4}, InvocationType="Event")["ResponseMetadata"]["RequestId"]
    bad = invoke(name, {"n": 0}, InvocationType="Event")["ResponseMetadata"]["RequestId"]
    from cli import lines_of_log

    def records():
        found = [json.loads(line.split("record ")[1]) for line in lines_of_log(keeper) if "record " in line]
        by_id = {record["requestContext"]["requestId"]: record for record in found}
        return by_id if {good, bad} <= by_id.keys() else None

    found = eventually(records)
    context = found[good]["requestContext"]
    assert context["condition"] == "Success" and context["approximateInvokeCount"] == 1, context
    assert context["functionArn"] == arn(name) + ":$LATEST", context
    assert found[good]["version"] == "1.0" and found[good]["requestPayload"] == {"n": 4}
    assert found[good]["responsePayload"] == 25
    assert found[good]["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    context = found[bad]["requestContext"]
    assert context["condition"] == "RetriesExhausted" and context["approximateInvokeCount"] == 2, context
    assert found[bad]["responseContext"]["functionError"] == "Unhandled"
    assert found[bad]["responsePayload"]["errorMessage"] == "no zeros"


def events_that_would_become_too_old_are_given_up():
    """The next try would come after 120 s, and an event may become 60 s old."""
    name = function("def handler(e, c): raise ValueError('always')")
    client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    sent = invoke(name, {}, InvocationType="Event")["ResponseMetadata"]["RequestId"]
    event = eventually(lambda: dead(name))[0]
    assert event["id"] == sent and event["reason"] == "EventAgeExceeded" and event["attempts"] == 1, event
