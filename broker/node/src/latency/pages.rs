//! What the admin address answers, as JSON. Times are microseconds, rates are a second.

use super::observed::{Now, Observed};
use super::progress::{Going, InProgress, LONG};
use super::pulse::Slow;
use crate::api::{self, SERVED};
use perf::spec::Quantile;
use serde_json::{Map, Value, json};
use stages::{Histogram, Stage};
use std::collections::BTreeMap;
use wire::api::ApiKey;

/// Partitions that `/top` names.
const BUSIEST: usize = 10;

/// The percentiles that are told, and their names.
const PERCENTILES: [(&str, f64); 4] =
    [("p50_us", 50.0), ("p90_us", 90.0), ("p99_us", 99.0), ("p99_9_us", 99.9)];

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

/// Count, mean, percentiles and maximum. A percentile above which there are not ten requests says nothing, and is null.
fn summary(h: &Histogram) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("count".into(), h.count().into());
    let mean = micros(h.sum_nanos()) / h.count().max(1) as f64;
    map.insert("mean_us".into(), mean.into());
    for (name, percent) in PERCENTILES {
        let told = Quantile::percent(percent).ok().filter(|q| h.count() >= q.samples_needed());
        map.insert(name.into(), told.map(|q| micros(h.quantile_nanos(q.fraction()))).into());
    }
    map.insert("max_us".into(), micros(h.max_nanos()).into());
    map
}

/// `/latency`: every API and stage that had requests.
pub(crate) fn latency(sums: &BTreeMap<(u8, Stage), Histogram>, seconds: Option<u64>) -> Value {
    let mut rows = Vec::new();
    for ((place, stage), histogram) in sums {
        let Some(key) = api::api_at(*place) else { continue };
        let mut row = summary(histogram);
        row.insert("api".into(), key.name().into());
        row.insert("stage".into(), stage.name().into());
        let total = sums.get(&(*place, Stage::Total)).map_or(0, Histogram::sum_nanos);
        let share = histogram.sum_nanos() as f64 / total.max(1) as f64;
        if *stage != Stage::Park {
            row.insert("share".into(), share.into());
        }
        rows.push(Value::Object(row));
    }
    json!({ "seconds": seconds, "stages": rows })
}

/// `/latency/why`: requests, the worst first; before them those that are not over, at most `most` of an API or of all. Of these
/// nothing is known before the broker serves.
pub(crate) fn why(
    worst: &[Slow],
    going: Option<&InProgress>,
    api: Option<&str>,
    most: usize,
) -> Value {
    let one = |slow: &Slow| {
        let times: Map<String, Value> = slow
            .stages()
            .map(|(stage, nanos)| (stage.name().to_owned(), micros(nanos).into()))
            .collect();
        let total = u64::from(slow.times.total()) * stages::TICK_NANOS;
        json!({
            "ended_ms": slow.ended_ms,
            "api": slow.api,
            "core": slow.core,
            "total_us": micros(total),
            "core_waited_us": micros(slow.kept.waited_nanos),
            "core_turn_us": micros(slow.kept.turn_nanos),
            "slowest": slow.times.longest().map(Stage::name),
            "stages_us": times,
            "client_gone": slow.times.is_unread(),
            "request_bytes": slow.times.bytes(),
            "topic": slow.partition.as_ref().map(|(topic, ..)| topic),
            "partition": slow.partition.as_ref().map(|(_, index, _)| index),
            "partition_core": slow.partition.as_ref().map(|(.., core)| core.0),
            "peer": slow.peer.to_string(),
        })
    };
    let worst: Vec<Value> = worst.iter().map(one).collect();
    let going = going.map(|going| in_progress(going, api, most));
    json!({ "in_progress": going, "worst": worst })
}

/// How many requests have stood still for long, and those of them that have for longest.
fn in_progress(going: &InProgress, api: Option<&str>, most: usize) -> Value {
    let asked_for = |name: &str| api.is_none_or(|api| name.eq_ignore_ascii_case(api));
    let counts = going.counts.iter().filter(|(name, _)| asked_for(name));
    let count: usize = counts.map(|(_, count)| count).sum();
    let one = |g: &Going| {
        let times: Map<String, Value> = g
            .stages
            .iter()
            .map(|(stage, nanos)| (stage.name().to_owned(), micros(*nanos).into()))
            .collect();
        json!({
            "api": g.api,
            "core": g.core,
            "still_us": g.still.as_secs_f64() * 1e6,
            "age_us": g.age.as_secs_f64() * 1e6,
            "stage": g.stage.name(),
            "stages_us": times,
            "client_gone": g.client_gone,
            "request_bytes": g.request_bytes,
            "topic": g.partition.as_ref().map(|(topic, ..)| topic),
            "partition": g.partition.as_ref().map(|(_, index, _)| index),
            "partition_core": g.partition.as_ref().map(|(.., core)| core.0),
            "peer": g.peer.to_string(),
        })
    };
    let of_api = going.longest.iter().filter(|g| asked_for(g.api));
    let longest: Vec<Value> = of_api.take(most).map(one).collect();
    json!({
        "longer_than_us": LONG.as_secs_f64() * 1e6,
        "count": count,
        "longest": longest,
        "silent_cores": going.silent,
    })
}

/// `/top`: what each core did in the last second.
pub(crate) fn top(observed: &Observed, version: &str, backend: &str) -> Value {
    let seconds = observed.length_ms.max(1) as f64 / 1000.0;
    let cores: Vec<Value> = observed
        .cores
        .iter()
        .map(|(core, now)| {
            let mut row = core_row(now, seconds);
            row.insert("core".into(), (*core).into());
            for (name, key) in [("produce", ApiKey::Produce), ("fetch", ApiKey::Fetch)] {
                let place = SERVED.iter().position(|(k, ..)| *k == key).unwrap_or(usize::MAX);
                let place = u8::try_from(place).unwrap_or(u8::MAX);
                let recent = summary(&observed.history.recent(*core, place));
                row.insert(name.into(), Value::Object(recent));
            }
            Value::Object(row)
        })
        .collect();
    let mut busy: Vec<_> = observed
        .cores
        .iter()
        .flat_map(|(core, now)| now.busy.iter().map(move |busy| (*core, busy)))
        .collect();
    busy.sort_by_key(|(_, b)| std::cmp::Reverse(b.bytes_in + b.bytes_out));
    busy.truncate(BUSIEST);
    let hottest: Vec<Value> = busy
        .iter()
        .map(|(core, b)| {
            json!({
                "topic": b.topic,
                "partition": b.partition,
                "core": core,
                "records_in_s": b.records_in as f64 / seconds,
                "bytes_in_s": b.bytes_in as f64 / seconds,
                "bytes_out_s": b.bytes_out as f64 / seconds,
            })
        })
        .collect();
    json!({
        "version": version,
        "backend": backend,
        "ended_ms": observed.ended_ms,
        "cores": cores,
        "hottest": hottest,
    })
}

fn core_row(now: &Now, seconds: f64) -> Map<String, Value> {
    let (after, before) = (&now.gauges, &now.before);
    let rate = |a: u64, b: u64| a.saturating_sub(b) as f64 / seconds;
    let commits = after.commits.saturating_sub(before.commits);
    let bytes = after.journal_bytes.saturating_sub(before.journal_bytes);
    let records = after.journal_records.saturating_sub(before.journal_records);
    let each = |n: u64| n as f64 / commits.max(1) as f64;
    let kept = now.kept();
    let all: [(&str, Value); 21] = [
        ("load", (rate(after.busy_nanos, before.busy_nanos) / 1e9).into()),
        ("waited", (kept.waited_nanos as f64 / 1e9 / seconds).into()),
        ("longest_turn_us", micros(kept.turn_nanos).into()),
        ("partitions", after.partitions.into()),
        ("connections", after.connections.into()),
        ("requests_s", rate(after.requests, before.requests).into()),
        ("receive_bytes_s", rate(after.bytes_in, before.bytes_in).into()),
        ("send_bytes_s", rate(after.bytes_out, before.bytes_out).into()),
        ("requests_in_flight", after.in_flight.into()),
        ("queued_bytes", after.queued_bytes.into()),
        ("commits_s", rate(after.commits, before.commits).into()),
        ("flushes_s", rate(after.flushes, before.flushes).into()),
        ("commit_bytes", each(bytes).into()),
        ("commit_batches", each(records).into()),
        ("journal_bytes_s", rate(after.journal_bytes, before.journal_bytes).into()),
        ("journal_used_bytes", after.ring_used.into()),
        ("journal_size_bytes", after.ring_size.into()),
        ("core_messages_s", rate(after.messages, before.messages).into()),
        ("memory_used_bytes", after.memory_used.into()),
        ("memory_limit_bytes", after.memory_limit.into()),
        ("requests", after.requests.into()),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::pulse::Gauges;
    use super::*;
    use stages::Counts;
    use std::net::SocketAddr;
    use std::time::Duration;

    #[test]
    fn a_stages_share_is_of_its_apis_total() {
        let of = |ticks: u32| {
            let mut histogram = Histogram::default();
            histogram.add(&Counts::from_iter([ticks]));
            histogram
        };
        let sums = [((0, Stage::Flush), of(7500)), ((0, Stage::Total), of(10_000))].into();
        let page = latency(&sums, Some(60));
        let rows = page["stages"].as_array().unwrap();
        assert_eq!(rows[0]["api"], "Produce");
        assert_eq!((&rows[0]["stage"], &rows[0]["share"]), (&"flush".into(), &0.75.into()));
        assert_eq!(rows[0]["max_us"], 480.0);
    }

    #[test]
    fn what_is_in_progress_is_told_by_api_and_no_more_of_it_than_asked_for() {
        let going = |api, seconds| Going {
            api,
            core: 1,
            still: Duration::from_secs(seconds),
            age: Duration::from_secs(20),
            stage: Stage::Flush,
            stages: vec![(Stage::Decode, 2_000)],
            peer: SocketAddr::from(([127, 0, 0, 1], 9)),
            client_gone: true,
            request_bytes: Some(70),
            partition: Some(("t".to_owned(), 3, ids::CoreId(2))),
        };
        let longest = vec![going("Produce", 9), going("Fetch", 8), going("Produce", 7)];
        let counts = [("Produce", 120), ("Fetch", 80)].into();
        let all = InProgress { counts, longest, silent: vec![4] };
        let page = why(&[], Some(&all), None, 2);
        let told = &page["in_progress"];
        assert_eq!((&told["count"], &told["silent_cores"]), (&200.into(), &json!([4])));
        assert_eq!(told["longest"].as_array().map(Vec::len), Some(2));
        let first = &told["longest"][0];
        assert_eq!((&first["stage"], &first["still_us"]), (&"flush".into(), &9e6.into()));
        assert_eq!(first["age_us"], 20e6);
        assert_eq!(first["stages_us"]["decode"], 2.0);
        assert_eq!(first["client_gone"], true);
        assert_eq!((&first["topic"], &first["partition_core"]), (&"t".into(), &2.into()));
        let page = why(&[], Some(&all), Some("produce"), 9);
        // Of all there are, told or not.
        assert_eq!(page["in_progress"]["count"], 120);
        assert_eq!(page["in_progress"]["longest"][1]["still_us"], 7e6);
        assert!(why(&[], None, None, 2)["in_progress"].is_null());
    }

    #[test]
    fn a_percentile_needs_ten_requests_above_it() {
        let told = |requests: u32| {
            let mut histogram = Histogram::default();
            histogram.add(&(1..=requests).collect());
            let row = summary(&histogram);
            PERCENTILES.map(|(name, _)| row[name].is_f64())
        };
        assert_eq!(told(5), [false; 4]);
        assert_eq!(told(20), [true, false, false, false]);
        assert_eq!(told(100), [true, true, false, false]);
        assert_eq!(told(1_000), [true, true, true, false]);
        assert_eq!((told(9_999)[3], told(10_000)), (false, [true; 4]));
    }

    #[test]
    fn rates_are_a_second() {
        let gauges = Gauges {
            busy_nanos: 1_000_000_000,
            waited_nanos: 500_000_000,
            turn_nanos: 7_000_000,
            commits: 8,
            journal_bytes: 80_000,
            flushes: 4,
            ..Gauges::default()
        };
        let row = core_row(&Now { gauges, ..Now::default() }, 2.0);
        assert_eq!((&row["load"], &row["flushes_s"]), (&0.5.into(), &2.0.into()));
        assert_eq!(row["commit_bytes"], 10_000.0);
        assert_eq!((&row["waited"], &row["longest_turn_us"]), (&0.25.into(), &7_000.0.into()));
        let still = core_row(&Now { gauges, before: gauges, busy: Vec::new() }, 1.0);
        assert_eq!((&still["commit_bytes"], &still["commits_s"]), (&0.0.into(), &0.0.into()));
    }
}
