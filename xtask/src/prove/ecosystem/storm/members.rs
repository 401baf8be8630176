//! The groups of the storm and their members, which speak as STORM.md says.
//!
//! A process has one member. Only the crowd, a group too large for that, has several in each: they die together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::process::Process;
use super::super::tools;
use super::checker::Checker;
use crate::{Fault, tree};

/// A client library with a program for the storm, and the protocol that it speaks.
pub(super) struct Client {
    pub(super) name: &'static str,
    /// The suite that sets it up.
    pub(super) suite: &'static str,
    /// Members in one process.
    pub(super) in_process: usize,
}

const fn one(name: &'static str, suite: &'static str) -> Client {
    Client { name, suite, in_process: 1 }
}

/// Neighbours may play at the same time, so those that weigh most are apart. `-consumer` is the consumer protocol (KIP-848).
pub(super) static CLIENTS: [Client; 8] = [
    one("librdkafka", "python"),
    one("java", "java"),
    one("librdkafka-consumer", "python"),
    one("aiokafka", "python"),
    one("java-consumer", "java"),
    one("kafkajs", "node"),
    one("franz-go", "go"),
    one("sarama", "go"),
];

/// One large group of franz-go.
pub(super) static CROWD: Client = Client { name: "franz-go-crowd", suite: "go", in_process: 10 };

impl Client {
    fn program(&self) -> Command {
        let work = tree::work();
        match self.name {
            "librdkafka" | "librdkafka-consumer" | "aiokafka" => {
                let mut command = Command::new(work.join("python/venv/bin/python"));
                let library = match self.name {
                    "librdkafka" => "confluent",
                    "librdkafka-consumer" => "confluent-consumer",
                    name => name,
                };
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
            "java" | "java-consumer" => {
                let mut command = tools::java("Storm");
                command.arg(if self.name == "java" { "classic" } else { "consumer" });
                command
            }
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

/// Whose line it is among the members of its process, and the line.
fn speaker(line: &str) -> Option<(usize, &str)> {
    let Some(rest) = line.strip_prefix('@') else { return Some((0, line)) };
    let (place, line) = rest.split_once(' ')?;
    Some((place.parse().ok()?, line))
}

/// A process and its members.
struct Host {
    process: Process,
    /// The place of its first member among all that the group ever had.
    first: usize,
    /// What each member has.
    has: Vec<BTreeSet<u32>>,
}

impl Host {
    /// What it said since it was asked last, with the number of its first member.
    fn said(&self) -> impl Iterator<Item = (usize, String)> {
        self.process.lines().into_iter().map(|line| (self.first, line))
    }
}

/// All members of one client.
pub(super) struct Group {
    pub(super) client: &'static Client,
    bootstrap: String,
    topic: String,
    scratch: PathBuf,
    hosts: Vec<Host>,
    /// They were asked to leave, or were killed, and may still have said something.
    going: Vec<Host>,
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
            hosts: Vec::new(),
            going: Vec::new(),
            born: 0,
            disturbed: None,
            waits_for_commit: None,
            errors: BTreeMap::new(),
            before: Vec::new(),
            ended_badly: 0,
        }
    }

    /// Members that live.
    pub(super) fn live(&self) -> usize {
        self.hosts.len() * self.client.in_process
    }

    /// Processes that live; each may be told to leave or be killed.
    pub(super) fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// What the broker knows it by.
    pub(super) fn name(&self) -> String {
        format!("storm-{}", self.client.name)
    }

    /// One more process with its members.
    pub(super) fn join(&mut self) -> Result<(), Fault> {
        self.join_as(self.client)
    }

    /// The same with the program of another client: one that has as many members in a process.
    pub(super) fn join_as(&mut self, client: &Client) -> Result<(), Fault> {
        let mut command = client.program();
        command.args([&self.bootstrap, &self.topic, &self.name()]);
        let members = self.client.in_process;
        if members > 1 {
            command.arg(members.to_string());
        }
        let name = format!("{}-{}", self.client.name, self.born);
        let process = Process::start(&name, &mut command, &self.scratch)?;
        self.hosts.push(Host { process, first: self.born, has: vec![BTreeSet::new(); members] });
        self.born += members;
        Ok(())
    }

    /// The members of one process close their consumers and end.
    pub(super) fn leave(&mut self, victim: usize) {
        let mut host = self.hosts.remove(victim);
        host.process.close_input();
        self.going.push(host);
    }

    /// One process is killed with -9.
    pub(super) fn die(&mut self, victim: usize) -> Result<(), Fault> {
        let mut host = self.hosts.remove(victim);
        host.process.kill()?;
        self.going.push(host);
        Ok(())
    }

    /// Puts aside what was said up to now.
    pub(super) fn listen_to_the_rest(&mut self) {
        self.before.extend(self.hosts.iter().chain(&self.going).flat_map(Host::said));
    }

    /// Takes what the members have said; true if a commit was among it that was made after the broker came back.
    pub(super) fn listen(&mut self, group: usize, checker: &mut Checker) -> Result<bool, Fault> {
        for (first, line) in std::mem::take(&mut self.before) {
            self.take(group, first, &line, checker)?;
        }
        let mut committed = false;
        let said: Vec<(usize, String)> =
            self.hosts.iter().chain(&self.going).flat_map(Host::said).collect();
        for (first, line) in said {
            committed |= self.take(group, first, &line, checker)?;
        }
        for host in &mut self.hosts {
            host.process.must_live()?;
        }
        let mut going = Vec::new();
        for mut host in std::mem::take(&mut self.going) {
            match host.process.ended()? {
                None => going.push(host),
                // What it said last may still be in the pipe.
                Some(_) => {
                    std::thread::sleep(Duration::from_millis(20));
                    for (first, line) in host.said() {
                        self.take(group, first, &line, checker)?;
                    }
                }
            }
        }
        self.going = going;
        Ok(committed)
    }

    /// Takes one line of the process whose first member has this number; true if it tells of a commit.
    fn take(
        &mut self,
        group: usize,
        first: usize,
        line: &str,
        checker: &mut Checker,
    ) -> Result<bool, Fault> {
        let name = self.client.name;
        let host = self.hosts.iter_mut().find(|host| host.first == first);
        let told = speaker(line).filter(|(place, _)| *place < self.client.in_process);
        let Some((place, parsed)) = told.and_then(|(at, line)| Some((at, parse(line)?))) else {
            // A process that is killed while it writes leaves half a line.
            return if host.is_some() {
                Err(format!("{name} said {line:?}").into())
            } else {
                Ok(false)
            };
        };
        let number = first + place;
        match parsed {
            Line::Assigned { at, partitions } => {
                checker.assigned(group, number, at, &partitions);
                if let Some(has) = host.and_then(|host| host.has.get_mut(place)) {
                    *has = partitions;
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

    /// What each live member has.
    fn shares(&self) -> impl Iterator<Item = (usize, &BTreeSet<u32>)> {
        self.hosts.iter().flat_map(|host| (host.first..).zip(&host.has))
    }

    /// Whether every live member has partitions and each partition has exactly one of them.
    pub(super) fn is_stable(&self, partitions: u32) -> bool {
        let total: usize = self.shares().map(|(_, has)| has.len()).sum();
        let all: BTreeSet<u32> = self.shares().flat_map(|(_, has)| has.iter().copied()).collect();
        self.shares().all(|(_, has)| !has.is_empty())
            && total == all.len()
            && all.len() == partitions as usize
    }

    pub(super) fn describe(&self) -> String {
        let all = self.shares().map(|(number, has)| format!("member {number} has {has:?}"));
        all.collect::<Vec<_>>().join(", ")
    }

    /// What the members have complained of, and how often.
    pub(super) fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// Ends all processes; how many of them did not end well.
    pub(super) fn end(&mut self) -> Result<usize, Fault> {
        for host in &mut self.hosts {
            host.process.close_input();
        }
        for host in &mut self.hosts {
            // One that hangs is killed, and is one more that ended badly.
            let well = host.process.join(Duration::from_secs(60)).unwrap_or(false);
            self.ended_badly += usize::from(!well);
        }
        Ok(self.ended_badly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_one_process_are_told_apart() {
        assert_eq!(speaker("c 17 1 9"), Some((0, "c 17 1 9")));
        assert_eq!(speaker("@7 c 17 1 9"), Some((7, "c 17 1 9")));
        assert_eq!(speaker("@7"), None);
        assert_eq!(speaker("@x a"), None);
    }

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
