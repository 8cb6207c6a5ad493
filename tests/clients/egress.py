"""Promise: code reaches what its function's tag grants, and nothing else; what was refused is said."""

import contextlib
import socket
import threading

from cli import lines_of_log
from platform_under_test import *

# Tries each of event's [host, port] and answers what came of it.
TRY = """
import socket
def handler(event, context):
    said = []
    for host, port in event:
        try:
            with socket.create_connection((host, port), timeout=20) as connection:
                said.append(connection.recv(100).decode() or "closed")
        except OSError as error:
            said.append(type(error).__name__)
    return said
"""


@contextlib.contextmanager
def server(address="127.0.0.1"):
    """Says hello to whoever connects to its port on the host."""
    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.sendall(b"hello")
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def trying(grant):
    return function(TRY, Timeout=60, Tags={"dormouse:egress": grant} if grant else {})


def refusals(name):
    return [line for line in lines_of_log(name) if line.startswith("EGRESS")]


def nothing_is_granted_out_of_the_box():
    with server() as port:
        for grant in (None, "none"):
            name = trying(grant)
            assert result(name, [["127.0.0.1", port], ["api.example.com", 443]]) == ["ConnectionRefusedError", "gaierror"]
            line = eventually(lambda: refusals(name))[0]
            assert "api.example.com" in line and "dormouse:egress" in line, line


def a_listed_address_is_reached():
    with server() as port, server() as other:
        name = trying(f"127.0.0.1:{port} .example.com:{other}")
        assert result(name, [["127.0.0.1", port], ["localhost", port]]) == ["hello", "hello"]
        # A port that is open for somebody else's sake is still not this one's.
        assert result(name, [["127.0.0.1", other], ["127.0.0.2", port]]) == ["closed", "closed"]
        lines = eventually(lambda: len(found := refusals(name)) >= 2 and found)
        assert f"127.0.0.1:{other}" in lines[0] and "dormouse:egress" in lines[0], lines
        assert f"127.0.0.2:{port}" in lines[1], lines


def localhost_is_the_loopback_of_the_host():
    with server() as port:
        name = trying(f"localhost:{port}")
        assert result(name, [["localhost", port], ["127.0.0.1", port]]) == ["hello", "hello"]


def everything_is_not_what_is_private():
    name = trying("all")
    found = result(name, [["127.0.0.1", 80], ["127.0.0.1", 81], ["10.0.0.1", 80], ["169.254.169.254", 80]])
    assert found[0] == "closed" and "hello" not in found and "closed" not in found[1:], found
    lines = eventually(lambda: refusals(name))
    assert "127.0.0.1:80" in lines[0] and "dormouse:egress must name" in lines[0], lines


def a_name_leads_where_the_host_says():
    """By the name that this machine has for itself, where it has one: an address of its own must be listed as well."""
    own = os.uname().nodename.lower()
    try:
        address = socket.getaddrinfo(own, None, socket.AF_INET)[0][4][0]
    except OSError:
        own, address = "no-such-name.invalid", None
    with server(address or "127.0.0.1") as port:
        name = trying(f"{own}:{port}")
        assert result(name, [[own, port]]) == ["closed"]
        line = eventually(lambda: refusals(name))[0]
        assert own in line and (address is None or address in line), line
        # What is not listed has no address at all, and neither has a part of a listed name.
        assert result(name, [[f"x.{own}", port], ["example.com", port]]) == ["gaierror", "gaierror"]
        if address:
            both = trying(f"{own}:{port} {address}:{port}")
            assert result(both, [[own, port], [address, port]]) == ["hello", "hello"]


def a_grant_that_is_taken_back_is_gone():
    lam = client("lambda")
    with server() as port:
        name = trying(f"127.0.0.1:{port}")
        assert result(name, [["127.0.0.1", port]]) == ["hello"]
        arn = lam.get_function_configuration(FunctionName=name)["FunctionArn"]
        lam.untag_resource(Resource=arn, TagKeys=["dormouse:egress"])
        assert result(name, [["127.0.0.1", port]]) == ["ConnectionRefusedError"]
        lam.tag_resource(Resource=arn, Tags={"dormouse:egress": f"127.0.0.1:{port}"})
        assert result(name, [["127.0.0.1", port]]) == ["hello"]


def the_platforms_own_port_stays_the_platforms():
    port = int(ENDPOINT.rsplit(":", 1)[1])
    source = """
import urllib.request, os
def handler(event, context):
    return urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_dormouse/health", timeout=20).status
"""
    name = function(source, Timeout=60, Tags={"dormouse:egress": f"db.example.com:{port}"})
    assert result(name) == 200
    line = eventually(lambda: refusals(name))[0]
    assert str(port) in line and "dormouse:egress" in line, line


def a_flood_of_refusals_is_a_few_lines():
    name = trying("all")
    found = result(name, [["127.0.0.1", 80]] * 2000)
    assert set(found) == {"closed"}
    assert 1 <= len(eventually(lambda: refusals(name))) <= 400
