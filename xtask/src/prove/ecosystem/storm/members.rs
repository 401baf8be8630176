//! The groups of the storm and their members: processes that speak as STORM.md says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::process::Process;
use super::super::tools;
use super::checker::Checker;
use crate::{Fault, tree};

/// A client library with a program for the storm.
pub(super) struct Client {
    pub(super) name: &'static str,
    /// The suite that sets it up.
    pub(super) suite: &'static str,
}

pub(super) const CLIENTS: [Client; 6] = [
    Client { name: "librdkafka", suite: "python" },
    Client { name: "aiokafka", suite: "python" },
    Client { name: "kafkajs", suite: "node" },
    Client { name: "java", suite: "java" },
    Client { name: "franz-go", suite: "go" },
    Client { name: "sarama", suite: "go" },
];

impl Client {
    fn program(&self) -> Command {
        let work = tree::work();
        match self.name {
            "librdkafka" | "aiokafka" => {
                let mut command = Command::new(work.join("python/venv/bin/python"));
                let library = if self.name == "aiokafka" { "aiokafka" } else { "confluent" };
                command.arg(tree::clients().join("python/storm.py")).arg(library);
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            "kafkajs" => {
                let mut command = Command::new("node");
                command.arg(tree::clients().join("node/storm.js"));
                command.env("NODE_PATH", work.join("node/node_modules"));
                command
            }
            "java" => tools::java("Storm"),
            name => {
                let mut command = Command::new(work.join("go/client"));
                command.arg(if name == "sarama" { "sarama-storm" } else { "storm" });
                command
            }
        }
    }
}

/// One line of a member.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Assigned { at: u64, partitions: BTreeSet<u32> },
    Given { partition: u32, offset: u64, producer: &'a str, number: u64 },
    Committed { at: u64, partition: u32, next: u64 },
    Failed(&'a str),
}

fn parse(line: &str) -> Option<Line<'_>> {
    let (kind, rest) = line.split_once(' ')?;
    let words: Vec<&str> = rest.split(' ').collect();
    match (kind, words.as_slice()) {
        ("a", [at, partitions]) => {
            let all = partitions.split(',').filter(|word| !word.is_empty());
            let partitions = all.map(str::parse).collect::<Result<_, _>>().ok()?;
            Some(Line::Assigned { at: at.parse().ok()?, partitions })
        }
        ("r", [partition, offset, producer, number]) => Some(Line::Given {
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
            producer,
            number: number.parse().ok()?,
        }),
        ("c", [at, partition, next]) => Some(Line::Committed {
            at: at.parse().ok()?,
            partition: partition.parse().ok()?,
            next: next.parse().ok()?,
        }),
        ("e", _) => Some(Line::Failed(rest)),
        _ => None,
    }
}

struct Member {
    process: Process,
    /// Its place among all members that the group ever had.
    number: usize,
    has: BTreeSet<u32>,
}

/// All members of one client.
pub(super) struct Group {
    pub(super) client: &'static Client,
    bootstrap: String,
    topic: String,
    scratch: PathBuf,
    members: Vec<Member>,
    /// They were asked to leave, or were killed, and may still have said something.
    going: Vec<Member>,
    born: usize,
    /// When something last happened that must lead to a new assignment.
    pub(super) disturbed: Option<Instant>,
    /// When the broker was killed, until a commit comes through.
    pub(super) waits_for_commit: Option<Instant>,
    errors: BTreeMap<String, u64>,
    /// Said before the broker was killed, and not taken yet.
    before: Vec<(usize, String)>,
    ended_badly: usize,
}

impl Group {
    pub(super) fn new(
        client: &'static Client,
        bootstrap: &str,
        topic: &str,
        scratch: &std::path::Path,
    ) -> Group {
        Group {
            client,
            bootstrap: bootstrap.to_owned(),
            topic: topic.to_owned(),
            scratch: scratch.to_owned(),
            members: Vec::new(),
            going: Vec::new(),
            born: 0,
            disturbed: None,
            waits_for_commit: None,
            errors: BTreeMap::new(),
            before: Vec::new(),
            ended_badly: 0,
        }
    }

    pub(super) fn live(&self) -> usize {
        self.members.len()
    }

    pub(super) fn join(&mut self) -> Result<(), Fault> {
        let mut command = self.client.program();
        command.args([&self.bootstrap, &self.topic, &format!("storm-{}", self.client.name)]);
        let name = format!("{}-{}", self.client.name, self.born);
        let process = Process::start(&name, &mut command, &self.scratch)?;
        self.members.push(Member { process, number: self.born, has: BTreeSet::new() });
        self.born += 1;
        Ok(())
    }

    /// One member closes its consumer and ends.
    pub(super) fn leave(&mut self, victim: usize) {
        let mut member = self.members.remove(victim);
        member.process.close_input();
        self.going.push(member);
    }

    /// One member is killed with -9.
    pub(super) fn die(&mut self, victim: usize) -> Result<(), Fault> {
        let mut member = self.members.remove(victim);
        member.process.kill()?;
        self.going.push(member);
        Ok(())
    }

    /// Puts aside what was said up to now.
    pub(super) fn listen_to_the_rest(&mut self) {
        for member in self.members.iter().chain(&self.going) {
            self.before.extend(member.process.lines().into_iter().map(|l| (member.number, l)));
        }
    }

    /// Takes what the members have said; true if a commit was among it that was made after the broker came back.
    pub(super) fn listen(&mut self, group: usize, checker: &mut Checker) -> Result<bool, Fault> {
        for (number, line) in std::mem::take(&mut self.before) {
            self.take(group, number, &line, checker)?;
        }
        let mut committed = false;
        let said: Vec<(usize, String)> = self
            .members
            .iter()
            .chain(&self.going)
            .flat_map(|one| one.process.lines().into_iter().map(|line| (one.number, line)))
            .collect();
        for (number, line) in said {
            committed |= self.take(group, number, &line, checker)?;
        }
        for member in &mut self.members {
            member.process.must_live()?;
        }
        let mut going = Vec::new();
        for mut member in std::mem::take(&mut self.going) {
            match member.process.ended()? {
                None => going.push(member),
                // What it said last may still be in the pipe.
                Some(_) => {
                    std::thread::sleep(Duration::from_millis(20));
                    for line in member.process.lines() {
                        self.take(group, member.number, &line, checker)?;
                    }
                }
            }
        }
        self.going = going;
        Ok(committed)
    }

    /// Takes one line; true if it tells of a commit.
    fn take(
        &mut self,
        group: usize,
        number: usize,
        line: &str,
        checker: &mut Checker,
    ) -> Result<bool, Fault> {
        let name = self.client.name;
        // A member that is killed while it writes leaves half a line.
        let Some(parsed) = parse(line) else {
            if self.members.iter().any(|member| member.number == number) {
                return Err(format!("{name} said {line:?}").into());
            }
            return Ok(false);
        };
        match parsed {
            Line::Assigned { at, partitions } => {
                checker.assigned(group, number, at, &partitions);
                let member = self.members.iter_mut().find(|member| member.number == number);
                if let Some(member) = member {
                    member.has = partitions;
                }
            }
            Line::Given { partition, offset, producer, number: record } => {
                checker.given_out(group, number, partition, offset, (producer, record));
            }
            Line::Committed { at, partition, next } => {
                checker.committed(group, at, partition, next);
                return Ok(true);
            }
            Line::Failed(text) => {
                let short: String = text.chars().take(90).collect();
                *self.errors.entry(short).or_insert(0) += 1;
            }
        }
        Ok(false)
    }

    /// Whether every live member has partitions and each partition has exactly one of them.
    pub(super) fn is_stable(&self, partitions: u32) -> bool {
        let total: usize = self.members.iter().map(|member| member.has.len()).sum();
        let all: BTreeSet<u32> =
            self.members.iter().flat_map(|member| member.has.iter().copied()).collect();
        self.members.iter().all(|member| !member.has.is_empty())
            && total == all.len()
            && all.len() == partitions as usize
    }

    pub(super) fn describe(&self) -> String {
        let all = self.members.iter();
        let all = all.map(|member| format!("member {} has {:?}", member.number, member.has));
        all.collect::<Vec<_>>().join(", ")
    }

    /// What the members have complained of, and how often.
    pub(super) fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// Ends all members; how many of them did not end well.
    pub(super) fn end(&mut self) -> Result<usize, Fault> {
        for member in &mut self.members {
            member.process.close_input();
        }
        for member in &mut self.members {
            // One that hangs is killed, and is one more that ended badly.
            let well = member.process.join(Duration::from_secs(60)).unwrap_or(false);
            self.ended_badly += usize::from(!well);
        }
        Ok(self.ended_badly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let partitions = BTreeSet::from([3, 14]);
        assert_eq!(parse("a 17 3,14"), Some(Line::Assigned { at: 17, partitions }));
        let none = BTreeSet::new();
        assert_eq!(parse("a 17 "), Some(Line::Assigned { at: 17, partitions: none }));
        let given = Line::Given { partition: 1, offset: 2, producer: "p0", number: 3 };
        assert_eq!(parse("r 1 2 p0 3"), Some(given));
        assert_eq!(parse("c 17 1 9"), Some(Line::Committed { at: 17, partition: 1, next: 9 }));
        assert_eq!(parse("e no broker"), Some(Line::Failed("no broker")));
        assert_eq!(parse("r 1 2 p0"), None);
    }
}
