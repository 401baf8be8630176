//! `ringwood latency why`: what has stood still for long, and the worst requests of the last minute.

use crate::admin;
use crate::failure::Done;
use crate::figures::{bytes, micros};
use crate::output::{self, Output, visible};
use crate::time;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The worst requests of the last minute.
#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// How many
    #[arg(short = 'n', long = "most", value_name = "N", default_value_t = 10)]
    most: usize,
    /// Only this API, such as Produce
    #[arg(long = "of", value_name = "API")]
    api: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Page {
    /// What is not over. A broker of before does not tell, nor does one that does not serve yet.
    #[serde(default)]
    in_progress: Option<InProgress>,
    worst: Vec<Worst>,
}

#[derive(Debug, Deserialize, Serialize)]
struct InProgress {
    /// What is told has stood still for so long.
    longer_than_us: f64,
    count: u64,
    /// Not all of them if there are many; those that have stood still longest come first.
    longest: Vec<Going>,
    /// Cores that have not answered.
    silent_cores: Vec<u16>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Going {
    api: String,
    core: u16,
    /// How long ago it was seen to move, and how long ago it came.
    still_us: f64,
    age_us: f64,
    /// The stage that it is in, and how long those before it took.
    stage: String,
    stages_us: BTreeMap<String, f64>,
    client_gone: bool,
    /// Not known of members that wait for the log.
    request_bytes: Option<u64>,
    topic: Option<String>,
    partition: Option<i32>,
    partition_core: Option<u16>,
    peer: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Worst {
    ended_ms: i64,
    api: String,
    core: u16,
    total_us: f64,
    slowest: Option<String>,
    stages_us: BTreeMap<String, f64>,
    request_bytes: u64,
    topic: Option<String>,
    partition: Option<i32>,
    partition_core: Option<u16>,
    peer: String,
    /// In the second in which it ended: time in which its core could have run and others had the processor, and the longest
    /// turn of the core's loop. A broker of before does not tell.
    #[serde(default)]
    core_waited_us: f64,
    #[serde(default)]
    core_turn_us: f64,
    /// Before the answer had left. A broker of before tells only of those whose clients had waited.
    #[serde(default)]
    client_gone: bool,
}

/// What is said of a core that was kept from its work for at least this part of the request's time.
const TELLING: f64 = 0.25;

pub(super) fn run(output: Output, address: &str, args: &WhyArgs) -> Done {
    let mut path = format!("/latency/why?most={}", args.most);
    if let Some(api) = &args.api {
        // A name of an API is letters; anything else names none.
        let name: String = api.chars().filter(char::is_ascii_alphanumeric).collect();
        let _ = write!(path, "&api={}", if name.is_empty() { "-" } else { &name });
    }
    let page: Page = admin::document(address, &path)?;
    if output.json {
        return output.json(&page);
    }
    output::write(text(&page, time::now().0).as_bytes())
}

/// Where a request is, and whose it was: the rest of its first line.
struct Whence<'a> {
    topic: Option<&'a str>,
    partition: Option<i32>,
    core: u16,
    partition_core: Option<u16>,
    request_bytes: Option<u64>,
    peer: &'a str,
}

impl Whence<'_> {
    fn write(&self, out: &mut String) {
        // Writing to a String cannot fail.
        if let (Some(topic), Some(partition)) = (self.topic, self.partition) {
            let _ = write!(out, "  {}-{partition}", visible(topic));
        }
        let _ = write!(out, "  core {}", self.core);
        if let Some(owner) = self.partition_core.filter(|owner| *owner != self.core) {
            let _ = write!(out, ", partition on core {owner}");
        }
        if let Some(size) = self.request_bytes {
            let _ = write!(out, "  {}", bytes(size as f64));
        }
        let _ = writeln!(out, "  from {}", visible(self.peer));
    }
}

/// What is in progress, one line each. Nothing where nothing is for long.
fn in_progress(page: &InProgress, out: &mut String) {
    // Writing to a String cannot fail.
    for core in &page.silent_cores {
        let _ =
            writeln!(out, "core {core} does not say what it has in progress: something blocks it");
    }
    if page.count > 0 {
        let long = micros(page.longer_than_us);
        let _ = writeln!(out, "in progress, and not moved for more than {long}: {}", page.count);
    }
    for g in &page.longest {
        let (still, api, stage) = (micros(g.still_us), visible(&g.api), visible(&g.stage));
        let _ = write!(out, "{still}  {api}  in {stage}, came {} ago", micros(g.age_us));
        let whence = Whence {
            topic: g.topic.as_deref(),
            partition: g.partition,
            core: g.core,
            partition_core: g.partition_core,
            request_bytes: g.request_bytes,
            peer: &g.peer,
        };
        whence.write(out);
        if g.client_gone {
            let _ = writeln!(out, "  (its client has gone)");
        }
    }
}

fn text(page: &Page, now_ms: i64) -> String {
    let mut out = String::new();
    if let Some(going) = &page.in_progress {
        in_progress(going, &mut out);
        if !out.is_empty() {
            out.push('\n');
        }
    }
    if page.worst.is_empty() {
        out.push_str("no requests were answered in the last minute\n");
        return out;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", verdict(page));
    for w in &page.worst {
        let ago = (now_ms - w.ended_ms).max(0) / 1000;
        let _ = write!(out, "\n{}  {}  {ago} s ago", micros(w.total_us), visible(&w.api));
        let whence = Whence {
            topic: w.topic.as_deref(),
            partition: w.partition,
            core: w.core,
            partition_core: w.partition_core,
            request_bytes: Some(w.request_bytes),
            peer: &w.peer,
        };
        whence.write(&mut out);
        let mut stages: Vec<(&String, &f64)> =
            w.stages_us.iter().filter(|(name, _)| *name != "park").collect();
        stages.sort_by(|a, b| b.1.total_cmp(a.1));
        for (name, us) in stages.iter().filter(|(_, us)| **us >= 0.01 * w.total_us) {
            let share = **us / w.total_us.max(f64::MIN_POSITIVE);
            let bar = "#".repeat((share * 30.0).round() as usize);
            let took = micros(**us);
            let _ =
                writeln!(out, "  {:<9}{took:>9}  {:>5.1}%  {bar}", visible(name), share * 100.0);
        }
        for (took, what) in [
            (w.core_waited_us, "others had the core's processor for"),
            (w.core_turn_us, "one turn of the core took"),
        ] {
            if took >= TELLING * w.total_us && took > 0.0 {
                let took = micros(took);
                let _ = writeln!(
                    out,
                    "  (in that second {what} {took}: what ended meanwhile seems late)"
                );
            }
        }
        if w.client_gone {
            let _ = writeln!(out, "  (its client had gone before it was answered)");
        }
        if let Some(parked) = w.stages_us.get("park").filter(|us| **us > 0.0) {
            let _ = writeln!(out, "  (and {} of waiting that it asked for)", micros(*parked));
        }
    }
    out
}

/// Which stage took most of the time of all of them together.
fn verdict(page: &Page) -> String {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for w in &page.worst {
        for (name, us) in w.stages_us.iter().filter(|(name, _)| *name != "park") {
            *sums.entry(name).or_default() += us;
        }
    }
    let all: f64 = page.worst.iter().map(|w| w.total_us).sum();
    let n = page.worst.len();
    match sums.iter().max_by(|a, b| a.1.total_cmp(b.1)) {
        Some((stage, us)) if all > 0.0 => format!(
            "{} took {:.0}% of the time of the {n} worst requests of the last minute",
            visible(stage),
            us / all * 100.0
        ),
        _ => format!("the {n} worst requests of the last minute"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(total: f64, stages: &[(&str, f64)]) -> Worst {
        Worst {
            ended_ms: 1_000,
            api: "Produce".into(),
            core: 0,
            total_us: total,
            slowest: None,
            stages_us: stages.iter().map(|(n, us)| ((*n).to_owned(), *us)).collect(),
            request_bytes: 2048,
            topic: Some("orders\u{1b}[2J".into()),
            partition: Some(3),
            partition_core: Some(1),
            peer: "127.0.0.1:5000".into(),
            core_waited_us: 0.0,
            core_turn_us: 0.0,
            client_gone: false,
        }
    }

    fn ended(worst: Vec<Worst>) -> Page {
        Page { in_progress: None, worst }
    }

    #[test]
    fn what_is_not_over_stands_above_what_is() {
        let going = Going {
            api: "Produce".into(),
            core: 0,
            still_us: 12.3e6,
            age_us: 15e6,
            stage: "flush".into(),
            stages_us: BTreeMap::new(),
            client_gone: true,
            request_bytes: Some(2048),
            topic: Some("orders".into()),
            partition: Some(3),
            partition_core: Some(1),
            peer: "127.0.0.1:5000".into(),
        };
        let in_progress = InProgress {
            longer_than_us: 1e6,
            count: 7,
            longest: vec![going],
            silent_cores: vec![4],
        };
        let mut page = ended(Vec::new());
        page.in_progress = Some(in_progress);
        let said = text(&page, 0);
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("core 4 does not say"), "{said}");
        assert_eq!(lines[1], "in progress, and not moved for more than 1.00 s: 7");
        assert_eq!(
            lines[2],
            "12.3 s  Produce  in flush, came 15.0 s ago  orders-3  core 0, partition on core 1  2.00 KiB  from 127.0.0.1:5000"
        );
        assert_eq!(lines[3], "  (its client has gone)");
        assert_eq!(lines[5], "no requests were answered in the last minute");
    }

    #[test]
    fn the_stage_that_is_to_blame_is_named_first() {
        let page = ended(vec![
            worst(50_000.0, &[("flush", 45_000.0), ("append", 5_000.0), ("park", 9e6)]),
            worst(10_000.0, &[("send", 9_990.0), ("decode", 10.0)]),
        ]);
        let text = text(&page, 5_000);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "flush took 75% of the time of the 2 worst requests of the last minute"
        );
        assert_eq!(
            lines[2],
            "50.0 ms  Produce  4 s ago  orders\\u{1b}[2J-3  core 0, partition on core 1  2.00 KiB  from 127.0.0.1:5000"
        );
        assert!(lines[3].starts_with("  flush      45.0 ms   90.0%  ####"), "{text}");
        assert!(lines[4].starts_with("  append"), "{text}");
        assert!(lines[5].contains("9.00 s of waiting"), "{text}");
        assert!(!text.contains("decode"), "what took a thousandth is left out");
    }

    #[test]
    fn a_core_that_was_kept_from_its_work_is_named_where_that_explains_something() {
        let mut w = worst(20_000.0, &[("flush", 20_000.0)]);
        let of = |w: Worst| text(&ended(vec![w]), 5_000);
        w.core_waited_us = 12_000.0;
        w.core_turn_us = 300.0;
        let said = of(w);
        assert!(said.contains("others had the core's processor for 12.0 ms"), "{said}");
        assert!(!said.contains("one turn"), "{said}");
        let mut w = worst(20_000.0, &[("flush", 20_000.0)]);
        w.core_turn_us = 18_000.0;
        let said = of(w);
        assert!(said.contains("one turn of the core took 18.0 ms") && !said.contains("others had"));
    }

    #[test]
    fn a_client_that_gave_up_is_told() {
        let mut w = worst(45e6, &[("flush", 45e6)]);
        w.client_gone = true;
        let said = text(&ended(vec![w]), 5_000);
        assert!(said.contains("(its client had gone before it was answered)"), "{said}");
    }

    #[test]
    fn nothing_is_said_of_a_quiet_minute() {
        assert!(text(&ended(Vec::new()), 0).contains("no requests"));
    }
}
