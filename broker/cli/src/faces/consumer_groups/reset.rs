//! `kafka-consumer-groups --reset-offsets`.

use super::plan::{Aim, Plans};
use super::{meant, places};
use crate::faces::end::{Done, End, print, print_text};
use crate::faces::grammar::Words;
use crate::faces::groups::{self, Committed, Committer, Place};
use crate::groups::reset::{self, Scope, To, Unplanned};
use crate::output::say;
use client::Client;
use ids::{LeaderEpoch, Offset};
use std::collections::BTreeMap;
use std::fmt::Write as _;

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
    let (to, scope) = match aim {
        Aim::To(to) if line.has("all-topics") => (to.clone(), Scope::Committed),
        Aim::To(to) => (to.clone(), Scope::Places(places(client, line)?)),
        Aim::File(plans) => {
            let of_group = plans.get(group).cloned().unwrap_or_default();
            let places = of_group.keys().cloned().collect();
            (To::Each(of_group), Scope::Places(places))
        }
    };
    let moves = reset::plan(client, group, scope, &to).map_err(|why| match why {
        Unplanned::Client(e) => e.into(),
        Unplanned::NoOffsets((topic, partition)) => {
            End::Error(format!("{topic}-{partition} has no offsets"))
        }
        Unplanned::NoPartition((topic, partition)) => {
            End::Error(format!("there is no partition {partition} of topic {topic}"))
        }
        Unplanned::NothingCommitted((topic, partition)) => End::Error(format!(
            "Cannot shift offset for partition {topic}-{partition} since there is no current committed offset"
        )),
    })?;
    let mut plan = BTreeMap::new();
    for m in moves {
        let (topic, partition) = &m.place;
        if m.nothing_later {
            print(&format!(
                "\nWarn: Partition {partition} from topic {topic} is empty. Falling back to latest known offset."
            ))?;
        }
        if m.to != m.wanted {
            say(format_args!(
                "partition {partition} of {topic} has offsets {} to {}: {} is set to {}",
                m.first.0, m.last.0, m.wanted.0, m.to.0
            ));
        }
        plan.insert(m.place, m.to);
    }
    Ok(plan)
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
