//! `ringwood top`: a broker as it works, core by core.

use crate::admin::{self, AdminArgs};
use crate::failure::{Done, Stop};
use crate::figures::{bytes, count, micros, micros_told};
use crate::output::{self, Column, Output, drawn};
use crate::time;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

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
    let address = &args.admin.admin;
    let look = || admin::document::<Page>(address, "/top");
    let show = |page: &Page, lost: Option<&Lost>| {
        // A program takes what is written once more for what is so now: it is told beside it.
        if let Some(lost) = lost
            && (output.json || !output.terminal)
        {
            output::say(lost.words());
            return Ok(());
        }
        if output.json {
            return output.json(page);
        }
        let clear = if output.terminal && !args.once { CLEAR } else { "" };
        output::write(format!("{clear}{}", text(page, address, lost)).as_bytes())
    };
    let pause = || std::thread::sleep(args.interval.max(Duration::from_millis(100)));
    watch(args.once, look, show, pause)
}

/// A broker that answered once and does not now.
struct Lost {
    since: Instant,
    why: String,
}

impl Lost {
    /// In one line, whatever the failure has in it.
    fn words(&self) -> String {
        let why = output::visible(&self.why);
        format!("no answer for {} s: {why}", self.since.elapsed().as_secs())
    }
}

/// Looks and shows until the reader has gone. A broker that restarts is looked for until it is back; one that never answered is none.
fn watch(
    once: bool,
    mut look: impl FnMut() -> Result<Page, Stop>,
    mut show: impl FnMut(&Page, Option<&Lost>) -> Done,
    mut pause: impl FnMut(),
) -> Done {
    let mut page = look()?;
    let mut lost: Option<Lost> = None;
    loop {
        show(&page, lost.as_ref())?;
        if once {
            return Ok(());
        }
        pause();
        match look() {
            Ok(now) => (page, lost) = (now, None),
            Err(Stop::Failed(failure)) => {
                let since = lost.map_or_else(Instant::now, |lost| lost.since);
                let why = format!("{}: {}", failure.what, failure.cause);
                lost = Some(Lost { since, why });
            }
            Err(other @ (Stop::ReaderGone | Stop::Said(_))) => return Err(other),
        }
    }
}

fn text(page: &Page, address: &str, lost: Option<&Lost>) -> String {
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
    let mut out = format!("ringwood {}  {}  {address}\n", page.version, page.backend);
    // There is an empty line in its place otherwise: nothing below moves.
    out.push_str(&lost.map_or_else(String::new, Lost::words));
    out.push('\n');
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
    use crate::failure::Failure;

    #[test]
    fn a_broker_that_restarts_is_looked_for_until_it_is_back() {
        let page = |version: &str| Page {
            version: version.into(),
            backend: "uring".into(),
            ended_ms: 1,
            cores: Vec::new(),
            hottest: Vec::new(),
        };
        let gone = || {
            Err(Stop::from(Failure {
                area: "admin",
                what: "cannot reach it".into(),
                cause: "refused".into(),
                remedy: String::new(),
                code: crate::exit::UNREACHABLE,
            }))
        };
        let watched = |once, looks: Vec<Result<Page, Stop>>| {
            let (mut looks, mut shown, mut pauses) = (looks.into_iter(), Vec::new(), 0);
            let done = watch(
                once,
                || looks.next().unwrap_or(Err(Stop::ReaderGone)),
                |page, lost| {
                    shown.push((page.version.clone(), lost.map(|lost| lost.why.clone())));
                    Ok(())
                },
                || pauses += 1,
            );
            (done, shown, pauses)
        };
        let (done, shown, pauses) =
            watched(false, vec![Ok(page("1")), gone(), gone(), Ok(page("2"))]);
        let why = || Some("cannot reach it: refused".to_owned());
        let told = |version: &str, lost| (version.to_owned(), lost);
        let all = [told("1", None), told("1", why()), told("1", why()), told("2", None)];
        assert_eq!((done, shown.as_slice(), pauses), (Err(Stop::ReaderGone), &all[..], 4));
        // One that was never there, and a look that is the only one.
        assert_eq!(watched(false, vec![gone(), Ok(page("1"))]), (gone().map(drop), Vec::new(), 0));
        assert_eq!(watched(true, vec![Ok(page("1")), gone()]).0, Ok(()));
    }

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
        let page: Page = serde_json::from_str(&page).unwrap();
        let gone = Lost { since: Instant::now(), why: "cannot\nreach it".into() };
        let (lost, text) = (text(&page, "h:1", Some(&gone)), text(&page, "h:1", None));
        let said = lost.lines().nth(1).unwrap();
        assert!(said.starts_with("no answer for ") && said.ends_with(" s: cannot\\nreach it"));
        assert_eq!(lost.lines().count(), text.lines().count(), "nothing moves on the screen");
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
