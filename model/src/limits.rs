//! Limits of the wire contracts that more than one floor needs, with the public service model and the developer guide's
//! page on quotas as their source. A limit that an operator may set has its default here and its setting in `node`.

use std::time::Duration;

/// Characters in a function name.
pub const FUNCTION_NAME_CHARS: usize = 64;
/// Characters in an alias name.
pub const ALIAS_NAME_CHARS: usize = 128;

/// Least and most memory of a function, in MB (MiB, as Lambda counts them).
pub const MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;
/// Memory of a function that names none.
pub const MEMORY_MB_DEFAULT: u32 = 128;
/// The memory at which a function is given one whole core; quota is in proportion to memory.
pub const MEMORY_MB_PER_CORE: u32 = 1_769;

/// Least and most time for one invocation, in seconds.
pub const TIMEOUT_SECS: std::ops::RangeInclusive<u32> = 1..=900;
/// Time for one invocation of a function that names none, in seconds.
pub const TIMEOUT_SECS_DEFAULT: u32 = 3;
/// How long the init phase may take before the instance is started over within the first invocation.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Least and most size of `/tmp`, in MB.
pub const EPHEMERAL_STORAGE_MB: std::ops::RangeInclusive<u32> = 512..=10_240;
/// Size of `/tmp` of a function that names none, in MB.
pub const EPHEMERAL_STORAGE_MB_DEFAULT: u32 = 512;

/// Bytes of the payload of a synchronous invocation: 6 MiB.
pub const SYNC_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
/// Bytes of the payload of an asynchronous invocation: 1 MiB.
pub const ASYNC_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Bytes of a buffered response: 6 MiB and 100 bytes, as the runtime interface emulator has it.
pub const RESPONSE_BYTES: usize = 6 * 1024 * 1024 + 100;
/// Bytes of the base64 text of `X-Amz-Client-Context`.
pub const CLIENT_CONTEXT_BASE64_BYTES: usize = 3_583;
/// Bytes of the log tail that an invocation may return.
pub const LOG_TAIL_BYTES: usize = 4 * 1024;

/// Bytes of a zip that is uploaded in the request: 50 MiB.
pub const ZIP_UPLOAD_BYTES: usize = 50 * 1024 * 1024;
/// Bytes of unpacked code and layers: 250 MiB.
pub const UNPACKED_CODE_BYTES: u64 = 250 * 1024 * 1024;
/// Bytes of all environment variables, keys and values together.
pub const ENVIRONMENT_BYTES: usize = 4 * 1024;
/// Tags on one function.
pub const TAGS: usize = 50;

/// Concurrency of an account that has no setting of its own.
pub const ACCOUNT_CONCURRENCY_DEFAULT: u32 = 1_000;
/// Concurrency that reservations must leave to functions without one.
pub const UNRESERVED_CONCURRENCY_MIN: u32 = 100;
