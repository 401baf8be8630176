//! `kafka-consumer-groups --describe`: offsets and lag, members, or the state.

use super::meant;
use crate::faces::end::{Done, End, print_text};
use crate::faces::grammar::Words;
use crate::faces::groups::{self, Committed, Described, Place};
use crate::output::say;
use client::Client;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) fn run(client: &mut Client, line: &Words) -> Done {
    let verbose = line.has("verbose");
    let mut missing = false;
    for group in meant(client, line)? {
        let Some(described) = groups::describe(client, &group)? else {
            missing = true;
            let why = groups::java(wire::ErrorCode::GROUP_ID_NOT_FOUND);
            print_text(&format!(
                "\nError: Executing consumer group command failed due to {why}\n"
            ))?;
            continue;
        };
        match described.state.as_str() {
            "Empty" => say(format_args!("\nConsumer group '{group}' has no active members.")),
            "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
                say(format_args!("\nWarning: Consumer group '{group}' is rebalancing."));
            }
            _ => {}
        }
        let text = if line.has("members") {
            members(&group, &described, verbose)
        } else if line.has("state") {
            state(client, &group, &described, verbose)
        } else {
            offsets(&group, &rows(client, &group, &described)?, verbose)
        };
        print_text(&text)?;
    }
    if missing { Err(End::Said) } else { Ok(()) }
}

/// A partition as the group sees it.
struct Row {
    topic: String,
    partition: i32,
    leader_epoch: String,
    current: String,
    end: String,
    lag: String,
    consumer: String,
    host: String,
    client: String,
}

const NOTHING: &str = "-";

/// Those of the members with most partitions first; then those that nobody has.
fn rows(client: &mut Client, group: &str, described: &Described) -> Result<Vec<Row>, End> {
    let committed = groups::committed(client, group)?;
    let mut members: Vec<_> =
        described.members.iter().filter(|m| !m.partitions.is_empty()).collect();
    members.sort_by_key(|m| Reverse(m.partitions.len()));
    let taken: Vec<&Place> = members.iter().flat_map(|m| &m.partitions).collect();
    let rest: Vec<Place> = committed.keys().filter(|p| !taken.contains(p)).cloned().collect();
    let places: Vec<Place> = taken.into_iter().chain(&rest).cloned().collect();
    let ends = groups::ends(client, &places)?;
    let mut rows = Vec::new();
    for m in members {
        let who = [m.id.as_str(), m.host.as_str(), m.client_id.as_str()];
        rows.extend(m.partitions.iter().map(|p| row(p, committed.get(p), ends.get(p), who)));
    }
    rows.extend(rest.iter().map(|p| row(p, committed.get(p), ends.get(p), [NOTHING; 3])));
    Ok(rows)
}

fn row(place: &Place, committed: Option<&Committed>, end: Option<&i64>, who: [&str; 3]) -> Row {
    let shown = |n: Option<i64>| n.map_or_else(|| NOTHING.to_owned(), |n| n.to_string());
    let current = committed.map(|c| c.offset.0);
    let epoch = committed.map(|c| i64::from(c.leader_epoch.0)).filter(|e| *e >= 0);
    let [consumer, host, client] = who.map(str::to_owned);
    Row {
        topic: place.0.clone(),
        partition: place.1,
        leader_epoch: shown(epoch),
        current: shown(current),
        end: shown(end.copied()),
        lag: shown(current.zip(end).map(|(current, end)| end - current)),
        consumer,
        host,
        client,
    }
}

/// The longest of some texts, and 15 at least.
fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|t| t.chars().count()).max().unwrap_or(0).max(15)
}

fn offsets(group: &str, rows: &[Row], verbose: bool) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let g = width([group].into_iter());
    let t = width(rows.iter().map(|r| r.topic.as_str()));
    let c = width(rows.iter().map(|r| r.consumer.as_str()));
    let h = width(rows.iter().map(|r| r.host.as_str()));
    let mut text = String::new();
    let mut line = |cells: [&str; 10]| {
        let [group, topic, partition, epoch, current, end, lag, consumer, host, client] = cells;
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{group:g$} {topic:t$} {partition:10} ");
        if verbose {
            let _ = write!(text, "{epoch:15} ");
        }
        let _ = write!(text, "{current:15} {end:15} {lag:15} {consumer:c$} {host:h$} {client}");
    };
    line([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    for r in rows {
        let partition = r.partition.to_string();
        line([
            group,
            &r.topic,
            &partition,
            &r.leader_epoch,
            &r.current,
            &r.end,
            &r.lag,
            &r.consumer,
            &r.host,
            &r.client,
        ]);
    }
    text.push('\n');
    text
}

/// `topic:0,1;other:2`.
fn assignment(places: &[Place]) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (topic, partition) in places {
        topics.entry(topic).or_default().push(partition.to_string());
    }
    if topics.is_empty() {
        return NOTHING.to_owned();
    }
    let topics: Vec<_> = topics.iter().map(|(t, p)| format!("{t}:{}", p.join(","))).collect();
    topics.join(";")
}

fn members(group: &str, described: &Described, verbose: bool) -> String {
    let all = &described.members;
    let assignments: Vec<String> = all.iter().map(|m| assignment(&m.partitions)).collect();
    // Headings without members are as narrow as can be.
    let g = width(all.iter().map(|_| group));
    let c = width(all.iter().map(|m| m.id.as_str()));
    let i = width(all.iter().map(|m| m.instance.as_str())).max(17);
    let h = width(all.iter().map(|m| m.host.as_str()));
    let l = width(all.iter().map(|m| m.client_id.as_str()));
    let a = width(assignments.iter().map(String::as_str)).max(20);
    let targets: Vec<String> = all.iter().map(|m| assignment(&m.target)).collect();
    let t = width(targets.iter().map(String::as_str)).max(20);
    let shown = |epoch: Option<i32>| epoch.map_or_else(|| NOTHING.to_owned(), |e| e.to_string());
    let target_epoch = shown(described.epochs.map(|(_, target)| target));
    let with_instance = all.iter().any(|m| !m.instance.is_empty());
    let mut text = String::from("\n");
    let mut line = |cells: [&str; 10]| {
        let [group, id, instance, host, client, count, epoch, now, target_epoch, target] = cells;
        let _ = write!(text, "{group:g$} {id:c$} ");
        if with_instance {
            let _ = write!(text, "{instance:i$} ");
        }
        let _ = write!(text, "{host:h$} {client:l$} {count:15} ");
        if verbose {
            let _ = write!(text, "{epoch:15} {now:a$} {target_epoch:15} {target:t$}");
        }
        text.push('\n');
    };
    line([
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "CURRENT-EPOCH",
        "CURRENT-ASSIGNMENT",
        "TARGET-EPOCH",
        "TARGET-ASSIGNMENT",
    ]);
    for ((m, now), target) in all.iter().zip(&assignments).zip(&targets) {
        let count = m.partitions.len().to_string();
        let epoch = shown(m.epoch);
        line([
            group,
            &m.id,
            &m.instance,
            &m.host,
            &m.client_id,
            &count,
            &epoch,
            now,
            &target_epoch,
            target,
        ]);
    }
    text
}

fn state(client: &Client, group: &str, described: &Described, verbose: bool) -> String {
    let id = described.coordinator.0;
    let broker = client.metadata().brokers.get(&id);
    let broker = broker.map_or_else(|| NOTHING.to_owned(), |b| format!("{}:{}", b.host, b.port));
    let coordinator = format!("{broker}  ({id})");
    let g = width([group].into_iter());
    let c = width([coordinator.as_str()].into_iter()).max(25);
    let assignor = Some(described.assignor.as_str()).filter(|a| !a.is_empty()).unwrap_or(NOTHING);
    let mut text = String::new();
    let mut line = |cells: [&str; 7]| {
        let [group, coordinator, assignor, state, epoch, target_epoch, members] = cells;
        let _ = write!(text, "\n{group:g$} {coordinator:c$} {assignor:20} {state:20} ");
        if verbose {
            let _ = write!(text, "{epoch:15} {target_epoch:25} ");
        }
        text.push_str(members);
    };
    line([
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "GROUP-EPOCH",
        "TARGET-ASSIGNMENT-EPOCH",
        "#MEMBERS",
    ]);
    let members = described.members.len().to_string();
    let shown = |epoch: Option<i32>| epoch.map_or_else(|| NOTHING.to_owned(), |e| e.to_string());
    let (epoch, target_epoch) =
        (shown(described.epochs.map(|(now, _)| now)), shown(described.epochs.map(|(_, to)| to)));
    line([group, &coordinator, assignor, &described.state, &epoch, &target_epoch, &members]);
    text.push('\n');
    text
}
