//! `perf peers`: Apache Kafka and Ringwood on this machine, one after the other, with the same work.
//!
//! Four contenders in two pairs: acknowledged from the page cache (Kafka as it comes, Ringwood with `written`), and acknowledged
//! from the device (Kafka with `log.flush.interval.messages=1`, Ringwood with `fsync`). They take turns, A B A B, each time with
//! a fresh broker and fresh data on the same file system; a number is the median of the turns. A turn has five parts: doing
//! nothing, producing as fast as it goes, fetching what lies there as fast as it goes, and open loop at one rate for all and at half
//! of what this turn has just carried. Turns that measured the generator, or an overloaded broker, are counted and left out of the
//! medians of the percentiles.
//!
//! With `--check` the harness itself is held against Kafka's own tools instead: see [`check`]. With `--gauntlet` every contender
//! meets the situations of `perf gauntlet`: see [`mod@gauntlet`].
//!
//! | file | what |
//! |---|---|
//! | `peers/turn.rs` | the parts of a turn, and what each came to |
//! | `peers/fetching.rs` | what lies there, read the second time |
//! | `peers/kafka.rs` | Apache Kafka: found, formatted, started |
//! | `peers/program.rs` | programs that are run to their end, or to ours |
//! | `peers/profile.rs` | where the time of a broker went |
//! | `peers/report.rs` | the tables, the targets and the page |

mod check;
mod fetching;
mod gauntlet;
mod kafka;
mod profile;
mod program;
mod report;
mod turn;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    awake::{Awake, AwakeArgs},
    ceiling::Bounds,
    early::{self, Early},
    failure::Failure,
    load::Plan,
    machine::Machine,
    measure::{Scene, half_of_the_cores},
    memory::{self, MemoryArgs},
    own::{CoreArgs, OwnBroker},
    progress::Place,
    spec::{self, RateSpec, SizeSpec},
    terminal, view,
};
use kafka::Kafka;
use report::Report;
use turn::{Bench, Seen, Turn};

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
    /// Five turns of four seconds after two; no round begins that would not end within a quarter of an hour, the bringing of Kafka's jars
    /// not counted
    #[arg(long)]
    short: bool,
    #[command(flatten)]
    cores: CoreArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    awake: AwakeArgs,
    /// Hold `perf run --verify` against `kafka-producer-perf-test` and `kafka-consumer-perf-test` at the same rate instead
    #[arg(long, conflicts_with_all = ["html", "json", "markdown"])]
    check: bool,
    /// Run the situations of `perf gauntlet` on each of them instead, every one against its own baseline
    #[arg(long, conflicts_with_all = ["html", "json", "check", "size", "partitions", "turns"])]
    gauntlet: bool,
    /// Only the pair that flushes, or only the one that does not
    #[arg(long, value_enum)]
    only: Option<Pair>,
    /// Keep every run here
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// The report as one page [default: report.html in --out, else in --dir]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the table and the targets as Markdown; `-` is stdout, instead of the text
    #[arg(long, value_name = "FILE")]
    markdown: Option<String>,
    /// Write the numbers of every turn as JSON; `-` is stdout, instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
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

    /// Starts it. Gives back its configuration file beside it, where it has one. `haste`: retention and compaction run within seconds.
    fn start(
        self,
        args: &PeersArgs,
        kafka: &Kafka,
        cores: Option<&[usize]>,
        haste: bool,
    ) -> Result<(OwnBroker, String), Failure> {
        if self.is_kafka {
            let more = if haste { kafka::haste() } else { Vec::new() };
            return kafka.start(&args.dir, self.pair == Pair::Fsync, &more, cores);
        }
        let durability = match self.pair {
            Pair::Written => "written",
            Pair::Fsync => "fsync",
        };
        let mut arguments = vec!["--durability".to_owned(), durability.to_owned()];
        if haste {
            arguments.extend(crate::gauntlet::haste());
        }
        let broker = OwnBroker::ringwood(args.ringwood.as_deref(), &args.dir, &arguments, cores)?;
        Ok((broker, String::new()))
    }
}

/// Those that are told of every part whose latencies are.
const PERCENTS: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

/// `--short` is to be over after a quarter of an hour: a minute of it is for a round that takes longer than those before.
const SHORT_MAX: Duration = Duration::from_secs(14 * 60);

/// So long a JVM is to be loaded before what it does is its own.
const WARM: Duration = Duration::from_secs(10);

/// How often and how long.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    turns: u32,
    warmup: Duration,
    duration: Duration,
    /// No round, and no turn of one, begins that would not end before this.
    most: Option<Duration>,
}

impl Lengths {
    fn of(args: &PeersArgs) -> Self {
        if !args.short {
            let PeersArgs { turns, duration, .. } = *args;
            return Self { turns, warmup: duration, duration, most: None };
        }
        let (warmup, duration) = (Duration::from_secs(2), Duration::from_secs(4));
        Self { turns: 5, warmup, duration, most: Some(SHORT_MAX) }
    }

    /// Whether a JVM that was loaded for so long has compiled what it is measured in. One that has not takes more CPU than it needs.
    fn is_warm(&self) -> bool {
        self.warmup >= WARM
    }

    /// Whether the brokers of this round are watched doing nothing: a quarter of an hour has no room for it in every round.
    fn watch_idle(&self, turn: u32) -> bool {
        self.most.is_none() || turn == 1
    }

    /// Whether another round, or another turn of one, may begin. It is taken to need as long as the longest of those before, and the first
    /// as long as it is planned.
    fn allow(&self, elapsed: Duration, longest: Duration) -> bool {
        self.most.is_none_or(|most| elapsed + longest <= most)
    }
}

/// Runs the command.
///
/// # Errors
/// No Java, no jars, a broker that does not start.
pub fn run(args: &PeersArgs) -> Result<(), Failure> {
    let mut began = Instant::now();
    std::fs::create_dir_all(&args.dir).map_err(|e| Failure::file("create", &args.dir, &e))?;
    let sides = args.cores.sides()?;
    // All contenders have it alike.
    let awake = args.awake.begin(sides.client.as_deref())?;
    // Kafka has the first turn: it must not be the one that finds the memory.
    let memory = args.memory.touch(memory::USUAL);
    terminal::note(&memory);
    sides.keep_client()?;
    let kafka =
        Kafka::find(args.kafka_home.as_deref(), &args.dir, &args.kafka_version, &args.kafka_heap)?;
    if let Some(brought) = kafka.brought {
        // How fast a repository is says nothing of the brokers, and the next comparison does not ask it again.
        terminal::note(&report::brought(brought));
        began += brought;
    }
    if args.check {
        return check::run(args, &kafka, &sides, &awake);
    }
    if args.gauntlet {
        return gauntlet::run(args, &kafka, &sides, &memory, &awake);
    }
    let bounds = Bounds::measure(&args.dir, sides.broker.as_deref())?;
    let lengths = Lengths::of(args);
    let mut all: Vec<Seen> = contenders(args.only).map(Seen::new).collect();
    let plan = Plan {
        size: args.size.clone(),
        partitions: args.partitions,
        threads: half_of_the_cores(),
        warmup: lengths.warmup,
        duration: lengths.duration,
        ..Plan::default()
    };
    let cores = sides.broker.as_deref();
    let bench = Bench { args, kafka: &kafka, plan, lengths, cores, awake: &awake };
    let (turns, mut played) = (lengths.turns, 0);
    let mut longest_turn = turn::planned(&lengths, 1);
    let mut longest: Duration = all.iter().map(|_| longest_turn).sum();
    let (mut done, of, first) = (0, turns as usize * all.len(), Instant::now());
    let mut early = None;
    'rounds: for turn in 1..=turns {
        if !lengths.allow(began.elapsed(), longest) {
            terminal::note(&format!("{played} of {turns} turns: another would take too long"));
            break;
        }
        let round = Instant::now();
        for seen in &mut all {
            early = Early::now(done, of);
            if early.is_some() {
                break 'rounds;
            }
            if !lengths.allow(began.elapsed(), longest_turn) {
                terminal::note(&format!("turn {turn} of {turns} ends before all have had it"));
                break 'rounds;
            }
            let one = Instant::now();
            let name = seen.contender.name();
            terminal::note(&format!("turn {turn} of {turns}: {name}"));
            let place = Place::step(first, done, of).named(name);
            // One turn that fails does not take the others with it. One that is cut off is none.
            if let Err(failure) = bench.play(seen, turn, &place) {
                early = Early::now(done, of);
                if early.is_some() {
                    break 'rounds;
                }
                terminal::note(&failure.to_string());
                seen.failures.push(failure);
            }
            longest_turn = longest_turn.max(one.elapsed());
            done += 1;
            // A round that is slower than those before ends where it has to: those who had no turn in it have one less.
            played = turn;
        }
        longest = longest.max(round.elapsed());
    }
    if let Some(early) = early.filter(|early| early.is_empty()) {
        return Err(early.failure());
    }
    let report = Report {
        machine: Machine::look(Some(Path::new(&args.dir))),
        turns: played,
        early: early.map(|early| early.words("turns")),
        lengths,
        took: began.elapsed(),
        brought: kafka.brought,
        args,
        sides: &sides,
        memory,
        kept_awake: awake.count(),
        bounds,
        seen: &all,
    };
    let html = args
        .html
        .clone()
        .unwrap_or_else(|| args.out.as_ref().unwrap_or(&args.dir).join("report.html"));
    std::fs::write(&html, report.html()).map_err(|e| Failure::file("write", &html, &e))?;
    let turns: Vec<&Turn> = all.iter().flat_map(|seen| &seen.turns).collect();
    let json = early::json(&turns, report.early.as_deref())
        .map_err(|e| Failure::Local(format!("the turns as JSON: {e}")))?;
    match args.json.as_deref() {
        Some("-") => terminal::print(&format!("{json}\n")),
        Some(path) => {
            std::fs::write(path, json).map_err(|e| Failure::file("write", Path::new(path), &e))?
        }
        None => {}
    }
    if let Some(place) = args.markdown.as_deref() {
        view::put_markdown(place, &report.markdown())?;
    }
    if [args.json.as_deref(), args.markdown.as_deref()].iter().all(|to| *to != Some("-")) {
        terminal::print(&report.text());
        terminal::print(&format!("report: {}\n", html.display()));
    }
    let failures = all.into_iter().flat_map(|seen| seen.failures);
    match early.map(Early::failure).into_iter().chain(failures).next() {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Kafka before Ringwood in either pair.
fn contenders(only: Option<Pair>) -> impl Iterator<Item = Contender> {
    [Pair::Written, Pair::Fsync]
        .into_iter()
        .filter(move |pair| only.is_none_or(|only| only == *pair))
        .flat_map(|pair| [true, false].map(|is_kafka| Contender { is_kafka, pair }))
}

/// A measurement on a broker that is a turn's own. Its topics stay until it ends: Kafka unlinks a deleted topic a minute later, which
/// would be within the measurement of the latencies, and Ringwood at once, which would be within none.
fn scene(address: &str, awake: &Awake) -> Scene {
    Scene {
        bootstrap: vec![address.to_owned()],
        kept_awake: awake.count(),
        arguments: std::env::args().collect(),
        repeat: 1,
        quiet: true,
        keep_topics: true,
        ..Scene::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PeersArgs,
    }

    #[test]
    fn a_short_comparison_has_five_turns_and_ends_in_time() {
        let short = Line::parse_from(["peers", "--short"]).args;
        let lengths = Lengths::of(&short);
        assert_eq!(lengths.turns, 5, "a median of five at least");
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert!(lengths.allow(minutes(11), minutes(3)));
        assert!(!lengths.allow(minutes(12), minutes(3)), "it would end with the quarter");
        let long = Lengths::of(&Line::parse_from(["peers"]).args);
        assert!(long.turns == 5 && long.allow(minutes(50), minutes(10)));
    }

    #[test]
    fn the_first_round_begins_only_where_it_would_end_in_time() {
        let short = Lengths::of(&Line::parse_from(["peers", "--short"]).args);
        // Three parts of six seconds, a settled idle, and the fetching: without a broker's start and end.
        let turn = turn::planned(&short, 1);
        assert!((Duration::from_secs(45)..Duration::from_secs(90)).contains(&turn), "{turn:?}");
        assert!(turn::planned(&short, 2) + Duration::from_secs(10) < turn, "without the idle");
        // All four of them, and not where the preparations took nearly all of the time.
        assert!(short.allow(Duration::from_secs(60), turn * 4));
        assert!(!short.allow(SHORT_MAX - Duration::from_secs(60), turn * 4));
        let long = Lengths::of(&Line::parse_from(["peers"]).args);
        assert!(turn::planned(&long, 1) >= long.duration * 6, "as long a warm-up each");
    }

    #[test]
    fn each_pair_has_kafka_before_ringwood() {
        let names = |only| contenders(only).map(Contender::name).collect::<Vec<_>>();
        let all = ["kafka page cache", "ringwood written", "kafka flush=1", "ringwood fsync"];
        assert_eq!(names(None), all);
        assert_eq!(names(Some(Pair::Fsync)), all[2..]);
    }

    #[test]
    fn no_topic_is_deleted_while_another_is_measured() {
        assert!(scene("127.0.0.1:1", &Awake::default()).keep_topics);
    }

    #[test]
    fn idling_is_watched_in_one_short_round_and_in_every_long_one() {
        let lengths = |words: &[&str]| Lengths::of(&Line::parse_from(words).args);
        let (short, long) = (lengths(&["peers", "--short"]), lengths(&["peers"]));
        assert_eq!([1, 2, 5].map(|turn| short.watch_idle(turn)), [true, false, false]);
        assert_eq!([1, 2, 5].map(|turn| long.watch_idle(turn)), [true; 3]);
        assert_eq!((short.is_warm(), long.is_warm()), (false, true));
    }

    #[test]
    fn what_the_gauntlet_does_not_heed_is_refused() {
        let parse = |more: &[&str]| {
            let words = [&["peers", "--gauntlet"][..], more].concat();
            Line::try_parse_from(words).map(|_| ()).map_err(|e| e.kind())
        };
        assert_eq!(parse(&[]), Ok(()));
        assert_eq!(parse(&["--rate", "20k", "--duration", "12s", "--only", "fsync"]), Ok(()));
        let conflict = Err(clap::error::ErrorKind::ArgumentConflict);
        for option in [["--size", "1KiB"], ["--partitions", "8"], ["--turns", "5"]] {
            assert_eq!(parse(&option), conflict, "{option:?}");
        }
    }
}
