//! `perf peers`: Apache Kafka and Ringwood on this machine, one after the other, with the same work.
//!
//! Four contenders in two pairs: acknowledged from the page cache (Kafka as it comes, Ringwood with `written`), and acknowledged
//! from the device (Kafka with `log.flush.interval.messages=1`, Ringwood with `fsync`). They take turns, A B A B, each time with
//! a fresh broker and fresh data on the same file system; a number is the median of the turns.

mod kafka;

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    failure::Failure,
    latency::Kind,
    load::Plan,
    machine::Machine,
    measure::{Scene, half_of_the_cores, measure},
    own::OwnBroker,
    run::{Directory, Recording, Run, Verdict},
    spec::{self, Quantile, RateSpec, SizeSpec, format_bytes, format_count, format_nanos},
    terminal,
    view::{Align, Cell, Table},
};
use kafka::Kafka;

/// Options of `perf peers`.
#[derive(Clone, Debug, clap::Args)]
pub struct PeersArgs {
    /// Where both brokers keep their data while they run, and Kafka's jars stay
    #[arg(long, value_name = "DIRECTORY", default_value = "target/peers")]
    dir: PathBuf,
    /// An unpacked Apache Kafka; without it the jars come through `mvn`
    #[arg(long, value_name = "DIRECTORY")]
    kafka_home: Option<PathBuf>,
    /// The version that `mvn` is asked for
    #[arg(long, default_value = "4.3.0")]
    kafka_version: String,
    /// Kafka's heap, as its start script has it
    #[arg(long, default_value = "1G")]
    kafka_heap: String,
    /// Ringwood's program [default: this one]
    #[arg(long, value_name = "FILE")]
    ringwood: Option<PathBuf>,
    /// Records a second of the latency runs
    #[arg(long, default_value = "50k/s")]
    rate: RateSpec,
    /// Bytes of a value
    #[arg(long, default_value = "100")]
    size: SizeSpec,
    /// Partitions of the topic
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    /// How often each contender has its turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    turns: u32,
    /// How long each measurement takes, after as long a warm-up
    #[arg(long, default_value = "20s", value_parser = spec::duration)]
    duration: Duration,
    /// Three turns of eight seconds: under a quarter of an hour in all
    #[arg(long)]
    short: bool,
    /// Cores of the brokers, as `taskset -c` takes them (0-1); the client keeps to the others if it is started so
    #[arg(long)]
    broker_cores: Option<String>,
    /// Only the pair that flushes, or only the one that does not
    #[arg(long, value_enum)]
    only: Option<Pair>,
    /// Keep every run here
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

/// What an acknowledgement stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pair {
    /// Bytes handed to the system.
    Written,
    /// Bytes flushed to the device.
    Fsync,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contender {
    is_kafka: bool,
    pair: Pair,
}

impl Contender {
    fn name(self) -> &'static str {
        match (self.is_kafka, self.pair) {
            (true, Pair::Written) => "kafka page cache",
            (false, Pair::Written) => "ringwood written",
            (true, Pair::Fsync) => "kafka flush=1",
            (false, Pair::Fsync) => "ringwood fsync",
        }
    }

    fn start(self, args: &PeersArgs, kafka: &Kafka) -> Result<OwnBroker, Failure> {
        if self.is_kafka {
            return kafka.start(&args.dir, self.pair == Pair::Fsync, args.broker_cores.as_deref());
        }
        let durability = match self.pair {
            Pair::Written => "written",
            Pair::Fsync => "fsync",
        };
        let arguments = ["--durability".to_owned(), durability.to_owned()];
        OwnBroker::ringwood(
            args.ringwood.as_deref(),
            &args.dir,
            &arguments,
            args.broker_cores.as_deref(),
        )
    }
}

/// What one turn came to.
#[derive(Clone, Debug, Default)]
struct Turn {
    rate: f64,
    bytes_rate: f64,
    cpu_per_gb: Option<f64>,
    latency: Vec<Option<u64>>,
    verdict: Verdict,
}

const PERCENTS: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

/// Runs the command.
///
/// # Errors
/// No Java, no jars, a broker that does not start.
pub fn run(args: &PeersArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.dir).map_err(|e| Failure::file("create", &args.dir, &e))?;
    let kafka =
        Kafka::find(args.kafka_home.as_deref(), &args.dir, &args.kafka_version, &args.kafka_heap)?;
    let (turns, duration) =
        if args.short { (3, Duration::from_secs(8)) } else { (args.turns, args.duration) };
    let pairs = [Pair::Written, Pair::Fsync];
    let contenders: Vec<Contender> = pairs
        .into_iter()
        .filter(|pair| args.only.is_none_or(|only| only == *pair))
        .flat_map(|pair| [true, false].map(|is_kafka| Contender { is_kafka, pair }))
        .collect();
    let plan = Plan {
        size: args.size.clone(),
        partitions: args.partitions,
        threads: half_of_the_cores(),
        warmup: duration,
        duration,
        consumers: 1,
        ..Plan::default()
    };
    let mut seen: Vec<Vec<Turn>> = vec![Vec::new(); contenders.len()];
    for turn in 1..=turns {
        for (contender, turns_of) in contenders.iter().zip(&mut seen) {
            terminal::note(&format!("turn {turn} of {turns}: {}", contender.name()));
            turns_of.push(play(*contender, turn, args, &kafka, &plan)?);
        }
    }
    terminal::print(&render(&contenders, &seen, args, &kafka, turns));
    Ok(())
}

fn play(
    contender: Contender,
    turn: u32,
    args: &PeersArgs,
    kafka: &Kafka,
    plan: &Plan,
) -> Result<Turn, Failure> {
    let broker = contender.start(args, kafka)?;
    let name = format!("{}-{turn}", contender.name().replace([' ', '='], "-"));
    let scene = Scene {
        name: name.clone(),
        bootstrap: vec![broker.address().to_owned()],
        arguments: std::env::args().collect(),
        repeat: 1,
        quiet: true,
        data_dir: Some(broker.directory().to_path_buf()),
        ..Scene::default()
    };
    let (fast, recording) = measure(&Plan { rate: RateSpec::Max, ..plan.clone() }, &scene)?;
    keep(args, &format!("{name}-max"), &fast, &recording)?;
    let (calm, recording) = measure(&Plan { rate: args.rate.clone(), ..plan.clone() }, &scene)?;
    keep(args, &format!("{name}-rate"), &calm, &recording)?;
    let stage = fast.repeats.first().and_then(|repeat| repeat.stages.first());
    let total = recording.total();
    let latency = PERCENTS
        .iter()
        .map(|percent| total.of(Kind::Response).at(Quantile::percent(*percent).ok()?))
        .collect();
    // The warm-up is as long as the measurement and at the same load: the CPU seconds are those of about twice the bytes.
    let cpu_per_gb = fast.broker.cpu_seconds().zip(stage).and_then(|(seconds, stage)| {
        (stage.bytes > 0).then(|| seconds / (2.0 * stage.bytes as f64) * 1e9)
    });
    Ok(Turn {
        rate: stage.map_or(0.0, crate::run::Stage::rate),
        bytes_rate: stage.map_or(0.0, crate::run::Stage::bytes_rate),
        cpu_per_gb,
        latency,
        verdict: calm.verdict,
    })
}

fn keep(args: &PeersArgs, name: &str, run: &Run, recording: &Recording) -> Result<(), Failure> {
    match &args.out {
        Some(out) => Directory::at(out.join(name)).save(run, recording),
        None => Ok(()),
    }
}

/// The middle value; of an even number the lower one of the two.
fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn render(
    contenders: &[Contender],
    seen: &[Vec<Turn>],
    args: &PeersArgs,
    kafka: &Kafka,
    turns: u32,
) -> String {
    let machine = Machine::look(Some(Path::new(&args.dir)));
    let storage = machine.storage.clone().unwrap_or_default();
    let mut text = format!(
        "{} ({} cores), {}, {} on {} {}\nmedian of {turns} interleaved turns; values of {}, {} partitions\n\n",
        machine.cpu,
        machine.cores,
        machine.kernel,
        storage.file_system,
        storage.device,
        storage.facts,
        args.size,
        args.partitions
    );
    let header = ["".to_owned()].into_iter().chain(contenders.iter().map(|c| c.name().to_owned()));
    let mut table = Table::new(header, Align::Right);
    let mut row = |name: String, of: &dyn Fn(&[Turn]) -> Option<String>| {
        let cells = seen.iter().map(|turns| Cell::plain(of(turns).unwrap_or_else(|| "n/a".into())));
        table.row([Cell::plain(name)].into_iter().chain(cells).collect());
    };
    row("max records/s".into(), &|t| median(t.iter().map(|t| t.rate).collect()).map(format_count));
    row("max bytes/s".into(), &|t| {
        median(t.iter().map(|t| t.bytes_rate).collect()).map(|b| format!("{}/s", format_bytes(b)))
    });
    row("broker CPU s/GB".into(), &|t| {
        median(t.iter().filter_map(|t| t.cpu_per_gb).collect()).map(|s| format!("{s:.2}"))
    });
    for (place, percent) in PERCENTS.iter().enumerate() {
        let Ok(quantile) = Quantile::percent(*percent) else { continue };
        row(format!("{quantile} at {}", args.rate), &|t| {
            let values = t.iter().filter_map(|t| t.latency.get(place).copied().flatten()).collect();
            median(values).map(format_nanos)
        });
    }
    row("turns not valid".into(), &|turns| {
        let doubtful = turns.iter().filter(|turn| turn.verdict != Verdict::Valid).count();
        Some(format!("{doubtful} of {}", turns.len()))
    });
    text.push_str(&table.render(terminal::colour()));
    let _ = writeln!(text, "\nKafka: {}", kafka.command_line().join(" "));
    text.push_str(&kafka.properties("DIRECTORY", "LISTEN", "CONTROLLER", false));
    text.push_str("and for flush=1: log.flush.interval.messages=1\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_value_that_was_seen() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4, 1, 2, 3]), Some(2));
        assert_eq!(median(Vec::<f64>::new()), None);
    }
}
