"""Promise: a function gets its own machine and nothing of anybody else's. Each function here is hostile."""

from platform_under_test import *


def attempt(body, **options):
    """Runs `body` (Python statements that set `r`) inside a function and answers `r`."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    source = f"import os, sys, socket, subprocess, ctypes, errno\ndef handler(e, c):\n    r = None\n{lines}\n    return r\n"
    options.setdefault("Timeout", 30)
    options.setdefault("MemorySize", 256)
    return result(function(source, **options))


def it_sees_only_itself():
    pids = attempt("r = [int(p) for p in os.listdir('/proc') if p.isdigit()]")
    assert max(pids) < 50, f"processes of somebody else: {pids}"
    assert attempt("r = os.getuid()") != 0
    status = attempt("r = open('/proc/self/status').read()")
    for line in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{line}:\t0000000000000000" in status, status
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status
    hosts_name = os.uname().nodename
    assert attempt("r = os.uname().nodename") != hosts_name
    assert attempt("r = sorted(os.listdir('/sys')) if os.path.exists('/sys') else []") == []


def files_of_the_host_are_out_of_reach():
    data_dir = os.environ["DORMOUSE_DATA_DIR"]
    secret = os.path.join(data_dir, "endpoint.json")
    assert os.path.exists(secret)
    assert attempt(f"r = os.path.exists({secret!r}) or os.path.exists({data_dir!r})") is False
    for path in ("/etc/shadow", "/root", "/home", "/var/lib/dpkg", "/boot"):
        assert attempt(f"r = os.path.exists({path!r}) and os.access({path!r}, os.R_OK) and bool(os.listdir({path!r}) if os.path.isdir({path!r}) else 1)") is False, path


def only_tmp_can_be_written():
    body = """
r = {}
for path in ("/", "/var/task", "/var/runtime", "/usr", "/usr/lib", "/etc", "/opt", "/proc/sys/kernel", "/dev"):
    try:
        with open(os.path.join(path, "written"), "w") as f: f.write("x")
        r[path] = "written"
    except OSError as error:
        r[path] = errno.errorcode[error.errno]
open("/tmp/x", "w").write("fine")
r["/tmp"] = open("/tmp/x").read()
"""
    found = attempt(body)
    assert found.pop("/tmp") == "fine"
    assert "written" not in found.values(), found


def the_disk_is_bounded():
    body = """
written = 0
try:
    with open("/tmp/big", "wb") as f:
        while written < (3 << 30):
            f.write(bytes(1 << 20)); written += 1 << 20
        f.flush(); os.fsync(f.fileno())
    r = ["no end", written]
except OSError as error:
    r = [errno.errorcode[error.errno], written]
"""
    code, written = attempt(body, Timeout=120, MemorySize=1024)
    assert code in ("ENOSPC", "EDQUOT"), code
    assert written <= 600 << 20, written


def processes_are_bounded():
    body = """
children, r = [], None
try:
    while len(children) < 5000:
        pid = os.fork()
        if pid == 0:
            import time; time.sleep(60); os._exit(0)
        children.append(pid)
except OSError as error:
    r = [errno.errorcode[error.errno], len(children)]
for pid in children:
    os.kill(pid, 9)
"""
    code, count = attempt(body, Timeout=60, MemorySize=1024)
    assert code == "EAGAIN" and count < 1100, (code, count)


def what_it_forked_is_gone_after_a_timeout():
    marker = unique("straggler")
    name = function(
        f"import os, time\ndef handler(e, c):\n  if os.fork() == 0:\n    import ctypes\n    os.execv('/bin/sleep', ['{marker}', '987'])\n  time.sleep(60)",
        Timeout=1)
    failure(name)

    def left():
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if marker.encode() in open(f"/proc/{pid}/cmdline", "rb").read():
                    found.append(pid)
            except OSError:
                pass
        return found

    eventually(lambda: not left())


def kernel_interfaces_are_refused():
    body = """
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *arguments):
    ctypes.set_errno(0)
    answer = libc.syscall(number, *arguments)
    return "done" if answer >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
r = {
    "mount": call("mount", 165, b"none", b"/tmp", b"tmpfs", 0, None),
    "umount2": call("umount2", 166, b"/tmp", 2),
    "pivot_root": call("pivot_root", 155, b"/tmp", b"/tmp"),
    "chroot": call("chroot", 161, b"/tmp"),
    "unshare user": call("unshare", 272, 0x10000000),
    "unshare net": call("unshare", 272, 0x40000000),
    "ptrace": call("ptrace", 101, 0, 0, 0, 0),
    "bpf": call("bpf", 321, 0, None, 0),
    "perf_event_open": call("perf_event_open", 298, None, 0, -1, -1, 0),
    "keyctl": call("keyctl", 250, 0, 0, 0),
    "userfaultfd": call("userfaultfd", 323, 0),
    "io_uring_setup": call("io_uring_setup", 425, 1, None),
    "reboot": call("reboot", 169, 0xfee1dead, 672274793, 0x1234567, None),
    "init_module": call("init_module", 175, None, 0, b""),
    "open_by_handle_at": call("open_by_handle_at", 304, -100, None, 0),
    "swapon": call("swapon", 167, b"/tmp/x", 0),
    "sethostname": call("sethostname", 170, b"x", 1),
    "settimeofday": call("settimeofday", 164, b"\\0" * 16, None),
}
for family in (16, 17, 38, 40):
    try:
        socket.socket(family, socket.SOCK_RAW if family == 17 else socket.SOCK_DGRAM if family != 40 else socket.SOCK_STREAM)
        r[f"socket {family}"] = "NETLINK is allowed for addresses only" if family == 16 else "done"
    except OSError as error:
        r[f"socket {family}"] = errno.errorcode[error.errno]
"""
    found = attempt(body)
    assert "done" not in found.values(), found


def the_network_is_closed():
    port = ENDPOINT.rsplit(":", 1)[1]
    body = f"""
r = {{}}
for host, port in (("10.0.0.1", 80), ("169.254.169.254", 80), ("192.0.2.1", 443), ("127.0.0.1", 22)):
    s = socket.socket(); s.settimeout(5)
    try:
        s.connect((host, port)); r[host] = "connected"
    except OSError as error:
        r[host] = type(error).__name__ + ": " + str(error)
try:
    socket.getaddrinfo("example.com", 443); r["dns"] = "resolved"
except OSError as error:
    r["dns"] = "refused"
"""
    found = attempt(body)
    assert found.pop("dns") == "refused"
    assert "connected" not in found.values(), found


def one_function_cannot_see_another():
    writer = function("def handler(e, c):\n  open('/tmp/mine', 'w').write('secret'); return 1")
    result(writer)
    assert attempt("r = os.listdir('/tmp')") == []
    assert attempt("r = [k for k in os.environ if 'DORMOUSE' in k]") == []


def misbehaving_runtimes_are_contained():
    source = """
import json, os, urllib.request, urllib.error
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
def post(path, body):
    try:
        with urllib.request.urlopen(urllib.request.Request(API + path, data=body, method="POST")) as r: return r.status
    except urllib.error.HTTPError as e: return e.code
while True:
    with urllib.request.urlopen(API + "invocation/next") as r:
        event, rid = json.loads(r.read()), r.headers["Lambda-Runtime-Aws-Request-Id"]
    if event == "wrong id":
        code = post("invocation/00000000-0000-0000-0000-000000000000/response", b"1")
        post(f"invocation/{rid}/response", json.dumps(code).encode())
    elif event == "twice":
        post(f"invocation/{rid}/response", b'"first"')
        post(f"invocation/{rid}/response", b'"second"')
    elif event == "large":
        post(f"invocation/{rid}/response", b'"' + b"x" * (7 << 20) + b'"')
    elif event == "error":
        post(f"invocation/{rid}/error", b'{"errorType": "Mine", "errorMessage": "m", "stackTrace": []}')
    elif event == "leave":
        os._exit(0)
    else:
        post(f"invocation/{rid}/response", json.dumps(event).encode())
"""
    name = function(
        {"bootstrap": "#!/bin/sh\nexec /usr/bin/python3 /var/task/runtime.py\n", "runtime.py": source},
        runtime="provided.al2023", handler="none", MemorySize=512, Timeout=20)
    assert result(name, "plain") == "plain"
    assert result(name, "wrong id") == 400
    assert result(name, "twice") == "first"
    assert result(name, "after") == "after", "an answer that came twice does not reach the next caller"
    assert failure(name, "large")["errorType"] == "Function.ResponseSizeTooLarge"
    assert failure(name, "error")["errorType"] == "Mine"
    assert failure(name, "leave")["errorType"] == "Runtime.ExitError"
    assert result(name, "again") == "again"


def closing_everything_hurts_only_itself():
    name = function("import os\ndef handler(e, c):\n  if e == 1: os.closerange(0, 1024)\n  return 'fine'", Timeout=5)
    error = failure(name, 1)
    assert error["errorType"] in ("Runtime.ExitError", "Sandbox.Timedout"), error
    assert result(name, 2) == "fine"


def a_neighbour_keeps_answering():
    from concurrent.futures import ThreadPoolExecutor

    calm = function("def handler(e, c): return e")
    bombs = [
        function("import os\ndef handler(e, c):\n  while True:\n    try: os.fork()\n    except OSError: pass", Timeout=3),
        function("def handler(e, c):\n  x = []\n  while True: x.append(bytearray(1 << 20))", Timeout=3),
        function("def handler(e, c):\n  while True: print('x' * 1000)", Timeout=3),
        function("def handler(e, c):\n  while True: pass", Timeout=3),
    ]
    with ThreadPoolExecutor(len(bombs)) as pool:
        running = [pool.submit(failure, bomb) for bomb in bombs]
        while not all(r.done() for r in running):
            assert result(calm, "still here") == "still here"
        for r in running:
            r.result()
