//! Reports as one page of HTML: tables and SVG inside, nothing loaded from elsewhere.

use std::fmt::Write;

use super::{
    HeatMap, Line, Table, WITHHELD,
    svg::{escape, heat_svg, percentile_svg, time_svg},
};
use crate::{
    hgrm::Curve,
    latency::{Kind, Latencies, SparseLatencies, Told},
    run::{Recording, Run, Verdict},
    spec::{Quantile, format_bytes, format_count},
    terminal::Tone,
};

const STYLE: &str = "\
    :root{color-scheme:light dark;--line:#8883;--soft:#8881;--good:#009e73;--warn:#b8860b;--bad:#d55e00}\
    body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto 4rem;padding:0 1.2rem}\
    h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.4rem 0}\
    .scroll{overflow-x:auto}table{border-collapse:collapse;margin:.8rem 0;font-variant-numeric:tabular-nums}\
    td,th{padding:.25rem .8rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\
    th{font-weight:600;white-space:normal;vertical-align:bottom}td:first-child,th:first-child{text-align:left}\
    .facts td{text-align:left;white-space:normal;overflow-wrap:anywhere}.facts td:first-child{white-space:nowrap;color:#808080}\
    .better{color:var(--good)}.worse{color:var(--bad)}\
    code,pre{font:.85em/1.45 ui-monospace,monospace;background:var(--soft);border-radius:4px}\
    code{padding:.1rem .3rem;overflow-wrap:anywhere}pre{padding:.7rem .9rem;white-space:pre-wrap;overflow-wrap:anywhere}\
    svg{display:block;width:100%;height:auto;margin:1.4rem 0}\
    .verdict{display:inline-block;padding:.1rem .6rem;border-radius:1rem;border:1px solid;font-size:.9em}\
    .valid{color:var(--good)}.saturated{color:var(--warn)}.invalid{color:var(--bad)}\
    .cards{display:flex;flex-wrap:wrap;gap:.7rem;margin:1rem 0}\
    .card{background:var(--soft);border-radius:8px;padding:.5rem .9rem;min-width:6.5rem}\
    .card b{display:block;font-size:1.25rem}.card span{color:#808080;font-size:.85em}";

/// A whole page: nothing in it is loaded from elsewhere.
pub(crate) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style>\n\
         <h1>{0}</h1>\n{body}</html>\n",
        escape(title)
    )
}

/// A heading of a part.
pub(crate) fn heading(text: &str) -> String {
    format!("<h2>{}</h2>\n", escape(text))
}

/// A sentence.
pub(crate) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// Text that stays as it is: a command line, a configuration.
pub(crate) fn verbatim(text: &str) -> String {
    format!("<pre>{}</pre>\n", escape(text))
}

/// A few numbers, large.
fn cards(cards: &[(String, String)]) -> String {
    let mut html = String::from("<div class=\"cards\">");
    for (name, value) in cards {
        let (name, value) = (escape(name), escape(value));
        let _ = write!(html, "<div class=\"card\"><b>{value}</b><span>{name}</span></div>");
    }
    html.push_str("</div>\n");
    html
}

/// The table.
pub(crate) fn html_table(table: &Table) -> String {
    let mut html = String::from("<div class=\"scroll\"><table><tr>");
    for name in table.header() {
        let _ = write!(html, "<th>{}</th>", escape(name));
    }
    html.push_str("</tr>\n");
    for row in table.rows() {
        html.push_str("<tr>");
        for cell in row {
            let class = match cell.tone {
                Tone::Better => " class=\"better\"",
                Tone::Worse => " class=\"worse\"",
                Tone::Plain => "",
            };
            let _ = write!(html, "<td{class}>{}</td>", escape(&cell.text));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
    html
}

/// Names and values; those without a value are left out.
pub(crate) fn facts(rows: &[(&str, String)]) -> String {
    let mut html = String::from("<table class=\"facts\">");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(html, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    }
    html.push_str("</table>\n");
    html
}

/// The report of one run.
pub(crate) fn run_page(run: &Run, recording: &Recording) -> String {
    let mut body = String::new();
    let class = match run.verdict {
        Verdict::Valid => "valid",
        Verdict::Saturated(_) => "saturated",
        Verdict::Invalid(_) => "invalid",
    };
    let _ = writeln!(
        body,
        "<p><span class=\"verdict {class}\">{}</span> {} &middot; {}</p>",
        escape(&run.verdict_and_failures()),
        escape(&run.broker.fingerprint),
        escape(&run.started)
    );
    body.push_str(&verbatim(&run.arguments.join(" ")));
    let total = recording.total();
    let kinds = [Kind::Response, Kind::Service, Kind::Delay, Kind::EndToEnd];
    let shown = || kinds.into_iter().filter(|kind| total.of(*kind).count() > 0);
    if !run.verdict.is_invalid() {
        let main = shown().next().unwrap_or(Kind::Response);
        let mut large = vec![("records/s acknowledged".to_owned(), format_count(run.rate()))];
        // A ramp has a rate and percentiles for each of its stages, in the table: all of them together are those of no load.
        let is_ramp = run.repeats.iter().any(|repeat| repeat.stages.len() > 1);
        if is_ramp {
            large[0].0 = "records/s acknowledged, mean of all stages".to_owned();
        }
        for percent in [50.0, 99.0, 99.9, 100.0].into_iter().filter(|_| !is_ramp) {
            let quantile = Quantile::percent(percent);
            let name = quantile.as_ref().map_or_else(|_| String::new(), ToString::to_string);
            let told = quantile.map_or(Told::TooFew, |quantile| total.told(main, quantile));
            large.push((format!("{name} {}", main.name()), told.to_string()));
        }
        if let Some(seconds) = run.cpu_per_gb() {
            large.push(("broker CPU s per GB".into(), format!("{seconds:.2}")));
        }
        body.push_str(&cards(&large));
    }
    body.push_str(&html_table(&crate::show::summary_table(run)));
    if let Some(why) = &run.ended_early {
        body.push_str(&paragraph(&format!("ended early: {why}")));
    }
    for verify in run.repeats.iter().filter_map(|repeat| repeat.verify.as_ref()) {
        body.push_str(&paragraph(&format!("verify: {verify}")));
        if !verify.findings.is_empty() {
            body.push_str(&verbatim(&verify.findings.join("\n")));
        }
    }
    if run.verdict.is_invalid() {
        body.push_str(&paragraph(
            "The generator did not do its part: its latencies are its own, and no picture is made of them.",
        ));
    } else {
        body.push_str(&latency_pictures(recording, &total, &shown().collect::<Vec<_>>()));
    }
    body.push_str(&time_svg("Records a second", &rates(run, recording), format_count));
    body.push_str(&heading("Facts"));
    body.push_str(&facts(&run_facts(run)));
    page(&format!("perf run {}", run.name), &body)
}

/// Percentiles, and what came when.
fn latency_pictures(recording: &Recording, total: &Latencies, kinds: &[Kind]) -> String {
    let lines: Vec<Line> =
        kinds.iter().map(|kind| Line::of(kind.name(), Curve::told(total, *kind))).collect();
    let mut body = percentile_svg("Latency by percentile", &lines);
    if lines.iter().any(|line| !line.withheld.is_empty()) {
        body.push_str(&paragraph(&format!(
            "What is dashed is no number of the broker's: {WITHHELD}."
        )));
    }
    for kind in [Kind::Response, Kind::EndToEnd] {
        let seconds: Vec<(f64, &SparseLatencies)> = recording
            .intervals
            .iter()
            .map(|interval| (interval.start.as_secs_f64(), &interval.latencies))
            .collect();
        if let Some(map) = HeatMap::of_kind(&seconds, kind, 200, 40) {
            body.push_str(&heat_svg(&format!("{} over time", kind.title()), &map));
        }
    }
    body
}

/// Acknowledged, received and offered records by second.
fn rates(run: &Run, recording: &Recording) -> Vec<(String, Vec<(f64, f64)>)> {
    let column = |number: usize| -> Vec<(f64, f64)> {
        // What came after the end of a repeat is no second of it.
        let is_measured = |second: f64| {
            run.repeats.iter().any(|repeat| {
                let seconds: f64 = repeat.stages.iter().map(|stage| stage.seconds).sum();
                second > repeat.from_seconds - 0.9 && second < repeat.from_seconds + seconds - 0.4
            })
        };
        let of = |line: &String| {
            let mut columns = line.split(',');
            let second = columns.next()?.parse().ok()?;
            Some((second, columns.nth(number - 1)?.parse().ok()?))
        };
        let seconds = recording.timeline.iter().filter_map(of);
        seconds.filter(|(second, _)| is_measured(*second)).collect()
    };
    let mut lines = vec![("acknowledged".to_owned(), column(1))];
    let received = column(3);
    if received.iter().any(|(_, count)| *count > 0.0) {
        lines.push(("received".into(), received));
    }
    let mut offered = Vec::new();
    for repeat in &run.repeats {
        let mut at = repeat.from_seconds;
        for stage in &repeat.stages {
            if let Some(target) = stage.target {
                offered.extend([(at, target), (at + stage.seconds - 0.001, target)]);
            }
            at += stage.seconds;
        }
    }
    if !offered.is_empty() {
        lines.push(("offered".into(), offered));
    }
    lines
}

fn run_facts(run: &Run) -> Vec<(&str, String)> {
    let machine = &run.machine;
    let storage = machine.storage.clone().unwrap_or_default();
    let inside = run.broker.inside().unwrap_or_default();
    let number = |value: Option<f64>| value.map(|v| format!("{v:.2}")).unwrap_or_default();
    let memory = run.broker.after.iter().map(|usage| usage.resident_bytes).sum::<u64>();
    let kept_awake = if run.kept_awake > 0 {
        format!("{}, by an idle-class thread each", run.kept_awake)
    } else {
        String::new()
    };
    let mut rows = vec![
        ("harness", format!("{} {}", run.tool, run.revision)),
        ("broker", format!("{} at {}", run.broker.fingerprint, run.broker.addresses.join(", "))),
        ("broker CPU seconds, with warm-up", number(run.broker.cpu_seconds())),
        ("broker CPU seconds per GB", number(run.cpu_per_gb())),
        ("broker memory", if memory > 0 { format_bytes(memory as f64) } else { String::new() }),
        ("broker bytes written", run.broker.written_bytes().map(format_bytes).unwrap_or_default()),
        ("records per flush", number(inside.records_per_flush)),
        ("write amplification", number(inside.write_amplification)),
        ("messages between cores per request", number(inside.messages_per_request)),
        ("processor", format!("{} ({} cores)", machine.cpu, machine.cores)),
        ("memory", format_bytes(machine.memory_bytes as f64)),
        ("kernel", machine.kernel.clone()),
        ("load average before", machine.load_average.clone()),
        ("processors kept awake", kept_awake),
        ("limits", machine.limits.join("; ")),
        ("file system", format!("{} {}", storage.file_system, storage.options)),
        ("device", format!("{} {}", storage.device, storage.facts)),
    ];
    rows.extend(run.load.iter().map(|(name, value)| (name.as_str(), value.clone())));
    rows.extend(run.broker.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    rows
}

/// The report of a comparison.
pub(crate) fn comparison_page(
    title: &str,
    table: &Table,
    notes: &[String],
    lines: &[Line],
) -> String {
    let mut body = html_table(table);
    for note in notes {
        body.push_str(&paragraph(note));
    }
    body.push_str(&percentile_svg(title, lines));
    page(title, &body)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        hlog::Interval,
        run::{Repeat, Stage, Summary},
    };

    /// A broker of 10 ms; the generator closed two records of a thousand 40 ms late.
    fn late() -> Latencies {
        let mut all = Latencies::default();
        for (late, count) in [(0, 99_800), (40_000_000, 200)] {
            all.of_mut(Kind::Response).record_n(10_000_000 + late, count);
            all.of_mut(Kind::Prompt).record_n(10_000_000, count);
        }
        all
    }

    fn page_of(stages: usize) -> String {
        let latencies = late();
        let stage = Stage {
            target: Some(1e5),
            seconds: 1.0,
            acknowledged: 100_000,
            failed: 3,
            errors: [("NOT_ENOUGH_REPLICAS".to_owned(), 3)].into(),
            latency: Summary::all(&latencies),
            ..Stage::default()
        };
        let repeats = vec![Repeat { stages: vec![stage; stages], ..Repeat::default() }];
        let (length, latencies) = (Duration::from_secs(1), (&latencies).into());
        let interval = Interval { start: Duration::ZERO, length, latencies };
        let recording = Recording { intervals: vec![interval], ..Recording::default() };
        run_page(&Run { repeats, ..Run::default() }, &recording)
    }

    /// The page without its pictures.
    fn words(page: &str) -> String {
        let mut parts = page.split("<svg");
        let first = parts.next().unwrap_or_default().to_owned();
        let behind = |part: &str| part.split_once("</svg>").map(|(_, rest)| rest.to_owned());
        std::iter::once(first).chain(parts.filter_map(behind)).collect()
    }

    #[test]
    fn a_percentile_that_the_table_withholds_is_on_no_other_part_of_the_page() {
        let page = page_of(1);
        let card = |name: &str| {
            let (before, _) = page.split_once(&format!("</b><span>{name} response")).unwrap();
            before.rsplit_once("<b>").unwrap().1.to_owned()
        };
        assert_eq!((card("p50").as_str(), card("p99").as_str()), ("10.0 ms", "10.0 ms"));
        assert_eq!((card("p99.9").as_str(), card("max").as_str()), ("INVALID", "INVALID"));
        assert!(!words(&page).contains("50.0 ms"), "{}", words(&page));
        assert!(words(&page).contains(WITHHELD) && page.contains("stroke-dasharray"));
        assert!(page.contains("p99 10.0 ms, max INVALID</title>"), "{page}");
    }

    #[test]
    fn what_failed_stands_beside_the_verdict() {
        let page = page_of(1);
        assert!(page.contains("valid, 3 records failed: NOT_ENOUGH_REPLICAS</span>"), "{page}");
    }

    #[test]
    fn the_percentiles_of_a_ramp_are_those_of_its_stages() {
        let page = page_of(2);
        assert!(page.contains("mean of all stages") && !page.contains("<span>p50 response"));
    }
}
