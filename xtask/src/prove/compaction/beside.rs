//! The second part: what somebody else's produce path takes while a table is updated, with compaction and without.
//!
//! Each half has a table of its own, filled and at rest before the measurement begins; then it is updated at a steady rate while
//! `ringwood perf run` writes to another topic. The halves differ in the table's `cleanup.policy` alone.

use std::thread::{sleep, spawn};
use std::time::Duration;

use serde_json::Value;

use super::Options;
use super::scene::Scene;
use crate::Fault;
use crate::program::{self, Outcome};
use crate::prove::counts::Counts;
use crate::prove::processors::{self, Awake};
use crate::tally::say;

/// Before the measurement, which the generator takes for itself.
const WARMUP_SECONDS: u64 = 3;
/// The table is updated for so much longer than the load lasts: its start and its end are not within the measurement.
const MORE_SECONDS: u64 = 4;
/// A half in which the program that measures was late by itself says nothing of the broker, and is measured again; so often at most.
const TRIES: u32 = 8;
/// Updates of each key before the measurement: then there is a compacted part to read again and again.
const FILLING: u64 = 3;

/// One measurement.
struct Beside {
    /// Response times in milliseconds: p50, p99, p99.9.
    times: [f64; 3],
    /// What `perf run` thinks of it.
    verdict: String,
    /// Bytes that the cleaner has read meanwhile, and in how many of how many looks at it there were more.
    cleaned: u64,
    busy: u64,
    looks: u64,
    checkpoints: u64,
    syncs: u64,
}

impl Beside {
    fn new(
        run: &Value,
        (cleaned, busy, looks): (u64, u64, u64),
        (checkpoints, syncs): (u64, u64),
    ) -> Self {
        let times = &run["repeats"][0]["stages"][0]["latency"]["response"]["percentiles"];
        let is = run["verdict"]["is"].as_str().unwrap_or("none");
        Self {
            times: ["p50", "p99", "p99.9"].map(|p| times[p].as_f64().unwrap_or(f64::NAN) / 1e6),
            verdict: match run["verdict"]["because"].as_str() {
                Some(why) => format!("{is}: {why}"),
                None => is.to_owned(),
            },
            cleaned,
            busy,
            looks,
            checkpoints,
            syncs,
        }
    }

    /// Whether the machine, and not the broker, is why it says nothing.
    fn is_spoilt(&self) -> bool {
        let is_withheld = self.times[..2].iter().any(|time| !time.is_finite());
        self.verdict.starts_with("invalid") || self.verdict == "valid" && is_withheld
    }

    /// Why this is not what it claims to be.
    fn complaint(&self, policy: &str) -> Option<String> {
        let Beside { cleaned, busy, looks, .. } = self;
        if policy == "delete" && *cleaned > 0 {
            return Some("the cleaner worked beside a table that is not compacted".to_owned());
        }
        if policy == "compact" && busy * 2 < *looks {
            return Some(format!(
                "the cleaner read something in {busy} of {looks} seconds only; raise --beside"
            ));
        }
        if self.verdict != "valid" {
            return Some("this measures nothing; see --rate and --beside".to_owned());
        }
        // The highest may be withheld: of a short measurement it is a handful of records, which the generator may have delayed.
        self.times[..2]
            .iter()
            .any(|time| !time.is_finite())
            .then(|| "a percentile is missing; raise --seconds or --rate".to_owned())
    }
}

/// The topic that is measured, with a table of this policy beside it.
fn measure(
    scene: &mut Scene,
    options: &Options,
    topic: &str,
    policy: &str,
) -> Result<Beside, Fault> {
    scene.create(topic, policy)?;
    let written = scene.folder.join("beside");
    scene.write(topic, FILLING * options.keys, options.keys, 0, &written).end()?;
    scene.rest()?;
    let updates = options.beside * (WARMUP_SECONDS + options.seconds + MORE_SECONDS);
    let writer = scene.write(topic, updates, options.keys, options.beside, &written);
    // The program that measures acts late where it waits for a processor, and then says nothing.
    let theirs = scene.sides.as_ref().map(|(_, theirs)| theirs.as_str());
    let mut awake = theirs.map(Awake::keep).transpose()?;
    let mut load = processors::on(theirs, &scene.binary);
    load.args(["perf", "run", "-b", &scene.broker.bootstrap()]);
    load.args(["--rate", &format!("{}/s", options.rate), "--size", "100"]);
    load.args(["--partitions", "4", "--producers", "2", "--json", "-"]);
    load.args(["--warmup", &format!("{WARMUP_SECONDS}s")]);
    load.args(["--duration", &format!("{}s", options.seconds)]);
    let names = ["ringwood_store_checkpoints_total", "ringwood_store_syncs_total"];
    let counted = |name: &str| scene.broker.metric(name).unwrap_or(0);
    let (began, before) = (scene.cleaned(), names.map(counted));
    let load = spawn(move || -> Result<Outcome, String> {
        program::run(&mut load, None, Duration::from_secs(300)).map_err(|e| e.to_string())
    });
    // Metrics are a second old at most.
    let (mut last, mut busy, mut looks) = (began, 0, 0);
    while !load.is_finished() {
        sleep(Duration::from_millis(1_100));
        let now = scene.cleaned().max(last);
        (busy, looks) = (busy + u64::from(now > last), looks + 1);
        last = now;
    }
    let outcome = load.join().map_err(|_| "the thread of the load panicked")??;
    let run: Value = serde_json::from_slice(&outcome.out)
        .map_err(|e| format!("perf run: {e}\n    {}", outcome.last_words()))?;
    let after = names.map(counted);
    if awake.as_mut().is_some_and(|awake| !awake.is_on()) {
        return Err("what keeps the processors awake has ended (chrt, of util-linux)".into());
    }
    drop(awake);
    writer.end()?;
    let more = |n: usize| after[n].saturating_sub(before[n]);
    Ok(Beside::new(&run, (last - began, busy, looks), (more(0), more(1))))
}

/// One half of a round; again where the machine spoilt it.
fn measure_well(
    scene: &mut Scene,
    options: &Options,
    round: u64,
    policy: &str,
) -> Result<Beside, Fault> {
    for attempt in 1..TRIES {
        let topic = format!("beside-{policy}-{round}-{attempt}");
        let found = measure(scene, options, &topic, policy)?;
        if !found.is_spoilt() {
            return Ok(found);
        }
        say(&format!("round {round}, {policy}: once more ({})", found.verdict))?;
        scene.rest()?;
    }
    measure(scene, options, &format!("beside-{policy}-{round}-{TRIES}"), policy)
}

/// Latency of a topic beside the table; true if the cleaner worked when it was to, and only then, and the load was believed.
pub(super) fn beside(
    scene: &mut Scene,
    options: &Options,
    counts: &mut Counts,
) -> Result<bool, Fault> {
    let mut good = true;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let order = if round % 2 == 1 { ["delete", "compact"] } else { ["compact", "delete"] };
        for policy in order {
            let found = measure_well(scene, options, round, policy)?;
            let complaint = found.complaint(policy);
            let Beside { times: [p50, p99, p999], verdict, cleaned, .. } = found;
            let Beside { busy, looks, checkpoints, syncs, .. } = found;
            say(&format!(
                "round {round}, {policy}: response p50 {p50:.2}, p99 {p99:.2}, p99.9 {} ms ({verdict}); \
                 the cleaner read {cleaned} bytes, some in {busy} of {looks} seconds; {checkpoints} checkpoints, {syncs} syncs",
                if p999.is_finite() { format!("{p999:.2}") } else { "withheld".to_owned() },
            ))?;
            if let Some(complaint) = complaint {
                say(&format!("FAILED {complaint}"))?;
                good = false;
            }
            counts.add(&format!("beside_{policy}_cleaned_bytes"), cleaned);
            counts.add(&format!("beside_{policy}_checkpoints"), checkpoints);
            // Microseconds, of each round: the counts are whole numbers. One that was withheld is not there.
            for (name, ms) in [("p50", p50), ("p99", p99), ("p999", p999)] {
                if ms.is_finite() {
                    counts.add(
                        &format!("beside_{policy}_{name}_us_round_{round}"),
                        (ms * 1e3) as u64,
                    );
                }
            }
            let side = if policy == "compact" { &mut with } else { &mut without };
            side.push([p50, p99, p999]);
            // The next measurement begins when this table has been compacted.
            scene.rest()?;
        }
    }
    for (at, name) in ["p50", "p99", "p99.9"].into_iter().enumerate() {
        let [a, b] = [&without, &with].map(|side| median(side.iter().map(|t| t[at]).collect()));
        let ratio = b / a;
        for (policy, ms) in [("delete", a), ("compact", b)] {
            if ms.is_finite() {
                let name = name.replace('.', "");
                counts.add(&format!("beside_{policy}_{name}_us_median"), (ms * 1e3) as u64);
            }
        }
        if !ratio.is_finite() {
            say(&format!("{name}: withheld"))?;
            continue;
        }
        say(&format!(
            "{name}: without compaction {a:.2} ms, with it {b:.2} ms, {ratio:.2} times; medians of {} rounds",
            options.rounds
        ))?;
    }
    Ok(good)
}

/// NaN if one of them is.
fn median(mut of: Vec<f64>) -> f64 {
    if of.iter().any(|one| one.is_nan()) {
        return f64::NAN;
    }
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_that_is_not_what_it_claims_is_complained_of() {
        let run = serde_json::json!({
            "verdict": {"is": "valid"},
            "repeats": [{"stages": [{"latency": {"response": {"percentiles":
                {"p50": 1e6, "p99": 2e6, "p99.9": 3e6}}}}]}],
        });
        let complaint =
            |run: &Value, cleaned, policy| Beside::new(run, cleaned, (1, 9)).complaint(policy);
        let micros = Beside::new(&run, (0, 0, 8), (1, 9)).times.map(|ms| format!("{ms:.3}"));
        assert_eq!(micros, ["1.000", "2.000", "3.000"]);
        assert_eq!(complaint(&run, (0, 0, 8), "delete"), None);
        assert_eq!(complaint(&run, (9_000, 4, 8), "compact"), None);
        assert!(complaint(&run, (9_000, 1, 8), "delete").is_some());
        assert!(complaint(&run, (9_000, 3, 8), "compact").is_some(), "nearly idle");
        assert!(complaint(&run, (0, 0, 8), "compact").is_some());
        let mut saturated = run.clone();
        saturated["verdict"] = serde_json::json!({"is": "saturated", "because": "it is late"});
        assert!(complaint(&saturated, (0, 0, 8), "delete").is_some());
        let is_spoilt = |run: &Value| Beside::new(run, (0, 0, 8), (1, 9)).is_spoilt();
        assert!(!is_spoilt(&run) && !is_spoilt(&saturated), "that is the broker's");
        let mut late = run.clone();
        late["verdict"] = serde_json::json!({"is": "invalid", "because": "it acted late"});
        assert!(is_spoilt(&late));
        let mut withheld = run.clone();
        withheld["repeats"][0]["stages"][0]["latency"]["response"]["percentiles"]["p99.9"] =
            Value::Null;
        assert_eq!(complaint(&withheld, (0, 0, 8), "delete"), None, "the highest may be");
        let mut missing = run;
        missing["repeats"][0]["stages"][0]["latency"]["response"]["percentiles"] = Value::Null;
        assert!(complaint(&missing, (0, 0, 8), "delete").is_some());
        assert!(is_spoilt(&missing));
    }
}
