//! `ringwood latency --diff A B`: the same stages twice.
//!
//! Each side is an interval log of `ringwood latency export`, the directory of a `ringwood perf run` that had `--admin` (it keeps the
//! broker's log of that time), or the admin address of a broker, which is asked for its own.

use super::log_path;
use crate::admin;
use crate::exit;
use crate::failure::{Done, Failure, Stop};
use crate::figures::{count, micros_told};
use crate::output::{Column, Output};
use perf::hlog;
use perf::latency::Latency;
use perf::spec::Quantile;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How much of a broker's past is asked for, if nobody says.
const SPAN: Duration = Duration::from_secs(300);

type Sums = BTreeMap<String, Latency>;

fn failed(side: &str, cause: String) -> Stop {
    Stop::from(Failure {
        area: "latency",
        what: format!("cannot read {side} as an interval log"),
        cause,
        remedy: "write one with `ringwood latency export FILE`, or name a broker's admin address"
            .into(),
        code: exit::FAILED,
    })
}

fn read(side: &str, last: Option<Duration>) -> Result<Sums, Stop> {
    let path = Path::new(side);
    let text = if path.is_dir() {
        let log = path.join("broker.hlog");
        std::fs::read(&log).map_err(|e| {
            let why = "a run has one where `ringwood perf run --admin` named the broker's metrics";
            failed(side, format!("{}: {e}; {why}", log.display()))
        })?
    } else if path.exists() {
        std::fs::read(side).map_err(|e| failed(side, e.to_string()))?
    } else if side.contains(':') {
        admin::get(side, &log_path(last.unwrap_or(SPAN)))?
    } else {
        return Err(failed(side, "there is no such file, and it is no address".into()));
    };
    let mut lines = hlog::parse_tagged(&text).map_err(|why| failed(side, why))?;
    // A broker has been asked for no more than that.
    if let (Some(last), true) = (last, path.exists()) {
        let end = lines.iter().map(|line| line.start + line.length).fold(0.0, f64::max);
        lines.retain(|line| line.start + line.length > end - last.as_secs_f64());
    }
    let mut sums = Sums::new();
    for line in lines {
        let tag = if line.tag.is_empty() { "untagged".to_owned() } else { line.tag };
        sums.entry(tag).or_default().add_sparse(&line.latency);
    }
    Ok(sums)
}

#[derive(Debug, Serialize)]
struct Side {
    count: u64,
    /// None where there are too few.
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    p99_9_us: Option<f64>,
    max_us: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Row {
    api: String,
    stage: String,
    a: Side,
    b: Side,
}

impl Side {
    fn of(latency: Option<&Latency>) -> Self {
        let at = |percent| {
            let quantile = Quantile::percent(percent).ok()?;
            latency?.at(quantile).map(|nanos| nanos as f64 / 1000.0)
        };
        let max = latency.filter(|l| l.count() > 0).map(|l| l.histogram().max() as f64 / 1000.0);
        Self {
            count: latency.map_or(0, Latency::count),
            p50_us: at(50.0),
            p99_us: at(99.0),
            p99_9_us: at(99.9),
            max_us: max,
        }
    }
}

/// Every tag of both, those of one API together, the total last.
fn rows(a: &Sums, b: &Sums, api: Option<&str>) -> Vec<Row> {
    let tags: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let mut rows: Vec<Row> = tags
        .into_iter()
        .map(|tag| {
            let (api, stage) = tag.split_once('.').unwrap_or((tag, "-"));
            Row {
                api: api.to_owned(),
                stage: stage.to_owned(),
                a: Side::of(a.get(tag)),
                b: Side::of(b.get(tag)),
            }
        })
        .filter(|row| api.is_none_or(|api| row.api.eq_ignore_ascii_case(api)))
        .collect();
    rows.sort_by(|x, y| (&x.api, x.stage == "total").cmp(&(&y.api, y.stage == "total")));
    rows
}

pub(super) fn run(
    output: Output,
    two: &[String],
    last: Option<Duration>,
    api: Option<&str>,
) -> Done {
    let [a, b] = two else { return Ok(()) };
    let rows = rows(&read(a, last)?, &read(b, last)?, api);
    if output.json {
        return output.json(&rows);
    }
    let columns = [
        Column::Left("API"),
        Column::Left("STAGE"),
        Column::Right("COUNT A"),
        Column::Right("COUNT B"),
        Column::Right("P50 A"),
        Column::Right("P50 B"),
        Column::Right("P99 A"),
        Column::Right("P99 B"),
        Column::Right("P99"),
        Column::Right("P99.9 A"),
        Column::Right("P99.9 B"),
        Column::Right("MAX A"),
        Column::Right("MAX B"),
    ];
    let lines: Vec<_> = rows
        .iter()
        .map(|r| {
            [
                r.api.clone(),
                r.stage.clone(),
                count(r.a.count as f64),
                count(r.b.count as f64),
                micros_told(r.a.p50_us),
                micros_told(r.b.p50_us),
                micros_told(r.a.p99_us),
                micros_told(r.b.p99_us),
                change(r.a.p99_us, r.b.p99_us),
                micros_told(r.a.p99_9_us),
                micros_told(r.b.p99_9_us),
                micros_told(r.a.max_us),
                micros_told(r.b.max_us),
            ]
        })
        .collect();
    output.table(columns, &lines)
}

fn change(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a > 0.0 => format!("{:+.0}%", (b / a - 1.0) * 100.0),
        _ => "n/a".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nanos: u64, count: u64) -> Latency {
        let mut latency = Latency::new();
        latency.record_n(nanos, count);
        latency
    }

    #[test]
    fn a_run_directory_is_the_brokers_log_in_it() {
        let folder = std::env::temp_dir().join(format!("ringwood-diff-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let side = folder.display().to_string();
        let missing = format!("{:?}", read(&side, None).unwrap_err());
        assert!(missing.contains("--admin"), "{missing}");
        let line = |start, count| hlog::Counted {
            tag: "Produce.total".into(),
            start: Duration::from_secs(start),
            length: Duration::from_secs(1),
            counts: vec![(2_000_000, count)],
        };
        let lines = [line(0, 40), line(100, 5), line(160, 2)];
        let mut log = Vec::new();
        hlog::write_counted(&mut log, std::time::SystemTime::UNIX_EPOCH, &[], lines).unwrap();
        std::fs::write(folder.join("broker.hlog"), log).unwrap();
        let counted = |last: Option<u64>| {
            read(&side, last.map(Duration::from_secs)).unwrap()["Produce.total"].count()
        };
        let found = [None, Some(3_600), Some(61), Some(60), Some(1)].map(counted);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [47, 47, 7, 2, 2], "of its end as much as is asked for");
    }

    #[test]
    fn both_sides_are_told_and_what_a_side_cannot_carry_is_not() {
        let a: Sums = [
            ("Produce.total".into(), of(2_000_000, 5000)),
            ("Produce.flush".into(), of(1_000_000, 5000)),
        ]
        .into();
        let b: Sums =
            [("Produce.total".into(), of(4_000_000, 5000)), ("Fetch.read".into(), of(1_000, 5))]
                .into();
        let rows = rows(&a, &b, None);
        let names: Vec<String> = rows.iter().map(|r| format!("{}.{}", r.api, r.stage)).collect();
        assert_eq!(names, ["Fetch.read", "Produce.flush", "Produce.total"]);
        assert_eq!((rows[0].b.p99_us, rows[0].a.count), (None, 0), "five are too few");
        assert_eq!(change(rows[2].a.p99_us, rows[2].b.p99_us), "+100%");
        assert_eq!(change(rows[1].a.p99_us, rows[1].b.p99_us), "n/a");
        assert_eq!(super::rows(&a, &b, Some("fetch")).len(), 1);
    }
}
