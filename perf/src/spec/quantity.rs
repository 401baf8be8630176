//! Numbers with units: bytes (`128KiB`, `10GiB`, `1MB`), durations (`1ms`, `60s`, `2m`), and counts (`200k`, `1.5M`).

use std::time::Duration;

/// Splits `12.5ms` into `12.5` and `ms`.
fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let unit = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number: f64 =
        number.parse().map_err(|_| format!("`{text}` does not start with a number"))?;
    Ok((number, unit.trim()))
}

/// Bytes: a plain number, or one with `B`, `kB`, `MB`, `GB` (thousands) or `KiB`, `MiB`, `GiB`, `TiB` (1024s).
///
/// # Errors
/// A sentence that names the text and the units that are known.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let scale: f64 = match unit {
        "" | "B" => 1.0,
        "k" | "kB" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "KiB" | "Ki" => 1024.0,
        "MiB" | "Mi" => 1024.0 * 1024.0,
        "GiB" | "Gi" => 1024.0 * 1024.0 * 1024.0,
        "TiB" | "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        other => {
            return Err(format!("unknown unit `{other}` in `{text}`: write 512B, 128KiB, 10GiB"));
        }
    };
    Ok((number * scale).round() as u64)
}

/// A duration: `250us`, `1ms`, `60s`, `2m`, `1h`; a bare number is seconds, and a bare 0 is zero.
///
/// # Errors
/// A sentence that names the text and the units that are known.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let nanos = number
        * match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "" | "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3600e9,
            other => {
                return Err(format!(
                    "unknown unit `{other}` in `{text}`: write 250us, 1ms, 60s, 2m"
                ));
            }
        };
    Ok(Duration::from_nanos(nanos.round() as u64))
}

/// A count of records: `200000`, `200k`, `1.5M`, `2G`.
///
/// # Errors
/// A sentence that names the text.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let scale = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" | "m" => 1e6,
        "G" => 1e9,
        other => return Err(format!("unknown unit `{other}` in `{text}`: write 500, 200k, 1.5M")),
    };
    Ok((number * scale).round() as u64)
}

/// Nanoseconds for people: `870 ns`, `12.3 us`, `4.56 ms`, `1.20 s`.
#[must_use]
pub fn format_nanos(nanos: u64) -> String {
    let value = nanos as f64;
    let (value, unit) = if nanos < 1_000 {
        return format!("{nanos} ns");
    } else if nanos < 1_000_000 {
        (value / 1e3, "us")
    } else if nanos < 1_000_000_000 {
        (value / 1e6, "ms")
    } else {
        (value / 1e9, "s")
    };
    match value {
        v if v < 10.0 => format!("{v:.2} {unit}"),
        v if v < 100.0 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

/// Bytes for people, in 1024s: `512 B`, `1.5 KiB`, `12.0 GiB`.
#[must_use]
pub fn format_bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// A count for people, in thousands: `950`, `12.3k`, `2.02M`.
#[must_use]
pub fn format_count(count: f64) -> String {
    if count < 1e3 {
        format!("{count:.0}")
    } else if count < 1e6 {
        format!("{:.1}k", count / 1e3)
    } else if count < 1e9 {
        format!("{:.2}M", count / 1e6)
    } else {
        format!("{:.2}G", count / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_scale() {
        assert_eq!(bytes("1KiB"), Ok(1024));
        assert_eq!(bytes("10GiB"), Ok(10 << 30));
        assert_eq!(bytes("1.5MB"), Ok(1_500_000));
        assert_eq!(bytes("100"), Ok(100));
        assert!(bytes("10 parsecs").is_err());
        assert!(bytes("").is_err());
        assert_eq!(duration("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(duration("5 fortnights").is_err());
        assert_eq!(count("1.5M"), Ok(1_500_000));
    }

    #[test]
    fn people_read_three_digits() {
        assert_eq!(format_nanos(870), "870 ns");
        assert_eq!(format_nanos(12_345), "12.3 us");
        assert_eq!(format_nanos(4_560_000), "4.56 ms");
        assert_eq!(format_nanos(1_200_000_000), "1.20 s");
        assert_eq!(format_bytes(1536.0), "1.5 KiB");
        assert_eq!(format_count(2_020_000.0), "2.02M");
    }
}
