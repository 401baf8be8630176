//! `kafka-get-offsets`.

use super::end::{Done, End, print_text};
use super::grammar::Words;
use super::names::Names;
use super::session;
use crate::output::say;
use client::{ClientError, Isolation, OffsetQuery};
use ids::Timestamp;
use std::fmt::Write as _;

pub(super) fn run(line: &Words) -> Done {
    let mut lines = String::new();
    let found = look_up(line).map_err(|end| match end {
        End::Error(text) => End::Error(format!("Error occurred: {text}")),
        other => other,
    })?;
    for (name, partition, offset) in found {
        let _ = writeln!(lines, "{name}:{partition}:{offset}");
    }
    print_text(&lines)
}

fn look_up(line: &Words) -> Result<Vec<(String, i32, i64)>, End> {
    line.required("bootstrap-server")?;
    if line.has("topic-partitions") && (line.has("topic") || line.has("partitions")) {
        return Err(End::Error(
            "--topic-partitions cannot be used with --topic or --partitions".into(),
        ));
    }
    let query = query(line.value("time")?.unwrap_or("latest"))?;
    let rules = rules(line)?;
    let exclude = line.has("exclude-internal-topics");
    let mut client = session::admin(line, "GetOffsetShell")?;
    let mut wanted = Vec::new();
    for topic in session::topics(&mut client)? {
        if exclude && topic.is_internal {
            continue;
        }
        let matching = |p: &i32| rules.iter().any(|r| r.takes(&topic.name, *p));
        let partitions: Vec<_> =
            topic.partitions.iter().map(|p| p.index).filter(matching).collect();
        if !partitions.is_empty() {
            wanted.push((topic.name, partitions));
        }
    }
    if wanted.is_empty() {
        let none = "Could not match any topic-partitions with the specified filters";
        return Err(End::Error(none.into()));
    }
    let mut found = Vec::new();
    for (name, partitions) in wanted {
        let queries: Vec<_> = partitions.iter().map(|p| (*p, query)).collect();
        for (partition, result) in client.list_offsets(&name, &queries, Isolation::default())? {
            match result {
                // -1: there is no such record.
                Ok(at) if at.offset.0 < 0 => {}
                Ok(at) => found.push((name.clone(), partition, at.offset.0)),
                Err(refusal) => {
                    let why = super::end::words(&ClientError::Refused(refusal));
                    say(format_args!(
                        "Skip getting offsets for topic-partition {name}-{partition} due to error: {why}"
                    ));
                }
            }
        }
    }
    // As text: 10 stands before 2.
    found.sort_by_key(|(name, partition, _)| format!("{name}-{partition}"));
    Ok(found)
}

fn query(text: &str) -> Result<OffsetQuery, End> {
    Ok(match text {
        "latest" | "-1" => OffsetQuery::Latest,
        "earliest" | "-2" => OffsetQuery::Earliest,
        "max-timestamp" | "-3" => OffsetQuery::MaxTimestamp,
        "earliest-local" | "-4" => OffsetQuery::EarliestLocal,
        "latest-tiered" | "-5" => OffsetQuery::LatestTiered,
        "earliest-pending-upload" | "-6" => OffsetQuery::EarliestPendingUpload,
        time => match time.parse() {
            Ok(ms) => OffsetQuery::At(Timestamp(ms)),
            Err(_) => {
                return Err(End::Error(format!(
                    "Malformed time argument {time}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
                )));
            }
        },
    })
}

/// Which partitions of which topics.
#[derive(Debug)]
struct Rule {
    names: Names,
    partitions: Partitions,
}

#[derive(Debug, PartialEq, Eq)]
enum Partitions {
    All,
    These(Vec<i32>),
    /// From the first to before the second.
    Range(i32, i32),
}

impl Rule {
    fn takes(&self, topic: &str, partition: i32) -> bool {
        let partition_fits = match &self.partitions {
            Partitions::All => true,
            Partitions::These(these) => these.contains(&partition),
            Partitions::Range(from, to) => (*from..*to).contains(&partition),
        };
        partition_fits && self.names.has(topic)
    }
}

fn rules(line: &Words) -> Result<Vec<Rule>, End> {
    if let Some(list) = line.value("topic-partitions")? {
        return list.split(',').map(rule).collect();
    }
    let names = Names::list(line.value("topic")?.unwrap_or(".*"))?;
    let partitions = match line.value("partitions")?.filter(|l| !l.is_empty()) {
        None => Partitions::All,
        Some(list) => {
            let these: Result<Vec<i32>, _> = list.split(',').map(str::parse).collect();
            Partitions::These(these.map_err(|_| {
                End::Error(format!("--partitions expects a comma separated list of numeric partition ids, but received: {list}"))
            })?)
        }
    };
    Ok(vec![Rule { names, partitions }])
}

/// `topic`, `topic:2`, `topic:0-3`, `topic:5-`, `topic:-3`, `:2`.
fn rule(text: &str) -> Result<Rule, End> {
    let bad = || End::Error(format!("Invalid rule specification: {text}"));
    let (name, partitions) = match text.split_once(':') {
        Some((name, partitions)) => (name, Some(partitions)),
        None => (text, None),
    };
    let number = |text: &str, none| match text {
        "" => Ok(none),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| bad()),
        _ => Err(bad()),
    };
    let partitions = match partitions {
        None | Some("") => Partitions::All,
        Some(p) => match p.split_once('-') {
            None => Partitions::These(vec![number(p, 0)?]),
            Some((from, to)) => Partitions::Range(number(from, 0)?, number(to, i32::MAX)?),
        },
    };
    let names = Names::list(if name.is_empty() { ".*" } else { name })?;
    Ok(Rule { names, partitions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_take_numbers_and_half_open_ranges() {
        let takes = |text: &str| -> Vec<i32> {
            let rule = rule(text).unwrap();
            (0..6).filter(|p| rule.takes("t", *p)).collect()
        };
        assert_eq!(takes("t"), [0, 1, 2, 3, 4, 5]);
        assert_eq!(takes("t:2"), [2]);
        assert_eq!(takes("t:0-3"), [0, 1, 2]);
        assert_eq!(takes("t:4-"), [4, 5]);
        assert_eq!(takes(":-2"), [0, 1]);
        assert_eq!(takes("u:2"), [] as [i32; 0]);
        for bad in ["t:x", "t:1-2-3", "t:1:2", "t(:1"] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_have_names_and_numbers() {
        assert_eq!(query("-2"), Ok(OffsetQuery::Earliest));
        assert_eq!(query("1700000000000"), Ok(OffsetQuery::At(Timestamp(1_700_000_000_000))));
        assert!(query("yesterday").is_err());
    }
}
