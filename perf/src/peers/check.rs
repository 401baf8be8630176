//! `perf peers --check`: the harness beside Kafka's own tools.
//!
//! Against Apache Kafka and against Ringwood, in turns: `kafka-producer-perf-test` writes so many records at a rate,
//! `kafka-consumer-perf-test` reads them, and `perf run --verify` does both with as many at the same rate. The counts must be the
//! same to the record, sent and received, and so must the bytes that the consumer's tool read. The harness's rate must lie within the
//! spread of the producer tool's repeats, which is taken for 1 % to either side of their median at least; the consumer's tool reads what
//! lies there as fast as it goes, while the harness's consumer reads along, and neither rate says anything of the other. Latencies are
//! printed and not judged: the tool counts from the moment at which its one thread hands a record over and waits when its buffer is
//! full, the harness from the moment at which the record was due.

use std::{process::Command, time::Duration};

use super::{Contender, Pair, PeersArgs, kafka::Kafka, program};
use crate::{
    awake::{self, Awake},
    chance::median,
    failure::Failure,
    latency::Kind,
    load::Plan,
    measure::{Scene, half_of_the_cores, measure},
    own::Sides,
    run::{Recording, Run, Verdict},
    spec::{Quantile, RateSpec, SizeSpec, format_nanos},
    terminal::{self, Tone},
    view::{Align, Cell, Table},
};

/// What is said of latencies that differ.
const NOTE: &str = "Latencies are not judged. kafka-producer-perf-test is a closed loop: one thread hands records over, is held \
    up by a full buffer or a pause of its JVM, and starts each record's clock only when its turn comes; what a stall keeps from \
    being sent is not in its percentiles. `perf run` is an open loop: the clock of a record starts when it was due. The tool's \
    numbers are whole milliseconds and hold the warm-up of its JVM. Nor is the rate of kafka-consumer-perf-test, which reads what lies \
    there as fast as it goes, while ours reads along: its records and bytes are.";

/// How long the records are sent, at the rate.
const LENGTH: Duration = Duration::from_secs(10);

/// The repeats are taken to be this share of their median apart from it, to either side, at the least: few that happen to agree do not
/// show how far apart they may be.
const SPREAD_MIN: f64 = 0.01;

/// What one of the three came to, once.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    records: u64,
    rate: f64,
    /// MiB of values, where the tool counts them.
    mib: Option<f64>,
    /// p50, p99 and p99.9, nanoseconds.
    latency: [Option<f64>; 3],
}

/// One broker with all repeats.
#[derive(Debug, Default)]
struct Side {
    name: &'static str,
    /// Records of each repeat, and MiB of their values.
    expected: u64,
    expected_mib: f64,
    produced: Vec<Seen>,
    consumed: Vec<Seen>,
    ours: Vec<Seen>,
    /// What `--verify` had to say, where it was not that all is well.
    complaints: Vec<String>,
    /// Why repeats of ours were INVALID(generator): their counts and rates are told, their latencies are not.
    invalid: Vec<String>,
}

/// Runs the check.
pub(super) fn run(
    args: &PeersArgs,
    kafka: &Kafka,
    sides: &Sides,
    awake: &Awake,
) -> Result<(), Failure> {
    let (RateSpec::Stages(rates), SizeSpec::Fixed(size)) = (&args.rate, &args.size) else {
        return Err(Failure::Usage("--check needs one rate and one size".into()));
    };
    let [rate] = rates.as_slice() else {
        return Err(Failure::Usage("--check needs one rate, no ramp".into()));
    };
    if *size < crate::stamp::FULL_BYTES {
        let least = crate::stamp::FULL_BYTES;
        return Err(Failure::Usage(format!("--check stamps every value: {least} bytes at least")));
    }
    let repeats = if args.short { 3 } else { args.turns };
    let plan = Plan {
        rate: args.rate.clone(),
        size: args.size.clone(),
        partitions: args.partitions,
        threads: half_of_the_cores(),
        producers: 1,
        consumers: 1,
        verify: true,
        warmup: Duration::ZERO,
        duration: LENGTH,
        ..Plan::default()
    };
    let contenders = [
        Contender { is_kafka: true, pair: args.only.unwrap_or(Pair::Written) },
        Contender { is_kafka: false, pair: args.only.unwrap_or(Pair::Fsync) },
    ];
    let expected = rate * LENGTH.as_secs();
    let mut all = contenders.map(|contender| Side {
        name: contender.name(),
        expected,
        expected_mib: (expected * *size as u64) as f64 / f64::from(1 << 20),
        ..Side::default()
    });
    // In turns, each with a fresh broker: a slow minute meets both, and neither has the other beside it.
    for repeat in 1..=repeats {
        for (contender, side) in contenders.into_iter().zip(&mut all) {
            let (broker, _) = contender.start(args, kafka, sides.broker.as_deref(), false)?;
            terminal::note(&format!("{} of {repeats}: {}", repeat, side.name));
            let topic = format!("check-{repeat}");
            let scene = super::scene(broker.address(), awake);
            // Their topic is made as ours is, with as many partitions.
            crate::measure::create(&plan, &Scene { topic: Some(topic.clone()), ..scene.clone() })?;
            side.produced.push(produce(kafka, broker.address(), &topic, expected, *rate, *size)?);
            side.consumed.push(consume(kafka, broker.address(), &topic, expected)?);
            ours(side, &plan, &scene)?;
        }
    }
    if let Some(line) = awake::line(awake.count()) {
        terminal::print(&format!("{line}\n"));
    }
    terminal::print(&render(&all, args, sides));
    let faults: Vec<String> = all.iter().flat_map(Side::faults).collect();
    if !faults.is_empty() {
        return Err(Failure::Assertion(faults.join("; ")));
    }
    match all.iter().find(|side| side.invalid.len() >= side.ours.len()) {
        Some(side) => Err(Failure::Invalid(format!(
            "INVALID(generator): no repeat on {} has a latency: {}",
            side.name,
            side.invalid.join("; ")
        ))),
        None => Ok(()),
    }
}

fn ours(side: &mut Side, plan: &Plan, scene: &Scene) -> Result<(), Failure> {
    let (run, recording) = measure(plan, scene)?;
    side.take(&run, &recording);
    Ok(())
}

impl Side {
    /// Takes in a run of ours.
    fn take(&mut self, run: &Run, recording: &Recording) {
        let total = recording.total();
        let at = |percent: f64| {
            let quantile = Quantile::percent(percent).ok()?;
            total.at(Kind::Response, quantile).map(|nanos| nanos as f64)
        };
        for repeat in &run.repeats {
            // What failed is not what was sent less something: records that were never sent failed too.
            let records = repeat.acknowledged_in_all;
            let latency =
                if run.verdict.is_invalid() { [None; 3] } else { [at(50.0), at(99.0), at(99.9)] };
            // As the tool counts: to the last answer, however late it came.
            self.ours.push(Seen { records, rate: repeat.achieved(), mib: None, latency });
            match &repeat.verify {
                Some(verify) if verify.is_clean() && verify.received == records => {}
                Some(verify) => self.complaints.push(format!("--verify: {verify}")),
                None => self.complaints.push("--verify found nothing to say".into()),
            }
        }
        if let Verdict::Invalid(why) = &run.verdict {
            self.invalid.push(why.clone());
        }
    }
}

fn produce(
    kafka: &Kafka,
    bootstrap: &str,
    topic: &str,
    records: u64,
    rate: u64,
    size: usize,
) -> Result<Seen, Failure> {
    let text = in_either_tongue(["--command-property", "--producer-props"], |properties| {
        let mut command = kafka.tool("org.apache.kafka.tools.ProducerPerformance");
        command.args(["--topic", topic, "--num-records", &records.to_string()]);
        command.args(["--record-size", &size.to_string(), "--throughput", &rate.to_string()]);
        command.arg(properties).arg(format!("bootstrap.servers={bootstrap}"));
        command.args(["acks=all", "linger.ms=1", "batch.size=131072"]);
        said(command)
    })?;
    produced(&text)
        .ok_or_else(|| Failure::Local(format!("what kafka-producer-perf-test said: {text}")))
}

fn consume(kafka: &Kafka, bootstrap: &str, topic: &str, records: u64) -> Result<Seen, Failure> {
    let text = in_either_tongue(["--num-records", "--messages"], |count| {
        let mut command = kafka.tool("org.apache.kafka.tools.ConsumerPerformance");
        command.args(["--bootstrap-server", bootstrap, "--topic", topic, "--hide-header"]);
        command.args([count, &records.to_string(), "--timeout", "20000"]);
        said(command)
    })?;
    consumed(&text)
        .ok_or_else(|| Failure::Local(format!("what kafka-consumer-perf-test said: {text}")))
}

/// Tries an option by the name that KIP-1147 gave it, and by its older one where the tool is of before and does not know that.
fn in_either_tongue(
    names: [&str; 2],
    run: impl Fn(&str) -> Result<String, Failure>,
) -> Result<String, Failure> {
    match run(names[0]) {
        Err(failure) if does_not_know(&failure.to_string(), names[0]) => run(names[1]),
        result => result,
    }
}

/// What the tools' parsers say of an option that they do not have.
fn does_not_know(text: &str, option: &str) -> bool {
    let bare = option.trim_start_matches('-');
    text.contains(&format!("{bare} is not a recognized option"))
        || text.lines().any(|l| l.contains("unrecognized arguments") && l.contains(option))
}

/// Runs a tool to its end; gives what it printed.
fn said(mut command: Command) -> Result<String, Failure> {
    let output =
        program::output(&mut command, |e| Failure::Local(format!("a tool of Kafka's: {e}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let err = String::from_utf8_lossy(&output.stderr);
    Err(Failure::Local(format!("a tool of Kafka's ended with {}: {text}{err}", output.status)))
}

/// The last line: `100000 records sent, 9998.0 records/sec (9.76 MB/sec), 2.31 ms avg latency, 225.00 ms max latency, 2 ms 50th,
/// 4 ms 95th, 33 ms 99th, 48 ms 99.9th.`
fn produced(text: &str) -> Option<Seen> {
    let line =
        text.lines().rev().find(|line| line.contains("records sent") && line.contains("99th"))?;
    let number = |before: &str| -> Option<f64> {
        let head = line[..line.find(before)?].trim_end();
        head.rsplit([' ', ',']).next()?.parse().ok()
    };
    let millis = |name: &str| number(&format!(" ms {name}")).map(|ms| ms * 1e6);
    Some(Seen {
        records: number(" records sent")? as u64,
        rate: number(" records/sec")?,
        mib: None,
        latency: [millis("50th"), millis("99th"), millis("99.9th")],
    })
}

/// The last line: start, end, MB, MB a second, records, records a second, and times of the rebalance and the fetching.
fn consumed(text: &str) -> Option<Seen> {
    let line = text.lines().rev().find(|line| line.matches(',').count() >= 7)?;
    let columns: Vec<&str> = line.split(',').map(str::trim).collect();
    let number = |column: usize| columns.get(column)?.parse::<f64>().ok();
    let (records, mib) = (columns.get(4)?.parse().ok()?, Some(number(2)?));
    Some(Seen { records, rate: number(5)?, mib, latency: [None; 3] })
}

fn spread(seen: &[Seen]) -> Option<(f64, f64)> {
    let rates = || seen.iter().map(|seen| seen.rate);
    let (low, high) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    (!seen.is_empty()).then_some((low, high))
}

impl Side {
    /// Between which rates ours is to lie.
    fn bounds(&self) -> Option<(f64, f64)> {
        let (low, high) = spread(&self.produced)?;
        let rates: Vec<f64> = self.produced.iter().map(|seen| seen.rate).collect();
        let middle = median(&rates)?;
        Some((low.min(middle * (1.0 - SPREAD_MIN)), high.max(middle * (1.0 + SPREAD_MIN))))
    }

    fn rate_lies_within(&self) -> bool {
        let rates: Vec<f64> = self.ours.iter().map(|seen| seen.rate).collect();
        let within = |(low, high)| median(&rates).is_some_and(|rate| rate >= low && rate <= high);
        self.bounds().is_some_and(within)
    }

    fn counts_are_the_same(&self) -> bool {
        let all = [&self.produced, &self.consumed, &self.ours];
        all.iter()
            .all(|seen| !seen.is_empty() && seen.iter().all(|seen| seen.records == self.expected))
    }

    /// The tool prints four digits of a MiB.
    fn bytes_are_the_same(&self) -> bool {
        let near = |mib: f64| (mib - self.expected_mib).abs() <= 1e-3 + self.expected_mib * 1e-6;
        self.consumed.iter().all(|seen| seen.mib.is_some_and(near))
    }

    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> =
            self.complaints.iter().map(|why| format!("{}: {why}", self.name)).collect();
        if !self.counts_are_the_same() {
            faults.push(format!("{}: the counts are not the same", self.name));
        }
        if !self.bytes_are_the_same() {
            faults.push(format!("{}: the bytes are not the same", self.name));
        }
        if !self.rate_lies_within() {
            faults.push(format!("{}: our rate is not within theirs", self.name));
        }
        faults
    }
}

fn render(all: &[Side], args: &PeersArgs, sides: &Sides) -> String {
    let header = [
        "broker, who",
        "records each",
        "records/s [low..high]",
        "p50",
        "p99",
        "p99.9",
        "within theirs",
    ];
    let mut table = Table::new(header, Align::Right);
    for side in all {
        let rows = [
            ("kafka-producer-perf-test", &side.produced),
            ("kafka-consumer-perf-test", &side.consumed),
            ("perf run --verify", &side.ours),
        ];
        for (number, (who, seen)) in rows.into_iter().enumerate() {
            let mut counts: Vec<u64> = seen.iter().map(|seen| seen.records).collect();
            counts.sort_unstable();
            counts.dedup();
            let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
            let rates: Vec<f64> = seen.iter().map(|seen| seen.rate).collect();
            let rate = median(&rates).zip(spread(seen)).map_or_else(
                || "n/a".into(),
                |(rate, (low, high))| format!("{rate:.0} [{low:.0}..{high:.0}]"),
            );
            let mut cells = vec![
                Cell::plain(format!("{}, {who}", side.name)),
                Cell::plain(counts.join(" or ")),
                Cell::plain(rate),
            ];
            for place in 0..3 {
                let values: Vec<f64> = seen.iter().filter_map(|seen| seen.latency[place]).collect();
                let value = median(&values).map(|nanos| format_nanos(nanos as u64));
                let none = if number == 2 { "INVALID" } else { "-" };
                cells.push(Cell::plain(value.unwrap_or_else(|| none.into())));
            }
            cells.push(match number {
                2 => {
                    let good = side.faults().is_empty();
                    let (text, tone) =
                        if good { ("yes", Tone::Better) } else { ("NO", Tone::Worse) };
                    Cell { text: text.into(), tone }
                }
                _ => Cell::plain("-"),
            });
            table.row(cells);
        }
    }
    let mut spoiled = String::new();
    for side in all.iter().filter(|side| !side.invalid.is_empty()) {
        let (count, of) = (side.invalid.len(), side.ours.len());
        spoiled.push_str(&format!(
            "{}: {count} of {of} of ours INVALID(generator), left out of the percentiles: {}\n",
            side.name, side.invalid[0]
        ));
    }
    format!(
        "{} repeats, {} for {} s, values of {}, {} partitions, acks=all, one producer and one consumer; medians; {}\n{}{spoiled}{NOTE}\n",
        all.first().map_or(0, |side| side.ours.len()),
        args.rate,
        LENGTH.as_secs(),
        args.size,
        args.partitions,
        sides.words(),
        table.render(terminal::colour())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Repeat, Stage};

    #[test]
    fn what_the_tools_print_is_read() {
        let text = "49990 records sent, 9998.0 records/sec (0.95 MB/sec), 2.1 ms avg latency, 240.0 ms max latency.\n\
            100000 records sent, 9991.1 records/sec (0.95 MB/sec), 1.40 ms avg latency, 240.00 ms max latency, 1 ms 50th, 2 ms 95th, 33 ms 99th, 48 ms 99.9th.\n";
        let latency = [Some(1e6), Some(33e6), Some(48e6)];
        let seen = Seen { records: 100_000, rate: 9991.1, mib: None, latency };
        assert_eq!(produced(text), Some(seen));
        assert_eq!(produced("org.apache.kafka.common.errors.TimeoutException"), None);
        let text = "2026-01-01 10:00:00:000, 2026-01-01 10:00:04:000, 9.5367, 2.3842, 100000, 25000.0000, 3300, 700, 13.6240, 142857.1429\n";
        let seen = Seen { records: 100_000, rate: 25_000.0, mib: Some(9.5367), latency: [None; 3] };
        assert_eq!(consumed(text), Some(seen));
        assert_eq!(consumed("nothing"), None);
    }

    fn side(theirs: &[f64], ours: f64, records: u64) -> Side {
        let seen = |rate: &f64| Seen { records: 100, rate: *rate, ..Seen::default() };
        Side {
            name: "x",
            expected: 100,
            expected_mib: 0.0095,
            produced: theirs.iter().map(seen).collect(),
            consumed: vec![Seen { mib: Some(0.0095), ..seen(&5e4) }],
            ours: vec![Seen { records, rate: ours, ..Seen::default() }],
            ..Side::default()
        }
    }

    #[test]
    fn a_rate_outside_and_a_count_that_differs_are_named() {
        assert_eq!(side(&[9_990.0, 9_995.0], 10_000.0, 100).faults(), Vec::<String>::new());
        let faults = side(&[9_990.0, 9_995.0], 9_000.0, 100).faults();
        assert!(faults.len() == 1 && faults[0].contains("rate"), "{faults:?}");
        let faults = side(&[9_990.0, 9_995.0], 10_000.0, 99).faults();
        assert!(faults.len() == 1 && faults[0].contains("counts"), "{faults:?}");
        assert_eq!(side(&[], 10_000.0, 100).faults().len(), 2);
        // As many records, and half of each.
        let mut short = side(&[9_990.0, 9_995.0], 10_000.0, 100);
        short.consumed[0].mib = Some(0.0048);
        let faults = short.faults();
        assert!(faults.len() == 1 && faults[0].contains("bytes"), "{faults:?}");
        short.consumed[0].mib = None;
        assert_eq!(short.faults().len(), 1);
    }

    #[test]
    fn a_rate_lies_within_what_the_tool_showed_and_not_beside_it() {
        let within = |theirs: &[f64], ours: f64| side(theirs, ours, 100).faults().is_empty();
        // As far apart as this, and no further.
        let wide = [9_000.0, 9_800.0, 10_000.0];
        assert!(within(&wide, 9_000.0) && within(&wide, 10_000.0));
        assert!(!within(&wide, 8_900.0) && !within(&wide, 10_100.0));
        // 1 % of 10,000 where they agree.
        let narrow = [9_999.0, 10_000.0, 10_001.0];
        assert!(within(&narrow, 9_901.0) && within(&narrow, 10_099.0));
        assert!(!within(&narrow, 9_899.0) && !within(&narrow, 10_101.0));
    }

    #[test]
    fn what_was_received_is_what_was_sent_to_the_record() {
        let faults = |acknowledged_in_all: u64, received: u64| {
            let repeat = Repeat {
                acknowledged_in_all,
                loaded_seconds: acknowledged_in_all as f64 / 10_000.0,
                verify: Some(crate::verify::Verdict { received, ..Default::default() }),
                ..Repeat::default()
            };
            let run = Run { repeats: vec![repeat], ..Run::default() };
            let mut side = side(&[9_990.0, 9_995.0], 10_000.0, 100);
            side.take(&run, &Recording::default());
            side.faults()
        };
        assert_eq!(faults(100, 100), Vec::<String>::new());
        for received in [99, 101] {
            let faults = faults(100, received);
            assert!(faults.len() == 1 && faults[0].contains("--verify"), "{faults:?}");
        }
        // More than the tools were asked for.
        let faults = faults(101, 101);
        assert!(faults.len() == 1 && faults[0].contains("counts"), "{faults:?}");
    }

    #[test]
    fn records_of_a_broker_that_died_are_those_that_it_acknowledged() {
        // Of a hundred ten were acknowledged, twenty lost with the connection, and the rest never sent.
        let stage = Stage { sent: 30, failed: 90, acknowledged: 10, ..Stage::default() };
        let repeat = Repeat { stages: vec![stage], acknowledged_in_all: 10, ..Repeat::default() };
        let run = Run { repeats: vec![repeat], ..Run::default() };
        let mut side = side(&[9_990.0, 9_995.0], 10_000.0, 100);
        side.take(&run, &Recording::default());
        assert_eq!(side.ours.last().map(|seen| seen.records), Some(10));
        assert!(!side.counts_are_the_same());
    }

    #[test]
    fn tools_of_before_are_asked_by_their_older_names() {
        let names = ["--num-records", "--messages"];
        let local = |text: &str| Err(Failure::Local(text.into()));
        let old = |name: &str| match name {
            "--messages" => Ok("counted".to_owned()),
            _ => local("num-records is not a recognized option"),
        };
        assert_eq!(in_either_tongue(names, old), Ok("counted".into()));
        // Whatever else goes wrong is not tried by another name.
        let broken = |name: &str| match name {
            "--messages" => panic!("tried again"),
            _ => local("connection refused"),
        };
        assert!(in_either_tongue(names, broken).is_err());
        let argparse = "usage: producer-performance\nproducer-performance: error: unrecognized arguments: '--command-property'";
        assert!(does_not_know(argparse, "--command-property"));
        assert!(!does_not_know(argparse, "--num-records"));
    }
}
