//! `ringwood top`: a broker as it works, core by core.

use crate::admin::{self, AdminArgs};
use crate::failure::Done;
use crate::figures::{bytes, count, micros, micros_told};
use crate::output::{self, Column, Output, drawn};
use crate::time;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::time::Duration;

/// Watch a broker: load, queues, commits and latency of each core, the busiest partitions.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Show it once and end
    #[arg(long)]
    once: bool,
    /// How long between two looks; a broker counts anew once a second
    #[arg(long, value_parser = time::span, value_name = "SPAN", default_value = "1s")]
    interval: Duration,
}

#[derive(Debug, Deserialize, Serialize)]
struct Page {
    version: String,
    backend: String,
    ended_ms: u64,
    cores: Vec<Core>,
    hottest: Vec<Hot>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Core {
    core: u16,
    /// Of the processor, 0 to 1.
    load: f64,
    /// Time in line for a processor, 0 to 1, and the longest turn of the core's loop. A broker of before does not tell.
    #[serde(default)]
    waited: f64,
    #[serde(default)]
    longest_turn_us: f64,
    partitions: u64,
    connections: u64,
    requests: u64,
    requests_s: f64,
    receive_bytes_s: f64,
    send_bytes_s: f64,
    requests_in_flight: u64,
    queued_bytes: f64,
    commits_s: f64,
    flushes_s: f64,
    commit_bytes: f64,
    commit_batches: f64,
    journal_bytes_s: f64,
    journal_used_bytes: f64,
    journal_size_bytes: f64,
    core_messages_s: f64,
    memory_used_bytes: f64,
    memory_limit_bytes: f64,
    produce: Quantiles,
    fetch: Quantiles,
}

#[derive(Debug, Deserialize, Serialize)]
struct Quantiles {
    count: u64,
    mean_us: f64,
    /// None where there are too few; so are the others.
    p50_us: Option<f64>,
    p90_us: Option<f64>,
    p99_us: Option<f64>,
    p99_9_us: Option<f64>,
    max_us: f64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Hot {
    topic: String,
    partition: i32,
    core: u16,
    records_in_s: f64,
    bytes_in_s: f64,
    bytes_out_s: f64,
}

/// To the upper left corner, and clear what is there.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(crate) fn run(args: &TopArgs) -> Done {
    let output = Output::new(args.admin.json);
    loop {
        let page: Page = admin::document(&args.admin.admin, "/top")?;
        if output.json {
            output.json(&page)?;
        } else {
            let clear = if output.terminal && !args.once { CLEAR } else { "" };
            output::write(format!("{clear}{}", text(&page, &args.admin.admin)).as_bytes())?;
        }
        if args.once {
            return Ok(());
        }
        std::thread::sleep(args.interval.max(Duration::from_millis(100)));
    }
}

fn text(page: &Page, address: &str) -> String {
    let (mut rates, mut latencies, mut hottest) = (Vec::new(), Vec::new(), Vec::new());
    for c in &page.cores {
        let percent = |part: f64, all: f64| format!("{:.0}%", part / all.max(1.0) * 100.0);
        rates.push([
            c.core.to_string(),
            format!("{:.0}%", c.load * 100.0),
            format!("{:.0}%", c.waited * 100.0),
            micros(c.longest_turn_us),
            c.partitions.to_string(),
            c.connections.to_string(),
            count(c.requests_s),
            bytes(c.receive_bytes_s),
            bytes(c.send_bytes_s),
            c.requests_in_flight.to_string(),
            bytes(c.queued_bytes),
            count(c.flushes_s),
            bytes(c.commit_bytes),
            format!("{:.1}", c.commit_batches),
            percent(c.journal_used_bytes, c.journal_size_bytes),
            percent(c.memory_used_bytes, c.memory_limit_bytes),
            count(c.core_messages_s),
        ]);
        for (api, q) in [("Produce", &c.produce), ("Fetch", &c.fetch)] {
            if q.count > 0 {
                let times = [q.p50_us, q.p90_us, q.p99_us, q.p99_9_us].map(micros_told);
                let ([p50, p90, p99, p99_9], max) = (times, micros(q.max_us));
                let n = count(q.count as f64);
                latencies.push([c.core.to_string(), api.to_owned(), n, p50, p90, p99, p99_9, max]);
            }
        }
    }
    for h in &page.hottest {
        hottest.push([
            format!("{}-{}", h.topic, h.partition),
            h.core.to_string(),
            count(h.records_in_s),
            bytes(h.bytes_in_s),
            bytes(h.bytes_out_s),
        ]);
    }
    use Column::{Left, Right};
    let mut out = format!("ringwood {}  {}  {address}\n\n", page.version, page.backend);
    let headings = [
        Right("CORE"),
        Right("LOAD"),
        Right("WAIT"),
        Right("TURN"),
        Right("PARTS"),
        Right("CONNS"),
        Right("REQ/S"),
        Right("IN/S"),
        Right("OUT/S"),
        Right("FLIGHT"),
        Right("QUEUED"),
        Right("FLUSH/S"),
        Right("COMMIT"),
        Right("BATCHES"),
        Right("RING"),
        Right("MEM"),
        Right("MSG/S"),
    ];
    out.push_str(&drawn(headings, &rates));
    if !latencies.is_empty() {
        out.push_str("\nin the broker, last 10 s, waiting for more not counted\n");
        let headings = [
            Right("CORE"),
            Left("API"),
            Right("COUNT"),
            Right("P50"),
            Right("P90"),
            Right("P99"),
            Right("P99.9"),
            Right("MAX"),
        ];
        out.push_str(&drawn(headings, &latencies));
    }
    if !hottest.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(out);
        let headings =
            [Left("PARTITION"), Right("CORE"), Right("RECORDS/S"), Right("IN/S"), Right("OUT/S")];
        out.push_str(&drawn(headings, &hottest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_drawn_with_what_is_there() {
        let quantiles = r#"{"count":N,"mean_us":1,"p50_us":412,"p90_us":500,"p99_us":null,"p99_9_us":null,"max_us":1300}"#;
        let core = r#"{"core":0,"load":0.42,"waited":0.12,"longest_turn_us":5000,"partitions":3,"connections":2,"requests":9,"requests_s":1500.0,
            "receive_bytes_s":2048,"send_bytes_s":0,"requests_in_flight":1,"queued_bytes":0,"commits_s":2,"flushes_s":77,
            "commit_bytes":8192,"commit_batches":3.5,"journal_bytes_s":0,"journal_used_bytes":5,"journal_size_bytes":10,
            "core_messages_s":0,"memory_used_bytes":1,"memory_limit_bytes":4,"produce":P,"fetch":F}"#;
        let core = core
            .replace('P', &quantiles.replace('N', "150"))
            .replace('F', &quantiles.replace('N', "0"));
        let page = format!(
            r#"{{"version":"1","backend":"uring","ended_ms":1,"cores":[{core}],"hottest":[
            {{"topic":"orders","partition":7,"core":0,"records_in_s":10,"bytes_in_s":2048,"bytes_out_s":1}}]}}"#
        );
        let text = text(&serde_json::from_str(&page).unwrap(), "h:1");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ringwood 1  uring  h:1");
        let fields: Vec<&str> = lines[3].split_whitespace().collect();
        assert_eq!(fields[..7], ["0", "42%", "12%", "5.00", "ms", "3", "2"], "{text}");
        assert!(lines[3].contains("8.00 KiB") && lines[3].contains("50%"), "{text}");
        assert!(text.contains("Produce") && text.contains("412 us"), "{text}");
        assert_eq!(text.matches("n/a").count(), 2, "what 150 requests cannot say: {text}");
        assert!(!text.contains("Fetch"), "nothing was fetched");
        assert!(text.contains("orders-7"), "{text}");
    }
}
