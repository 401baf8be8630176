//! What the figures are to reach.

use super::copies::READ_AS_WELL;

/// What a load is to reach: which load, of how many cores, which figure, and whether that is the least or the most.
const TARGETS: [(&str, u32, &str, Bound); 5] = [
    ("produce 100 B, batches of 16 KiB", 1, RECORDS, Bound::AtLeast(2_020.0)),
    ("produce 1 KiB, batches of 16 KiB", 1, COPIES, Bound::AtMost(2.0)),
    ("produce 1 KiB, batches of 128 KiB", 1, SHARE, Bound::AtLeast(85.0)),
    (READ_AS_WELL, 1, COPIES, Bound::AtMost(2.0)),
    (READ_AS_WELL, 1, COPIES_OUT, Bound::AtMost(NONE)),
];
pub(super) const RECORDS: &str = "1000 records/s";
pub(super) const COPIES: &str = "copies/byte";
/// The broker counts no copy on the way out, because it knows of none: only valgrind would see one.
pub(super) const COPIES_OUT: &str =
    "copies/byte on the way out by valgrind, in pieces of 4 KiB and more";
/// A batch that is copied once makes 1.
const NONE: f64 = 0.05;
pub(super) const SHARE: &str = "% of the slower of device (1 MiB written and flushed) and loopback; every byte is written twice";

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// What device and loopback take without a broker, bytes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Light {
    pub(super) device: f64,
    pub(super) loopback: f64,
}

impl Light {
    pub(super) fn slower(self) -> f64 {
        self.device.min(self.loopback)
    }
}

/// From the table of `perf ceiling`.
pub(super) fn speed_of_light(table: &str) -> Option<Light> {
    let device = rate(table, "device: write 1024 KiB and fdatasync")?;
    Some(Light { device, loopback: rate(table, "loopback: one stream")? })
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

/// A figure: of which load, of how many cores, which one, and its value.
pub(super) type Reached = (&'static str, u32, &'static str, f64);

impl Bound {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(least) => value >= least,
            // To the digits that are printed: each copy site counts whole batches.
            Bound::AtMost(most) => value < most + 0.005,
        }
    }

    fn words(self) -> String {
        match self {
            Bound::AtLeast(least) => format!("at least {least:.2}"),
            Bound::AtMost(most) => format!("at most {most:.2}"),
        }
    }
}

/// The value of a figure, where it was taken.
fn value(all: &[Reached], load: &str, cores: u32, what: &str) -> Option<f64> {
    let found = all.iter().find(|f| (f.0, f.1, f.2) == (load, cores, what));
    // What could not be measured is neither reached nor missed.
    found.map(|f| f.3).filter(|value| !value.is_nan())
}

/// Figures against what they are to reach, one line each.
pub(super) fn against(all: &[Reached]) -> Vec<String> {
    let mut lines = Vec::new();
    for (load, cores, what, bound) in TARGETS {
        let here = match value(all, load, cores, what) {
            Some(value) if bound.is_reached(value) => format!("{value:.2}: reached"),
            Some(value) => format!("{value:.2}: MISSED"),
            None => "not taken in this run".to_owned(),
        };
        lines.push(format!("| {load} | {cores} | {what} | {} | {here} |", bound.words()));
    }
    lines
}

/// The targets that were missed: load, cores and figure, those of one load after each other.
pub(super) fn missed(all: &[Reached]) -> Vec<(&'static str, u32, &'static str)> {
    let is_missed = |(load, cores, what, bound): &(&'static str, u32, &'static str, Bound)| {
        value(all, load, *cores, what).is_some_and(|value| !bound.is_reached(value))
    };
    let missed = TARGETS.into_iter().filter(is_missed);
    missed.map(|(load, cores, what, _)| (load, cores, what)).collect()
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
        assert!(line(4, 0.04).contains("reached") && line(4, 1.0).contains("MISSED"));
        assert!(line(2, f64::NAN).contains("not taken"), "the ceiling is not known");
        assert!(against(&[])[0].contains("not taken"));
    }

    #[test]
    fn what_is_missed_is_named_and_what_was_not_taken_is_not() {
        let taken = |nth: usize, value| {
            let (load, cores, what, _) = TARGETS[nth];
            (load, cores, what, value)
        };
        let all = [taken(0, 3_000.0), taken(2, 30.0), taken(3, f64::NAN), taken(4, 1.0)];
        let named = |nth: usize| (TARGETS[nth].0, TARGETS[nth].1, TARGETS[nth].2);
        assert_eq!(missed(&all), [named(2), named(4)]);
        assert!(missed(&[]).is_empty());
    }

    #[test]
    fn the_speed_of_light_is_that_of_the_slower() {
        let table = "device: write 128 KiB and fdatasync, in place       766.9 MiB/s      6135   157 us\n\
                     device: write 1024 KiB and fdatasync, in place        2.5 GiB/s      2536   378 us\n\
                     loopback: one stream, one thread each side          512.0 MiB/s\n";
        let light = speed_of_light(table).unwrap();
        assert_eq!(light.slower(), 512.0 * 1024.0 * 1024.0);
        assert_eq!(light.device, 2.5 * 1024.0 * 1024.0 * 1024.0);
        assert_eq!(speed_of_light("loopback: one stream 1.0 GiB/s"), None);
    }
}
