//! `perf gauntlet`: one quiet baseline and eight situations that hurt brokers, at the same rate.

use std::{path::PathBuf, thread, time::Duration};

use crate::{
    failure::Failure,
    latency::Kind,
    load::{Acks, Plan},
    measure::{Scene, half_of_the_cores, measure},
    run::{Directory, Recording, Run},
    spec::{self, KeySpec, Quantile, RateSpec, SizeSpec, format_count, format_nanos},
    terminal::{self, Tone},
    view::{Align, Cell, Table},
};

/// Options of `perf gauntlet`.
#[derive(Clone, Debug, clap::Args)]
pub struct GauntletArgs {
    /// Brokers to begin with, host:port, separated by commas
    #[arg(short, long, default_value = "127.0.0.1:9092", value_delimiter = ',')]
    bootstrap: Vec<String>,
    /// Only this scenario (1 to 8), beside the baseline
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8))]
    scenario: Option<u32>,
    /// Records a second of every scenario
    #[arg(long, default_value = "20k/s")]
    rate: RateSpec,
    /// How long each scenario is measured
    #[arg(long, default_value = "20s", value_parser = spec::duration)]
    duration: Duration,
    /// Where the broker serves its metrics, host:port: flushes and write amplification are put into the table
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// Keep every run here
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Exit with 3 where a scenario's p99 is more than so many times the baseline's
    #[arg(long)]
    fail_above: Option<f64>,
}

struct Scenario {
    number: u32,
    name: &'static str,
    plan: Plan,
    topic_config: Vec<(String, String)>,
    /// Something else that loads the broker meanwhile.
    neighbour: Option<Plan>,
}

/// Runs the command.
///
/// # Errors
/// No broker, or a scenario worse than `--fail-above` allows.
pub fn run(args: &GauntletArgs) -> Result<(), Failure> {
    let baseline = Plan {
        rate: args.rate.clone(),
        duration: args.duration,
        warmup: Duration::from_secs(3),
        threads: half_of_the_cores(),
        ..Plan::default()
    };
    let scene = Scene {
        bootstrap: args.bootstrap.clone(),
        arguments: std::env::args().collect(),
        repeat: 1,
        admin: args.admin.clone(),
        ..Scene::default()
    };
    let header = [
        "scenario",
        "acked/s",
        "p50",
        "p99",
        "p99.9",
        "max",
        "p99/baseline",
        "flushes",
        "written/byte",
        "verdict",
    ];
    let mut table = Table::new(header, Align::Right);
    let (run, recording) = measure(&baseline, &scene)?;
    keep(args, "0-baseline", &run, &recording)?;
    let base = p99(&run, &recording);
    table.row(row("0 baseline", &run, &recording, base));
    let mut worst: Option<(f64, &'static str)> = None;
    let mut failures = Vec::new();
    for scenario in scenarios(&baseline) {
        if args.scenario.is_some_and(|only| only != scenario.number) {
            continue;
        }
        let name = format!("{} {}", scenario.number, scenario.name);
        terminal::note(&name);
        // A scenario that the broker does not survive is a row of the table, not its end.
        let (run, recording) = match play(&scenario, &scene) {
            Ok(played) => played,
            Err(failure) => {
                terminal::note(&failure.to_string());
                table.row(vec![
                    Cell::plain(&name),
                    Cell { text: "FAILED".into(), tone: Tone::Worse },
                ]);
                failures.push(format!("{name}: {failure}"));
                continue;
            }
        };
        keep(args, &name.replace([' ', ','], "-"), &run, &recording)?;
        if let (Some(base), Some(here)) = (base, p99(&run, &recording)) {
            let ratio = here as f64 / base as f64;
            if worst.is_none_or(|(worst, _)| ratio > worst) {
                worst = Some((ratio, scenario.name));
            }
        }
        table.row(row(&name, &run, &recording, base));
    }
    let mut text = table.render(terminal::colour());
    if let Some((ratio, name)) = worst {
        text.push_str(&format!("worst p99 over baseline p99: {ratio:.2} ({name})\n"));
    }
    terminal::print(&text);
    if !failures.is_empty() {
        return Err(Failure::Assertion(failures.join("; ")));
    }
    if base.is_none() {
        return Err(Failure::Invalid("the baseline has no p99 to hold the others against".into()));
    }
    match (worst, args.fail_above) {
        (Some((ratio, name)), Some(bound)) if ratio > bound => Err(Failure::Assertion(format!(
            "{name}: p99 is {ratio:.2} times the baseline's, allowed {bound}"
        ))),
        _ => Ok(()),
    }
}

fn keep(args: &GauntletArgs, name: &str, run: &Run, recording: &Recording) -> Result<(), Failure> {
    match &args.out {
        Some(out) => Directory::at(out.join(name)).save(run, recording),
        None => Ok(()),
    }
}

fn play(scenario: &Scenario, scene: &Scene) -> Result<(Run, Recording), Failure> {
    let own = Scene { topic_config: scenario.topic_config.clone(), ..scene.clone() };
    let Some(neighbour) = &scenario.neighbour else { return measure(&scenario.plan, &own) };
    thread::scope(|scope| {
        let quiet = Scene { quiet: true, admin: None, ..scene.clone() };
        let noise = scope.spawn(move || measure(neighbour, &quiet));
        let result = measure(&scenario.plan, &own);
        // The neighbour's own numbers do not matter; that it was there does.
        match noise.join() {
            Ok(Ok(_)) => result,
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::Local("the neighbour's thread died".into())),
        }
    })
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
    vec![
        scene(1, "50 producers", Plan { producers: 50, ..baseline.clone() }),
        Scenario {
            topic_config: set(&[("retention.bytes", "8388608"), ("segment.bytes", "4194304")]),
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
        scene(
            4,
            "acks=1, as fast as it goes",
            Plan { rate: RateSpec::Max, acks: Acks::Leader, ..baseline.clone() },
        ),
        scene(
            5,
            "draining a backlog under load",
            Plan { consumers: 2, backlog_bytes: 256 << 20, ..baseline.clone() },
        ),
        scene(
            6,
            "eight groups read everything",
            Plan { consumers: 1, groups: 8, ..baseline.clone() },
        ),
        Scenario {
            topic_config: set(&[
                ("cleanup.policy", "compact,delete"),
                ("retention.bytes", "16777216"),
                ("segment.bytes", "4194304"),
                ("min.cleanable.dirty.ratio", "0.01"),
            ]),
            ..scene(
                7,
                "compaction and retention",
                Plan { keys: KeySpec::Zipf(1.1, 100_000), ..baseline.clone() },
            )
        },
        Scenario {
            neighbour: Some(Plan {
                rate: RateSpec::Max,
                producers: 2,
                acks: Acks::Leader,
                threads: 1,
                ..baseline.clone()
            }),
            ..scene(8, "a noisy neighbour", baseline.clone())
        },
    ]
}

/// The p99 of a run whose numbers are the broker's.
fn p99(run: &Run, recording: &Recording) -> Option<u64> {
    if run.verdict.is_invalid() {
        return None;
    }
    recording.total().of(Kind::Response).at(Quantile::percent(99.0).ok()?)
}

fn row(name: &str, run: &Run, recording: &Recording, base: Option<u64>) -> Vec<Cell> {
    let total = recording.total();
    let response = total.of(Kind::Response);
    let at = |percent| {
        if run.verdict.is_invalid() {
            return "INVALID".to_owned();
        }
        let value = Quantile::percent(percent).ok().and_then(|q| response.at(q));
        value.map_or_else(|| "n/a".into(), format_nanos)
    };
    let ratio = base.zip(p99(run, recording)).map(|(base, here)| here as f64 / base as f64);
    let inside = run.broker.inside();
    let number = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |v| format!("{v:.2}"));
    [
        name.to_owned(),
        format_count(run.rate()),
        at(50.0),
        at(99.0),
        at(99.9),
        at(100.0),
        number(ratio),
        inside.map_or_else(|| "n/a".into(), |inside| format_count(inside.flushes)),
        number(inside.and_then(|inside| inside.write_amplification)),
        run.verdict.word().to_owned(),
    ]
    .map(Cell::plain)
    .into()
}
