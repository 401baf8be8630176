//! `perf run`: repeats of one load, judged, shown and kept.

mod search;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use record::Codec;

use crate::{
    awake::AwakeArgs,
    failure::Failure,
    hlog,
    interrupt::{self, Stay},
    latency::Kind,
    load::{Acks, Clock, News, Outcome, Plan, TIMELINE, Target, trial},
    machine::{self, Counters, Machine},
    progress::Place,
    run::{Broker, Directory, Growing, Recording, Run, Verdict, revision},
    schedule::Arrival,
    show,
    spec::{self, Assertion, Bound, KeySpec, Quantile, RateSpec, SizeSpec, Subject},
    terminal::{self, LiveLine},
};

/// Options of `perf run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Brokers to begin with, host:port, separated by commas
    #[arg(short, long, default_value = "127.0.0.1:9092", value_delimiter = ',')]
    pub(crate) bootstrap: Vec<String>,
    /// Records a second: 200k/s, a ramp 100k..1M:6 (six stages share the duration), or max
    #[arg(long, default_value = "100k/s", conflicts_with = "find_max")]
    rate: RateSpec,
    /// Search for the highest rate at which this holds: 'p99.9<10ms'. The topics of all tries are kept until the last has ended
    #[arg(long, value_name = "CONDITION")]
    find_max: Option<Assertion>,
    /// Bytes of a value: 1KiB, 100..2000 (uniform), file:PATH (its lines)
    #[arg(long, default_value = "1KiB")]
    size: SizeSpec,
    /// none, random:N, seq, or zipf:S:N
    #[arg(long, default_value = "none")]
    key: KeySpec,
    /// none, lz4, zstd, snappy or gzip
    #[arg(long, default_value = "none")]
    compress: Codec,
    /// How many topics
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    topics: u32,
    /// Partitions of each topic
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: u32,
    /// Use this topic (with several topics: this prefix) instead of fresh ones, and keep it
    #[arg(long)]
    topic: Option<String>,
    /// Keep the topics that were created
    #[arg(long)]
    keep_topics: bool,
    /// Replicas of each partition; -1 is the broker's default
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    replication: i16,
    /// A topic setting, name=value; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    topic_config: Vec<String>,
    /// Which acknowledgement producers wait for
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,
    /// Producer identity and sequence numbers
    #[arg(long)]
    idempotent: bool,
    /// How many producers, each with connections of its own
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    producers: u32,
    /// How many consumers in each group
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    consumers: u32,
    /// How many groups, each of which reads everything
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    groups: u32,
    /// How long a batch may wait to fill
    #[arg(long, default_value = "1ms", value_parser = spec::duration)]
    linger: Duration,
    /// Bytes of a batch, at most
    #[arg(long, default_value = "128KiB", value_parser = spec::bytes)]
    batch: u64,
    /// Produce requests in flight on each connection, at most
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_inflight: u32,
    /// Load before the measurement
    #[arg(long, default_value = "10s", value_parser = spec::duration)]
    warmup: Duration,
    /// The measurement
    #[arg(long, default_value = "60s", value_parser = spec::duration)]
    duration: Duration,
    /// How long acknowledgements and receipts are waited for after the end
    #[arg(long, default_value = "10s", value_parser = spec::duration)]
    drain: Duration,
    /// After this a request is given up
    #[arg(long, default_value = "30s", value_parser = spec::duration)]
    timeout: Duration,
    /// Do it so many times: the spread is the measure of chance
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: u32,
    /// Write so much first, then let the consumers catch up under load
    #[arg(long, default_value = "0", value_parser = spec::bytes)]
    backlog: u64,
    /// constant or poisson
    #[arg(long, value_enum, default_value_t = Arrival::Constant)]
    arrival: Arrival,
    /// Names every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Stamp every record and check that each acknowledged one comes back, once, in order, unchanged; needs --consumers
    #[arg(long)]
    verify: bool,
    /// The run is INVALID where the generator's own lateness may have made this percentile; others are withheld one by one
    #[arg(long, value_name = "PERCENTILE", default_value = "p99")]
    judge: Quantile,
    /// Threads for the producers, and as many for the consumers; 0 is half of the cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    awake: AwakeArgs,
    /// Keep the run in this directory
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// The broker's data directory: its file system and device are put with the facts [default: what a broker on this machine says]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Where the broker serves its metrics, host:port: its flushes, bytes written and messages between cores are put with the facts
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// Exit with 3 where this holds: 'p99 > 10ms', 'rate < 90k', 'max > 1s'; may be repeated
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Assertion>,
    /// Write run.json here as well; `-` is stdout, instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

/// Where and how often, beside the plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) bootstrap: Vec<String>,
    pub(crate) arguments: Vec<String>,
    /// Topics that exist or are to be kept; otherwise fresh ones come and go.
    pub(crate) topic: Option<String>,
    pub(crate) keep_topics: bool,
    pub(crate) replication: i16,
    pub(crate) topic_config: Vec<(String, String)>,
    pub(crate) repeat: u32,
    pub(crate) data_dir: Option<PathBuf>,
    /// Where the broker serves its metrics.
    pub(crate) admin: Option<String>,
    /// Processors that are kept awake meanwhile.
    pub(crate) kept_awake: usize,
    pub(crate) quiet: bool,
    /// Where the seconds are written as they end, so that not all is lost with the process.
    pub(crate) out: Option<PathBuf>,
    /// Which of its command's measurements it is, where there are several.
    pub(crate) place: Option<Place>,
    /// Bytes a second that the broker's device takes in flushed writes, where that was measured.
    pub(crate) device: Option<f64>,
}

impl Scene {
    fn deletes_its_topics(&self) -> bool {
        self.topic.is_none() && !self.keep_topics
    }
}

impl RunArgs {
    fn plan(&self) -> Result<Plan, Failure> {
        if self.verify && self.consumers == 0 {
            return Err(Failure::Usage(
                "--verify needs --consumers to read what was written".into(),
            ));
        }
        if self.backlog > 0 && self.consumers == 0 {
            return Err(Failure::Usage("--backlog needs --consumers to read it".into()));
        }
        if self.verify && self.backlog > 0 {
            return Err(Failure::Usage(
                "--verify takes the backlog's records for foreign ones: use one or the other"
                    .into(),
            ));
        }
        if self.fail_if.iter().any(|condition| matches!(condition.bound, Bound::Percent(_))) {
            return Err(Failure::Usage(
                "--fail-if of a run takes a time or a rate; differences in percent are for `perf compare`"
                    .into(),
            ));
        }
        if self.duration.is_zero() {
            return Err(Failure::Usage("--duration 0 measures nothing".into()));
        }
        let batch_bytes = usize::try_from(self.batch)
            .ok()
            .filter(|bytes| (100..=64 << 20).contains(bytes))
            .ok_or_else(|| Failure::Usage("--batch is between 100 bytes and 64 MiB".into()))?;
        Ok(Plan {
            rate: self.rate.clone(),
            size: self.size.clone(),
            keys: self.key,
            codec: self.compress,
            topics: self.topics,
            partitions: self.partitions,
            acks: self.acks,
            idempotent: self.idempotent,
            producers: self.producers,
            consumers: self.consumers,
            groups: self.groups,
            linger: self.linger,
            batch_bytes,
            inflight_max: self.max_inflight as usize,
            warmup: self.warmup,
            duration: self.duration,
            drain: self.drain,
            timeout: self.timeout,
            arrival: self.arrival,
            seed: self.seed,
            verify: self.verify,
            judged: self.judge,
            threads: if self.threads == 0 { half_of_the_cores() } else { self.threads },
            backlog_bytes: self.backlog,
            ..Plan::default()
        })
    }

    fn scene(&self) -> Result<Scene, Failure> {
        let topic_config = self
            .topic_config
            .iter()
            .map(|pair| {
                let (name, value) = pair.split_once('=').ok_or_else(|| {
                    Failure::Usage(format!("--topic-config {pair}: write name=value"))
                })?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, Failure>>()?;
        let name = self.out.as_ref().and_then(|path| path.file_name());
        Ok(Scene {
            name: name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            bootstrap: self.bootstrap.clone(),
            arguments: std::env::args().collect(),
            topic: self.topic.clone(),
            keep_topics: self.keep_topics,
            replication: self.replication,
            topic_config,
            repeat: self.repeat,
            data_dir: self.data_dir.clone(),
            admin: self.admin.clone(),
            kept_awake: 0,
            quiet: false,
            out: self.out.clone(),
            place: None,
            device: None,
        })
    }
}

/// Threads where nobody says how many: the broker may be on the same machine.
pub(crate) fn half_of_the_cores() -> usize {
    (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1)
}

/// Runs the command.
///
/// # Errors
/// No broker, a plan that cannot be, an invalid run, or one that `--verify` finds at fault.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let (mut plan, scene) = (args.plan()?, args.scene()?);
    let awake = args.awake.begin_beside(&args.bootstrap)?;
    let scene = Scene { kept_awake: awake.count(), ..scene };
    // Deleting gigabytes is work for the broker, and some do it a minute later: no measurement is to have it in its percentiles.
    let mut left = Vec::new();
    let searched = match args.find_max {
        Some(condition) => {
            Some((condition, search::find_max(&plan, &scene, condition, &mut left)?))
        }
        None => None,
    };
    if let Some((_, rate)) = searched {
        plan.rate = RateSpec::constant(rate);
    }
    let measured = measure_what_can_be(&plan, &scene).map(|(measured, topics)| {
        left.push(topics);
        measured
    });
    drop(left);
    drop(awake);
    let Partial { run, recording, failure } = measured??;
    if let Some(path) = &args.out {
        Directory::at(path).save(&run, &recording)?;
    }
    match args.json.as_deref() {
        Some(file) => {
            let text = serde_json::to_string_pretty(&run)
                .map_err(|e| Failure::Local(format!("run.json: {e}")))?;
            if file == "-" {
                terminal::print(&format!("{text}\n"));
            } else {
                let path = PathBuf::from(file);
                std::fs::write(&path, text).map_err(|e| Failure::file("write", &path, &e))?;
                terminal::print(&show::render(&run));
            }
        }
        None => terminal::print(&show::render(&run)),
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    conclude(&run)?;
    if let Some((condition, rate)) = searched {
        let answer = search::answer(condition, rate as f64, &run, &recording.total());
        search::confirm(condition, rate as f64, &answer)?;
    }
    assert_none(&run, &recording, &args.fail_if)
}

/// `--fail-if` of a run on its own: bounds that are times and rates.
fn assert_none(run: &Run, recording: &Recording, conditions: &[Assertion]) -> Result<(), Failure> {
    let total = recording.total();
    let mut failed = Vec::new();
    for condition in conditions {
        let value = match condition.subject {
            Subject::Latency(quantile) => {
                total.at(Kind::Response, quantile).map(|nanos| nanos as f64)
            }
            Subject::Mean => total.mean(Kind::Response),
            Subject::Rate => Some(run.rate()),
        };
        match value.and_then(|value| Some((value, condition.holds(value, None)?))) {
            Some((_, false)) => {}
            Some((value, true)) => {
                failed.push(format!("{condition}: {}", condition.subject.show(value)));
            }
            None => failed.push(format!(
                "{condition} cannot be told: too few records, or the generator was late"
            )),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Assertion(failed.join("; "))) }
}

/// What a finished run says to the shell.
pub(crate) fn conclude(run: &Run) -> Result<(), Failure> {
    let dirty = run.repeats.iter().filter_map(|r| r.verify.as_ref()).find(|v| !v.is_clean());
    if let Some(verdict) = dirty {
        return Err(Failure::Assertion(format!("--verify: {verdict}")));
    }
    let unread = run.repeats.iter().filter_map(|r| r.verify.as_ref()).find(|v| v.unread > 0);
    if let Some(verdict) = unread {
        return Err(Failure::Invalid(format!(
            "--verify: {verdict}; the readers were too slow to tell: give them a longer --drain, or less to read"
        )));
    }
    let acknowledged: u64 =
        run.repeats.iter().flat_map(|r| &r.stages).map(|s| s.acknowledged).sum();
    if acknowledged == 0 {
        return Err(Failure::Invalid("nothing was acknowledged".into()));
    }
    if let Verdict::Invalid(why) = &run.verdict {
        return Err(Failure::Invalid(format!("INVALID(generator): {why}")));
    }
    Ok(())
}

/// Finds the brokers and makes the topics.
fn prepare(plan: &Plan, scene: &Scene) -> Result<Target, Failure> {
    let mut target = Target::discover(&scene.bootstrap)?;
    let prefix = scene.topic.clone().unwrap_or_else(|| {
        let number = Clock::start().now() / 1_000 % 1_000_000_000_000;
        format!("ringwood-perf-{number:012}")
    });
    let topics = if plan.topics == 1 {
        vec![prefix]
    } else {
        (0..plan.topics).map(|number| format!("{prefix}-{number}")).collect()
    };
    let replication = if scene.replication == 0 { 1 } else { scene.replication };
    if let Err(failure) =
        target.use_topics(topics, plan.partitions, replication, &scene.topic_config)
    {
        if scene.deletes_its_topics() {
            // What came before the failure is there; of what is not there the broker says so.
            let _ = target.drop_topics();
        }
        return Err(failure);
    }
    Ok(target)
}

/// Makes the topics and does nothing with them.
pub(crate) fn create(plan: &Plan, scene: &Scene) -> Result<(), Failure> {
    prepare(plan, scene).map(|_| ())
}

/// Runs every repeat of the plan.
pub(crate) fn measure(plan: &Plan, scene: &Scene) -> Result<(Run, Recording), Failure> {
    let (result, topics) = measure_before_deletion(plan, scene)?;
    topics.delete();
    result
}

/// The topics of a run that is over, which are still there. They are deleted when this goes, unless they were to be kept.
#[derive(Debug)]
pub(crate) struct Leftover(Option<(Arc<Target>, Stay)>);

impl Leftover {
    fn of(scene: &Scene, target: &Arc<Target>) -> Self {
        let stay = || {
            let (first, count) = target.first_and_count();
            let brokers = scene.bootstrap.join(",");
            Stay::new(match count {
                1 => format!("topic {first} on {brokers}"),
                _ => format!("topic {first} and {} more of its name on {brokers}", count - 1),
            })
        };
        Self(scene.deletes_its_topics().then(|| (Arc::clone(target), stay())))
    }

    /// Deletes them.
    pub(crate) fn delete(self) {}
}

impl Drop for Leftover {
    fn drop(&mut self) {
        // What cannot be deleted stays: the run's result does not hang on it.
        if let Some((target, _)) = &self.0
            && let Err(failure) = target.drop_topics()
        {
            terminal::note(&format!("the run's topics stay: {failure}"));
        }
    }
}

type Measured = Result<(Run, Recording), Failure>;

/// The repeats that were measured.
#[derive(Debug)]
struct Partial {
    run: Run,
    recording: Recording,
    /// Why there are no more of them, where one failed.
    failure: Option<Failure>,
}

impl Partial {
    /// All of them, or why not.
    fn whole(self) -> Measured {
        self.failure.map_or(Ok((self.run, self.recording)), Err)
    }
}

/// Runs every repeat of the plan and leaves the topics: deleting them is work for the broker, which another run may be measuring.
pub(crate) fn measure_before_deletion(
    plan: &Plan,
    scene: &Scene,
) -> Result<(Measured, Leftover), Failure> {
    let (measured, topics) = measure_what_can_be(plan, scene)?;
    Ok((measured.and_then(Partial::whole), topics))
}

/// The same, with the repeats before the one that failed.
fn measure_what_can_be(
    plan: &Plan,
    scene: &Scene,
) -> Result<(Result<Partial, Failure>, Leftover), Failure> {
    let target = Arc::new(prepare(plan, scene)?);
    let topics = Leftover::of(scene, &target);
    Ok((repeats(plan, scene, &target), topics))
}

/// Runs every repeat of the plan, with another run to come on the same broker: the topics are put with those that go after the last.
pub(crate) fn measure_and_leave(
    plan: &Plan,
    scene: &Scene,
    left: &mut Vec<Leftover>,
) -> Result<(Run, Recording), Failure> {
    let (result, topics) = measure_before_deletion(plan, scene)?;
    left.push(topics);
    result
}

fn repeats(plan: &Plan, scene: &Scene, target: &Arc<Target>) -> Result<Partial, Failure> {
    let clock = Clock::start();
    let started = clock.now();
    let mut run = Run {
        format: 1,
        name: scene.name.clone(),
        started: machine::utc(Clock::wall(started)),
        tool: format!("ringwood perf {}", env!("CARGO_PKG_VERSION")),
        revision: revision(),
        arguments: scene.arguments.clone(),
        load: plan.facts(),
        machine: Machine::look(data_dir(scene, target.facts()).as_deref()),
        kept_awake: scene.kept_awake,
        broker: target.facts().clone(),
        ..Run::default()
    };
    for (name, value) in &scene.topic_config {
        run.load.insert(format!("topic {name}"), value.clone());
    }
    if let Some(admin) = &scene.admin {
        run.broker.counters_before = Counters::read(admin)?;
    }
    run.broker.before = target.usage();
    let mut recording = Recording {
        started: Clock::wall(started),
        intervals: Vec::new(),
        timeline: vec![TIMELINE.to_owned()],
        broker_log: None,
    };
    let plan = Arc::new(plan.clone());
    let mut growing = scene
        .out
        .as_ref()
        .map(|out| Growing::new(Directory::at(out), recording.started, run.log_head()));
    let mut line = LiveLine::new();
    if !scene.quiet {
        terminal::note(&format!("{} at {}", run.broker.fingerprint, scene.bootstrap.join(",")));
    }
    // Which step it is stands in the line that replaces itself, and nowhere else.
    let place = scene.place.as_ref().filter(|_| line.is_in_place());
    if let Some((done, words)) = place.map(|place| place.told(0.0)) {
        line.show(done, &words);
    }
    let mut verdicts = Vec::new();
    let mut failure = None;
    let of = u64::from(scene.repeat.max(1));
    for number in 0..of {
        let mut tell = |news: News<'_>| match news {
            News::Live(second) => {
                let here = second.second as f64 / second.seconds.max(1) as f64;
                let here = (number as f64 + here) / of as f64;
                if let Some((done, words)) = place.map(|place| place.told(here)) {
                    line.show(done, &format!("{words}  {}", second.to_string().trim_start()));
                } else if !scene.quiet {
                    let number = number + 1;
                    let which = if of > 1 { format!("{number} of {of}  ") } else { String::new() };
                    line.show(here, &format!("{which}{second}"));
                }
            }
            News::Over(interval) => {
                if let Some(growing) = &mut growing {
                    growing.add(interval);
                }
            }
        };
        let outcome = trial(&plan, target, clock, started, number, &mut tell);
        // Workers that were sent home leave a repeat that looks whole.
        let outcome = match outcome.and_then(|outcome| interrupt::check().map(|()| outcome)) {
            Ok(outcome) => outcome,
            // What was measured before is not lost for this.
            Err(why) => {
                run.ended_early = Some(format!("repeat {} of {of}: {why}", number + 1));
                failure = Some(why);
                break;
            }
        };
        let verdict = outcome.verdict(plan.rate != RateSpec::Max, plan.judged);
        let Outcome { mut repeat, intervals, timeline, .. } = outcome;
        repeat.verdict = verdict;
        if repeat.verdict.is_invalid() {
            repeat.withhold();
        }
        verdicts.push(repeat.verdict.clone());
        run.repeats.push(repeat);
        recording.intervals.extend(intervals);
        recording.timeline.extend(timeline);
    }
    if place.is_some() {
        line.clear();
    }
    line.finish();
    if run.repeats.is_empty()
        && let Some(failure) = failure
    {
        return Err(failure);
    }
    run.broker.after = target.usage();
    if let (Some(admin), None) = (&scene.admin, &failure) {
        // The measurement is done: it is not lost for this.
        match Counters::read(admin) {
            Ok(counters) => {
                run.broker.counters_after = counters;
                let seconds = run.repeats.iter().map(|r| r.loaded_seconds + r.fill_seconds);
                run.broker.counted_seconds = seconds.sum();
            }
            Err(failure) => terminal::note(&failure.to_string()),
        }
        // Its own latencies of this time, warm-up included. A broker of others has none.
        let seconds = (clock.now() - started) / 1_000_000_000 + 1;
        match machine::interval_log(admin, seconds) {
            Ok(log) => recording.broker_log = Some(said_what_is_missing(log, recording.started)),
            Err(failure) => terminal::note(&failure.to_string()),
        }
    }
    run.verdict = worst(verdicts);
    Ok(Partial { run, recording, failure })
}

/// A broker's log that begins after the run says so in its first line, and here.
fn said_what_is_missing(mut log: Vec<u8>, started: SystemTime) -> Vec<u8> {
    let Some(missing) = hlog::missing(&log, started) else { return log };
    let said = format!("the broker's own log lacks the first {} s of the run", missing.as_secs());
    terminal::note(&format!("{said}: a broker keeps an hour at most, and less of busy ones"));
    let mut all = format!("#[{said}]\n").into_bytes();
    all.append(&mut log);
    all
}

/// Where the broker keeps its data: as the command line says, or, of one whose process is on this machine, as it says itself. Where this
/// program puts its own files tells nothing of the broker's device.
fn data_dir(scene: &Scene, facts: &Broker) -> Option<PathBuf> {
    if let Some(named) = &scene.data_dir {
        return Some(named.clone());
    }
    let first = facts.settings.get("log.dirs")?.split(',').next()?.trim();
    // A relative path is relative to the broker's own folder.
    let told = Some(PathBuf::from(first)).filter(|path| path.is_absolute() && path.is_dir());
    told.filter(|_| !facts.before.is_empty())
}

fn worst(verdicts: Vec<Verdict>) -> Verdict {
    let badness = |verdict: &Verdict| match verdict {
        Verdict::Valid => 0,
        Verdict::Saturated(_) => 1,
        Verdict::Invalid(_) => 2,
    };
    verdicts.into_iter().max_by_key(badness).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Usage;

    #[test]
    fn a_brokers_log_of_the_end_of_a_run_says_so() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let line = hlog::Counted {
            tag: "Produce.total".into(),
            start: Duration::ZERO,
            length: Duration::from_secs(1),
            counts: vec![(9_000, 5)],
        };
        let mut log = Vec::new();
        hlog::write_counted(&mut log, at(4_000), &[], [line]).unwrap();
        assert_eq!(said_what_is_missing(log.clone(), at(4_000)), log);
        let said = said_what_is_missing(log, at(400));
        assert!(said.starts_with(b"#[the broker's own log lacks the first 3600 s of the run]\n"));
        assert_eq!(hlog::of_tag(&said, "Produce.total").map(|found| found.count()), Ok(5));
    }

    #[test]
    fn the_device_is_that_of_the_broker_and_not_of_our_own_files() {
        let here = std::env::temp_dir();
        let facts = |dirs: &str, before: Vec<Usage>| {
            let settings = [("log.dirs".to_owned(), dirs.to_owned())].into();
            Broker { settings, before, ..Broker::default() }
        };
        let local = || vec![Usage::default()];
        let scene = Scene::default();
        let two = format!("{},/nonexistent", here.display());
        assert_eq!(data_dir(&scene, &facts(&two, local())), Some(here.clone()));
        // A path of another machine, one that nobody can follow, one that is not there.
        assert_eq!(data_dir(&scene, &facts(&two, Vec::new())), None);
        assert_eq!(data_dir(&scene, &facts("data", local())), None);
        assert_eq!(data_dir(&scene, &facts("/nonexistent", local())), None);
        let named = Scene { data_dir: Some("/named".into()), ..Scene::default() };
        assert_eq!(data_dir(&named, &facts(&two, local())), Some("/named".into()));
    }
}
