//! `perf compare`: runs side by side, the first as the baseline.
//!
//! A difference is coloured only where the spreads of the two runs' repeats do not meet: what lies within chance stays plain.

mod judgement;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use judgement::Judgement;

use crate::{
    failure::Failure,
    latency::Kind,
    run::{Measured, Wanted},
    spec::{Assertion, Quantile, Subject, format_bytes, format_count, format_nanos},
    terminal::{self, Tone},
    view::{self, Align, Cell, Line, Table},
};

/// Options of `perf compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct CompareArgs {
    /// Run directories, `.hlog` or `.hgrm` files; the first is the baseline
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Which latency
    #[arg(long, value_enum, default_value_t = Kind::Response)]
    metric: Kind,
    /// Instead, one API and stage of brokers' own logs, such as Produce.total: files of `ringwood latency export`, or run directories
    /// whose runs had --admin
    #[arg(long, value_name = "API.STAGE", conflicts_with = "metric")]
    tag: Option<String>,
    /// Which percentiles
    #[arg(long, default_value = "50,90,99,99.9,99.99,max")]
    percentiles: String,
    /// Write the percentile plot as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write table and plot as one page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Draw the percentile plot in the terminal
    #[arg(long)]
    plot: bool,
    /// Exit with 3 where this holds for any run against the baseline and is more than chance, or cannot be told: a difference needs four
    /// repeats of each run, better five. 'p99 > +10%', 'rate < -5%', 'max > 1s'; may be repeated
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Assertion>,
    /// Write the comparison as JSON; `-` is stdout
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// A file that cannot be read or written, or a `--fail-if` that holds.
pub fn run(args: &CompareArgs) -> Result<(), Failure> {
    let quantiles = crate::spec::quantiles(&args.percentiles).map_err(Failure::Usage)?;
    let runs = args
        .runs
        .iter()
        .map(|path| Measured::load(path, Wanted { kind: args.metric, tag: args.tag.as_deref() }))
        .collect::<Result<Vec<_>, _>>()?;
    let metric = args.tag.as_deref().unwrap_or_else(|| args.metric.name());
    let table = table(&runs, &quantiles, metric);
    let judgements = judge(&runs, &args.fail_if);
    let mut notes = notes(&runs);
    notes.extend(judgements.iter().map(ToString::to_string));
    let lines: Vec<Line> = runs
        .iter()
        .filter(|run| !run.is_invalid())
        .map(|run| Line::of(&run.name, run.curve.clone()))
        .collect();
    let title = format!("{metric} latency");
    if let Some(path) = &args.svg {
        write(path, &view::percentile_svg(&title, &lines))?;
    }
    if let Some(path) = &args.html {
        write(path, &view::comparison_page(&title, &table, &notes, &lines))?;
    }
    match args.json.as_deref() {
        Some("-") => terminal::print(&json(&runs, &quantiles, metric)),
        Some(path) => write(&PathBuf::from(path), &json(&runs, &quantiles, metric))?,
        None => {}
    }
    if args.json.as_deref() != Some("-") {
        let mut text = table.render(terminal::colour());
        for note in &notes {
            text.push_str(&format!("{}\n", terminal::visible(note)));
        }
        if args.plot {
            text.push_str(&format!("\n{title}\n{}", view::percentile_plot(&lines, 76, 20)));
        }
        terminal::print(&text);
    }
    conclude(&runs, &judgements)
}

fn write(path: &PathBuf, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|e| Failure::file("write", path, &e))
}

/// Better or worse only where the spreads do not meet.
fn tone(baseline: &Measured, run: &Measured, subject: Subject) -> Tone {
    let (Some((low, high)), Some((run_low, run_high))) =
        (baseline.spread(subject), run.spread(subject))
    else {
        return Tone::Plain;
    };
    let more_is_better = subject == Subject::Rate;
    if run_low > high {
        if more_is_better { Tone::Better } else { Tone::Worse }
    } else if run_high < low {
        if more_is_better { Tone::Worse } else { Tone::Better }
    } else {
        Tone::Plain
    }
}

fn table(runs: &[Measured], quantiles: &[Quantile], metric: &str) -> Table {
    let mut header = vec![metric.to_owned()];
    header.extend(runs.iter().map(|run| run.name.clone()));
    let mut table = Table::new(header, Align::Right);
    let subjects = quantiles
        .iter()
        .map(|q| (q.to_string(), Subject::Latency(*q)))
        .chain([("mean".into(), Subject::Mean), ("records/s".into(), Subject::Rate)]);
    let Some(baseline) = runs.first() else { return table };
    for (name, subject) in subjects {
        if runs.iter().all(|run| run.value(subject).is_none())
            && !matches!(subject, Subject::Latency(_))
        {
            continue;
        }
        let show = |value: f64| match subject {
            Subject::Latency(_) | Subject::Mean => format_nanos(value as u64),
            Subject::Rate => format_count(value),
        };
        let mut cells = vec![Cell::plain(name)];
        for (number, run) in runs.iter().enumerate() {
            let Some(here) = run.value(subject) else {
                cells.push(Cell::plain(if run.is_moved(subject) { "INVALID" } else { "n/a" }));
                continue;
            };
            let mut text = show(here);
            if let Some((low, high)) = run.spread(subject) {
                text.push_str(&format!(" [{}..{}]", show(low), show(high)));
            }
            let base = baseline.value(subject).filter(|base| *base > 0.0);
            let tone = if number == 0 { Tone::Plain } else { tone(baseline, run, subject) };
            if let (Some(base), true) = (base, number > 0) {
                text.push_str(&format!(" {:+.1}%", (here - base) / base * 100.0));
            }
            cells.push(Cell { text, tone });
        }
        table.row(cells);
    }
    let mut row = |name: &str, of: &dyn Fn(&Measured) -> Option<String>| {
        if runs.iter().any(|run| of(run).is_some()) {
            let cells = runs.iter().map(|run| Cell::plain(of(run).unwrap_or_else(|| "n/a".into())));
            table.row([Cell::plain(name)].into_iter().chain(cells).collect());
        }
    };
    row("bytes/s", &|run| run.byte_rate().map(|rate| format!("{}/s", format_bytes(rate))));
    row("broker CPU s/GB", &|run| run.run.as_ref()?.cpu_per_gb().map(|s| format!("{s:.2}")));
    row("write amplification", &|run| {
        run.run.as_ref()?.broker.inside()?.write_amplification.map(|times| format!("{times:.2}"))
    });
    row("broker", &|run| Some(run.run.as_ref()?.broker.fingerprint.clone()));
    row("acks", &|run| run.run.as_ref()?.load.get("acks").cloned());
    row("records", &|run| Some(format_count(run.curve.count as f64)));
    row("repeats", &|run| Some(run.run.as_ref()?.repeats.len().to_string()));
    let fails = runs.iter().filter_map(|run| run.run.as_ref()).any(|run| run.failed() > 0);
    row("failed", &|run| {
        let run = run.run.as_ref().filter(|_| fails)?;
        Some(run.failures().unwrap_or_else(|| "0".into()))
    });
    row("verdict", &|run| Some(run.run.as_ref()?.verdict.word().to_owned()));
    row("broker revision", &|run| Some(run.run.as_ref()?.broker.revision()?.to_owned()));
    row("harness revision", &|run| {
        Some(run.run.as_ref()?.revision.clone()).filter(|revision| !revision.is_empty())
    });
    row("started", &|run| Some(run.run.as_ref()?.started.clone()));
    table
}

fn notes(runs: &[Measured]) -> Vec<String> {
    let mut notes = Vec::new();
    if runs.len() > 1 && runs.iter().any(|run| run.spread(Subject::Rate).is_none()) {
        notes.push(
            "A run without repeats has no spread: its differences may be chance, and none is coloured (--repeat 3)."
                .to_owned(),
        );
    }
    let differences = load_differences(runs);
    if !differences.is_empty() {
        notes.push(format!("The loads are not the same: {}.", differences.join("; ")));
    }
    notes.extend(awake_difference(runs));
    for run in runs {
        if let Some(why) = &run.invalid {
            notes.push(format!("{} is INVALID(generator): {why}", run.name));
        }
    }
    notes
}

fn json(runs: &[Measured], quantiles: &[Quantile], metric: &str) -> String {
    let baseline = runs.first();
    let columns: Vec<serde_json::Value> = runs
        .iter()
        .map(|run| {
            let entry = |subject: Subject| {
                let here = run.value(subject);
                let base = baseline.and_then(|base| base.value(subject)).filter(|base| *base > 0.0);
                let change = here.zip(base).map(|(here, base)| (here - base) / base * 100.0);
                serde_json::json!({ "value": here, "change_percent": change, "spread": run.spread(subject) })
            };
            let percentiles: serde_json::Map<String, serde_json::Value> =
                quantiles.iter().map(|q| (q.to_string(), entry(Subject::Latency(*q)))).collect();
            serde_json::json!({
                "name": run.name,
                "records": run.curve.count,
                "nanoseconds": percentiles,
                "mean": entry(Subject::Mean),
                "rate": entry(Subject::Rate),
                "bytes_rate": run.byte_rate(),
                "kept_awake": run.run.as_ref().map(|run| run.kept_awake),
                "broker": run.run.as_ref().map(|run| &run.broker.fingerprint),
                "broker_revision": run.run.as_ref().and_then(|run| run.broker.revision()),
                "harness_revision": run.run.as_ref().map(|run| &run.revision),
                "verdict": run.run.as_ref().map(|run| run.verdict.to_string()),
                "failed": run.run.as_ref().map(crate::run::Run::failed),
            })
        })
        .collect();
    let value = serde_json::json!({ "metric": metric, "runs": columns });
    format!("{value:#}\n")
}

/// Every condition against every run but the baseline; a single run stands alone.
fn judge(runs: &[Measured], conditions: &[Assertion]) -> Vec<Judgement> {
    let Some((first, others)) = runs.split_first() else { return Vec::new() };
    let baseline = (!others.is_empty()).then_some(first);
    let judged = if others.is_empty() { runs } else { others };
    let each = |condition: &Assertion| {
        let condition = *condition;
        judged.iter().map(move |run| Judgement::of(condition, baseline, run))
    };
    conditions.iter().flat_map(each).collect()
}

/// What the comparison says to the shell.
fn conclude(runs: &[Measured], judgements: &[Judgement]) -> Result<(), Failure> {
    if judgements.is_empty() {
        return Ok(());
    }
    // A gate is not passed by a run that measured its own generator.
    if let Some(run) = runs.iter().find(|run| run.is_invalid()) {
        return Err(Failure::Invalid(format!("{} cannot be judged: INVALID(generator)", run.name)));
    }
    let failed: Vec<String> =
        judgements.iter().filter(|j| j.fails()).map(ToString::to_string).collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Assertion(failed.join("; "))) }
}

/// The runs' loads where they are not the same: then the difference may be theirs.
fn load_differences(runs: &[Measured]) -> Vec<String> {
    let loads: Vec<_> = runs.iter().filter_map(|run| Some(&run.run.as_ref()?.load)).collect();
    let Some((first, others)) = loads.split_first() else { return Vec::new() };
    let names: BTreeSet<&String> = loads.iter().flat_map(|load| load.keys()).collect();
    names
        .into_iter()
        .filter(|name| others.iter().any(|load| load.get(*name) != first.get(*name)))
        .map(|name| {
            let of = |load: &&BTreeMap<String, String>| {
                load.get(name).map_or_else(|| "none".into(), Clone::clone)
            };
            format!("{name} {}", loads.iter().map(of).collect::<Vec<_>>().join(" / "))
        })
        .collect()
}

/// The processors of the runs where they were not kept awake alike: then the difference may be theirs.
fn awake_difference(runs: &[Measured]) -> Option<String> {
    let counts: Vec<usize> =
        runs.iter().filter_map(|run| Some(run.run.as_ref()?.kept_awake)).collect();
    let (first, others) = counts.split_first()?;
    if others.iter().all(|count| count == first) {
        return None;
    }
    let all: Vec<String> = counts.iter().map(ToString::to_string).collect();
    Some(format!(
        "Processors kept awake by an idle-class thread each (--keep-awake): {}; how late a client wakes is not the same.",
        all.join(" / ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Broker, Repeat, Run, Stage};

    #[test]
    fn processors_that_were_not_kept_awake_alike_are_noted_and_nothing_refused() {
        let measured = |kept_awake: Option<usize>| {
            let mut measured = Measured::of_rates(&[1.0, 2.0]);
            measured.run = kept_awake.map(|kept_awake| Run { kept_awake, ..Run::default() });
            measured
        };
        let said = |runs: &[Measured]| {
            let notes = notes(runs);
            assert_eq!(conclude(runs, &judge(runs, &[])), Ok(()));
            notes.into_iter().find(|note| note.contains("awake")).unwrap_or_default()
        };
        // A percentile text knows nothing of it.
        let told = said(&[measured(Some(2)), measured(None), measured(Some(0))]);
        assert!(told.contains("(--keep-awake): 2 / 0; "), "{told}");
        assert_eq!(said(&[measured(Some(2)), measured(Some(2)), measured(None)]), "");
        assert_eq!(said(&[measured(Some(0)), measured(Some(0))]), "");
    }

    #[test]
    fn what_failed_has_a_row_of_its_own() {
        let measured = |failed| {
            let errors = [("KAFKA_STORAGE_ERROR".to_owned(), failed)].into();
            let stage = Stage { failed, errors, ..Stage::default() };
            let repeats = vec![Repeat { stages: vec![stage], ..Repeat::default() }];
            let mut measured = Measured::of_rates(&[1.0]);
            measured.run = Some(Run { repeats, ..Run::default() });
            measured
        };
        let text = |runs: &[Measured]| table(runs, &[], "response").render(false);
        let found = text(&[measured(0), measured(7)]);
        let row = found.lines().find(|line| line.starts_with("failed ")).unwrap();
        assert!(row.contains(" 0 ") && row.ends_with("7 records failed: KAFKA_STORAGE_ERROR"));
        assert!(!text(&[measured(0), measured(0)]).contains("failed"));
    }

    /// One program measures both: its own revision tells nothing of theirs.
    #[test]
    fn two_revisions_of_a_broker_are_told_apart() {
        let measured = |revision: Option<&str>| {
            let told = revision.map(|r| ("ringwood.revision".to_owned(), r.to_owned()));
            let broker = Broker { settings: told.into_iter().collect(), ..Broker::default() };
            let mut measured = Measured::of_rates(&[1.0]);
            measured.run = Some(Run { revision: "cccc".into(), broker, ..Run::default() });
            measured
        };
        let runs = [measured(Some("aaaa")), measured(Some("bbbb")), measured(None)];
        let found = table(&runs, &[], "response").render(false);
        let row = |name: &str| -> Vec<&str> {
            let line = found.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().collect()
        };
        assert_eq!(row("broker revision"), ["aaaa", "bbbb", "n/a"]);
        assert_eq!(row("harness revision"), ["cccc", "cccc", "cccc"]);
        let told: serde_json::Value = serde_json::from_str(&json(&runs, &[], "response")).unwrap();
        assert_eq!(told["runs"][1]["broker_revision"], "bbbb");
    }

    #[test]
    fn a_difference_is_coloured_only_where_the_spreads_do_not_meet() {
        let base = Measured::of_rates(&[100.0, 104.0, 102.0]);
        let told = |rates: &[f64]| tone(&base, &Measured::of_rates(rates), Subject::Rate);
        assert_eq!(told(&[110.0, 105.0]), Tone::Better);
        assert_eq!(told(&[90.0, 99.0]), Tone::Worse);
        assert_eq!(told(&[90.0, 101.0]), Tone::Plain);
        // One repeat has no spread.
        assert_eq!(told(&[50.0]), Tone::Plain);
    }
}
