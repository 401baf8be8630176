//! `perf gauntlet`: a quiet baseline and nine situations that hurt brokers, at the same rate.
//!
//! The baseline is measured several times between the scenarios, and its p99 is the median of these: one lucky or unlucky quarter of a
//! minute is no measure for all the others. A scenario has to show that it was what its name says; one whose retention took
//! nothing, or whose neighbour was not loud, is a quiet load under another name, and counts as not measured.
//!
//! | file | what |
//! |---|---|
//! | `gauntlet/scenarios.rs` | the situations, and what has to be seen of each |
//! | `gauntlet/course.rs` | all of them one after the other, on a broker of either kind |
//! | `gauntlet/failed.rs` | the records that failed |
//! | `gauntlet/line.rs` | what became of one, as a line of the table |
//! | `gauntlet/findings.rs` | the baseline, the worst, and what the shell is told |

mod course;
mod failed;
mod findings;
mod line;
mod scenarios;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

pub(crate) use course::{Course, Walk};
pub(crate) use failed::Failed;

use crate::{
    awake,
    failure::Failure,
    host::HostArgs,
    spec::{self, RateSpec},
    terminal, view,
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
    /// How often the baseline is measured, between the scenarios
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    baselines: u32,
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

/// How long a broker of our own is loaded before each scenario. It compiles nothing meanwhile.
const WARMUP: Duration = Duration::from_secs(2);

/// Settings of a broker of our own: retention and compaction are to run within seconds, not within minutes.
pub(crate) const HASTE: [(&str, &str); 2] =
    [("log.retention.check.interval.ms", "1000"), ("log.cleaner.backoff.ms", "500")];

/// The arguments by which Ringwood is told to hurry.
pub(crate) fn haste() -> Vec<String> {
    HASTE.iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]).collect()
}

/// Runs the command.
///
/// # Errors
/// No broker, or a scenario worse than `--fail-above` allows.
pub fn run(args: &GauntletArgs) -> Result<(), Failure> {
    let haste = haste();
    let mut host = args.host.open(&haste.iter().map(String::as_str).collect::<Vec<_>>())?;
    let course = Course {
        rate: args.rate.clone(),
        duration: args.duration,
        warmup: WARMUP,
        scenario: args.scenario,
        baselines: args.baselines,
        out: args.out.clone(),
    };
    let ran = course.run(&mut host)?;
    let awake = awake::line(host.kept_awake()).map_or_else(String::new, |line| line + "\n");
    let (who, sides) = (&ran.fingerprint, &host.sides);
    let early = ran.early.map_or_else(String::new, |early| early.words("steps") + "\n");
    let head = format!("{early}{who}, {} of values of 1 KiB, {sides}\n{awake}", args.rate);
    let last = ran.last_lines();
    if let Some(place) = args.markdown.as_deref() {
        view::put_markdown(place, &format!("{head}\n{}\n{last}", ran.table.markdown()))?;
    }
    if args.markdown.as_deref() != Some("-") {
        terminal::print(&format!("{head}{}{last}", ran.table.render(terminal::colour())));
    }
    ran.conclude(args.fail_above)
}
