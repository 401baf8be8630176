//! `perf show`: one run again, without running it.

use std::path::PathBuf;

use crate::{
    awake,
    failure::Failure,
    hgrm,
    latency::{Kind, SparseLatency},
    run::{Directory, PERCENTS, Run},
    spec::{Quantile, format_bytes, format_count, format_nanos},
    terminal::{self, visible},
    view::{self, Align, Cell, HeatMap, Line, Table},
};

/// Options of `perf show`.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs {
    /// The run's directory
    run: PathBuf,
    /// The percentile distribution and its plot
    #[arg(long)]
    hist: bool,
    /// What happened second by second
    #[arg(long)]
    timeline: bool,
    /// Seconds across, latency up, darkness for how many
    #[arg(long)]
    heatmap: bool,
    /// Which latency, for the pictures
    #[arg(long, value_enum, default_value_t = Kind::Response)]
    metric: Kind,
}

/// Runs the command.
///
/// # Errors
/// A file of the run that cannot be read.
pub fn run(args: &ShowArgs) -> Result<(), Failure> {
    let directory = Directory::at(&args.run);
    let run = directory.run()?;
    let mut text = render(&run);
    if run.verdict.is_invalid() && (args.hist || args.heatmap) {
        text.push_str("no distribution is shown: it would be the generator's\n");
    }
    if args.hist && !run.verdict.is_invalid() {
        let total = directory.total()?;
        let lines: Vec<Line> = [Kind::Response, Kind::Service, Kind::EndToEnd]
            .into_iter()
            .filter(|kind| total.of(*kind).count() > 0)
            .map(|kind| Line::of(kind.name(), hgrm::Curve::told(&total, kind)))
            .collect();
        text.push_str(&format!("\n{}", view::percentile_plot(&lines, 76, 20)));
        if total.of(args.metric).count() > 0 {
            let mut distribution = Vec::new();
            hgrm::write_told(&total, args.metric, &mut distribution)
                .map_err(|e| Failure::Local(e.to_string()))?;
            text.push_str(&format!("\n{} in ms\n", args.metric.name()));
            text.push_str(&String::from_utf8_lossy(&distribution));
        }
    }
    if args.timeline {
        text.push('\n');
        let mut lines = directory.timeline()?.into_iter();
        let header: Vec<String> =
            lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let mut table = Table::new(header, Align::Right);
        for line in lines {
            table.row(line.split(',').map(Cell::plain).collect());
        }
        text.push_str(&table.render(false));
    }
    if args.heatmap && !run.verdict.is_invalid() {
        text.push_str(&format!("\n{} over time\n", args.metric.name()));
        text.push_str(&heatmap(&directory, args.metric)?);
    }
    terminal::print(&text);
    Ok(())
}

/// The run in words and one table.
pub(crate) fn render(run: &Run) -> String {
    let mut text = format!(
        "{}  {}  {}\n",
        visible(if run.name.is_empty() { "run" } else { &run.name }),
        visible(&run.started),
        visible(&run.broker.fingerprint)
    );
    let load: Vec<String> =
        run.load.iter().map(|(name, value)| visible(&format!("{name} {value}"))).collect();
    text.push_str(&format!("{}\n", load.join(", ")));
    for (name, value) in &run.broker.settings {
        text.push_str(&format!("{}\n", visible(&format!("{name} {value}"))));
    }
    if let Some(line) = awake::line(run.kept_awake) {
        text.push_str(&format!("{line}\n"));
    }
    text.push('\n');
    text.push_str(&summary_table(run).render(terminal::colour()));
    let groups: u64 = run.load.get("groups").and_then(|g| g.parse().ok()).unwrap_or(1);
    let total = |of: fn(&crate::run::Stage) -> u64| -> u64 {
        run.repeats.iter().flat_map(|r| &r.stages).map(of).sum()
    };
    if total(|s| s.received) > 0 {
        text.push_str(&format!(
            "received {} records in {groups} group(s)\n",
            format_count(total(|s| s.received) as f64)
        ));
    }
    if total(|s| s.missing) > 0 {
        text.push_str(&format!(
            "NOT RECEIVED: {} records that were acknowledged; e2e counts them with at least the time-out\n",
            total(|s| s.missing)
        ));
    }
    for (error, count) in run.repeats.iter().flat_map(|r| &r.stages).flat_map(|s| &s.errors) {
        text.push_str(&format!("error: {}: {count} records\n", visible(error)));
    }
    if let Some(seconds) = run.broker.cpu_seconds() {
        text.push_str(&format!("broker CPU {seconds:.2} s with warm-up and drain"));
        if let Some(each) = run.cpu_per_gb() {
            text.push_str(&format!(", {each:.2} s per GB while it was measured"));
        }
        if let Some(written) = run.broker.written_bytes() {
            text.push_str(&format!(", wrote {}", format_bytes(written)));
        }
        text.push('\n');
    }
    if let Some(inside) = run.broker.inside() {
        text.push_str(&format!("broker flushes {:.0}", inside.flushes));
        for (value, what) in [
            (inside.records_per_flush, "records per flush"),
            (inside.write_amplification, "bytes written per byte taken"),
            (inside.messages_per_request, "messages between cores per request"),
        ] {
            if let Some(value) = value {
                text.push_str(&format!(", {value:.2} {what}"));
            }
        }
        text.push('\n');
    }
    for (number, repeat) in run.repeats.iter().enumerate() {
        let generator = &repeat.generator;
        text.push_str(&format!(
            "generator {}: busiest thread {:.0} % of a core, waited for one {:.0} %, lag p99.9 {}\n",
            number + 1,
            generator.busiest * 100.0,
            generator.waited * 100.0,
            generator.lag_p999.map_or_else(|| "n/a".into(), format_nanos)
        ));
        if let Some(seconds) = repeat.backlog_seconds {
            text.push_str(&format!("backlog drained after {seconds:.1} s\n"));
        }
        if let Some(verify) = &repeat.verify {
            text.push_str(&format!("verify: {verify}\n"));
            for finding in verify.findings.iter().take(10) {
                text.push_str(&format!("  {}\n", visible(finding)));
            }
        }
    }
    if let Some(why) = &run.ended_early {
        text.push_str(&format!("ENDED EARLY: {}\n", visible(why)));
    }
    text.push_str(&format!("verdict: {}\n", visible(&run.verdict_and_failures())));
    text
}

/// One row a repeat, stage and kind.
pub(crate) fn summary_table(run: &Run) -> Table {
    let mut header =
        vec!["latency".to_owned(), "target/s".into(), "acked/s".into(), "bytes/s".into()];
    let quantiles: Vec<Quantile> =
        PERCENTS.iter().filter_map(|percent| Quantile::percent(*percent).ok()).collect();
    header.extend(quantiles.iter().map(ToString::to_string));
    header.push("failed".into());
    let mut table = Table::new(header, Align::Right);
    for (number, repeat) in run.repeats.iter().enumerate() {
        // As fast as the generator could: the broker may be faster.
        for stage in &repeat.stages {
            let is_bound = repeat.verdict.is_invalid() && stage.target.is_none();
            let at_least = if is_bound { ">=" } else { "" };
            for kind in [Kind::Response, Kind::Service, Kind::Delay, Kind::EndToEnd] {
                let Some(summary) = stage.latency.get(kind.name()) else { continue };
                let name = if run.repeats.len() > 1 {
                    format!("{} #{}", kind.name(), number + 1)
                } else {
                    kind.name().to_owned()
                };
                let first = kind == Kind::Response || !stage.latency.contains_key("response");
                let once = |text: String| Cell::plain(if first { text } else { String::new() });
                let mut cells = vec![
                    Cell::plain(name),
                    once(stage.target.map_or_else(|| "max".into(), format_count)),
                    once(format!("{at_least}{}", format_count(stage.rate()))),
                    once(format!("{}/s", format_bytes(stage.bytes_rate()))),
                ];
                cells.extend(
                    quantiles
                        .iter()
                        .map(|quantile| Cell::plain(summary.cell(&quantile.to_string()))),
                );
                cells.push(once(stage.failed.to_string()));
                table.row(cells);
            }
        }
    }
    table
}

/// Columns of the map in a terminal.
const COLUMNS: usize = 100;

/// Rows of it.
const ROWS: usize = 30;

fn heatmap(directory: &Directory, kind: Kind) -> Result<String, Failure> {
    let log = directory.log()?;
    let seconds: Vec<(f64, &SparseLatency)> = log
        .lines
        .iter()
        .filter(|line| line.0 == kind)
        .map(|(_, start, _, latency)| (*start, latency))
        .collect();
    Ok(match HeatMap::of(&seconds, COLUMNS, ROWS) {
        Some(map) => map.text(),
        None => format!("no {} in this run\n", kind.name()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::run::{Repeat, Stage, Summary, Verdict};

    fn run(verdict: Verdict) -> Run {
        let told = |name: &str, nanos| (name.to_owned(), nanos);
        let summary = Summary {
            count: 5_000,
            percentiles: [
                told("p50", Some(1_500_000)),
                told("p99", Some(7_000_000)),
                told("p99.9", None),
            ]
            .into(),
            ..Summary::default()
        };
        let stage = Stage {
            target: Some(1_000.0),
            seconds: 5.0,
            acknowledged: 4_000,
            bytes: 5 << 20,
            failed: 7,
            received: 3_900,
            missing: 100,
            errors: BTreeMap::from([("timed out".to_owned(), 7)]),
            latency: [("response".to_owned(), summary)].into(),
            ..Stage::default()
        };
        let mut repeat =
            Repeat { stages: vec![stage], verdict: verdict.clone(), ..Repeat::default() };
        if verdict.is_invalid() {
            repeat.withhold();
        }
        let load = [("groups".to_owned(), "1".to_owned()), ("acks".to_owned(), "all".to_owned())];
        Run {
            name: "r".into(),
            load: load.into(),
            repeats: vec![repeat],
            verdict,
            ..Run::default()
        }
    }

    #[test]
    fn a_run_is_told_in_words_and_one_table() {
        let text = render(&run(Verdict::Saturated("held".into())));
        for said in [
            "acks all, groups 1",
            "1.50 ms",
            "7.00 ms",
            "n/a",
            "800",
            "received 3.9k records in 1 group(s)",
            "NOT RECEIVED: 100 records",
            "error: timed out: 7 records",
            "verdict: SATURATED: held, 7 records failed: timed out",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains("ENDED EARLY") && !text.contains("awake"));
        let text = render(&Run { kept_awake: 2, ..run(Verdict::Valid) });
        let said = "processors kept awake by an idle-class thread each: 2\n";
        assert!(text.contains(said), "{text}");
        let early = Some("repeat 2 of 5: no broker".to_owned());
        let text = render(&Run { ended_early: early, ..run(Verdict::Valid) });
        assert!(text.contains("ENDED EARLY: repeat 2 of 5: no broker\n"), "{text}");
    }

    #[test]
    fn what_a_broker_says_of_itself_moves_no_cursor() {
        let odd = || "a\x1b[2Jb".to_owned();
        let mut run = run(Verdict::Valid);
        (run.name, run.broker.fingerprint) = (odd(), odd());
        run.broker.settings.insert(odd(), odd());
        run.repeats[0].stages[0].errors.insert(odd(), 1);
        assert!(!render(&run).contains('\x1b'));
    }

    #[test]
    fn an_invalid_run_is_told_without_a_latency() {
        let text = render(&run(Verdict::Invalid("late".into())));
        assert!(!text.contains("1.50 ms") && !text.contains("7.00 ms"), "{text}");
        assert!(text.contains("INVALID") && text.contains("INVALID(generator): late"), "{text}");
    }
}
