//! `ringwood latency why`: the worst requests of the last minute.

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
    worst: Vec<Worst>,
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

fn text(page: &Page, now_ms: i64) -> String {
    let mut out = String::new();
    if page.worst.is_empty() {
        return "no requests were answered in the last minute\n".into();
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", verdict(page));
    for w in &page.worst {
        let ago = (now_ms - w.ended_ms).max(0) / 1000;
        let _ = write!(out, "\n{}  {}  {ago} s ago", micros(w.total_us), visible(&w.api));
        if let (Some(topic), Some(partition)) = (&w.topic, w.partition) {
            let _ = write!(out, "  {}-{partition}", visible(topic));
        }
        let _ = write!(out, "  core {}", w.core);
        if let Some(owner) = w.partition_core.filter(|owner| *owner != w.core) {
            let _ = write!(out, ", partition on core {owner}");
        }
        let _ = writeln!(out, "  {}  from {}", bytes(w.request_bytes as f64), visible(&w.peer));
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

    #[test]
    fn the_stage_that_is_to_blame_is_named_first() {
        let page = Page {
            worst: vec![
                worst(50_000.0, &[("flush", 45_000.0), ("append", 5_000.0), ("park", 9e6)]),
                worst(10_000.0, &[("send", 9_990.0), ("decode", 10.0)]),
            ],
        };
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
        let of = |w: Worst| text(&Page { worst: vec![w] }, 5_000);
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
        let said = text(&Page { worst: vec![w] }, 5_000);
        assert!(said.contains("(its client had gone before it was answered)"), "{said}");
    }

    #[test]
    fn nothing_is_said_of_a_quiet_minute() {
        assert!(text(&Page { worst: Vec::new() }, 0).contains("no requests"));
    }
}
