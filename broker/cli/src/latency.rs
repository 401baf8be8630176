//! `ringwood latency`: where the time of a broker's requests goes.
//!
//! | file | what |
//! |---|---|
//! | `latency.rs` | the table of APIs and stages, and the log of the last seconds |
//! | `latency/why.rs` | what is stuck now, and the worst requests of the last minute |
//! | `latency/diff.rs` | two logs, or brokers, against each other |

mod diff;
mod why;

use crate::admin::{self, AdminArgs};
use crate::exit;
use crate::failure::{Done, Failure};
use crate::figures::{count, micros, micros_told};
use crate::output::{self, Column, Output};
use crate::time;
use clap::{Args, Subcommand};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Where the time of a broker's requests goes, stage by stage.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LatencyArgs {
    #[command(flatten)]
    admin: AdminArgs,
    #[command(subcommand)]
    command: Option<LatencyCommand>,
    /// Only the last so much, such as 30s or 10m [default: since the broker's start; at most an hour is kept]
    #[arg(long, value_parser = time::span, value_name = "SPAN")]
    last: Option<Duration>,
    /// Only requests of connections of this core, since the broker's start
    #[arg(long, value_name = "N", conflicts_with_all = ["last", "diff"])]
    core: Option<u16>,
    /// Only this API, such as Produce
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// Two interval logs, directories of `perf run --admin`, or admin addresses, against each other [whole logs, and the last 5 minutes
    /// of a broker; with --last as much of the end of both]
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    diff: Option<Vec<String>>,
}

#[derive(Debug, Subcommand)]
enum LatencyCommand {
    /// What is stuck now, the worst requests of the last minute, and where their time went
    Why(why::WhyArgs),
    /// Write the last seconds as an interval log (.hlog) for the HdrHistogram tools and --diff
    Export {
        /// The file
        file: PathBuf,
        /// How much, such as 30s or 1h
        #[arg(long, value_parser = time::span, value_name = "SPAN", default_value = "5m")]
        last: Duration,
    },
}

pub(crate) fn run(args: &LatencyArgs) -> Done {
    let output = Output::new(args.admin.json);
    let address = &args.admin.admin;
    match (&args.command, &args.diff) {
        (Some(LatencyCommand::Why(why)), _) => why::run(output, address, why),
        (Some(LatencyCommand::Export { file, last }), _) => {
            let log = admin::get(address, &log_path(*last))?;
            std::fs::write(file, log).map_err(|e| Failure {
                area: "file",
                what: format!("cannot write {}", file.display()),
                cause: e.to_string(),
                remedy: "choose another file".into(),
                code: exit::FAILED,
            })?;
            output::say(format!("{} holds up to {} s", file.display(), last.as_secs().max(1)));
            Ok(())
        }
        (None, Some(two)) => diff::run(output, two, args.last, args.api.as_deref()),
        (None, None) => table(output, args),
    }
}

/// The path of an interval log of the last `span`.
fn log_path(span: Duration) -> String {
    format!("/latency.hlog?last={}", span.as_secs().max(1))
}

#[derive(Debug, Deserialize, serde::Serialize)]
struct Page {
    seconds: Option<u64>,
    stages: Vec<Row>,
}

#[derive(Debug, Deserialize, serde::Serialize)]
struct Row {
    api: String,
    stage: String,
    count: u64,
    mean_us: f64,
    /// None where there are too few; so are the others.
    p50_us: Option<f64>,
    p90_us: Option<f64>,
    p99_us: Option<f64>,
    p99_9_us: Option<f64>,
    max_us: f64,
    share: Option<f64>,
}

fn table(output: Output, args: &LatencyArgs) -> Done {
    let path = match (args.last, args.core) {
        (Some(last), _) => format!("/latency?last={}", last.as_secs().max(1)),
        (None, Some(core)) => format!("/latency?core={core}"),
        (None, None) => "/latency".to_owned(),
    };
    let mut page: Page = admin::document(&args.admin.admin, &path)?;
    if let Some(api) = &args.api {
        page.stages.retain(|row| row.api.eq_ignore_ascii_case(api));
    }
    if output.json {
        return output.json(&page);
    }
    if page.stages.is_empty() {
        output::say("no requests were answered in that time");
        return Ok(());
    }
    let mut before = String::new();
    let rows: Vec<_> = page
        .stages
        .iter()
        .map(|r| {
            let again = std::mem::replace(&mut before, r.api.clone()) == r.api;
            [
                if again && output.terminal { String::new() } else { r.api.clone() },
                r.stage.clone(),
                r.share.map_or_else(|| "-".into(), |s| format!("{:.1}%", s * 100.0)),
                count(r.count as f64),
                micros(r.mean_us),
                micros_told(r.p50_us),
                micros_told(r.p90_us),
                micros_told(r.p99_us),
                micros_told(r.p99_9_us),
                micros(r.max_us),
            ]
        })
        .collect();
    let columns = [
        Column::Left("API"),
        Column::Left("STAGE"),
        Column::Right("SHARE"),
        Column::Right("COUNT"),
        Column::Right("MEAN"),
        Column::Right("P50"),
        Column::Right("P90"),
        Column::Right("P99"),
        Column::Right("P99.9"),
        Column::Right("MAX"),
    ];
    output.table(columns, &rows)
}
