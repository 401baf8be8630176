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
use crate::prove::processors;
use crate::tally::say;

/// Before the measurement, which the generator takes for itself.
const WARMUP_SECONDS: u64 = 3;
/// The table is updated for so much longer than the load lasts: its start and its end are not within the measurement.
const MORE_SECONDS: u64 = 4;
/// A half in which the program that measures had no processor says nothing of the broker, and is measured again; so often at most.
const TRIES: u32 = 8;
/// Updates of each key before the measurement: then there is a compacted part to read again and again.
const FILLING: u64 = 3;

/// The percentiles that are looked at. The highest may be missing: of a short measurement it is a handful of records.
const PERCENTILES: [&str; 4] = ["p50", "p90", "p99", "p99.9"];
/// Those that must be there.
const NEEDED: usize = 3;

/// What a percentile lies between, in milliseconds: without what the generator's own lateness added, and with it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Between(f64, f64);

impl std::fmt::Display for Between {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < self.1 {
            write!(f, "{:.2} to {:.2}", self.0, self.1)
        } else {
            write!(f, "{:.2}", self.1)
        }
    }
}

/// One measurement.
struct Beside {
    /// Response times at [`PERCENTILES`].
    times: [Option<Between>; PERCENTILES.len()],
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
        let response = &run["repeats"][0]["stages"][0]["latency"]["response"];
        let time = |name: &str| {
            let ms = |nanos: &Value| nanos.as_f64().map(|nanos| nanos / 1e6);
            if let Some(exact) = ms(&response["percentiles"][name]) {
                return Some(Between(exact, exact));
            }
            let bounds = &response["bounds"][name];
            Some(Between(ms(&bounds[0])?, ms(&bounds[1])?))
        };
        let is = run["verdict"]["is"].as_str().unwrap_or("none");
        Self {
            times: PERCENTILES.map(time),
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
        self.verdict.starts_with("invalid")
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
        self.times[..NEEDED]
            .iter()
            .any(Option::is_none)
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
    let theirs = scene.sides.as_ref().map(|(_, theirs)| theirs.as_str());
    let mut load = processors::on(theirs, &scene.binary);
    load.args(["perf", "run", "-b", &scene.broker.bootstrap()]);
    load.args(["--rate", &format!("{}/s", options.rate), "--size", "100"]);
    load.args(["--partitions", "4", "--producers", "2", "--json", "-"]);
    // It acts late where it waits for a processor, and then says nothing.
    load.args(theirs.map(|_| "--keep-awake"));
    // A p99 of few milliseconds is always a little the generator's where a host takes the processors away: it is told with both bounds.
    load.args(["--judge", "p90"]);
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
            let Beside { times, verdict, cleaned, busy, looks, checkpoints, syncs } = found;
            say(&format!(
                "round {round}, {policy}: response {} ms ({verdict}); \
                 the cleaner read {cleaned} bytes, some in {busy} of {looks} seconds; {checkpoints} checkpoints, {syncs} syncs",
                phrase(&times),
            ))?;
            if let Some(complaint) = complaint {
                say(&format!("FAILED {complaint}"))?;
                good = false;
            }
            counts.add(&format!("beside_{policy}_cleaned_bytes"), cleaned);
            counts.add(&format!("beside_{policy}_checkpoints"), checkpoints);
            // Microseconds, of each round: the counts are whole numbers. The higher bound of what has two.
            for (name, time) in PERCENTILES.iter().zip(&times) {
                if let Some(Between(_, high)) = time {
                    let name = name.replace('.', "");
                    counts.add(
                        &format!("beside_{policy}_{name}_us_round_{round}"),
                        (high * 1e3) as u64,
                    );
                }
            }
            let side = if policy == "compact" { &mut with } else { &mut without };
            side.push(times);
            // The next measurement begins when this table has been compacted.
            scene.rest()?;
        }
    }
    for (at, name) in PERCENTILES.into_iter().enumerate() {
        let [a, b] = [&without, &with].map(|side| median(side.iter().map(|times| times[at])));
        for (policy, middle) in [("delete", a), ("compact", b)] {
            if let Some(Between(_, high)) = middle {
                let name = name.replace('.', "");
                counts.add(&format!("beside_{policy}_{name}_us_median"), (high * 1e3) as u64);
            }
        }
        let (Some(a), Some(b)) = (a, b) else {
            say(&format!("{name}: withheld"))?;
            continue;
        };
        say(&format!(
            "{name}: without compaction {a} ms, with it {b} ms; medians of {} rounds",
            options.rounds
        ))?;
    }
    Ok(good)
}

fn phrase(times: &[Option<Between>]) -> String {
    let each = PERCENTILES.iter().zip(times).map(|(name, time)| match time {
        Some(time) => format!("{name} {time}"),
        None => format!("{name} withheld"),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Of the lower bounds and of the higher ones; nothing if one of them is missing.
fn median(of: impl Iterator<Item = Option<Between>>) -> Option<Between> {
    let all: Vec<Between> = of.collect::<Option<_>>()?;
    let middle = |mut side: Vec<f64>| {
        side.sort_by(f64::total_cmp);
        side.get(side.len() / 2).copied()
    };
    let low = middle(all.iter().map(|time| time.0).collect())?;
    Some(Between(low, middle(all.iter().map(|time| time.1).collect())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_that_is_not_what_it_claims_is_complained_of() {
        let run = serde_json::json!({
            "verdict": {"is": "valid"},
            "repeats": [{"stages": [{"latency": {"response": {"percentiles":
                {"p50": 1e6, "p90": 1.5e6, "p99": 2e6, "p99.9": 3e6}}}}]}],
        });
        let complaint =
            |run: &Value, cleaned, policy| Beside::new(run, cleaned, (1, 9)).complaint(policy);
        let told = phrase(&Beside::new(&run, (0, 0, 8), (1, 9)).times);
        assert_eq!(told, "p50 1.00, p90 1.50, p99 2.00, p99.9 3.00");
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
        let response =
            |run: &mut Value| run["repeats"][0]["stages"][0]["latency"]["response"].take();
        let mut bounded = run.clone();
        let mut of = response(&mut bounded);
        of["percentiles"]["p99"] = Value::Null;
        of["percentiles"]["p99.9"] = Value::Null;
        of["bounds"] = serde_json::json!({"p99": [1.8e6, 2.1e6]});
        bounded["repeats"][0]["stages"][0]["latency"]["response"] = of;
        assert_eq!(complaint(&bounded, (0, 0, 8), "delete"), None, "the highest may be withheld");
        let told = Beside::new(&bounded, (0, 0, 8), (1, 9)).times;
        assert_eq!(phrase(&told), "p50 1.00, p90 1.50, p99 1.80 to 2.10, p99.9 withheld");
        let mut missing = run;
        response(&mut missing);
        assert!(complaint(&missing, (0, 0, 8), "delete").is_some());
    }

    #[test]
    fn the_median_is_that_of_each_bound() {
        let of = |times: &[(f64, f64)]| {
            median(times.iter().map(|(low, high)| Some(Between(*low, *high))))
        };
        assert_eq!(of(&[(1.0, 9.0), (3.0, 4.0), (2.0, 5.0)]), Some(Between(2.0, 5.0)));
        assert_eq!(median([Some(Between(1.0, 1.0)), None].into_iter()), None);
    }
}
