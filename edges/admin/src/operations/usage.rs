use std::collections::BTreeMap;

use dormouse_front::Response;
use dormouse_model::Timestamp;
use dormouse_telemetry::{UsageRow, UsageSums};
use serde_json::{Value, json};

use crate::access::Call;
use crate::answer;
use crate::error::AdminError;
use crate::query::Query;

/// `GET usage[?from=MS][&to=MS][&account=ID][&by=hour]`: the sums of each version over the hours that begin in the range.
pub(super) async fn get(call: &Call<'_>) -> Result<Response, AdminError> {
    let query = Query::read(&call.query, &["from", "to", "account", "by"])?;
    let account = call.account(query.text("account"))?;
    call.may(&call.owner_of(&account), "usage", account.as_str()).await?;
    let by_hour = match query.text("by") {
        None => false,
        Some("hour") => true,
        Some(other) => return Err(AdminError::Invalid(format!("by={other} is not known: it takes hour"))),
    };
    let from = query.time("from")?.unwrap_or(Timestamp(0));
    let to = query.time("to")?.unwrap_or(Timestamp(u64::MAX));
    let rows = call.parts.usage.read(Some(account), from, to).await?;
    Ok(answer::json(&json!({ "usage": merged(rows, by_hour) })))
}

/// One object for each version, or for each version and hour; aliases are added up.
fn merged(rows: Vec<UsageRow>, by_hour: bool) -> Vec<Value> {
    let mut sums: BTreeMap<_, UsageSums> = BTreeMap::new();
    for UsageRow { key, hour, sums: more } in rows {
        let place = (by_hour.then_some(hour), key.account, key.function, key.version);
        sums.entry(place).or_default().add(&more);
    }
    let object = |((hour, account, function, version), sums): ((Option<Timestamp>, _, _, _), UsageSums)| {
        let mut object = json!({
            "account": account,
            "function": function,
            "version": version,
            "invocations": sums.invocations,
            "errors": sums.errors,
            "timeouts": sums.timeouts,
            "platform_errors": sums.platform_errors,
            "throttles": sums.throttles,
            "cold_starts": sums.cold_starts,
            "duration_ms": sums.duration_us as f64 / 1e3,
            "billed_ms": sums.billed_ms,
            "gb_seconds": sums.gb_seconds(),
            "init_ms": sums.init_us as f64 / 1e3,
            "cpu_seconds": sums.cpu_us as f64 / 1e6,
            "memory_peak_bytes": sums.memory_peak_bytes,
        });
        if let Some(hour) = hour {
            object["hour"] = json!(hour.to_string());
        }
        object
    };
    sums.into_iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use dormouse_model::VersionNumber;
    use dormouse_telemetry::UsageKey;

    use super::*;

    fn row(hour: u64, version: u64, alias: Option<&str>) -> UsageRow {
        let key = UsageKey {
            account: "000000000000".parse().expect("an account"),
            function: "f".parse().expect("a name"),
            version: VersionNumber::Published(version),
            alias: alias.map(|alias| alias.parse().expect("an alias")),
        };
        let sums =
            UsageSums { invocations: 1, cpu_us: 500_000, billed_ms: 3, billed_mb_ms: 512_000, ..UsageSums::default() };
        UsageRow { key, hour: Timestamp(hour * 3_600_000), sums }
    }

    #[test]
    fn hours_and_aliases_add_up_to_versions() {
        let rows = vec![row(1, 1, None), row(1, 1, Some("live")), row(2, 1, None), row(2, 2, None)];
        let whole = merged(rows.clone(), false);
        let told: Vec<_> = whole.iter().map(|row| (row["version"].as_str(), row["invocations"].as_u64())).collect();
        assert_eq!(told, [(Some("1"), Some(3)), (Some("2"), Some(1))]);
        assert_eq!((whole[0]["cpu_seconds"].as_f64(), whole[0]["gb_seconds"].as_f64()), (Some(1.5), Some(1.5)));
        let hours = merged(rows, true);
        assert_eq!(hours.len(), 3);
        assert_eq!(hours[0]["hour"], "1970-01-01T01:00:00.000Z");
    }
}
