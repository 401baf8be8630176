//! Reports as one page of HTML: tables and SVG inside, nothing loaded from elsewhere.

use std::fmt::Write;

use super::{
    Line, Table,
    svg::{escape, percentile_svg, time_svg},
};
use crate::{
    hgrm::Curve,
    latency::Kind,
    run::{Recording, Run},
    spec::{Quantile, format_bytes, format_count, format_nanos},
    terminal::Tone,
};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
    color-scheme:light dark}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;\
    border-bottom:1px solid #8884}td:first-child,th:first-child{text-align:left}.better{color:#009e73}.worse{color:#d55e00}\
    code{font-size:.9em}svg{max-width:100%;height:auto}";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style>\n\
         <h1>{0}</h1>\n{body}</html>\n",
        escape(title)
    )
}

fn html_table(table: &Table) -> String {
    let mut html = String::from("<table><tr>");
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
    html.push_str("</table>\n");
    html
}

fn facts(rows: &[(&str, String)]) -> String {
    let mut html = String::from("<table>");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(html, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    }
    html.push_str("</table>\n");
    html
}

/// The report of one run.
pub(crate) fn run_page(run: &Run, recording: &Recording) -> String {
    let mut body = String::new();
    let _ = writeln!(
        body,
        "<p><code>{}</code></p><p>{} &middot; {}</p>",
        escape(&run.arguments.join(" ")),
        escape(&run.started),
        escape(&run.verdict.to_string())
    );
    body.push_str(&html_table(&super::super::show::summary_table(run)));
    let total = recording.total();
    let lines: Vec<Line> = [Kind::Response, Kind::Service, Kind::EndToEnd]
        .into_iter()
        .filter(|kind| total.of(*kind).count() > 0)
        .map(|kind| Line { name: kind.name().into(), points: Curve::of(total.of(kind)).points })
        .collect();
    body.push_str(&percentile_svg("latency by percentile", &lines));
    let over_time = |quantile: Quantile| -> Vec<(f64, f64)> {
        recording
            .intervals
            .iter()
            .filter_map(|interval| {
                let value = interval.latencies.of(Kind::Response).at(quantile)?;
                Some((interval.start.as_secs_f64(), value as f64))
            })
            .collect()
    };
    let quantile = |percent: f64| Quantile::percent(percent).unwrap_or(Quantile::MAX);
    let latency = [("p50", 50.0), ("p99", 99.0), ("max", 100.0)]
        .map(|(name, percent)| (name.to_owned(), over_time(quantile(percent))));
    body.push_str(&time_svg("response over time", &latency, |v| format_nanos(v as u64)));
    let rate: Vec<(f64, f64)> = recording
        .intervals
        .iter()
        .map(|i| {
            let seconds = i.length.as_secs_f64().max(1e-3);
            (i.start.as_secs_f64(), i.latencies.of(Kind::Response).count() as f64 / seconds)
        })
        .collect();
    let rate = [("records acknowledged a second".to_owned(), rate)];
    body.push_str(&time_svg("throughput over time", &rate, format_count));
    let machine = &run.machine;
    let storage = machine.storage.clone().unwrap_or_default();
    let mut rows = vec![
        ("harness", format!("{} {}", run.tool, run.revision)),
        ("broker", format!("{} at {}", run.broker.fingerprint, run.broker.addresses.join(", "))),
        (
            "broker CPU seconds",
            run.broker.cpu_seconds().map(|s| format!("{s:.2}")).unwrap_or_default(),
        ),
        ("broker bytes written", run.broker.written_bytes().map(format_bytes).unwrap_or_default()),
        ("processor", format!("{} ({} cores)", machine.cpu, machine.cores)),
        ("memory", format_bytes(machine.memory_bytes as f64)),
        ("kernel", machine.kernel.clone()),
        ("limits", machine.limits.join("; ")),
        ("file system", format!("{} {}", storage.file_system, storage.options)),
        ("device", format!("{} {}", storage.device, storage.facts)),
    ];
    rows.extend(run.load.iter().map(|(name, value)| (name.as_str(), value.clone())));
    rows.extend(run.broker.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    body.push_str("<h2>Facts</h2>\n");
    body.push_str(&facts(&rows));
    page(&format!("perf run {}", run.name), &body)
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
        let _ = writeln!(body, "<p>{}</p>", escape(note));
    }
    body.push_str(&percentile_svg(title, lines));
    page(title, &body)
}
