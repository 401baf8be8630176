//! `ringwood group reset`: shows where the offsets would be moved, and moves them with --execute.

use super::each::each;
use super::{Part, failure, part, places};
use crate::exit;
use crate::failure::{Done, Failure, Stop};
use crate::groups::reset::{Move, Scope, To, Unplanned, plan};
use crate::groups::{self, Committed, Committer};
use crate::output::{Column, Output, say};
use crate::time;
use crate::topic::count;
use clap::Args;
use client::{Client, ClientError};
use ids::{LeaderEpoch, Offset, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use wire::ErrorCode;

#[derive(Debug, Args)]
pub(super) struct ResetArgs {
    /// Their names
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    to: ToArgs,
    /// Do it; without this it is only shown
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ScopeArgs {
    /// A topic, or some of its partitions: orders, orders:0,2; may be repeated
    #[arg(short, long = "topic", value_name = "TOPIC[:N,...]", value_parser = part)]
    topics: Vec<Part>,
    /// Every partition for which the group has a committed offset
    #[arg(long)]
    all_topics: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ToArgs {
    /// To the first record
    #[arg(long)]
    to_earliest: bool,
    /// Behind the last record
    #[arg(long)]
    to_latest: bool,
    /// To this offset
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// So many records on, or back if it is negative
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// To the first record at or after a time: 2026-11-27T10:00:00Z, 2026-11-27, milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = datetime)]
    to_datetime: Option<Timestamp>,
    /// To the first record that is not older than this: 90s, 2h, 7d, or PT2H
    #[arg(long, value_name = "SPAN", value_parser = age)]
    by_duration: Option<Duration>,
}

fn datetime(text: &str) -> Result<Timestamp, String> {
    time::moment(text, time::now())
}

fn age(text: &str) -> Result<Duration, String> {
    time::iso_8601(text).map_or_else(|| time::span(text), Ok)
}

impl ToArgs {
    fn to(&self, now: Timestamp) -> To {
        let ago = |age: Duration| {
            let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            Timestamp(now.0.saturating_sub_unsigned(ms).max(0))
        };
        match self {
            Self { to_offset: Some(offset), .. } => To::Offset(Offset(*offset)),
            Self { shift_by: Some(n), .. } => To::Shift(*n),
            Self { to_datetime: Some(time), .. } => To::Time(*time),
            Self { by_duration: Some(span), .. } => To::Time(ago(*span)),
            Self { to_latest: true, .. } => To::Latest,
            // clap takes care that one is given.
            Self { .. } => To::Earliest,
        }
    }
}

#[derive(Default, Serialize)]
struct Reset {
    executed: bool,
    offsets: Vec<Moved>,
}

#[derive(Serialize)]
struct Moved {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
}

pub(super) fn run(client: &mut Client, output: Output, args: &ResetArgs) -> Done {
    let to = args.to.to(time::now());
    let scope = if args.scope.all_topics {
        Scope::Committed
    } else {
        Scope::Places(places(client, &args.scope.topics, "cannot reset the groups")?)
    };
    let reset = |client: &mut Client, name: &str, document: &mut Reset| {
        move_one(client, name, scope.clone(), &to, args.execute, document)
    };
    let several = each(client, output, &args.groups, reset, |groups| show(output, groups))?;
    if !args.execute {
        say("nothing has been changed: add --execute to do it");
    }
    several.done()
}

fn move_one(
    client: &mut Client,
    name: &str,
    scope: Scope,
    to: &To,
    execute: bool,
    document: &mut Reset,
) -> Result<(), Box<Failure>> {
    let what = || format!("cannot reset group {name}");
    let failed = |client: &mut Client, e: &ClientError| Box::new(failure(client, name, what(), e));
    let there = groups::describe(client, name).map_err(|e| failed(client, &e))?;
    if there.is_none() && scope == Scope::Committed {
        let error = groups::refused(name, ErrorCode::GROUP_ID_NOT_FOUND);
        return Err(failed(client, &error));
    }
    if let Some(there) = there.filter(|g| g.state != "Empty") {
        let n = i64::try_from(there.members.len()).unwrap_or(i64::MAX);
        return Err(Box::new(Failure {
            area: "group",
            what: what(),
            cause: format!("it is {} and has {}", there.state, count(n, "member")),
            remedy: format!(
                "stop its members first; `ringwood group describe {name} --members` names them"
            ),
            code: exit::FAILED,
        }));
    }
    let moves = plan(client, name, scope, to).map_err(|why| match why {
        Unplanned::Client(e) => failed(client, &e),
        why @ (Unplanned::NoPartition(_)
        | Unplanned::NoOffsets(_)
        | Unplanned::NothingCommitted(_)) => Box::new(explain(what(), why)),
    })?;
    for m in &moves {
        explain_move(m);
    }
    if execute && !moves.is_empty() {
        let offsets: BTreeMap<_, _> = moves
            .iter()
            .map(|m| {
                let leader_epoch = LeaderEpoch::UNKNOWN;
                (m.place.clone(), Committed { offset: m.to, leader_epoch })
            })
            .collect();
        let admin = Committer { generation: -1, member: "" };
        groups::commit(client, name, admin, &offsets)
            .map_err(|code| failed(client, &groups::refused(name, code)))?;
        document.executed = true;
    }
    document.offsets = moves
        .into_iter()
        .map(|m| Moved {
            topic: m.place.0,
            partition: m.place.1,
            from: m.from.map(|o| o.0),
            to: m.to.0,
        })
        .collect();
    Ok(())
}

fn explain(what: String, why: Unplanned) -> Failure {
    let (cause, remedy, code) = match why {
        Unplanned::Client(e) => return Failure::client("group", what, &e),
        Unplanned::NoPartition((topic, partition)) => (
            format!("there is no partition {partition} of topic {topic}"),
            format!("see what there is with `ringwood topic describe {topic}`"),
            exit::NOT_FOUND_OR_EXISTS,
        ),
        Unplanned::NoOffsets((topic, partition)) => (
            format!("no broker says where partition {partition} of topic {topic} begins and ends"),
            "look at the brokers with `ringwood cluster brokers`".to_owned(),
            exit::UNREACHABLE,
        ),
        Unplanned::NothingCommitted((topic, partition)) => (
            format!(
                "nothing is committed for partition {partition} of topic {topic}, so there is nothing to shift"
            ),
            "say where to with --to-earliest, --to-latest or --to-offset".to_owned(),
            exit::FAILED,
        ),
    };
    Failure { area: "group", what, cause, remedy, code }
}

/// What a person would not expect.
fn explain_move(m: &Move) {
    let (topic, partition) = &m.place;
    if m.nothing_later {
        say(format_args!(
            "partition {partition} of {topic} has no record at or after that time: to its end"
        ));
    } else if m.to != m.wanted {
        say(format_args!(
            "partition {partition} of {topic} has offsets {} to {}: {} becomes {}",
            m.first.0, m.last.0, m.wanted.0, m.to.0
        ));
    }
}

fn show(output: Output, groups: Vec<(String, Reset)>) -> Result<(), Stop> {
    let mut rows = Vec::new();
    for (group, reset) in groups {
        rows.extend(reset.offsets.into_iter().map(|m| {
            [
                group.clone(),
                m.topic,
                m.partition.to_string(),
                m.from.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                m.to.to_string(),
            ]
        }));
    }
    if rows.is_empty() {
        return Ok(());
    }
    output.table(
        [
            Column::Left("GROUP"),
            Column::Left("TOPIC"),
            Column::Right("PARTITION"),
            Column::Right("FROM"),
            Column::Right("TO"),
        ],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_written_as_people_or_as_machines_do() {
        assert_eq!(age("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(age("PT2H"), Ok(Duration::from_secs(7200)));
        assert_eq!(age("P1DT1S"), Ok(Duration::from_secs(86_401)));
        assert!(age("P1M").is_err() && age("soon").is_err());
    }
}
