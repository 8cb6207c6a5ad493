// Runs Node.js handlers in a Dormouse sandbox.
//
// Speaks the frames of `sandboxes/runtime-api/src/frame.rs` on descriptor 3. Behaves as the public runtime interface
// client for Node.js does. Answers are written with one plain write; events arrive through libuv, so that timers and
// sockets of the handler live on between invocations.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const CHANNEL = 3;
const TASK_ROOT = process.env.LAMBDA_TASK_ROOT || "/var/task";
const READ_BYTES = 65536;

// ---------------------------------------------------------------- writing

const nap = new Int32Array(new SharedArrayBuffer(4));

/** Reads or writes, and again while a descriptor that does not block says that it would. The node is never far behind. */
function patiently(move) {
  for (;;) {
    try {
      return move();
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(nap, 0, 0, 1);
    }
  }
}

function writeAll(fd, bytes) {
  let at = 0;
  while (at < bytes.length) at += patiently(() => fs.writeSync(fd, bytes, at, bytes.length - at));
}

function frame(kind, head, body) {
  const headBytes = Buffer.byteLength(head);
  const bodyBytes = Buffer.byteLength(body);
  const out = Buffer.allocUnsafe(9 + headBytes + bodyBytes);
  out[0] = kind.charCodeAt(0);
  out.writeUInt32LE(headBytes, 1);
  out.writeUInt32LE(bodyBytes, 5);
  out.write(head, 9);
  out.write(body, 9 + headBytes);
  writeAll(CHANNEL, out);
}

// ---------------------------------------------------------------- logs

let currentId;
const jsonLogs = (process.env.AWS_LAMBDA_LOG_FORMAT || "").toUpperCase() === "JSON";
const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
const threshold = (jsonLogs && LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL || "").toUpperCase()]) || 0;
const nodeUtil = require("node:util");

function plainLine(level, args) {
  const text = nodeUtil.format(...args).replace(/\n/g, "\r");
  return `${new Date().toISOString()}\t${currentId}\t${level}\t${text}\n`;
}

function errorAsFields(_key, value) {
  if (!(value instanceof Error)) return value;
  return { ...value, errorType: value.constructor?.name ?? "UnknownError", errorMessage: value.message,
    stackTrace: typeof value.stack === "string" ? value.stack.split("\n") : [] };
}

function jsonLine(level, args) {
  const line = { timestamp: new Date().toISOString(), level, requestId: currentId };
  if (args.length === 1) {
    line.message = args[0];
    try {
      return `${JSON.stringify(line, errorAsFields)}\n`;
    } catch {
      line.message = nodeUtil.format(args[0]);
      return `${JSON.stringify(line)}\n`;
    }
  }
  line.message = nodeUtil.format(...args);
  const error = args.find((arg) => arg instanceof Error);
  if (error) Object.assign(line, errorAsFields("", error));
  return `${JSON.stringify(line)}\n`;
}

function patchConsole() {
  const print = (level) => (...args) => {
    if (LEVELS[level] < threshold) return;
    writeAll(1, Buffer.from(jsonLogs ? jsonLine(level, args) : plainLine(level, args)));
  };
  console.log = print("INFO");
  console.info = print("INFO");
  console.debug = print("DEBUG");
  console.trace = print("TRACE");
  console.warn = print("WARN");
  console.error = print("ERROR");
  console.fatal = print("FATAL");
}

// ---------------------------------------------------------------- errors

function fault(name, message) {
  const error = new Error(message);
  error.name = name;
  return error;
}

/** The JSON that a caller of the function sees. */
function describe(error) {
  if (error instanceof Error || (nodeUtil.types && nodeUtil.types.isNativeError(error))) {
    const told = { errorType: String(error.name), errorMessage: String(error.message) };
    if (error.reason !== undefined && error.name === "Runtime.UnhandledPromiseRejection") {
      told.reason = error.reason instanceof Error ? describe(error.reason) : error.reason;
      told.promise = {};
    }
    told.trace = typeof error.stack === "string" ? error.stack.split("\n") : [];
    return told;
  }
  if (error === null || error === undefined) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: typeof error, errorMessage: safeString(error), trace: [] };
}

function safeString(value) {
  try {
    return typeof value === "object" ? JSON.stringify(value) ?? String(value) : String(value);
  } catch {
    return nodeUtil.inspect(value);
  }
}

function stringify(told) {
  try {
    return JSON.stringify(told);
  } catch {
    return JSON.stringify({ errorType: told.errorType, errorMessage: told.errorMessage, trace: told.trace });
  }
}

function logError(title, told) {
  if (jsonLogs) {
    const { errorType, errorMessage, trace } = told;
    return console.error({ errorType, errorMessage, stackTrace: trace });
  }
  // As Lambda prints it: the stack under the name that Node.js gives it.
  const { trace, ...rest } = told;
  console.error(`${title}\t${stringify({ ...rest, stack: trace })}`);
}

// ---------------------------------------------------------------- the handler

function exists(file) {
  try {
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Whether Node.js would take a `.js` file at this place for an ES module. */
function underModulePackage(file) {
  for (let dir = path.dirname(file); ; dir = path.dirname(dir)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(dir, "package.json"), "utf8")).type === "module";
    } catch (error) {
      if (error instanceof SyntaxError) return false;
    }
    if (dir === TASK_ROOT || dir === path.dirname(dir)) return false;
  }
}

const importModule = (file) => import(require("node:url").pathToFileURL(file).href);

async function loadModule(base, name) {
  if (exists(base)) return require(base);
  if (exists(`${base}.js`)) return underModulePackage(`${base}.js`) ? importModule(`${base}.js`) : require(`${base}.js`);
  if (exists(`${base}.mjs`)) return importModule(`${base}.mjs`);
  if (exists(`${base}.cjs`)) return require(`${base}.cjs`);
  // A package of a layer, for instance.
  let found;
  try {
    found = require.resolve(name, { paths: [TASK_ROOT] });
  } catch {
    throw fault("Runtime.ImportModuleError", `Error: Cannot find module '${name}'`);
  }
  return require(found);
}

async function findHandler(name) {
  if (name.includes("..")) {
    throw fault("Runtime.MalformedHandlerName",
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(name);
  const root = name.slice(0, name.length - base.length);
  const dot = base.indexOf(".");
  if (dot < 1 || dot === base.length - 1) throw fault("Runtime.MalformedHandlerName", `Bad handler '${name}'`);
  const module = root + base.slice(0, dot);
  const property = base.slice(dot + 1);
  let loaded;
  try {
    loaded = await loadModule(path.resolve(TASK_ROOT, module), module);
  } catch (error) {
    if (error instanceof SyntaxError) throw renamed("Runtime.UserCodeSyntaxError", error);
    if (error?.code === "MODULE_NOT_FOUND" || error?.code === "ERR_MODULE_NOT_FOUND") {
      throw renamed("Runtime.ImportModuleError", error);
    }
    throw error;
  }
  const resolve = (from) => property.split(".").reduce((at, key) => at?.[key], from);
  const handler = resolve(loaded) ?? resolve(loaded?.default);
  if (handler === undefined || handler === null) {
    throw fault("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  }
  if (typeof handler !== "function") throw fault("Runtime.HandlerNotFound", `${name} is not a function`);
  return handler;
}

function renamed(name, error) {
  const fresh = fault(name, String(error));
  fresh.stack = error.stack;
  return fresh;
}

// ---------------------------------------------------------------- one invocation

let handler;
let initialized = false;
/** Open from the first answer on. */
let channel = null;
/** Called with nothing left in the event loop, while an invocation waits for its callback. */
let whenIdle = null;
/** Fails the invocation in progress; absent between invocations. */
let failCurrent = null;

process.on("beforeExit", () => {
  if (whenIdle) {
    const call = whenIdle;
    whenIdle = null;
    setImmediate(call);
  }
});

function answered() {
  whenIdle = null;
  failCurrent = null;
  currentId = undefined;
  if (channel) channel.ref();
  else setImmediate(openChannel);
}

function respond(id, result) {
  let body;
  try {
    body = JSON.stringify(result === undefined ? null : result) ?? "null";
  } catch (error) {
    return fail(id, fault("Runtime.MarshalError", `Unable to stringify response body: ${error.message}`));
  }
  answered();
  frame("R", id, body);
}

function fail(id, error) {
  const told = describe(error);
  logError("Invoke Error", told);
  answered();
  frame("E", `${id}\n${told.errorType}`, stringify(told));
}

function makeContext(id, deadline, arn, clientContext, finish) {
  const env = process.env;
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: clientContext ? JSON.parse(clientContext) : undefined,
    identity: undefined,
    invokedFunctionArn: arn,
    awsRequestId: id,
    tenantId: undefined,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  context.succeed = (result) => finish(null, result);
  context.fail = (error) => finish(error ?? fault("Error", "handled"));
  context.done = (error, result) => finish(error, result);
  return context;
}

function invoke(head, payload) {
  const [id, deadline, arn, traceId, ...rest] = head.split("\n");
  currentId = id;
  if (traceId) process.env._X_AMZN_TRACE_ID = traceId;
  else delete process.env._X_AMZN_TRACE_ID;
  // With the channel out of the count, an empty event loop says that the handler waits for nothing any more.
  channel?.unref();
  let over = false;
  const finish = (error, result) => {
    if (over) return;
    over = true;
    if (error !== undefined && error !== null) fail(id, error);
    else respond(id, result);
  };
  failCurrent = finish;
  let context;
  let returned;
  try {
    const event = JSON.parse(payload);
    context = makeContext(id, Number(deadline), arn, rest.join("\n"), finish);
    const callback = (error, result) => {
      if (over) return;
      if (context.callbackWaitsForEmptyEventLoop) whenIdle = () => finish(error, result);
      else finish(error, result);
    };
    // Without a callback in sight an event loop that runs empty answers null.
    whenIdle = () => finish(null, null);
    returned = handler(event, context, callback);
  } catch (error) {
    return finish(error ?? fault("Error", "the handler threw nothing"));
  }
  if (returned !== null && returned !== undefined && typeof returned.then === "function") {
    returned.then((result) => finish(null, result), (error) => finish(error ?? fault("Error", String(error))));
  }
}

// ---------------------------------------------------------------- reading

let pending = Buffer.alloc(0);

function take(count, bytes) {
  // The buffer is used again for the next read, so what stays is copied.
  const data = bytes.subarray(0, count);
  pending = pending.length === 0 ? Buffer.from(data) : Buffer.concat([pending, data]);
  if (pending.length < 9) return true;
  const headEnd = 9 + pending.readUInt32LE(1);
  const end = headEnd + pending.readUInt32LE(5);
  if (pending.length < end) {
    if (pending.length < (end >> 1) && end > READ_BYTES) return collect(end);
    return true;
  }
  const frameBytes = pending;
  pending = frameBytes.subarray(end);
  invoke(frameBytes.toString("utf8", 9, headEnd), frameBytes.toString("utf8", headEnd, end));
  return true;
}

/** A large event: one buffer of its size instead of many joined ones. */
let large = null;
function collect(end) {
  large = { bytes: Buffer.allocUnsafe(end), at: pending.length };
  pending.copy(large.bytes);
  pending = Buffer.alloc(0);
  return true;
}

function onRead(count, bytes) {
  if (large === null) return take(count, bytes);
  bytes.copy(large.bytes, large.at, 0, count);
  large.at += count;
  if (large.at < large.bytes.length) return true;
  const whole = large.bytes;
  large = null;
  return take(whole.length, whole);
}

function openChannel() {
  const net = require("node:net");
  channel = new net.Socket({
    fd: CHANNEL,
    readable: true,
    writable: false,
    onread: { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback: onRead },
  });
  const gone = () => process.exit(0);
  channel.on("end", gone);
  channel.on("error", gone);
}

/**
 * The first event, read without the event loop. It is at hand when an instance is started for a call, and `net`, which
 * takes longer to load than everything else here, is loaded behind the first answer.
 */
function readFirst() {
  const sizes = readExactly(9);
  const headBytes = sizes.readUInt32LE(1);
  const bytes = readExactly(headBytes + sizes.readUInt32LE(5));
  invoke(bytes.toString("utf8", 0, headBytes), bytes.toString("utf8", headBytes));
}

function readExactly(count) {
  const bytes = Buffer.allocUnsafe(count);
  let at = 0;
  while (at < count) {
    const got = patiently(() => fs.readSync(CHANNEL, bytes, at, count - at, null));
    if (got === 0) process.exit(0);
    at += got;
  }
  return bytes;
}

// ---------------------------------------------------------------- start

/** The code cannot go on: answer what is asked, and leave. */
function leave(error, status) {
  const told = describe(error);
  logError(error?.name === "Runtime.UnhandledPromiseRejection" ? "Unhandled Promise Rejection" : "Uncaught Exception", told);
  if (failCurrent) frame("L", `${currentId}\n${told.errorType}`, stringify(told));
  else if (!initialized) frame("I", told.errorType, stringify(told));
  process.exit(status);
}

process.on("uncaughtException", (error) => leave(error, 129));
process.on("unhandledRejection", (reason, promise) => {
  const error = fault("Runtime.UnhandledPromiseRejection", safeReason(reason));
  error.reason = reason;
  error.promise = promise;
  leave(error, 128);
});

function safeReason(reason) {
  return reason instanceof Error ? reason.toString() : safeString(reason);
}

async function start() {
  patchConsole();
  try {
    handler = await findHandler(process.env._HANDLER || "");
  } catch (error) {
    return leave(error ?? fault("Error", "the module threw nothing"), 1);
  }
  initialized = true;
  frame("N", "", "");
  // What the module has begun gets its turn first.
  if (process.env.AWS_LAMBDA_INITIALIZATION_TYPE === "on-demand") setImmediate(readFirst);
  else openChannel();
}

process.argv.length = 1;
start();
