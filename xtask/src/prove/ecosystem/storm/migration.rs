//! A group of Java members rolls from the classic to the consumer protocol (KIP-848) and back, under load.
//!
//! One member after the other closes its consumer and comes back with the other protocol, as in a rolling restart; the next is not
//! touched before the group has settled. In the middle of each direction the broker is killed with -9. What must hold is what must
//! hold in a storm: everything acknowledged is given out, nobody begins below a commit, no gap. Kafka's own tool must call the
//! group by its new type when the last member has changed.

use std::time::Instant;

use serde_json::json;

use super::super::{Findings, tools};
use super::members::CLIENTS;
use super::{PARTITIONS, PAUSE, Phase, Storm, percentile};
use crate::Fault;

const MEMBERS: usize = 4;
const COMMAND: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

/// What a line of `kafka-consumer-groups --list --type` says of a group.
pub(super) fn kind(list: &str, group: &str) -> Option<String> {
    let mut lines = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.find(|words| words.first() == Some(&group))?;
    Some((*found.get(1)?).to_lowercase())
}

pub(in super::super) fn play(findings: &mut Findings) -> Result<(), Fault> {
    let client = |name: &str| {
        CLIENTS.iter().find(|one| one.name == name).ok_or_else(|| format!("no client {name}"))
    };
    let (classic, consumer) = (client("java")?, client("java-consumer")?);
    let phase = Phase { clients: vec![classic], members: MEMBERS, partitions: PARTITIONS };
    let mut storm = Storm::begin(&phase, "migration")?;
    let formed = storm.settle()?;
    findings.check(formed, || "the group did not form".to_owned());
    storm.times.clear();
    let group = format!("storm-{}", classic.name);
    for (to, name) in [(consumer, "consumer"), (classic, "classic")] {
        for member in 0..MEMBERS {
            storm.listen_for(PAUSE)?;
            storm.groups[0].leave(0);
            storm.groups[0].join_as(to)?;
            storm.groups[0].disturbed = Some(Instant::now());
            if member == MEMBERS / 2 {
                storm.kill()?;
            }
            let settled = storm.settle()?;
            findings.check(settled && storm.stuck.is_empty(), || {
                format!("not settled when member {member} had changed to {name}")
            });
        }
        storm.listen_for(PAUSE)?;
        let bootstrap = storm.broker.bootstrap();
        let list = tools::tool(COMMAND, &["--bootstrap-server", &bootstrap, "--list", "--type"])?;
        let found = kind(&list, &group);
        findings.check(found.as_deref() == Some(name), || {
            format!("Kafka's tool calls the group {found:?}, not {name}: {list:?}")
        });
    }
    storm.judge(&[classic.name], findings)?;
    let stuck = std::mem::take(&mut storm.stuck);
    findings.check(stuck.is_empty(), || stuck.join("; "));
    findings.count("members_changed", 2 * MEMBERS);
    findings.count("kills", storm.after_kill.len());
    storm.still_silent();
    findings.check(storm.silent.is_empty() && storm.after_kill.len() == 2, || {
        "no commit after a kill".to_owned()
    });
    findings.count("stable_ms_p50", percentile(&mut storm.times, 50));
    findings.count("stable_ms_max", percentile(&mut storm.times, 100));
    findings.count("first_commit_after_kill_ms", json!(storm.after_kill));
    storm.end(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_group_is_found_in_the_list() {
        let list = "GROUP                TYPE\nstorm-java-x         Classic\nstorm-java           Consumer\n";
        assert_eq!(kind(list, "storm-java").as_deref(), Some("consumer"));
        assert_eq!(kind(list, "storm"), None);
    }
}
