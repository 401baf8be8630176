//! The rebalance storm: groups of many clients whose members join, leave, die and come back while the broker is killed with -9.
//!
//! Idempotent producers of librdkafka write all the time and keep a ledger of what was acknowledged. One group of each client reads
//! the same topic. Members are processes; they are started, ended through their standard input, or killed with -9. At the end the
//! producers settle and every group must read to the end of the ledger.
//!
//! On few processors all groups at once would measure the processors. So they play in phases, a few groups at a time, each phase
//! with a broker, a topic and a whole storm of its own; one phase is a crowd, a single large group.
//!
//! A disturbance is over when every live member of the group has partitions, no partition has two members, and each has one. How
//! long that takes is measured for every disturbance.

mod checker;
mod members;
pub(super) mod migration;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Findings, Options, tools};
use crate::broker::Broker;
use crate::program::{self, Conversation};
use crate::runtimes::RUNTIMES;
use crate::tally::say;
use crate::{Fault, clients, tree};
use checker::{Checker, Written};
use members::{CLIENTS, CROWD, Client, Group};

const TOPIC: &str = "storm";
/// Enough for every member of a group to have some.
const PARTITIONS: u32 = 24;
const PRODUCERS: u32 = 4;
/// Records a second and producer.
const RATE: u32 = 50;
/// Between two disturbances, of any group.
const PAUSE: Duration = Duration::from_millis(1500);
/// A group that takes longer is stuck.
const STUCK: Duration = Duration::from_secs(120);

/// Uniform numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % bound.max(1)
    }
}

/// Groups that play at the same time.
pub(super) struct Phase {
    clients: Vec<&'static Client>,
    /// Members of each group.
    members: usize,
    partitions: u32,
}

impl Phase {
    /// The names of its clients.
    pub(super) fn name(&self) -> String {
        self.clients.iter().map(|client| client.name).collect::<Vec<_>>().join("+")
    }

    /// What a phase that was played before must say of itself to be the same.
    pub(super) fn likeness(&self, options: &Options) -> [(&'static str, Value); 5] {
        [
            ("members", json!(self.members)),
            ("minutes", json!(options.minutes)),
            ("kills_asked", json!(options.kills)),
            ("seed", json!(options.seed)),
            ("sources", json!(options.sources)),
        ]
    }
}

/// The names that `--clients` knows.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CLIENTS.iter().chain([&CROWD]).map(|client| client.name)
}

/// Sets up what the clients need and puts those that can take part into phases.
pub(super) fn phases(options: &Options, has_java: bool) -> Result<Vec<Phase>, Fault> {
    let wanted = |client: &&Client| options.clients.iter().any(|name| name == client.name);
    let all: Vec<&'static Client> = CLIENTS.iter().chain([&CROWD]).filter(wanted).collect();
    let mut suites = Vec::new();
    for runtime in &RUNTIMES {
        if !all.iter().any(|client| client.suite == runtime.suite) {
            continue;
        }
        if !runtime.is_here() || (runtime.suite == "java" && !has_java) {
            say(&format!("SKIPPED ecosystem/storm {}: {}", runtime.suite, runtime.absence()))?;
            continue;
        }
        // The Java members were compiled with Kafka's other programs.
        if runtime.suite != "java" {
            clients::prepare(runtime.suite)
                .map_err(|complaint| format!("set-up of {}: {complaint}", runtime.suite))?;
        }
        suites.push(runtime.suite);
    }
    let here: Vec<&'static Client> =
        all.into_iter().filter(|client| suites.contains(&client.suite)).collect();
    if here.is_empty() {
        return Err("no client can take part in the storm".into());
    }
    Ok(in_phases(&here, options))
}

fn in_phases(clients: &[&'static Client], options: &Options) -> Vec<Phase> {
    let (crowd, small): (Vec<&'static Client>, Vec<_>) =
        clients.iter().copied().partition(|client| client.name == CROWD.name);
    let small = small.chunks(options.together).map(|clients| Phase {
        clients: clients.to_vec(),
        members: options.members,
        partitions: PARTITIONS,
    });
    let crowd = crowd.into_iter().filter(|_| options.crowd > 0).map(|client| {
        let members = options.crowd.next_multiple_of(client.in_process);
        // A quarter more than members: most have one, some two.
        let partitions = u32::try_from(members + members / 4).unwrap_or(u32::MAX);
        Phase { clients: vec![client], members, partitions }
    });
    small.chain(crowd).collect()
}

/// What was acknowledged, as the producers tell it: for each producer and partition the number of records and the last offset.
fn ledger(answer: &Value) -> Result<Vec<Written>, Fault> {
    let mut all = Vec::new();
    for entry in answer["ledger"].as_array().ok_or("the load gave no ledger")? {
        let producer = entry["name"].as_str().ok_or("a producer without a name")?;
        if let Some(fault) = entry["faults"].as_array().and_then(|faults| faults.first()) {
            return Err(format!("{producer}: {fault}").into());
        }
        for (partition, pair) in entry["acknowledged"].as_object().into_iter().flatten() {
            all.push(Written {
                producer: producer.to_owned(),
                partition: partition.parse()?,
                records: pair[0].as_u64().ok_or("no count")?,
                last: pair[1].as_u64().ok_or("no offset")?,
            });
        }
    }
    if all.is_empty() { Err("nothing was acknowledged".into()) } else { Ok(all) }
}

/// The storm as it goes on.
struct Storm {
    broker: Broker,
    /// The producers.
    load: Conversation,
    groups: Vec<Group>,
    partitions: u32,
    checker: Checker,
    /// Milliseconds that each disturbance took.
    times: Vec<u64>,
    /// The same for each client.
    by_client: BTreeMap<&'static str, Vec<u64>>,
    /// Milliseconds from a kill of the broker to the next commit of each group.
    after_kill: Vec<u64>,
    /// Groups that had committed nothing since a kill when the next came, or at the end.
    silent: Vec<String>,
    actions: BTreeMap<&'static str, u64>,
    stuck: Vec<String>,
}

impl Storm {
    /// A broker, a load and the groups of a phase, whose members join.
    fn begin(phase: &Phase, part: &str) -> Result<Storm, Fault> {
        let scratch = tools::scratch(part)?;
        // Sessions of the consumer protocol are the broker's matter; they get the length of all others.
        let times = [
            "--set",
            "group.consumer.min.session.timeout.ms=6000",
            "--set",
            "group.consumer.session.timeout.ms=6000",
            "--set",
            "group.consumer.min.heartbeat.interval.ms=500",
            "--set",
            "group.consumer.heartbeat.interval.ms=500",
        ];
        let broker = tools::broker_with(part, &times)?;
        let bootstrap = broker.bootstrap();
        let rdkafka = || Command::new(tree::binary("ringwood-clients-rdkafka"));
        let (partitions, producers, rate) =
            (phase.partitions.to_string(), PRODUCERS.to_string(), RATE.to_string());
        let mut create = rdkafka();
        create.args(["create", &bootstrap, TOPIC, &partitions, "retention.ms=-1"]);
        let created = program::run(&mut create, None, Duration::from_secs(60))?;
        if !created.status.success() {
            return Err(format!("the topic could not be created: {}", created.last_words()).into());
        }
        let mut load = rdkafka();
        load.args(["load", &bootstrap, TOPIC, &partitions, &producers, &rate]);
        let load = Conversation::start("the load", &mut load)?;
        let groups =
            phase.clients.iter().map(|client| Group::new(client, &bootstrap, TOPIC, &scratch));
        let mut storm = Storm {
            broker,
            load,
            groups: groups.collect(),
            partitions: phase.partitions,
            checker: Checker::new(phase.clients.len()),
            times: Vec::new(),
            by_client: BTreeMap::new(),
            after_kill: Vec::new(),
            silent: Vec::new(),
            actions: BTreeMap::new(),
            stuck: Vec::new(),
        };
        for group in &mut storm.groups {
            while group.live() < phase.members {
                group.join()?;
            }
            group.disturbed = Some(Instant::now());
        }
        Ok(storm)
    }

    /// Listens until no group is busy with what happened; false if one is for too long.
    fn settle(&mut self) -> Result<bool, Fault> {
        let calm = |storm: &Storm| storm.groups.iter().all(|group| group.disturbed.is_none());
        self.listen_until(STUCK + Duration::from_secs(10), calm)
    }

    /// Each group must be of the type whose protocol its client speaks, as the broker lists them.
    fn check_types(&self, findings: &mut Findings) -> Result<(), Fault> {
        let list = listed_types(&self.broker.bootstrap())?;
        for group in &self.groups {
            let name = group.client.name;
            let expected = if name.ends_with("-consumer") { "consumer" } else { "classic" };
            let found = migration::kind(&list, &group.name());
            findings.check(found.as_deref() == Some(expected), || {
                format!("the group of {name} is of type {found:?}, not {expected}: {list:?}")
            });
        }
        Ok(())
    }

    /// The load settles, the groups read to its end, and all is compared.
    fn judge(&mut self, names: &[&str], findings: &mut Findings) -> Result<(), Fault> {
        let settled = self.load.ask("settle", Duration::from_secs(150))?;
        let written = ledger(&settled)?;
        let read = |storm: &Storm| storm.checker.all_read(&written);
        self.listen_until(Duration::from_secs(60), read)?;
        self.listen_for(Duration::from_secs(1))?;
        self.checker.judge(&written, names, findings);
        Ok(())
    }

    /// All programs end.
    fn end(mut self, findings: &mut Findings) -> Result<(), Fault> {
        for group in &mut self.groups {
            for (error, times) in group.errors() {
                eprintln!("storm: {}: {times} times {error}", group.client.name);
            }
            let badly = group.end()?;
            findings.check(badly == 0, || {
                format!("{badly} members of {} did not end well", group.client.name)
            });
        }
        self.load.end(Duration::from_secs(30))?;
        self.broker.must_live()?;
        if findings.complaints.is_empty() { self.broker.discard() } else { Ok(()) }
    }

    /// Takes what the members have said and looks whether their groups have settled.
    fn listen(&mut self) -> Result<(), Fault> {
        for (place, group) in self.groups.iter_mut().enumerate() {
            let committed = group.listen(place, &mut self.checker)?;
            if committed && let Some(since) = group.waits_for_commit.take() {
                self.after_kill.push(since.elapsed().as_millis() as u64);
            }
            let Some(since) = group.disturbed else { continue };
            let took = since.elapsed();
            if group.is_stable(self.partitions) {
                self.times.push(took.as_millis() as u64);
                self.by_client.entry(group.client.name).or_default().push(took.as_millis() as u64);
                group.disturbed = None;
            } else if took > STUCK {
                self.stuck.push(format!(
                    "{} has no stable assignment after {} s: {}",
                    group.client.name,
                    STUCK.as_secs(),
                    group.describe()
                ));
                group.disturbed = None;
            }
        }
        Ok(())
    }

    fn listen_for(&mut self, span: Duration) -> Result<(), Fault> {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.listen()?;
            sleep(Duration::from_millis(15));
        }
        Ok(())
    }

    /// Listens until this holds; false if it did not within the limit.
    fn listen_until(
        &mut self,
        limit: Duration,
        holds: impl Fn(&Storm) -> bool,
    ) -> Result<bool, Fault> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            self.listen()?;
            if holds(self) {
                return Ok(true);
            }
            sleep(Duration::from_millis(15));
        }
        Ok(false)
    }

    /// Something happens to one group that is not busy with what happened before.
    fn disturb(&mut self, random: &mut Random, members: usize) -> Result<(), Fault> {
        let calm: Vec<usize> =
            (0..self.groups.len()).filter(|n| self.groups[*n].disturbed.is_none()).collect();
        if calm.is_empty() {
            return Ok(());
        }
        let group = &mut self.groups[calm[random.below(calm.len())]];
        let action = match random.below(3) {
            _ if group.hosts() < 2 => "join",
            0 if group.live() < members => "join",
            1 => "leave",
            2 => "die",
            _ => "die and come back",
        };
        let victim = random.below(group.hosts());
        match action {
            "join" => group.join()?,
            "leave" => group.leave(victim),
            "die" => group.die(victim)?,
            _ => {
                group.die(victim)?;
                group.join()?;
            }
        }
        group.disturbed = Some(Instant::now());
        *self.actions.entry(action).or_insert(0) += 1;
        Ok(())
    }

    /// Notes the groups whose commits have not come through since the last kill.
    fn still_silent(&mut self) {
        let waiting = self.groups.iter_mut().filter_map(|group| {
            let since = group.waits_for_commit.take()?;
            Some(format!("{} for {} s", group.client.name, since.elapsed().as_secs()))
        });
        self.silent.extend(waiting);
    }

    fn kill(&mut self) -> Result<(), Fault> {
        self.broker.must_live()?;
        self.still_silent();
        self.broker.kill()?;
        let now = Instant::now();
        for group in &mut self.groups {
            // What was committed before the kill is read now and must not count as the first commit after it.
            group.listen_to_the_rest();
            group.waits_for_commit = Some(now);
        }
        self.broker.start()
    }
}

/// What our face of `kafka-consumer-groups` lists; Java is not everywhere.
fn listed_types(bootstrap: &str) -> Result<String, Fault> {
    let mut command = Command::new(tree::binary("ringwood"));
    command.arg0("kafka-consumer-groups");
    command.args(["--bootstrap-server", bootstrap, "--list", "--type"]);
    let listed = program::run(&mut command, None, Duration::from_secs(30))?;
    if !listed.status.success() {
        return Err(format!("the groups could not be listed: {}", listed.last_words()).into());
    }
    Ok(String::from_utf8(listed.out)?)
}

/// What may happen to a group.
const ACTIONS: [&str; 4] = ["join", "leave", "die", "die and come back"];
/// In so many disturbances each action comes, but for one storm in some thousand.
const ENOUGH_FOR_ALL: u64 = 24;

/// The actions that never came in a storm that was long enough for all.
fn missing_actions(actions: &BTreeMap<&'static str, u64>) -> Vec<&'static str> {
    if actions.values().sum::<u64>() < ENOUGH_FOR_ALL {
        return Vec::new();
    }
    ACTIONS.into_iter().filter(|action| !actions.contains_key(action)).collect()
}

/// The value below which so many hundredths of the values lie.
fn percentile(values: &mut [u64], hundredths: usize) -> Value {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values
        .get((values.len() * hundredths / 100).min(last))
        .map_or(Value::Null, |value| json!(value))
}

/// Plays one phase.
pub(super) fn play(options: &Options, phase: &Phase, findings: &mut Findings) -> Result<(), Fault> {
    for (name, value) in phase.likeness(options) {
        findings.count(name, value);
    }
    let names: Vec<&str> = phase.clients.iter().map(|client| client.name).collect();
    say(&format!(
        "storm: {} members each of {}, {} partitions, {} minutes, {} kills, seed {}",
        phase.members,
        names.join(", "),
        phase.partitions,
        options.minutes,
        options.kills,
        options.seed
    ))?;
    let mut storm = Storm::begin(phase, "storm")?;
    let formed = storm.settle()?;
    findings.check(formed, || "the groups did not form".to_owned());
    // How long many programs take to start says nothing about rebalances.
    findings.count("forming_ms", percentile(&mut storm.times, 100));
    storm.times.clear();
    storm.by_client.clear();

    let mut random = Random(options.seed | 1);
    let (started, length) = (Instant::now(), Duration::from_secs(60 * options.minutes));
    let every = length / (u32::try_from(options.kills)? + 1);
    let mut kills = 0;
    while started.elapsed() < length && storm.stuck.is_empty() {
        storm.listen_for(PAUSE)?;
        storm.disturb(&mut random, phase.members)?;
        if kills < options.kills && started.elapsed() > every * (u32::try_from(kills)? + 1) {
            storm.kill()?;
            kills += 1;
            say(&format!(
                "storm: killed {kills}, {} records given out, {} disturbances settled",
                storm.checker.given(),
                storm.times.len()
            ))?;
        }
    }
    // Everybody settles: first the groups, then the load, and then the groups read to the end.
    storm.settle()?;
    storm.check_types(findings)?;
    storm.judge(&names, findings)?;
    storm.still_silent();
    let silent = std::mem::take(&mut storm.silent);
    findings.check(silent.is_empty(), || {
        format!("nothing was committed after a kill: {}", silent.join("; "))
    });
    let missing = missing_actions(&storm.actions);
    findings.check(missing.is_empty(), || format!("it never came to {}", missing.join(", ")));
    let stuck = std::mem::take(&mut storm.stuck);
    findings.count("clients", json!(names));
    findings.count("kills", kills);
    findings.count("actions", json!(storm.actions));
    findings.count("disturbances_settled", storm.times.len());
    findings.count("stable_ms_p50", percentile(&mut storm.times, 50));
    findings.count("stable_ms_p99", percentile(&mut storm.times, 99));
    for (name, times) in &mut storm.by_client {
        let both = json!([percentile(times, 50), percentile(times, 99), times.len()]);
        findings.count(&format!("stable_ms_p50_p99_n_{name}"), both);
    }
    findings.count("first_commit_after_kill_ms_p50", percentile(&mut storm.after_kill, 50));
    findings.count("first_commit_after_kill_ms_max", percentile(&mut storm.after_kill, 100));
    findings.count("stuck_groups", stuck.len());
    findings.check(stuck.is_empty(), || stuck.join("; "));
    findings.check(kills == options.kills, || format!("{kills} kills of {}", options.kills));
    findings.check(storm.times.len() > phase.clients.len(), || {
        format!("only {} disturbances settled", storm.times.len())
    });
    for (client, group) in phase.clients.iter().zip(&storm.groups) {
        let settled = storm.by_client.get(client.name).map_or(0, Vec::len);
        findings.check(settled > 0, || format!("no disturbance of {} settled", client.name));
        findings.count(&format!("members_at_the_end_{}", client.name), group.live());
    }
    storm.end(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut values, 50), 51);
        assert_eq!(percentile(&mut values, 99), 100);
        assert_eq!(percentile(&mut [], 50), Value::Null);
    }

    #[test]
    fn every_client_plays_once_and_the_crowd_alone() {
        let options = Options::parse(&["--together", "3", "--crowd", "15"]).expect("known");
        let all: Vec<&'static Client> = CLIENTS.iter().chain([&CROWD]).collect();
        let phases = in_phases(&all, &options);
        let sizes: Vec<usize> = phases.iter().map(|phase| phase.clients.len()).collect();
        assert_eq!(sizes, [3, 3, 2, 1]);
        let crowd = &phases[3];
        assert_eq!((crowd.name().as_str(), crowd.members, crowd.partitions), (CROWD.name, 20, 25));
        let mut named: Vec<&str> = phases.iter().flat_map(|p| &p.clients).map(|c| c.name).collect();
        named.sort_unstable();
        named.dedup();
        assert_eq!(named.len(), all.len());

        let none = Options::parse(&["--crowd", "0"]).expect("known");
        assert!(in_phases(&all, &none).iter().all(|phase| phase.name() != CROWD.name));
    }

    #[test]
    fn a_long_storm_has_all_actions() {
        let mut actions = BTreeMap::from([("join", 9), ("leave", 8), ("die", 6)]);
        assert_eq!(missing_actions(&actions), Vec::<&str>::new(), "too short to say");
        actions.insert("join", 10);
        assert_eq!(missing_actions(&actions), ["die and come back"]);
        actions.insert("die and come back", 1);
        assert_eq!(missing_actions(&actions), Vec::<&str>::new());
    }

    #[test]
    fn a_ledger_without_records_proves_nothing() {
        assert!(ledger(&json!({"ledger": []})).is_err());
        let good = json!({"ledger": [{"name": "p0", "acknowledged": {"3": [2, 9]}, "faults": []}]});
        let all = ledger(&good).expect("a ledger");
        assert_eq!((all[0].partition, all[0].records, all[0].last), (3, 2, 9));
        let bad = json!({"ledger": [{"name": "p0", "acknowledged": {}, "faults": ["x"]}]});
        assert!(ledger(&bad).is_err());
    }
}
