//! What the figures are to reach.

use super::copies::FETCHING;

/// What a load is to reach: which load, of how many cores, which figure, and whether that is the least or the most.
const TARGETS: [(&str, u32, &str, Bound); 4] = [
    ("produce 100 B, batches of 16 KiB", 1, RECORDS, Bound::AtLeast(2_020.0)),
    ("produce 1 KiB, batches of 16 KiB", 1, COPIES, Bound::AtMost(2.0)),
    // None, to a digit: the head of an answer is copied, and two loads under valgrind are not alike to the byte.
    (FETCHING, 1, COPIES_OUT, Bound::AtMost(0.05)),
    ("produce 1 KiB, batches of 128 KiB", 1, SHARE, Bound::AtLeast(85.0)),
];
pub(super) const RECORDS: &str = "1000 records/s";
pub(super) const COPIES: &str = "copies/byte";
pub(super) const COPIES_OUT: &str = "copies/byte fetched, valgrind";
pub(super) const SHARE: &str = "% of the slower of device (1 MiB written and flushed) and loopback; every byte is written twice";

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Bytes a second of what the slower of device and loopback takes, from the table of `perf ceiling`.
pub(super) fn speed_of_light(table: &str) -> Option<f64> {
    let device = rate(table, "device: write 1024 KiB and fdatasync")?;
    Some(device.min(rate(table, "loopback: one stream")?))
}

/// The rate in the row that begins so, such as `2.5 GiB/s`.
fn rate(table: &str, row: &str) -> Option<f64> {
    let row = table.lines().map(str::trim_start).find(|line| line.starts_with(row))?;
    let words: Vec<&str> = row.split_whitespace().collect();
    let unit = words.iter().position(|word| word.ends_with("B/s"))?;
    let of = match words[unit] {
        "B/s" => 1.0,
        "KiB/s" => 1024.0,
        "MiB/s" => 1024.0 * 1024.0,
        "GiB/s" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(words.get(unit.checked_sub(1)?)?.parse::<f64>().ok()? * of)
}

/// Figures against what they are to reach, one line each.
pub(super) fn against(all: &[(&str, u32, &str, f64)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (load, cores, what, bound) in TARGETS {
        let found = all.iter().find(|f| (f.0, f.1, f.2) == (load, cores, what)).map(|f| f.3);
        // To the digits that are printed: each copy site counts whole batches.
        let (target, reached) = match bound {
            Bound::AtLeast(least) => (format!("at least {least:.2}"), found.map(|v| v >= least)),
            Bound::AtMost(most) => (format!("at most {most:.2}"), found.map(|v| v < most + 0.005)),
        };
        let here = match (found, reached) {
            (Some(value), Some(true)) => format!("{value:.2}: reached"),
            (Some(value), _) => format!("{value:.2}: MISSED"),
            (None, _) => "not taken in this run".to_owned(),
        };
        lines.push(format!("| {load} | {cores} | {what} | {target} | {here} |"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::figures::LOADS;

    #[test]
    fn targets_are_of_loads_that_are_taken() {
        for (load, ..) in TARGETS {
            assert!(LOADS.iter().any(|l| l.name == load), "{load}");
        }
        let line = |nth: usize, value| {
            let (load, cores, what, _) = TARGETS[nth];
            against(&[(load, cores, what, value)]).remove(nth)
        };
        assert!(line(0, 2_020.0).contains("reached") && line(0, 2_019.0).contains("MISSED"));
        assert!(line(1, 2.0).contains("reached") && line(1, 2.01).contains("MISSED"));
        assert!(line(2, 0.01).contains("reached") && line(2, 1.0).contains("MISSED"));
        assert!(against(&[])[0].contains("not taken"));
    }

    #[test]
    fn the_speed_of_light_is_that_of_the_slower() {
        let table = "device: write 128 KiB and fdatasync, in place       766.9 MiB/s      6135   157 us\n\
                     device: write 1024 KiB and fdatasync, in place        2.5 GiB/s      2536   378 us\n\
                     loopback: one stream, one thread each side          512.0 MiB/s\n";
        assert_eq!(speed_of_light(table), Some(512.0 * 1024.0 * 1024.0));
        assert_eq!(speed_of_light("loopback: one stream 1.0 GiB/s"), None);
    }
}
