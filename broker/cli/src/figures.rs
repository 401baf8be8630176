//! Durations and sizes as people read them.

/// Three digits and a unit.
pub(crate) fn micros(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1e3 => (us, "us"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// The same, or `n/a` where it is not told.
pub(crate) fn micros_told(us: Option<f64>) -> String {
    us.map_or_else(|| "n/a".into(), micros)
}

/// Three digits, and K, M or G for thousands.
pub(crate) fn count(n: f64) -> String {
    let (value, unit) = match n {
        n if n < 1e4 => return format!("{}", n.round()),
        n if n < 1e6 => (n / 1e3, "K"),
        n if n < 1e9 => (n / 1e6, "M"),
        n => (n / 1e9, "G"),
    };
    format!("{}{unit}", digits(value))
}

/// Three digits, and KiB, MiB or GiB.
pub(crate) fn bytes(n: f64) -> String {
    let (value, unit) = match n {
        n if n < 1024.0 => return format!("{} B", n.round()),
        n if n < 1048576.0 => (n / 1024.0, "KiB"),
        n if n < 1073741824.0 => (n / 1048576.0, "MiB"),
        n => (n / 1073741824.0, "GiB"),
    };
    format!("{} {unit}", digits(value))
}

fn digits(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_enough() {
        assert_eq!(
            [0.512, 41.27, 999.0, 12_340.0, 2.5e6].map(micros),
            ["0.51 us", "41.3 us", "999 us", "12.3 ms", "2.50 s"]
        );
        assert_eq!([0.0, 9999.0, 12_345.0, 2.5e6].map(count), ["0", "9999", "12.3K", "2.50M"]);
        assert_eq!([12.0, 4096.0, 5e6].map(bytes), ["12 B", "4.00 KiB", "4.77 MiB"]);
    }
}
