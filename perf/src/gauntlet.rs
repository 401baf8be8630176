//! `perf gauntlet`: one quiet baseline and nine situations that hurt brokers, at the same rate.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::{
    failure::Failure,
    host::HostArgs,
    latency::{Kind, Told},
    load::{Acks, Plan},
    measure::{Scene, half_of_the_cores, measure, measure_before_deletion},
    run::{Directory, Recording, Run},
    spec::{self, KeySpec, Quantile, RateSpec, SizeSpec, format_count},
    terminal::{self, Tone},
    view::{self, Align, Cell, Table},
};

/// Options of `perf gauntlet`.
#[derive(Clone, Debug, clap::Args)]
pub struct GauntletArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Only this scenario (1 to 9), beside the baseline
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9))]
    scenario: Option<u32>,
    /// Records a second of every scenario
    #[arg(long, default_value = "20k/s")]
    rate: RateSpec,
    /// How long each scenario is measured
    #[arg(long, default_value = "12s", value_parser = spec::duration)]
    duration: Duration,
    /// Keep every run here
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Write the table as Markdown; `-` is stdout, instead of the text
    #[arg(long, value_name = "FILE")]
    markdown: Option<String>,
    /// Exit with 3 where a scenario's p99 is more than so many times the baseline's, and with 8 where one has none
    #[arg(long)]
    fail_above: Option<f64>,
}

struct Scenario {
    number: u32,
    name: &'static str,
    plan: Plan,
    topic_config: Vec<(String, String)>,
    /// Something else that loads the broker meanwhile.
    neighbour: Option<Neighbour>,
}

/// Another load on the broker. It begins before the measured one.
struct Neighbour {
    plan: Plan,
    /// It goes on beyond the end of the measurement; otherwise it ends within it, and its topic is deleted there.
    stays: bool,
}

/// So much earlier a neighbour begins: a broker that meets so much load for the first time finds its memory in the first seconds,
/// and that is not what a neighbour costs.
const LEAD: Duration = Duration::from_secs(5);
/// So much longer one that stays goes on: the measured load may begin late, for its topic is made under the noise.
const TAIL: Duration = Duration::from_secs(4);

/// What the design allows: the worst p99 over that of the baseline.
const RATIO_MAX: f64 = 2.0;

/// Settings of a broker of our own: retention and compaction are to run within seconds, not within minutes.
const HASTE: [&str; 4] =
    ["--set", "log.retention.check.interval.ms=1000", "--set", "log.cleaner.backoff.ms=500"];

const HEADER: [&str; 11] = [
    "scenario",
    "acked/s",
    "p50",
    "p99",
    "p99.9",
    "max",
    "p99/baseline",
    "flushes/s",
    "written/byte",
    "what else happened",
    "verdict",
];

/// A scenario's run, and its neighbour's.
struct Played {
    run: Run,
    recording: Recording,
    neighbour: Option<Run>,
    warmup: Duration,
}

/// Runs the command.
///
/// # Errors
/// No broker, or a scenario worse than `--fail-above` allows.
pub fn run(args: &GauntletArgs) -> Result<(), Failure> {
    if args.rate == RateSpec::Max {
        return Err(Failure::Usage(
            "--rate max is a closed loop, in which a stall meets a few records: name a rate".into(),
        ));
    }
    let mut host = args.host.open(&HASTE)?;
    let baseline = Plan {
        rate: args.rate.clone(),
        duration: args.duration,
        warmup: Duration::from_secs(2),
        threads: half_of_the_cores(),
        ..Plan::default()
    };
    let mut table = Table::new(HEADER, Align::Right);
    let (run, recording) = measure(&baseline, &host.scene())?;
    keep(args, "0-baseline", &run, &recording)?;
    let base = p99(&run, &recording);
    let fingerprint = run.broker.fingerprint.clone();
    table.row(row(
        "0 baseline",
        &Played { run, recording, neighbour: None, warmup: baseline.warmup },
        base,
    ));
    let mut worst: Option<(f64, &'static str)> = None;
    let (mut played_count, mut unknown) = (0_u32, Vec::new());
    let (mut failures, mut invalids) = (Vec::new(), Vec::new());
    for scenario in scenarios(&baseline) {
        if args.scenario.is_some_and(|only| only != scenario.number) {
            continue;
        }
        let name = format!("{} {}", scenario.number, scenario.name);
        terminal::note(&name);
        played_count += 1;
        host.renew()?;
        // A scenario that the broker does not survive is a row of the table, not its end.
        let played = match play(&scenario, &host.scene()) {
            Ok(played) => played,
            Err(failure) => {
                terminal::note(&failure.to_string());
                // A measurement that was none is not the broker's failure.
                let (word, list) = if matches!(failure, Failure::Invalid(_)) {
                    ("INVALID", &mut invalids)
                } else {
                    ("FAILED", &mut failures)
                };
                table.row(vec![Cell::plain(&name), Cell { text: word.into(), tone: Tone::Worse }]);
                list.push(format!("{name}: {failure}"));
                unknown.push(scenario.number.to_string());
                continue;
            }
        };
        keep(args, &name.replace([' ', ','], "-"), &played.run, &played.recording)?;
        match base.zip(p99(&played.run, &played.recording)) {
            Some((base, here)) => {
                let ratio = here as f64 / base as f64;
                if worst.is_none_or(|(worst, _)| ratio > worst) {
                    worst = Some((ratio, scenario.name));
                }
            }
            None => unknown.push(scenario.number.to_string()),
        }
        table.row(row(&name, &played, base));
    }
    let head = format!("{fingerprint}, {} of values of 1 KiB, {}\n", args.rate, host.sides);
    let last = last_line(worst, played_count, &unknown);
    if let Some(place) = args.markdown.as_deref() {
        view::put_markdown(place, &format!("{head}\n{}\n{last}", table.markdown()))?;
    }
    if args.markdown.as_deref() != Some("-") {
        terminal::print(&format!("{head}{}{last}", table.render(terminal::colour())));
    }
    if base.is_none() {
        invalids.push("the baseline has no p99 to hold the others against".into());
    }
    conclude(&failures, &invalids, worst, &unknown, args.fail_above)
}

/// What the gauntlet says to the shell. A gate is not passed by a scenario of which nothing is known.
fn conclude(
    failures: &[String],
    invalids: &[String],
    worst: Option<(f64, &str)>,
    unknown: &[String],
    fail_above: Option<f64>,
) -> Result<(), Failure> {
    if !failures.is_empty() {
        return Err(Failure::Assertion(failures.join("; ")));
    }
    if let (Some((ratio, name)), Some(bound)) = (worst, fail_above)
        && ratio > bound
    {
        let text = format!("{name}: p99 is {ratio:.2} times the baseline's, allowed {bound}");
        return Err(Failure::Assertion(text));
    }
    if !invalids.is_empty() {
        return Err(Failure::Invalid(invalids.join("; ")));
    }
    if fail_above.is_some() && !unknown.is_empty() {
        let text = format!("not told by scenario {}: the gate stays shut", unknown.join(", "));
        return Err(Failure::Invalid(text));
    }
    Ok(())
}

/// The figure that all of it is for. Scenarios whose numbers are the generator's are named: nothing is known of them.
fn last_line(worst: Option<(f64, &str)>, played: u32, unknown: &[String]) -> String {
    let told = match worst {
        Some((ratio, name)) => {
            let reached = if ratio <= RATIO_MAX { "reached" } else { "missed" };
            format!("{ratio:.2} ({name}); at most {RATIO_MAX}: {reached}")
        }
        None => "not told".to_owned(),
    };
    let unknown = if unknown.is_empty() {
        String::new()
    } else {
        format!("; not told by {} of {played}: {}", unknown.len(), unknown.join(", "))
    };
    format!("worst p99 over baseline p99: {told}{unknown}\n")
}

fn keep(args: &GauntletArgs, name: &str, run: &Run, recording: &Recording) -> Result<(), Failure> {
    match &args.out {
        Some(out) => Directory::at(out.join(name)).save(run, recording),
        None => Ok(()),
    }
}

fn play(scenario: &Scenario, scene: &Scene) -> Result<Played, Failure> {
    let own = Scene { topic_config: scenario.topic_config.clone(), ..scene.clone() };
    let warmup = scenario.plan.warmup;
    let Some(neighbour) = &scenario.neighbour else {
        let (run, recording) = measure(&scenario.plan, &own)?;
        return Ok(Played { run, recording, neighbour: None, warmup });
    };
    thread::scope(|scope| {
        let quiet = Scene { quiet: true, admin: None, ..scene.clone() };
        let noise = scope.spawn(move || {
            let (run, topics) = measure_before_deletion(&neighbour.plan, &quiet)?;
            let ended = Instant::now();
            let topics = if neighbour.stays {
                Some(topics)
            } else {
                topics.delete();
                None
            };
            Ok((run?.0, ended, topics))
        });
        thread::sleep(LEAD);
        let result = measure(&scenario.plan, &own);
        let over = Instant::now();
        let noise: Result<_, Failure> =
            noise.join().map_err(|_| Failure::Local("the neighbour's thread died".into()))?;
        let (noise, ended, topics) = noise?;
        if let Some(topics) = topics {
            topics.delete();
        }
        if neighbour.stays && ended < over {
            let early = over.duration_since(ended).as_millis();
            return Err(Failure::Invalid(format!("the neighbour had gone {early} ms too early")));
        }
        let (run, recording) = result?;
        Ok(Played { run, recording, neighbour: Some(noise), warmup })
    })
}

/// The backlog: more than a broker keeps in memory, so that its older part comes from the device.
const BACKLOG: u64 = 2 << 30;

/// Two consumers that need most of the measurement for a backlog. As fast as they can they would have read it before it begins.
fn draining(baseline: &Plan) -> Plan {
    const CONSUMERS: u32 = 2;
    let seconds = (baseline.warmup + baseline.duration.mul_f64(0.75)).as_secs_f64();
    let rate = match &baseline.rate {
        RateSpec::Stages(rates) => rates.iter().copied().max().unwrap_or(0),
        RateSpec::Max => 0,
    };
    let size = match baseline.size {
        SizeSpec::Fixed(size) | SizeSpec::Uniform(_, size) => size as f64,
        SizeSpec::File(_) => 0.0,
    };
    // What is written meanwhile is read too.
    let all = BACKLOG as f64 / seconds + rate as f64 * size;
    Plan {
        consumers: CONSUMERS,
        backlog_bytes: BACKLOG,
        read_bytes_per_second: Some((all / f64::from(CONSUMERS)) as u64),
        fetch_bytes: 1 << 20,
        ..baseline.clone()
    }
}

fn scenarios(baseline: &Plan) -> Vec<Scenario> {
    let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let scene = |number, name, plan| Scenario {
        number,
        name,
        plan,
        topic_config: Vec::new(),
        neighbour: None,
    };
    let keyed = |name, partitions| {
        let keys = KeySpec::Random(1_000_000);
        let size = SizeSpec::Fixed(100);
        scene(3, name, Plan { partitions, keys, size, ..baseline.clone() })
    };
    let noise = Plan {
        rate: RateSpec::Max,
        producers: 2,
        acks: Acks::Leader,
        threads: 1,
        ..baseline.clone()
    };
    vec![
        scene(1, "16 producers", Plan { producers: 16, ..baseline.clone() }),
        scene(1, "50 producers", Plan { producers: 50, ..baseline.clone() }),
        Scenario {
            topic_config: set(&[("retention.bytes", "4194304"), ("segment.bytes", "1048576")]),
            ..scene(
                2,
                "past the retention limit",
                Plan { duration: baseline.duration * 2, ..baseline.clone() },
            )
        },
        keyed("small keyed batches, 1 partition", 1),
        keyed("small keyed batches, 100 partitions", 100),
        keyed("small keyed batches, 1,000 partitions", 1_000),
        keyed("small keyed batches, 10,000 partitions", 10_000),
        // What goes as fast as it goes has no due times, and so no latency to hold against the baseline's: its requests wait for each
        // other, and a stall of a second meets twenty of them. The measured load is an open loop beside it.
        Scenario {
            neighbour: Some(Neighbour {
                plan: Plan {
                    producers: baseline.producers,
                    duration: baseline.duration + LEAD + TAIL,
                    ..noise.clone()
                },
                stays: true,
            }),
            ..scene(
                4,
                "acks=1 beside as fast as it goes",
                Plan { acks: Acks::Leader, ..baseline.clone() },
            )
        },
        scene(5, "draining a backlog under load", draining(baseline)),
        scene(
            6,
            "eight groups read everything",
            Plan { consumers: 1, groups: 8, ..baseline.clone() },
        ),
        Scenario {
            topic_config: set(&[
                ("cleanup.policy", "compact,delete"),
                ("retention.bytes", "8388608"),
                ("segment.bytes", "1048576"),
                ("min.cleanable.dirty.ratio", "0.01"),
            ]),
            ..scene(
                7,
                "compaction and retention",
                Plan { keys: KeySpec::Zipf(1.1, 100_000), ..baseline.clone() },
            )
        },
        Scenario {
            neighbour: Some(Neighbour {
                plan: Plan { duration: baseline.duration + LEAD + TAIL, ..noise.clone() },
                stays: true,
            }),
            ..scene(8, "a noisy neighbour", baseline.clone())
        },
        Scenario {
            neighbour: Some(Neighbour {
                plan: Plan { duration: LEAD + baseline.duration / 2, ..noise },
                stays: false,
            }),
            ..scene(9, "a large topic is deleted", baseline.clone())
        },
    ]
}

/// The p99 of a run whose numbers are the broker's.
fn p99(run: &Run, recording: &Recording) -> Option<u64> {
    if run.verdict.is_invalid() {
        return None;
    }
    recording.total().at(Kind::Response, Quantile::percent(99.0).ok()?)
}

fn row(name: &str, played: &Played, base: Option<u64>) -> Vec<Cell> {
    let Played { run, recording, .. } = played;
    let total = recording.total();
    let at = |percent| {
        if run.verdict.is_invalid() {
            return Told::Moved.to_string();
        }
        let quantile = Quantile::percent(percent).ok();
        quantile.map_or(Told::TooFew, |q| total.told(Kind::Response, q)).to_string()
    };
    let ratio = base.zip(p99(run, recording)).map(|(base, here)| here as f64 / base as f64);
    let inside = run.broker.inside().unwrap_or_default();
    let number = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |v| format!("{v:.2}"));
    [
        name.to_owned(),
        format_count(run.rate()),
        at(50.0),
        at(99.0),
        at(99.9),
        at(100.0),
        number(ratio),
        inside.flushes_per_second.map_or_else(|| "n/a".into(), format_count),
        number(inside.write_amplification),
        happened(played),
        run.verdict.word().to_owned(),
    ]
    .map(Cell::plain)
    .into()
}

/// What shows that the scenario was what its name says: what retention and compaction took away, how soon a backlog was read, how
/// much went out, how loud the neighbour was.
fn happened(played: &Played) -> String {
    let Played { run, neighbour, warmup, .. } = played;
    let mut words = Vec::new();
    let after = &run.broker.counters_after;
    // Every topic of a scenario before this one is gone: what lies below the starts was taken from this one.
    if let Some(gone) = after.get("ringwood_kafka_start_offset").filter(|gone| *gone > 0.0) {
        words.push(format!("retention took {}", format_count(gone)));
    }
    let dropped = run.broker.inside().and_then(|inside| inside.compacted_records);
    if let Some(dropped) = dropped.filter(|dropped| *dropped > 0.0) {
        words.push(format!("compaction took {}", format_count(dropped)));
    }
    for repeat in &run.repeats {
        match repeat.backlog_seconds {
            Some(seconds) if seconds < warmup.as_secs_f64() => {
                words.push(format!("backlog read in {seconds:.1} s, before the measurement"));
            }
            Some(seconds) => words.push(format!("backlog read in {seconds:.1} s")),
            None if run.load.contains_key("backlog") => words.push("backlog not read".into()),
            None => {}
        }
        let received: f64 =
            repeat.stages.iter().map(|s| s.received as f64 / s.seconds.max(1e-9)).sum();
        if received > 0.0 {
            words.push(format!("{}/s read", format_count(received)));
        }
    }
    if let Some(neighbour) = neighbour {
        words.push(format!("neighbour {}/s", format_count(neighbour.rate())));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measured_load_is_an_open_loop() {
        for scenario in scenarios(&Plan::default()) {
            assert_ne!(scenario.plan.rate, RateSpec::Max, "{}", scenario.name);
        }
    }

    #[test]
    fn all_nine_scenarios_are_there() {
        let numbers: std::collections::BTreeSet<u32> =
            scenarios(&Plan::default()).iter().map(|scenario| scenario.number).collect();
        assert_eq!(numbers, (1..=9).collect());
    }

    #[test]
    fn a_backlog_that_was_read_before_the_measurement_is_told() {
        let told = |backlog_seconds| {
            let mut run = Run::default();
            run.load.insert("backlog".into(), "2.0 GiB".into());
            run.repeats.push(crate::run::Repeat { backlog_seconds, ..Default::default() });
            let warmup = Duration::from_secs(2);
            happened(&Played { run, recording: Recording::default(), neighbour: None, warmup })
        };
        assert_eq!(told(Some(0.2)), "backlog read in 0.2 s, before the measurement");
        assert_eq!(told(Some(9.0)), "backlog read in 9.0 s");
        assert_eq!(told(None), "backlog not read");
    }

    #[test]
    fn a_gate_is_not_passed_by_what_is_not_known() {
        let code = |failures: &[String], invalids: &[String], worst, unknown: &[String], bound| {
            let worst = Some((worst, "x"));
            conclude(failures, invalids, worst, unknown, bound).map_or_else(|f| f.code(), |()| 0)
        };
        let one = ["8".to_owned()];
        assert_eq!(code(&[], &[], 1.5, &[], Some(2.0)), 0);
        assert_eq!(code(&[], &[], 2.5, &[], Some(2.0)), 3);
        assert_eq!(code(&[], &[], 1.5, &one, Some(2.0)), 8);
        assert_eq!(code(&[], &[], 1.5, &one, None), 0);
        // A neighbour that had gone too early is a measurement that was none: not the broker's failure.
        assert_eq!(code(&[], &one, 1.5, &one, None), 8);
        assert_eq!(code(&one, &one, 1.5, &one, None), 3);
    }

    #[test]
    fn the_last_line_has_the_worst_and_what_is_not_known() {
        let text = last_line(Some((3.456, "a noisy neighbour")), 11, &["4".into()]);
        let expected = "worst p99 over baseline p99: 3.46 (a noisy neighbour); at most 2: missed; not told by 1 of 11: 4\n";
        assert_eq!(text, expected);
        assert!(last_line(Some((1.5, "x")), 1, &[]).ends_with("1.50 (x); at most 2: reached\n"));
        assert!(last_line(None, 1, &["8".into()]).contains("not told;"));
    }
}
