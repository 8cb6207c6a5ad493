"""Runs Python handlers in a Dormouse sandbox.

Speaks the frames of `sandboxes/runtime-api/src/frame.rs` on descriptor 3. Behaves as the public runtime interface client
for Python does, and starts faster: nothing is imported that the handler might not want, neither `json`, `logging`,
`traceback` nor `site`. The C half of `json` reads and writes events; `logging` is set up when somebody imports it.
"""

import sys

# The jail starts this file with -S, so that `site` costs nothing; what user code expects of it is made up below.
import os
import posix
from time import time as _time

_CHANNEL = 3
_TASK_ROOT = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
_READ_BYTES = 65536


class _Fault(Exception):
    """An error of the function's set-up, with the name that the Runtime API has for it."""

    def __init__(self, error_type, message, trace=None):
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.trace = trace or []


# ---------------------------------------------------------------- the channel


def _write(data):
    view = memoryview(data)
    while view:
        view = view[posix.write(_CHANNEL, view):]


def _frame(kind, head, body):
    prefix = kind + len(head).to_bytes(4, "little") + len(body).to_bytes(4, "little") + head
    if len(body) <= _READ_BYTES:
        _write(prefix + body)
    else:
        _write(prefix)
        _write(body)


def _more(chunks, missing):
    while missing > 0:
        data = posix.read(_CHANNEL, min(max(missing, 1), 1 << 20))
        if not data:
            posix._exit(0)
        chunks.append(data)
        missing -= len(data)


def _next():
    """Waits for an invocation; gives (head, event) as bytes."""
    data = posix.read(_CHANNEL, _READ_BYTES)
    if not data:
        # The node is gone, or has given this instance up.
        posix._exit(0)
    if len(data) < 9:
        chunks = [data]
        _more(chunks, 9 - len(data))
        data = b"".join(chunks)
    head_end = 9 + int.from_bytes(data[1:5], "little")
    end = head_end + int.from_bytes(data[5:9], "little")
    if len(data) < end:
        chunks = [data]
        _more(chunks, end - len(data))
        data = b"".join(chunks)
    return data[9:head_end], data[head_end:end]


# ---------------------------------------------------------------- JSON


def _plain(value):
    """What `json` does not know how to write."""
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        if value.is_finite():
            return int(value) if value == value.to_integral_value() and abs(value) < 1 << 53 else float(value)
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


class _Scan:
    """The settings that the C scanner reads."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo = {}
    parse_constant = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__


def _json_functions():
    """(loads, dumps): from the C half of `json` when it is as we know it, else from `json`."""
    ascii_only = sys.version_info < (3, 12)
    try:
        import _json

        scan = _json.make_scanner(_Scan)
        quote = _json.encode_basestring_ascii if ascii_only else _json.encode_basestring

        def dumps(value):
            encode = _json.make_encoder({}, _plain, quote, None, ": ", ", ", False, False, True)
            return "".join(encode(value, 0))

        def loads(text):
            text = text.strip(" \t\n\r")
            try:
                value, end = scan(text, 0)
            except Exception:
                # The scanner leaves the wording of errors to a module that is not there yet.
                end = None
            if end != len(text):
                import json

                return json.loads(text)
            return value

        if dumps(loads('{"a":[1,2.5,null,true,"\\u00e9"]}'))[:5] != '{"a":':
            raise ValueError
        return loads, dumps
    except Exception:
        import json

        return json.loads, lambda value: json.dumps(value, default=_plain, ensure_ascii=ascii_only)


_loads, _dumps = _json_functions()


# ---------------------------------------------------------------- the context object


class CognitoIdentity:
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self):
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None

    def __repr__(self):
        return "CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None])"


class Client:
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, told):
        for name in self.__slots__:
            setattr(self, name, told.get(name))


class ClientContext:
    __slots__ = ("custom", "env", "client")

    def __init__(self, told):
        self.custom = told.get("custom")
        self.env = told.get("env")
        client = told.get("client")
        self.client = Client(client) if isinstance(client, dict) else None


class LambdaContext:
    """What a handler gets as its second argument."""

    log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
    log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
    memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")

    def __init__(self, request_id, deadline_ms, arn, client_context):
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self._epoch_deadline_time_in_ms = deadline_ms
        self.identity = CognitoIdentity()
        self.client_context = None
        self.tenant_id = None
        if client_context:
            told = _loads(client_context)
            if isinstance(told, dict):
                self.client_context = ClientContext(told)

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(_time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))
        sys.stdout.write("\n")

    def __repr__(self):
        return "LambdaContext([aws_request_id=%s,function_name=%s,function_version=%s,invoked_function_arn=%s])" % (
            self.aws_request_id,
            self.function_name,
            self.function_version,
            self.invoked_function_arn,
        )


# ---------------------------------------------------------------- logging, when it is wanted

_request_id = None
_json_logs = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def _set_up_logging(logging):
    """Gives the root logger the handler that Lambda gives it."""
    import time

    class Filter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = _request_id or ""
            return True

    class Plain(logging.Formatter):
        converter = time.gmtime

        def formatTime(self, record, datefmt=None):
            return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", self.converter(record.created)), record.msecs)

    class Json(Plain):
        standard = frozenset(
            "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName "
            "created msecs relativeCreated thread threadName processName process taskName message asctime "
            "aws_request_id".split()
        )

        def format(self, record):
            line = {
                "timestamp": "%sZ" % time.strftime("%Y-%m-%dT%H:%M:%S", self.converter(record.created)),
                "level": record.levelname,
                "message": record.getMessage(),
                "logger": record.name,
            }
            if _request_id:
                line["requestId"] = _request_id
            if record.exc_info:
                kind, error, trace = record.exc_info
                import traceback

                line["stackTrace"] = traceback.format_tb(trace) if trace else []
                line["errorType"] = kind.__name__ if kind else None
                line["errorMessage"] = str(error)
                line["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
            for name, value in record.__dict__.items():
                if name not in self.standard and name not in line:
                    line[name] = value
            try:
                return _dumps(line)
            except (TypeError, ValueError):
                return _dumps({name: str(value) for name, value in line.items()})

    class Handler(logging.Handler):
        def emit(self, record):
            try:
                sys.stdout.write(self.format(record) + "\n")
            except Exception:
                self.handleError(record)

    handler = Handler()
    if _json_logs:
        handler.setFormatter(Json())
        level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
        level = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level)
        if level in ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL"):
            logging.root.setLevel(getattr(logging, level))
    else:
        handler.setFormatter(Plain("[%(levelname)s]\t%(asctime)s\t%(aws_request_id)s\t%(message)s"))
    handler.addFilter(Filter())
    logging.root.addHandler(handler)


class _LoggingLoader:
    def __init__(self, spec):
        self.spec = spec
        self.loader = spec.loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.spec.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        _set_up_logging(module)


class _LoggingFinder:
    """Sees the first import of `logging` and then gets out of the way."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(cls)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = _LoggingLoader(spec)
                return spec
        return None


# ---------------------------------------------------------------- errors


def _error_body(error_type, message, trace, request_id):
    body = {"errorMessage": message, "errorType": error_type}
    body["requestId"] = request_id or ""
    body["stackTrace"] = trace
    return body


def _describe(error, skip):
    """(type, message, formatted frames) without the `skip` frames that are ours."""
    if isinstance(error, _Fault):
        return error.error_type, error.message, error.trace
    import traceback

    trace = error.__traceback__
    while skip and trace is not None:
        trace, skip = trace.tb_next, skip - 1
    return type(error).__name__, str(error), traceback.format_tb(trace)


def _log_error(error_type, message, trace):
    if _json_logs:
        import time

        line = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "log_level": "ERROR"}
        line.update(_error_body(error_type, message, trace, _request_id))
        sys.stdout.write(_dumps(line) + "\n")
        return
    text = "[ERROR] %s: %s\n" % (error_type, message)
    if trace:
        text += "Traceback (most recent call last):\n" + "".join(trace)
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def _encode(body):
    return _dumps(body).encode("utf-8", "surrogatepass")


# ---------------------------------------------------------------- the handler


def _find_handler(name):
    try:
        said, function = name.rsplit(".", 1)
    except ValueError as error:
        raise _Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (name, error))
    if said.split(".")[0] in sys.builtin_module_names:
        raise _Fault("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % said)
    module_name = said.replace("/", ".")
    try:
        module = __import__(module_name)
        module = sys.modules[module_name]
    except ImportError as error:
        raise _Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (said, error))
    except SyntaxError as error:
        where = '  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)
        raise _Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (said, error), [where])
    except (KeyError, ValueError) as error:
        # A name like "..": nothing that could be a module. What the module itself raises keeps its own type.
        if error.__traceback__.tb_next is None or ".." in module_name or not module_name.strip("."):
            raise _Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (said, error))
        raise
    try:
        return getattr(module, function)
    except AttributeError:
        raise _Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, said))


def _run(handler, request_id, deadline_ms, arn, client_context, event):
    """One invocation; gives the kind of the answer, its head and its body."""
    head = request_id.encode()
    try:
        try:
            event = _loads(event.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise _Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
        context = LambdaContext(request_id, int(deadline_ms), arn, client_context)
        result = handler(event, context)
        try:
            return b"R", head, _encode(result)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            raise _Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)
    except Exception as error:
        error_type, message, trace = _describe(error, 1)
        _log_error(error_type, message, trace)
        return b"E", head + b"\n" + error_type.encode("utf-8", "replace"), _encode(
            _error_body(error_type, message, trace, request_id)
        )


# ---------------------------------------------------------------- what `site` would have done


class _Quitter:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "Use %s() or Ctrl-D (i.e. EOF) to exit" % self.name

    def __call__(self, code=None):
        raise SystemExit(code)


def _site_directories():
    major, minor = sys.version_info[:2]
    found = []
    for directory in (
        "%s/lib/python%d.%d/site-packages" % (sys.base_prefix, major, minor),
        "/usr/lib/python%d/dist-packages" % major if sys.base_prefix == "/usr" else None,
    ):
        if directory is not None:
            try:
                found.append((directory, posix.listdir(directory)))
            except OSError:
                pass
    return found


def _set_up_paths():
    version = "python%d.%d" % sys.version_info[:2]
    script = sys.path[0]
    rest = sys.path[1:]
    front = [_TASK_ROOT, "/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    sys.path[:] = front + rest
    paths_files = False
    for directory, names in _site_directories():
        sys.path.append(directory)
        paths_files = paths_files or any(name.endswith(".pth") for name in names)
    if paths_files:
        # Path files may do anything; only `site` knows how to read them.
        import site

        for directory, _ in _site_directories():
            site.addsitedir(directory)
    sys.path.append(script)
    sdk = os.environ.get("DORMOUSE_SDK")
    if sdk is not None:
        del os.environ["DORMOUSE_SDK"]
        sys.path.append(sdk)
    import builtins

    builtins.exit, builtins.quit = _Quitter("exit"), _Quitter("quit")
    try:
        import sitecustomize  # noqa: F401
    except ImportError:
        pass


def _set_up_streams():
    for stream, errors in ((sys.stdout, "backslashreplace"), (sys.stderr, "backslashreplace")):
        stream.reconfigure(encoding="utf-8", errors=errors, line_buffering=True)


def _init(name):
    try:
        _set_up_paths()
        return _find_handler(name)
    except Exception as error:
        # Two frames are ours: this one and the search for the handler.
        error_type, message, trace = _describe(error, 2)
        _log_error(error_type, message, trace)
        _flush()
        _frame(b"I", error_type.encode("utf-8", "replace"), _encode(_error_body(error_type, message, trace, "")))
        _flush()
        posix._exit(1)


def main():
    global _request_id
    os.set_inheritable(_CHANNEL, False)
    os.set_blocking(_CHANNEL, True)
    _set_up_streams()
    sys.meta_path.insert(0, _LoggingFinder)
    sys.argv = [""]
    handler = _init(os.environ.get("_HANDLER", ""))
    pid = posix.getpid()
    environ = os.environ
    _flush()
    _frame(b"N", b"", b"")
    while True:
        head, event = _next()
        request_id, deadline_ms, arn, trace_id, client_context = head.decode("utf-8", "replace").split("\n", 4)
        _request_id = request_id
        if trace_id:
            environ["_X_AMZN_TRACE_ID"] = trace_id
        elif "_X_AMZN_TRACE_ID" in environ:
            del environ["_X_AMZN_TRACE_ID"]
        kind, answer_head, body = _run(handler, request_id, deadline_ms, arn, client_context, event)
        _flush()
        if posix.getpid() != pid:
            # The handler forked and its child came back here: only the parent answers.
            posix._exit(0)
        event = None
        _frame(kind, answer_head, body)
        _request_id = None


if __name__ == "__main__":
    main()
