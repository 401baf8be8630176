//! `kafka-consumer-groups --reset-offsets`.

use super::plan::{Aim, Plans};
use super::{meant, places};
use crate::faces::end::{Done, End, print, print_text};
use crate::faces::grammar::Words;
use crate::faces::groups::{self, Committed, Committer, Place};
use crate::output::say;
use client::{Client, Isolation, OffsetQuery};
use ids::{LeaderEpoch, Offset};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use wire::ErrorCode;

pub(super) fn run(client: &mut Client, line: &Words) -> Done {
    line.alone("execute", &["dry-run"])?;
    let aim = Aim::read(line)?;
    let from_file = matches!(aim, Aim::File(_));
    if !from_file && !line.has("topic") && !line.has("all-topics") {
        return Err(End::Usage(
            "One of the reset scopes should be defined: --all-topics, --topic.".into(),
        ));
    }
    line.alone("topic", &["all-topics"])?;
    if !line.has("execute") && !line.has("dry-run") {
        say("nothing is changed without --execute; --dry-run says that this is what is wanted");
    }
    let mut plans = Plans::new();
    let mut failed = false;
    for group in meant(client, line)? {
        let state = groups::describe(client, &group)?.map(|g| g.state);
        if let Some(state) = state.filter(|s| s != "Empty" && s != "Dead") {
            failed = true;
            print_text(&format!(
                "\nError: Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}.\n"
            ))?;
            continue;
        }
        let plan = plan(client, line, &group, &aim)?;
        if line.has("execute") && !plan.is_empty() {
            let admin = Committer { generation: -1, member: "" };
            let leader_epoch = LeaderEpoch::UNKNOWN;
            let offsets =
                plan.iter().map(|(p, at)| (p.clone(), Committed { offset: *at, leader_epoch }));
            groups::commit(client, &group, admin, &offsets.collect()).map_err(groups::said)?;
        }
        plans.insert(group, plan);
    }
    if line.has("export") {
        export(&plans)?
    } else {
        print_text(&table(&plans))?
    }
    if failed { Err(End::Said) } else { Ok(()) }
}

/// Where one group is to go.
fn plan(
    client: &mut Client,
    line: &Words,
    group: &str,
    aim: &Aim,
) -> Result<BTreeMap<Place, Offset>, End> {
    let committed = groups::committed(client, group)?;
    let current = |p: &Place| committed.get(p).map(|c| c.offset);
    let scope: Vec<Place> = match aim {
        Aim::File(plans) => plans.get(group).into_iter().flat_map(|p| p.keys().cloned()).collect(),
        _ if line.has("all-topics") => committed.keys().cloned().collect(),
        _ => places(client, line)?,
    };
    let first = ask(client, &scope, OffsetQuery::Earliest)?;
    let last = ask(client, &scope, OffsetQuery::Latest)?;
    let at = match aim {
        Aim::Time(time) => ask(client, &scope, OffsetQuery::At(*time))?,
        _ => BTreeMap::new(),
    };
    let mut plan = BTreeMap::new();
    for place in scope {
        let (Some(first), Some(last)) = (first.get(&place), last.get(&place)) else {
            return Err(End::Error(format!("{}-{} has no offsets", place.0, place.1)));
        };
        let (first, last) = (*first, *last);
        let wanted = match aim {
            Aim::Earliest => first,
            Aim::Latest => last,
            Aim::Offset(n) => Offset(*n),
            Aim::Time(_) => match at.get(&place).filter(|o| o.0 >= 0) {
                Some(found) => *found,
                None => {
                    print(&format!(
                        "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
                        place.1, place.0
                    ))?;
                    last
                }
            },
            Aim::Shift(n) => match current(&place) {
                Some(now) => Offset(now.0.saturating_add(*n)),
                None => {
                    return Err(End::Error(format!(
                        "Cannot shift offset for partition {}-{} since there is no current committed offset",
                        place.0, place.1
                    )));
                }
            },
            Aim::Current => current(&place).unwrap_or(last),
            Aim::File(plans) => {
                plans.get(group).and_then(|p| p.get(&place)).copied().unwrap_or(last)
            }
        };
        let within = wanted.clamp(first, last);
        if within != wanted {
            say(format_args!(
                "partition {} of {} has offsets {} to {}: {} is set to {}",
                place.1, place.0, first.0, last.0, wanted.0, within.0
            ));
        }
        plan.insert(place, within);
    }
    Ok(plan)
}

fn ask(
    client: &mut Client,
    places: &[Place],
    query: OffsetQuery,
) -> Result<BTreeMap<Place, Offset>, End> {
    let mut topics: BTreeMap<&str, Vec<(i32, OffsetQuery)>> = BTreeMap::new();
    for (topic, partition) in places {
        topics.entry(topic).or_default().push((*partition, query));
    }
    let mut offsets = BTreeMap::new();
    for (topic, queries) in topics {
        for (partition, found) in client.list_offsets(topic, &queries, Isolation::default())? {
            let found = found.map_err(|r| match r.code {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                    End::Error(format!("there is no partition {partition} of topic {topic}"))
                }
                _ => End::Error(crate::faces::end::words_of(&r)),
            })?;
            offsets.insert((topic.to_owned(), partition), found.offset);
        }
    }
    Ok(offsets)
}

fn export(plans: &Plans) -> Done {
    let mut text = String::new();
    for (group, plan) in plans {
        for ((topic, partition), offset) in plan {
            if plans.len() > 1 {
                let _ = write!(text, "{group},");
            }
            let _ = writeln!(text, "{topic},{partition},{}", offset.0);
        }
    }
    print(&text)
}

fn table(plans: &Plans) -> String {
    let topics = plans.values().flat_map(BTreeMap::keys).map(|(topic, _)| topic.chars().count());
    let t = topics.max().unwrap_or(0).max(15);
    let g = plans.keys().map(|g| g.chars().count()).max().unwrap_or(0).max(15);
    let mut text = String::new();
    if !plans.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{:g$} {:t$} {:10} NEW-OFFSET", "GROUP", "TOPIC", "PARTITION");
    }
    for (group, plan) in plans {
        for ((topic, partition), offset) in plan {
            let _ = write!(text, "\n{group:g$} {topic:t$} {partition:<10} {}", offset.0);
        }
    }
    text.push('\n');
    text
}
