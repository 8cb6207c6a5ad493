//! The text format of Prometheus, version 0.0.4; source: its public documentation of exposition formats.

use std::fmt::Write as _;

use super::family::{Family, Series};

/// Writes one family with all its series; nothing when it has none yet.
pub(crate) fn family(out: &mut String, name: &str, family: &Family) {
    let all = family.all();
    if all.is_empty() {
        return;
    }
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing to a String cannot fail; its Result is of the trait, not of the type.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {}\n", family.kind);
    for (values, series) in all {
        let labels = labels(&family.labels, &values);
        match family.kind {
            "histogram" => histogram(out, name, &labels, family.buckets, &series),
            "gauge" => line(out, name, &labels, series.get(0).cast_signed()),
            _ => line(out, name, &labels, series.get(0)),
        }
    }
}

fn histogram(out: &mut String, name: &str, labels: &str, buckets: &[f64], series: &Series) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut count = 0;
    for (n, bound) in buckets.iter().map(f64::to_string).chain(["+Inf".to_owned()]).enumerate() {
        count += series.get(n);
        line(out, &format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), count);
    }
    line(out, &format!("{name}_sum"), labels, series.sum_seconds());
    line(out, &format!("{name}_count"), labels, count);
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = match labels {
        "" => writeln!(out, "{name} {value}"),
        labels => writeln!(out, "{name}{{{labels}}} {value}"),
    };
}

fn labels(names: &[&str], values: &[String]) -> String {
    let escape = |value: &String| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs = names.iter().zip(values).map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    pairs.collect::<Vec<_>>().join(",")
}
