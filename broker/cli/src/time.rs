//! Moments and spans as people write them.

use ids::Timestamp;
use std::time::{Duration, SystemTime};

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// RFC 3339 in UTC with milliseconds; `None` for Kafka's "no timestamp" and what no calendar reaches.
pub(crate) fn rfc3339(time: Timestamp) -> Option<String> {
    if time == Timestamp::NONE {
        return None;
    }
    jiff::Timestamp::from_millisecond(time.0).ok().map(|t| format!("{t:.3}"))
}

/// Reads `2026-11-27T10:00:00Z`, `2026-11-27` (midnight, UTC), milliseconds since 1970, `now`, or `-1h` (ago).
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        let ago = span(ago)?;
        return Ok(Timestamp(now.0.saturating_sub_unsigned(millis(ago)).max(0)));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map(Timestamp).map_err(|e| format!("`{text}`: {e}"));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp(time.as_millisecond()));
    }
    // A date alone is its first moment.
    let midnight = format!("{text}T00:00:00Z");
    midnight.parse::<jiff::Timestamp>().map(|t| Timestamp(t.as_millisecond())).map_err(|_| {
        format!(
            "`{text}` is no time: write 2026-11-27T10:00:00Z, 2026-11-27, milliseconds since 1970, or -1h"
        )
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Reads `500ms`, `30s`, `5m`, `2h`, `7d`; a bare number is seconds.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let bad = || format!("`{text}` is no span of time: write 500ms, 30s, 5m, 2h or 7d");
    let n: u64 = number.parse().map_err(|_| bad())?;
    let seconds = |each: u64| n.checked_mul(each).map(Duration::from_secs).ok_or_else(bad);
    let span = match unit {
        "ms" => Ok(Duration::from_millis(n)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => Err(bad()),
    }?;
    // A century: more would not fit the clocks that deadlines are computed with.
    if span > Duration::from_secs(3_155_760_000) { Err(bad()) } else { Ok(span) }
}

/// Reads a duration of ISO 8601: `P1DT2H3M4S`, each part at most once and in this order.
pub(crate) fn iso_8601(text: &str) -> Option<Duration> {
    let body = text.strip_prefix('P').filter(|b| !b.is_empty() && !b.ends_with('T'))?;
    let (days, clock) = body.split_once('T').unwrap_or((body, ""));
    let mut seconds = 0u64;
    for (mut part, units) in
        [(days, &[('D', 86_400u64)][..]), (clock, &[('H', 3600), ('M', 60), ('S', 1)])]
    {
        for (unit, each) in units {
            let Some((number, rest)) = part.split_once(*unit) else { continue };
            let n: u64 = number.parse().ok()?;
            seconds = n.checked_mul(*each).and_then(|s| s.checked_add(seconds))?;
            part = rest;
        }
        if !part.is_empty() {
            return None;
        }
    }
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(NOW).as_deref(), Some("2027-01-15T08:00:00.000Z"));
        assert_eq!(rfc3339(Timestamp(1)).as_deref(), Some("1970-01-01T00:00:00.001Z"));
        assert_eq!(rfc3339(Timestamp::NONE), None);
        assert_eq!(rfc3339(Timestamp(i64::MAX)), None);
    }

    #[test]
    fn moments_are_read_in_every_form() {
        for (text, ms) in [
            ("2027-01-15T08:00:00Z", NOW.0),
            ("2027-01-15T09:00:00.250+01:00", NOW.0 + 250),
            ("2027-01-15", NOW.0 - 8 * 3_600_000),
            ("1800000000001", NOW.0 + 1),
            ("0", 0),
            ("now", NOW.0),
            ("-90s", NOW.0 - 90_000),
            ("-7d", NOW.0 - 7 * 86_400_000),
        ] {
            assert_eq!(moment(text, NOW), Ok(Timestamp(ms)), "{text}");
        }
        for text in
            ["", "yesterday", "-", "2027-13-01", "2027-01-15T08:00:00", "99999999999999999999"]
        {
            assert!(moment(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_have_units() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("30"), Ok(Duration::from_secs(30)));
        assert_eq!(span("2h"), Ok(Duration::from_secs(7200)));
        for text in ["", "s", "-1s", "3 parsecs", "99999999999999999999s", "999999999999d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
