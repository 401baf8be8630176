//! `perf quick`: a quarter of a minute, one table and two rows of bars.

use std::{fmt::Write, path::PathBuf, time::Duration};

use crate::{
    failure::Failure,
    latency::Kind,
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
        duration: Duration::from_secs(4),
        ..Plan::default()
    };
    let (fast, _) = measure(&Plan { rate: RateSpec::Max, ..plan.clone() }, &scene)?;
    let top = fast.repeats.iter().flat_map(|r| &r.stages).map(|s| s.rate()).sum::<f64>();
    let half = Plan {
        rate: RateSpec::constant((top / 2.0).max(1.0) as u64),
        consumers: 2,
        duration: Duration::from_secs(8),
        verify: true,
        ..plan
    };
    let half = if matches!(args.size, SizeSpec::Fixed(size) if size >= crate::stamp::FULL_BYTES) {
        half
    } else {
        Plan { verify: false, ..half }
    };
    let (calm, recording) = measure(&half, &scene)?;
    terminal::print(&render(&fast, &calm, &recording));
    conclude(&calm)
}

fn render(fast: &Run, calm: &Run, recording: &Recording) -> String {
    let mut text = format!("{}\n", calm.broker.fingerprint);
    for (name, value) in &calm.broker.settings {
        let _ = writeln!(text, "  {name} {value}");
    }
    let storage = calm.machine.storage.clone().unwrap_or_default();
    let _ = writeln!(
        text,
        "{} ({} cores), {}, {}\n",
        calm.machine.cpu, calm.machine.cores, calm.machine.kernel, storage.file_system
    );
    let mut table = Table::new(
        ["acks=all", "records/s", "bytes/s", "p50", "p99", "p99.9", "max"],
        Align::Right,
    );
    for (name, run, kinds) in [
        ("as fast as it goes", fast, &[Kind::Service][..]),
        ("half of that", calm, &[Kind::Response, Kind::EndToEnd][..]),
    ] {
        for stage in run.repeats.iter().flat_map(|repeat| &repeat.stages) {
            for kind in kinds {
                let mut cells = vec![
                    Cell::plain(format!("{name}, {}", kind.name())),
                    Cell::plain(format_count(stage.rate())),
                    Cell::plain(format!("{}/s", format_bytes(stage.bytes_rate()))),
                ];
                let summary = stage.latency.get(kind.name());
                for quantile in ["p50", "p99", "p99.9", "max"] {
                    let value =
                        summary.and_then(|s| s.percentiles.get(quantile).copied().flatten());
                    cells.push(Cell::plain(value.map_or_else(|| "n/a".into(), format_nanos)));
                }
                table.row(cells);
            }
        }
    }
    text.push_str(&table.render(terminal::colour()));
    let seconds = |of: &dyn Fn(&crate::hlog::Interval) -> Option<f64>| -> Vec<f64> {
        recording.intervals.iter().filter_map(of).collect()
    };
    let p99 = seconds(&|interval| {
        let quantile = Quantile::percent(99.0).ok()?;
        interval.latencies.of(Kind::Response).at(quantile).map(|nanos| nanos as f64)
    });
    let rate = seconds(&|interval| match interval.latencies.of(Kind::Response).count() {
        0 => None,
        count => Some(count as f64),
    });
    let worst = p99.iter().copied().fold(0.0, f64::max);
    let _ = writeln!(
        text,
        "\np99 by second  {}  (worst {})",
        sparkline(&p99),
        format_nanos(worst as u64)
    );
    let _ = writeln!(text, "records        {}", sparkline(&rate));
    for verify in calm.repeats.iter().filter_map(|repeat| repeat.verify.as_ref()) {
        let _ = writeln!(text, "verify         {verify}");
    }
    if let Some(seconds) = calm.broker.cpu_seconds() {
        let _ = writeln!(text, "broker CPU     {seconds:.2} s at half load");
    }
    let _ = writeln!(text, "verdict        {}", calm.verdict);
    text
}
