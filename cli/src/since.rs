use std::time::Duration;

use dormouse_model::Timestamp;

/// A point in time as people write it: `90s`, `10m`, `2h`, `3d` ago; an RFC 3339 time; milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Ago(Duration),
    At(Timestamp),
}

impl Since {
    /// For clap; the error says what is allowed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(ago) = ago(text) {
            return Ok(Self::Ago(ago));
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>()
            && let Ok(millis) = u64::try_from(time.as_millisecond())
        {
            return Ok(Self::At(Timestamp(millis)));
        }
        // Fewer digits would be a forgotten unit, not a time in 1970.
        if text.len() >= 12
            && let Ok(millis) = text.parse()
        {
            return Ok(Self::At(Timestamp(millis)));
        }
        Err("it takes a span such as 90s, 10m, 2h or 3d, or a time such as 2026-11-23T05:28:44Z".to_owned())
    }

    pub(crate) fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now - span,
            Self::At(time) => time,
        }
    }
}

fn ago(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(count.checked_mul(secs)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_reach_back_from_now() {
        let now = Timestamp(1_000_000_000);
        for (text, millis) in [("90s", 90_000), ("10m", 600_000), ("2h", 7_200_000), ("3d", 259_200_000)] {
            assert_eq!(Since::parse(text).expect("a span").from(now), Timestamp(1_000_000_000 - millis), "{text}");
        }
    }

    #[test]
    fn times_are_taken_as_they_are() {
        let now = Timestamp(0);
        let time = Timestamp(1_795_325_324_007);
        for text in ["2026-11-22T05:28:44.007Z", "2026-11-22T06:28:44.007+01:00", "1795325324007"] {
            assert_eq!(Since::parse(text).expect("a time").from(now), time, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "m", "10", "10 minutes", "-5m", "yesterday", "99999999999999999999d"] {
            assert!(Since::parse(text).is_err(), "{text:?} was taken for a time");
        }
    }
}
