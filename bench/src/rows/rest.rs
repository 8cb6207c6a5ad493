//! What the platform costs while it sleeps.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::api::{self, File, Function};
use crate::measure::Row;
use crate::platform::Platform;

const FUNCTIONS: u32 = 1_000;
/// Until what was freed has been given back to the system.
const REST: Duration = Duration::from_secs(3);

/// `rest`: memory and processes with a thousand functions deployed and none running.
pub(crate) async fn at_rest(dormouse: &Path) -> Result<Vec<Row>> {
    let platform = Platform::start(dormouse, &[("DORMOUSE_LOG__LEVEL", "warn")])?;
    let role = api::role(&platform).await?;
    let files = [File::text("index.py", "def handler(event, context):\n    return 1\n")];
    let create = async |n: u32| {
        let name = format!("sleeping-{n}");
        let function =
            Function { name: &name, runtime: "python3.11", handler: "index.handler", memory_mb: 128, files: &files };
        api::create(&platform, &role, &function).await
    };
    // The first ones pay for buffers and pools that are there once.
    for n in 0..100 {
        create(n).await?;
    }
    tokio::time::sleep(REST).await;
    let before = platform.resident_bytes()?;
    for n in 100..FUNCTIONS {
        create(n).await?;
    }
    tokio::time::sleep(REST).await;
    let after = platform.resident_bytes()?;
    let each = after.saturating_sub(before) as f64 / f64::from(FUNCTIONS - 100) / 1024.0;
    let processes = platform.descendants().len().saturating_sub(1);
    let mb = after as f64 / 1024.0 / 1024.0;
    Ok(vec![
        Row::figure("rest", "resident, 1,000 functions, none running", "MB", 60.0, &[mb]),
        Row::figure("rest", "resident for each further function", "KB", 5.0, &[each]),
        Row::figure("rest", "processes beside the node and its spawner", "", 0.0, &[processes as f64]),
    ])
}
