//! `perf peers`: Apache Kafka and Ringwood on this machine, one after the other, with the same work.
//!
//! Four contenders in two pairs: acknowledged from the page cache (Kafka as it comes, Ringwood with `written`), and acknowledged
//! from the device (Kafka with `log.flush.interval.messages=1`, Ringwood with `fsync`). They take turns, A B A B, each time with
//! a fresh broker and fresh data on the same file system; a number is the median of the turns. A turn has five parts: doing
//! nothing, producing as fast as it goes, fetching what lies there as fast as it goes, and open loop at one rate for all and at half
//! of what this turn has just carried. Turns that measured the generator are counted and left out of the medians.
//!
//! With `--check` the harness itself is held against Kafka's own tools instead: see [`check`]. With `--gauntlet` every contender
//! meets the situations of `perf gauntlet`: see [`mod@gauntlet`].

mod check;
mod gauntlet;
mod kafka;
mod profile;
mod report;

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    ceiling::Bounds,
    failure::Failure,
    gauntlet::HASTE,
    interrupt,
    latency::{Kind, Latency},
    load::Plan,
    machine::Machine,
    measure::{Scene, half_of_the_cores, measure},
    memory::{self, MemoryArgs},
    own::{CoreArgs, OwnBroker},
    run::{Directory, Recording, Repeat, Run, Stage, Verdict},
    spec::{self, Quantile, RateSpec, SizeSpec},
    terminal, view,
};
use kafka::Kafka;
use profile::Profile;
use report::Report;

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
    /// Five turns of four seconds after two; no round begins that would not end within a quarter of an hour
    #[arg(long)]
    short: bool,
    #[command(flatten)]
    cores: CoreArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// Hold `perf run --verify` against `kafka-producer-perf-test` and `kafka-consumer-perf-test` at the same rate instead
    #[arg(long, conflicts_with_all = ["html", "json", "markdown"])]
    check: bool,
    /// Run the situations of `perf gauntlet` on each of them instead, every one against its own baseline
    #[arg(long, conflicts_with_all = ["html", "json", "check"])]
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
            let more: Vec<_> = HASTE.into_iter().chain([kafka::SOON]).filter(|_| haste).collect();
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

/// What one turn came to.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Turn {
    contender: &'static str,
    turn: u32,
    /// From the start of the process to its first answer.
    start_seconds: f64,
    /// Records and bytes a second as fast as it went.
    rate: f64,
    bytes_rate: f64,
    fast: Verdict,
    /// CPU seconds for each GB produced, as fast as it went.
    cpu_per_gb_produced: Option<f64>,
    /// The same of the client: where it is less, one core of the client drives more than one of the broker.
    client_cpu_per_gb: Option<f64>,
    /// The same of the broker's cores, whoever was busy there, where it was kept to cores of its own.
    cores_per_gb_produced: Option<f64>,
    /// Bytes by which the page cache grew meanwhile: memory that is in no process's.
    cached_bytes: Option<i64>,
    /// Bytes a second that one consumer fetched of what lay there, and CPU seconds for each GB of them.
    fetch_bytes_rate: Option<f64>,
    cpu_per_gb_fetched: Option<f64>,
    /// The client was the bound of the fetching.
    fetch: Verdict,
    /// Share of a core that it used with nothing to do.
    idle: Option<f64>,
    /// Bytes copied in user space for each byte produced, and messages between cores for each request; where it tells.
    copies_in: Option<f64>,
    messages_per_request: Option<f64>,
    /// Memory held after both parts.
    resident_bytes: u64,
    /// `response` at the common rate, nanoseconds, at the percentiles of [`PERCENTS`].
    latency: Vec<Option<u64>>,
    calm: Verdict,
    /// Half of `rate`: what was offered then, and the same percentiles.
    half_rate: u64,
    half_latency: Vec<Option<u64>>,
    half: Verdict,
}

impl Turn {
    /// CPU seconds for a GB that is produced and fetched once.
    fn cpu_per_gb(&self) -> Option<f64> {
        Some(self.cpu_per_gb_produced? + self.cpu_per_gb_fetched?)
    }
}

/// A contender with all of its turns.
#[derive(Clone, Debug)]
struct Seen {
    contender: Contender,
    turns: Vec<Turn>,
    /// `response` of its valid turns at the common rate, added up.
    response: Latency,
    /// What it told of its inside.
    profile: Profile,
    /// What it said it is, and under which durability and backend.
    fingerprint: String,
    /// How it was started the last time.
    command: Vec<String>,
    configuration: String,
    /// Turns that came to nothing, and why.
    failures: Vec<Failure>,
}

const PERCENTS: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

/// `--short` is to be over after a quarter of an hour: a minute of it is for a round that takes longer than those before.
const SHORT_MAX: Duration = Duration::from_secs(14 * 60);

/// How often and how long.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    turns: u32,
    warmup: Duration,
    duration: Duration,
    /// No round begins that would not end before this.
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

    /// Whether another round may begin. It is taken to need as long as the longest of those before.
    fn allow(&self, elapsed: Duration, longest: Duration) -> bool {
        self.most.is_none_or(|most| elapsed + longest <= most)
    }
}

/// Runs the command.
///
/// # Errors
/// No Java, no jars, a broker that does not start.
pub fn run(args: &PeersArgs) -> Result<(), Failure> {
    let began = Instant::now();
    std::fs::create_dir_all(&args.dir).map_err(|e| Failure::file("create", &args.dir, &e))?;
    let sides = args.cores.sides()?;
    // Kafka has the first turn: it must not be the one that finds the memory.
    let memory = args.memory.touch(memory::BYTES_MAX);
    terminal::note(&memory);
    sides.keep_client()?;
    let kafka =
        Kafka::find(args.kafka_home.as_deref(), &args.dir, &args.kafka_version, &args.kafka_heap)?;
    if args.check {
        return check::run(args, &kafka, &sides);
    }
    if args.gauntlet {
        return gauntlet::run(args, &kafka, &sides, &memory);
    }
    let bounds = Bounds::measure(&args.dir, sides.broker.as_deref())?;
    let lengths = Lengths::of(args);
    let mut all: Vec<Seen> = contenders(args.only)
        .map(|contender| Seen {
            contender,
            turns: Vec::new(),
            response: Latency::new(),
            profile: Profile::default(),
            fingerprint: String::new(),
            command: Vec::new(),
            configuration: String::new(),
            failures: Vec::new(),
        })
        .collect();
    let plan = Plan {
        size: args.size.clone(),
        partitions: args.partitions,
        threads: half_of_the_cores(),
        warmup: lengths.warmup,
        duration: lengths.duration,
        ..Plan::default()
    };
    let (turns, mut played, mut longest) = (lengths.turns, 0, Duration::ZERO);
    for turn in 1..=turns {
        if !lengths.allow(began.elapsed(), longest) {
            terminal::note(&format!("{played} of {turns} turns: another would take too long"));
            break;
        }
        let round = Instant::now();
        for seen in &mut all {
            interrupt::check()?;
            terminal::note(&format!("turn {turn} of {turns}: {}", seen.contender.name()));
            // One turn that fails does not take the others with it.
            if let Err(failure) = play(seen, turn, args, &kafka, &plan, sides.broker.as_deref()) {
                terminal::note(&failure.to_string());
                seen.failures.push(failure);
            }
        }
        longest = longest.max(round.elapsed());
        played = turn;
    }
    let report = Report {
        machine: Machine::look(Some(Path::new(&args.dir))),
        turns: played,
        lengths,
        took: began.elapsed(),
        args,
        sides: &sides,
        memory,
        bounds,
        seen: &all,
    };
    let html = args
        .html
        .clone()
        .unwrap_or_else(|| args.out.as_ref().unwrap_or(&args.dir).join("report.html"));
    std::fs::write(&html, report.html()).map_err(|e| Failure::file("write", &html, &e))?;
    let turns: Vec<&Turn> = all.iter().flat_map(|seen| &seen.turns).collect();
    let json = serde_json::to_string_pretty(&turns)
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
    match all.into_iter().flat_map(|seen| seen.failures).next() {
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

/// How long a broker settles, and how long it is then watched doing nothing.
const SETTLE: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(3);

/// What is written to be fetched: so many seconds of what was produced as fast as it went, and no more than so many bytes.
const FETCHED_SECONDS: f64 = 4.0;
const FETCHED_BYTES_MAX: f64 = (2_u64 << 30) as f64;

fn play(
    seen: &mut Seen,
    turn: u32,
    args: &PeersArgs,
    kafka: &Kafka,
    plan: &Plan,
    cores: Option<&[usize]>,
) -> Result<(), Failure> {
    let (broker, configuration) = seen.contender.start(args, kafka, cores, false)?;
    seen.command = broker.command().to_vec();
    seen.configuration = configuration;
    let name = format!("{}-{turn}", seen.contender.name().replace([' ', '='], "-"));
    let scene = Scene {
        name: name.clone(),
        data_dir: Some(broker.directory().to_path_buf()),
        admin: broker.admin().map(str::to_owned),
        ..scene(broker.address())
    };
    let idle = idle(&broker);
    let (fast, recording) = measure(&Plan { rate: RateSpec::Max, ..plan.clone() }, &scene)?;
    keep(args, &format!("{name}-max"), &fast, &recording)?;
    seen.profile.add(&fast, &recording);
    let stage = fast.repeats.first().and_then(|repeat| repeat.stages.first());
    let bytes_rate = stage.map_or(0.0, Stage::bytes_rate);
    // Its counters are not looked at, and reading them takes seconds.
    let reading = Scene { admin: None, ..scene.clone() };
    let (read, recording) = measure(&fetching(plan, bytes_rate), &reading)?;
    keep(args, &format!("{name}-fetch"), &read, &recording)?;
    let fetched = stage.and_then(|stage| Fetched::of(&read, stage));
    let both = Plan { rate: args.rate.clone(), consumers: 1, ..plan.clone() };
    let (calm, recording) = measure(&both, &scene)?;
    keep(args, &format!("{name}-rate"), &calm, &recording)?;
    if !calm.verdict.is_invalid() {
        seen.response.add(recording.total().of(Kind::Response));
        seen.profile.calm.add(&recording);
    }
    let latency = percentiles(&calm, &recording);
    let half_rate = half_of(stage.map_or(0.0, Stage::rate));
    let (half, recording) =
        measure(&Plan { rate: RateSpec::constant(half_rate), ..both.clone() }, &scene)?;
    keep(args, &format!("{name}-half"), &half, &recording)?;
    if !half.verdict.is_invalid() {
        seen.profile.half.add(&recording);
    }
    let half_latency = percentiles(&half, &recording);
    seen.fingerprint = identity(&fast);
    let first = fast.repeats.first();
    let cores_per_gb_produced = first.zip(cores).and_then(|(r, cores)| r.cores_per_gb(cores));
    let cached_bytes = first.and_then(|repeat| Some(repeat.machine.as_ref()?.cached));
    let inside = fast.broker.inside().unwrap_or_default();
    seen.turns.push(Turn {
        contender: seen.contender.name(),
        turn,
        start_seconds: broker.ready_after().as_secs_f64(),
        rate: stage.map_or(0.0, Stage::rate),
        bytes_rate,
        cpu_per_gb_produced: fast.cpu_per_gb(),
        client_cpu_per_gb: first.and_then(Repeat::client_cpu_per_gb),
        cores_per_gb_produced,
        cached_bytes,
        fast: fast.verdict,
        fetch_bytes_rate: fetched.map(|fetched| fetched.bytes_rate),
        cpu_per_gb_fetched: fetched.and_then(|fetched| fetched.cpu_per_gb),
        fetch: read.verdict,
        idle,
        copies_in: inside.copies_in,
        messages_per_request: inside.messages_per_request,
        resident_bytes: calm.broker.after.iter().map(|usage| usage.resident_bytes).sum(),
        latency,
        calm: calm.verdict,
        half_rate,
        half_latency,
        half: half.verdict,
    });
    Ok(())
}

/// Half of what was carried; a record a second at least.
fn half_of(rate: f64) -> u64 {
    ((rate / 2.0) as u64).max(1)
}

/// `response` at the percentiles of [`PERCENTS`]; of an invalid run none.
fn percentiles(run: &Run, recording: &Recording) -> Vec<Option<u64>> {
    let total = recording.total();
    let at = |percent: &f64| {
        let value = total.at(Kind::Response, Quantile::percent(*percent).ok()?);
        value.filter(|_| !run.verdict.is_invalid())
    };
    PERCENTS.iter().map(at).collect()
}

/// What the broker said it is, with the settings that change what its figures mean.
fn identity(run: &Run) -> String {
    let mut words = vec![run.broker.fingerprint.clone()];
    for name in ["ringwood.durability", "log.flush.interval.messages"] {
        words.extend(run.broker.settings.get(name).map(|value| format!("{name} {value}")));
    }
    words.join(", ")
}

/// A measurement on a broker that is a turn's own. Its topics stay until it ends: Kafka unlinks a deleted topic a minute later, which
/// would be within the measurement of the latencies, and Ringwood at once, which would be within none.
fn scene(address: &str) -> Scene {
    Scene {
        bootstrap: vec![address.to_owned()],
        arguments: std::env::args().collect(),
        repeat: 1,
        quiet: true,
        keep_topics: true,
        ..Scene::default()
    }
}

/// The share of a core that a broker with nothing to do uses.
fn idle(broker: &OwnBroker) -> Option<f64> {
    thread::sleep(SETTLE);
    let (before, at) = (broker.usage()?, Instant::now());
    thread::sleep(IDLE);
    let after = broker.usage()?;
    Some((after.cpu_seconds() - before.cpu_seconds()) / at.elapsed().as_secs_f64())
}

/// One consumer reads what was written before; next to nothing is written meanwhile.
fn fetching(plan: &Plan, bytes_rate: f64) -> Plan {
    Plan {
        rate: RateSpec::constant(1),
        consumers: 1,
        warmup: Duration::ZERO,
        backlog_bytes: (bytes_rate * FETCHED_SECONDS).clamp(1.0, FETCHED_BYTES_MAX) as u64,
        ..plan.clone()
    }
}

/// What the fetching came to.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fetched {
    bytes_rate: f64,
    cpu_per_gb: Option<f64>,
}

impl Fetched {
    /// `written`: the stage that says how many bytes a record has. `None`: nothing was fetched.
    fn of(read: &Run, written: &Stage) -> Option<Self> {
        let repeat = read.repeats.first()?;
        let stage = repeat.stages.first()?;
        let each = written.bytes as f64 / written.acknowledged.max(1) as f64;
        let bytes = stage.received as f64 * each;
        // Where everything was read before the end, the rest of the time is not the broker's.
        let seconds = repeat.backlog_seconds.map_or(stage.seconds, |s| s.min(stage.seconds));
        (bytes > 0.0 && seconds > 0.0).then(|| Self {
            bytes_rate: bytes / seconds,
            cpu_per_gb: repeat.broker.map(|used| used.cpu_seconds / bytes * 1e9),
        })
    }
}

fn keep(args: &PeersArgs, name: &str, run: &Run, recording: &Recording) -> Result<(), Failure> {
    match &args.out {
        Some(out) => Directory::at(out.join(name)).save(run, recording),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Used;
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
        assert!(lengths.allow(Duration::ZERO, Duration::ZERO));
        assert!(lengths.allow(minutes(11), minutes(3)));
        assert!(!lengths.allow(minutes(12), minutes(3)), "it would end with the quarter");
        let long = Lengths::of(&Line::parse_from(["peers"]).args);
        assert!(long.turns == 5 && long.allow(minutes(50), minutes(10)));
    }

    #[test]
    fn each_pair_has_kafka_before_ringwood() {
        let names = |only| contenders(only).map(Contender::name).collect::<Vec<_>>();
        let all = ["kafka page cache", "ringwood written", "kafka flush=1", "ringwood fsync"];
        assert_eq!(names(None), all);
        assert_eq!(names(Some(Pair::Fsync)), all[2..]);
    }

    #[test]
    fn half_load_is_half_of_what_was_carried() {
        assert_eq!((half_of(901_001.0), half_of(0.0)), (450_500, 1));
        let mut latencies = crate::latency::Latencies::default();
        latencies.of_mut(Kind::Response).record_n(2_000_000, 2_000);
        let recording = Recording {
            intervals: vec![crate::hlog::Interval {
                start: Duration::ZERO,
                length: Duration::from_secs(1),
                latencies,
            }],
            ..Recording::default()
        };
        let told = percentiles(&Run::default(), &recording);
        assert!(told[2].is_some_and(|p99| p99.abs_diff(2_000_000) < 2_000), "{told:?}");
        let invalid = Run { verdict: Verdict::Invalid("late".into()), ..Run::default() };
        assert_eq!(percentiles(&invalid, &recording), [None; 5]);
    }

    #[test]
    fn no_topic_is_deleted_while_another_is_measured() {
        assert!(scene("127.0.0.1:1").keep_topics);
    }

    #[test]
    fn fetched_bytes_are_counted_by_what_a_record_weighs() {
        let written = Stage { bytes: 1_100, acknowledged: 10, ..Stage::default() };
        let read = |received, backlog_seconds| Run {
            repeats: vec![Repeat {
                stages: vec![Stage { seconds: 8.0, received, ..Stage::default() }],
                broker: Some(Used { cpu_seconds: 2.2, ..Used::default() }),
                backlog_seconds,
                ..Repeat::default()
            }],
            ..Run::default()
        };
        let fetched = Fetched::of(&read(10_000_000, Some(4.0)), &written).unwrap();
        assert!((fetched.bytes_rate - 275e6).abs() < 1.0, "{fetched:?}");
        assert!((fetched.cpu_per_gb.unwrap() - 2.0).abs() < 1e-9, "{fetched:?}");
        // Still reading when the time was over.
        let fetched = Fetched::of(&read(10_000_000, Some(40.0)), &written).unwrap();
        assert!((fetched.bytes_rate - 137.5e6).abs() < 1.0, "{fetched:?}");
        assert_eq!(Fetched::of(&read(0, None), &written), None);
    }
}
