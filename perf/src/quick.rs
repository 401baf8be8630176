//! `perf quick`: a quarter of a minute, one table and two rows of bars.

use std::{fmt::Write, path::PathBuf, time::Duration};

use crate::{
    failure::Failure,
    latency::{Kind, Latency},
    load::Plan,
    measure::{Scene, conclude, half_of_the_cores, measure},
    own::OwnBroker,
    run::{Recording, Run},
    spec::{Quantile, RateSpec, SizeSpec, format_bytes, format_count, format_nanos},
    terminal,
    view::{Align, Cell, Table, sparkline},
};

/// Options of `perf quick`.
#[derive(Clone, Debug, clap::Args)]
pub struct QuickArgs {
    /// Brokers to measure; without it a broker is started with fresh data on free ports, and stopped
    #[arg(short, long, value_delimiter = ',')]
    bootstrap: Vec<String>,
    /// Where the broker's fresh data goes, in a folder of its own that is removed
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// The broker's program [default: this one]
    #[arg(long, value_name = "FILE")]
    ringwood: Option<PathBuf>,
    /// Bytes of a value
    #[arg(long, default_value = "1KiB")]
    size: SizeSpec,
}

/// How long the open loop is measured.
const CALM: Duration = Duration::from_secs(6);

/// Runs the command.
///
/// # Errors
/// No broker, or a run that is invalid or at fault.
pub fn run(args: &QuickArgs) -> Result<(), Failure> {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let own = if args.bootstrap.is_empty() {
        Some(OwnBroker::ringwood(args.ringwood.as_deref(), &parent, &[], None)?)
    } else {
        None
    };
    let bootstrap =
        own.as_ref().map_or_else(|| args.bootstrap.clone(), |b| vec![b.address().to_owned()]);
    let scene = Scene {
        bootstrap,
        arguments: std::env::args().collect(),
        replication: 1,
        repeat: 1,
        data_dir: own.as_ref().map(|broker| broker.directory().to_path_buf()),
        ..Scene::default()
    };
    let plan = Plan {
        size: args.size.clone(),
        partitions: 4,
        threads: half_of_the_cores(),
        warmup: Duration::from_secs(1),
        duration: Duration::from_secs(3),
        ..Plan::default()
    };
    let (fast, _) = measure(&Plan { rate: RateSpec::Max, ..plan.clone() }, &scene)?;
    let top = fast.rate();
    let can_verify = matches!(args.size, SizeSpec::Fixed(size) if size >= crate::stamp::FULL_BYTES);
    let plan = Plan { consumers: 2, duration: CALM, verify: can_verify, ..plan };
    let part = |share: f64| {
        let rate = RateSpec::constant((top / share).max(1.0) as u64);
        measure(&Plan { rate, ..plan.clone() }, &scene)
    };
    let (mut name, (mut calm, mut recording)) = ("half of that", part(2.0)?);
    if calm.verdict.is_invalid() {
        // Broker and client share the cores: where half of all leaves the client none in time, less may.
        terminal::note(&format!("half of that is {}; an eighth instead", calm.verdict));
        name = "an eighth of that";
        (calm, recording) = part(8.0)?;
    }
    terminal::print(&render(&fast, name, &calm, &recording));
    conclude(&calm)
}

fn render(fast: &Run, calm_name: &str, calm: &Run, recording: &Recording) -> String {
    let mut text = format!("{}\n", header(calm));
    let mut table = Table::new(
        ["acks=all", "records/s", "bytes/s", "p50", "p99", "p99.9", "max"],
        Align::Right,
    );
    for (name, run, kinds) in [
        ("as fast as it goes", fast, &[Kind::Service][..]),
        (calm_name, calm, &[Kind::Response, Kind::EndToEnd][..]),
    ] {
        for repeat in &run.repeats {
            let is_invalid = repeat.verdict.is_invalid();
            for (stage, kind) in
                repeat.stages.iter().flat_map(|stage| kinds.iter().map(move |kind| (stage, kind)))
            {
                // As fast as the generator could: the broker may be faster.
                let at_least = if is_invalid && stage.target.is_none() { ">=" } else { "" };
                let mut cells = vec![
                    Cell::plain(format!("{name}, {}", kind.name())),
                    Cell::plain(format!("{at_least}{}", format_count(stage.rate()))),
                    Cell::plain(format!("{at_least}{}/s", format_bytes(stage.bytes_rate()))),
                ];
                let summary = stage.latency.get(kind.name());
                let none = if is_invalid { "INVALID" } else { "n/a" };
                for quantile in ["p50", "p99", "p99.9", "max"] {
                    let value =
                        summary.and_then(|s| s.percentiles.get(quantile).copied().flatten());
                    cells.push(Cell::plain(value.map_or_else(|| none.into(), format_nanos)));
                }
                table.row(cells);
            }
        }
    }
    text.push_str(&table.render(terminal::colour()));
    let end = calm.repeats.iter().flat_map(|r| &r.stages).map(|s| s.seconds).sum::<f64>();
    // What was acknowledged after the end is no second of its own.
    let seconds = recording.intervals.iter().take(end.ceil() as usize);
    let responses: Vec<&Latency> = seconds.map(|i| i.latencies.of(Kind::Response)).collect();
    let p99: Vec<u64> =
        responses.iter().filter_map(|latency| latency.at(Quantile::percent(99.0).ok()?)).collect();
    if !calm.verdict.is_invalid()
        && let (Some(best), Some(worst)) = (p99.iter().min(), p99.iter().max())
    {
        let _ = writeln!(
            text,
            "\np99 by second  {}  {} to {}",
            sparkline(&p99.iter().map(|nanos| *nanos as f64).collect::<Vec<_>>()),
            format_nanos(*best),
            format_nanos(*worst)
        );
        let rate: Vec<f64> = responses.iter().map(|latency| latency.count() as f64).collect();
        let least = rate.iter().copied().fold(f64::INFINITY, f64::min);
        let _ = writeln!(
            text,
            "records        {}  at least {}/s",
            sparkline(&rate),
            format_count(least)
        );
    } else {
        text.push('\n');
    }
    for verify in calm.repeats.iter().filter_map(|repeat| repeat.verify.as_ref()) {
        let _ = writeln!(text, "verify         {verify}");
        for finding in verify.findings.iter().take(10) {
            let _ = writeln!(text, "               {finding}");
        }
    }
    if let Some(seconds) = calm.cpu_per_gb() {
        let _ = writeln!(text, "broker CPU     {seconds:.2} s per GB written and read");
    }
    let _ = writeln!(text, "verdict        {}", calm.verdict);
    if fast.verdict.is_invalid() {
        let _ = writeln!(text, "               as fast as it goes: {}", fast.verdict);
    }
    text
}

/// Who was measured, and where.
fn header(run: &Run) -> String {
    let mut text = run.broker.fingerprint.clone();
    let settings: Vec<String> = run
        .broker
        .settings
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "ringwood.durability" | "ringwood.backend"))
        .map(|(name, value)| format!("{} {value}", name.trim_start_matches("ringwood.")))
        .collect();
    if settings.is_empty() {
        for (name, value) in &run.broker.settings {
            let _ = write!(text, "\n  {name} {value}");
        }
    } else {
        let _ = write!(text, ", {}", settings.join(", "));
    }
    let storage = run.machine.storage.clone().unwrap_or_default();
    let file_system = if storage.file_system.is_empty() {
        String::new()
    } else {
        format!(", {}", storage.file_system)
    };
    let _ = writeln!(
        text,
        "\n{} ({} cores), {}{file_system}",
        run.machine.cpu, run.machine.cores, run.machine.kernel
    );
    let load = |name: &str| run.load.get(name).cloned().unwrap_or_default();
    let _ = writeln!(
        text,
        "values of {}, {} partitions, {} producers, {} consumers",
        load("size"),
        load("partitions"),
        load("producers"),
        load("consumers")
    );
    text
}
