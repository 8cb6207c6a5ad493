//! The telemetry seam: function logs, metrics and usage records, appended in batches.
