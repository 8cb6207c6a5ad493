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


def memory_is_bounded():
    """The end says what it was, and the next call has a fresh instance. A forked family that shares its memory is not one
    that has too much of it."""
    name = function("""
import os, time
def handler(event, context):
    if event == "hog":
        held = []
        while True: held.append(bytearray(1 << 20))
    if event == "hog in a child":
        if os.fork() == 0:
            held = []
            while True: held.append(bytearray(1 << 20))
        time.sleep(60)
    if event == "share":
        held = bytearray(os.urandom(1 << 20)) * 40
        children = []
        for _ in range(12):
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
            children.append(pid)
        time.sleep(1)
        for pid in children: os.kill(pid, 9)
        for pid in children: os.waitpid(pid, 0)
    return os.getpid()
""", MemorySize=256, Timeout=60)
    for event in ("hog", "hog in a child"):
        error = failure(name, event)
        assert error["errorType"] == "Runtime.OutOfMemory", error
        assert "signal: killed" in error["errorMessage"], error
        assert result(name, "next") > 0
    assert result(name, "share") > 0


def setuid_programs_do_nothing():
    body = """
import shutil
r = {"programs": {}}
for path in ('/usr/bin/su', '/usr/bin/mount', '/usr/bin/newgrp'):
    if os.path.exists(path):
        command = {'su': ['-c', 'id -u'], 'mount': ['-t', 'tmpfs', 'x', '/tmp'], 'newgrp': ['root']}[os.path.basename(path)]
        ran = subprocess.run([path, *command], input='id -u', capture_output=True, text=True, timeout=20)
        r["programs"][path] = [ran.returncode, ran.stdout.split()]
shutil.copy('/usr/bin/id', '/tmp/id')
os.chmod('/tmp/id', 0o6755)
r["own"] = subprocess.run(['/tmp/id'], capture_output=True, text=True).stdout
r["nosuid"] = all(os.statvfs(p).f_flag & os.ST_NOSUID for p in ('/', '/usr/bin', '/usr/lib', '/tmp', '/var/task', '/dev/shm'))
r["me"] = os.getuid()
"""
    found = attempt(body)
    assert found["nosuid"], found
    assert "uid=0" not in found["own"] and f"uid={found['me']}" in found["own"] and "euid" not in found["own"], found
    for path, (_, said) in found["programs"].items():
        assert "0" not in said, (path, found)


def init_does_not_move():
    body = """
import signal, time
refused = []
for number in range(1, 65):
    try: os.kill(1, number)
    except OSError as error: refused.append(errno.errorcode[error.errno])
time.sleep(0.05)
r = [os.path.exists('/proc/1'), open('/proc/1/stat').read().rsplit(')', 1)[1].split()[0], sorted(set(refused))]
for path in ('/proc/1/mem', '/proc/1/environ', '/proc/1/maps', '/proc/1/fd', '/proc/1/root/etc/shadow', '/proc/1/syscall'):
    try:
        os.listdir(path) if path.endswith('fd') else open(path, 'rb').read(1)
        r.append(path)
    except OSError: pass
"""
    there, state, refused, *opened = attempt(body)
    assert there and state in "SR" and not opened, (state, refused, opened)


def kernel_settings_cannot_be_changed():
    body = """
r = {}
for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/sys/vm/overcommit_memory',
             '/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/core/somaxconn', '/proc/sys/fs/mqueue/queues_max',
             '/proc/sys/user/max_user_namespaces', '/proc/sys/kernel/shmall', '/proc/sysrq-trigger', '/proc/self/uid_map',
             '/proc/self/oom_score_adj', '/proc/irq/default_smp_affinity', '/proc/self/loginuid', '/proc/mtrr'):
    if not os.path.exists(path): continue
    try:
        with open(path, 'w') as f: f.write('1')
        r[path] = 'written'
    except OSError as error:
        r[path] = errno.errorcode[error.errno]
import resource
for change in ((0, 0), (1, 1)):
    try:
        resource.setrlimit(resource.RLIMIT_CORE, change); r[f'core {change}'] = 'written'
    except (OSError, ValueError): r[f'core {change}'] = 'refused'
r['core'] = [l.split()[4:6] for l in open('/proc/self/limits') if l.startswith('Max core file size')][0]
for path in ('/proc/kcore', '/proc/kmsg', '/proc/vmallocinfo', '/dev/mem', '/dev/kmsg', '/dev/fuse', '/dev/loop0', '/dev/kvm'):
    try:
        with open(path, 'rb') as f: f.read(1)
        r[path] = 'written'
    except OSError: pass
"""
    found = attempt(body)
    # What cannot be a core file is no program of the host's either: one byte is the kernel's mark for that.
    assert found.pop("core") == ["1", "1"], found
    assert "written" not in found.values(), {k: v for k, v in found.items() if v == "written"}


def nothing_is_inherited():
    body = """
import signal
r = {'fds': {n: os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')},
     'blocked': len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
     'groups': os.getgroups(), 'mountinfo': open('/proc/self/mountinfo').read(), 'unix': open('/proc/net/unix').read(),
     'keys': open('/proc/keys').read() if os.path.exists('/proc/keys') else '',
     'env': open('/proc/self/environ').read().split('\\0'), 'dev': sorted(os.listdir('/dev')),
     'cgroup': open('/proc/self/cgroup').read(), 'interfaces': [n for _, n in socket.if_nameindex()]}
"""
    found = attempt(body)
    kinds = sorted(target.split(":")[0] for target in found["fds"].values())
    # Three standard ones and the runtime's own channel.
    assert kinds == ["/dev/null", "pipe", "pipe", "socket"], found["fds"]
    assert found["blocked"] == 0 and set(found["groups"]) <= {993} and found["interfaces"] == ["lo"], found
    assert found["dev"] == ["fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"], found
    assert ACCOUNT not in found["mountinfo"], "an account shows"
    assert found["unix"].count("\n") <= 1 and found["keys"] == "", (found["unix"], found["keys"])
    assert all(line.endswith(":/") for line in found["cgroup"].split()), found["cgroup"]
    for name in ("DORMOUSE", "HOME=", "USER=", "SUDO", "SSH_"):
        assert not [v for v in found["env"] if v.startswith(name) and v != "DORMOUSE_SDK=/var/runtime/sdk"], (name, found["env"])


def descriptors_are_bounded():
    name = function("""
import os, errno, socket
def handler(event, context):
    if event != "exhaust": return event
    held, why = [], None
    try:
        while True: held.append(os.pipe())
    except OSError as error: why = errno.errorcode[error.errno]
    count = 2 * len(held)
    for pair in held:
        for fd in pair: os.close(fd)
    return [why, count]
""", Timeout=30)
    why, count = result(name, "exhaust")
    assert why == "EMFILE" and count <= 1024, (why, count)
    assert result(name, "after") == "after"


def abstract_sockets_of_the_host_are_out_of_reach():
    import socket

    address = "\0" + unique("dormouse-test")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        with socket.socket(socket.AF_UNIX) as check:
            check.connect(address)
        body = f"s = socket.socket(socket.AF_UNIX); r = s.connect_ex({address!r})"
        assert attempt(body) != 0


def what_is_idle_stands_still():
    """Between calls not even a thread of its own goes on."""
    name = function("""
import threading, time
count = 0
def run():
    global count
    while True:
        count += 1
        time.sleep(0.01)
threading.Thread(target=run, daemon=True).start()
def handler(event, context):
    time.sleep(event)
    return [count, time.monotonic()]
""", Timeout=20)
    first, began = result(name, 0.3)
    assert first > 5, "the thread runs while a call does"
    time.sleep(3)
    second, ended = result(name, 0)
    # It is frozen a tenth of a second after the call: of three seconds it may have had that and what the machine's load adds.
    assert ended - began >= 3 and second - first < 100, (first, second, ended - began)


def a_flood_of_output_is_bounded():
    from cli import dormouse

    name = function("""
import os, time
def handler(event, context):
    block, written, until = b'x' * 999 + b'\\n', 0, time.monotonic() + 3
    while time.monotonic() < until: written += os.write(1, block)
    return written
""", Timeout=60, MemorySize=1769)
    written = result(name)
    # Eight MB in a second are read, and what a pipe holds.
    assert written <= (8 << 20) * 5 + (1 << 20), written
    kept = dormouse("logs", name).stdout
    assert kept.count("x" * 999) >= 1000, "what was read is kept"


def the_idle_end():
    """With functions.idle_expiry_secs of 1: nothing of an idle instance is left."""
    marker = unique("idle")
    name = function(f"import subprocess\np = subprocess.Popen(['/bin/sleep', '98765'], executable='/bin/sleep', env={{'M': '{marker}'}})\ndef handler(e, c): return c.aws_request_id")
    result(name)

    def left():
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if open(f"/proc/{pid}/cmdline", "rb").read() == b"/bin/sleep\x0098765\0":
                    if marker.encode() in open(f"/proc/{pid}/environ", "rb").read():
                        found.append(pid)
            except OSError:
                pass
        return found

    assert left(), "it is there while the instance is"
    eventually(lambda: not left())
    assert result(name)
