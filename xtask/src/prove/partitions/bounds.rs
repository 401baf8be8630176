//! What the design allows many partitions, and whether this run kept to it.
//!
//! Memory is judged from so many partitions on that one of them can be told from the noise of a process. Times are those of the
//! release build on a machine that does nothing else: another build shows them beside the bound, and is not judged by them.

use super::Options;
use crate::prove::counts::Counts;

/// What the design allows an idle partition, in bytes.
const IDLE_MAX: u64 = 2048;
/// And what one producer of it.
const PRODUCER_MAX: u64 = 200;
/// With fewer partitions, what a process takes by chance weighs more than they do.
const WEIGHED: u64 = 10_000;
/// A partition has no open file of its own. More than without a topic are open only for what is read or written just then, and
/// for the reader's connections, however many partitions there are.
const FILES_MAX: u64 = 64;
/// Milliseconds that the design allows until all of so many partitions serve, with data in each.
const SERVE_MAX: u64 = 3000;
const SERVED: u64 = 10_000;
/// And so many, of which so many have data, until they are recovered.
const RECOVER_MAX: u64 = 1000;
const RECOVERED: u64 = 100_000;
const RECOVERED_WITH_DATA: u64 = 1000;

/// One figure beside its bound.
struct Figure {
    what: String,
    measured: u64,
    /// The most that the design allows, where it says something of such a run.
    most: Option<u64>,
    /// Why this run is not judged by it.
    only_shown: Option<&'static str>,
}

impl Figure {
    fn new(what: &str, measured: u64, most: u64) -> Figure {
        Figure { what: what.to_owned(), measured, most: Some(most), only_shown: None }
    }

    /// Shown, and judged only where `judged` is so.
    fn only_where(mut self, judged: bool, why_not: &'static str) -> Figure {
        self.only_shown = (!judged).then_some(why_not);
        self
    }

    /// The design says nothing of it unless `of_such_a_run`.
    fn bounded_where(mut self, of_such_a_run: bool) -> Figure {
        self.most = self.most.filter(|_| of_such_a_run);
        self
    }

    fn is_above(&self) -> bool {
        self.most.is_some_and(|most| self.measured > most)
    }

    fn row(&self) -> String {
        let most = self.most.map(|most| format!("at most {most}")).unwrap_or_default();
        let within = match self.most {
            None => "",
            Some(_) if self.is_above() => "ABOVE",
            Some(_) => "within",
        };
        let but = self.only_shown.filter(|_| self.most.is_some());
        let but = but.map(|why| format!(" (not judged: {why})")).unwrap_or_default();
        format!("| {} | {} | {most} | {within}{but} |", self.what, self.measured)
    }
}

fn figures(options: &Options, counts: &Counts) -> Vec<Figure> {
    const FEW: &str = "too few to be told from noise";
    const SLOW_BUILD: &str = "without --release";
    let of = |name: &str| counts.of(name);
    let more_files = |name: &str| of(name).saturating_sub(of("open_files_empty"));
    let small = options.count <= RECOVERED && options.with_data <= RECOVERED_WITH_DATA;
    vec![
        Figure::new("bytes an idle partition", of("resident_bytes_per_idle_partition"), IDLE_MAX)
            .only_where(options.count >= WEIGHED, FEW),
        Figure::new(
            "bytes an idle partition with data and one producer",
            of("resident_bytes_per_idle_partition_with_data"),
            IDLE_MAX + PRODUCER_MAX,
        )
        .only_where(options.with_data >= WEIGHED, FEW),
        Figure::new(
            "open files more than without a topic, idle",
            more_files("open_files_idle"),
            FILES_MAX,
        ),
        Figure::new(
            "open files more than without a topic, serving",
            more_files("open_files_serving"),
            FILES_MAX,
        ),
        Figure::new("ms after kill -9 until ready", of("ready_ms"), RECOVER_MAX)
            .bounded_where(small)
            .only_where(options.release, SLOW_BUILD),
        Figure::new(
            &format!(
                "ms after kill -9 until all {} have given a correct record",
                options.with_data
            ),
            of("first_fetch_of_all_ms"),
            SERVE_MAX,
        )
        .bounded_where(options.count <= SERVED)
        .only_where(options.release, SLOW_BUILD),
    ]
}

/// The figures beside those of the design, and which are above them and judged.
pub(super) fn judge(options: &Options, counts: &Counts) -> (String, Vec<String>) {
    let figures = figures(options, counts);
    let mut rows = vec!["| | measured | design | |".to_owned(), "|---|---:|---:|---|".to_owned()];
    rows.extend(figures.iter().map(Figure::row));
    let judged = figures.iter().filter(|f| f.only_shown.is_none());
    let above = judged.filter(|f| f.is_above()).map(|f| {
        let most = f.most.unwrap_or_default();
        format!("{}: {}, at most {most} are allowed", f.what, f.measured)
    });
    (rows.join("\n"), above.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each figure at its bound, in the units in which it is counted.
    const AT_THE_BOUND: [(&str, u64); 7] = [
        ("resident_bytes_per_idle_partition", IDLE_MAX),
        ("resident_bytes_per_idle_partition_with_data", IDLE_MAX + PRODUCER_MAX),
        ("open_files_empty", 31),
        ("open_files_idle", 31 + FILES_MAX),
        ("open_files_serving", 31 + FILES_MAX),
        ("ready_ms", RECOVER_MAX),
        ("first_fetch_of_all_ms", SERVE_MAX),
    ];

    /// How many are above if one figure is one above its bound.
    fn above(words: &[&str], name: &str) -> usize {
        let options = Options::parse(words).unwrap();
        let mut counts = Counts::default();
        for (name, n) in AT_THE_BOUND {
            counts.add(name, n);
        }
        assert_eq!(judge(&options, &counts).1, [""; 0], "at the bounds");
        counts.add(name, 1);
        judge(&options, &counts).1.len()
    }

    #[test]
    fn what_is_above_its_bound_is_a_failure() {
        let all: &[&str] = &["--count", "10000", "--release"];
        let many: &[&str] = &["--count", "100000", "--release"];
        assert_eq!(above(all, "resident_bytes_per_idle_partition"), 1);
        assert_eq!(above(all, "resident_bytes_per_idle_partition_with_data"), 1);
        assert_eq!(above(all, "first_fetch_of_all_ms"), 1);
        assert_eq!(above(many, "resident_bytes_per_idle_partition"), 1);
        assert_eq!(above(many, "ready_ms"), 1);
        for words in [all, many, &[]] {
            assert_eq!(above(words, "open_files_idle"), 1);
            assert_eq!(above(words, "open_files_serving"), 1);
        }
    }

    #[test]
    fn what_a_run_cannot_tell_is_shown_and_not_judged() {
        assert_eq!(above(&["--count", "10000"], "first_fetch_of_all_ms"), 0, "another build");
        assert_eq!(above(&["--release"], "resident_bytes_per_idle_partition"), 0, "too few");
        assert_eq!(above(&["--count", "10000", "--release"], "ready_ms"), 0, "no such target");
        let mut counts = Counts::default();
        counts.add("ready_ms", RECOVER_MAX + 1);
        let (table, above) = judge(&Options::parse(&[]).unwrap(), &counts);
        let row = table.lines().find(|line| line.contains("until ready")).unwrap();
        assert!(row.ends_with("| at most 1000 | ABOVE (not judged: without --release) |"), "{row}");
        assert_eq!(above, [""; 0]);
    }
}
