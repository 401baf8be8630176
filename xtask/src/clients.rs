//! The client suites: foreign clients write the corpus, read each other's records (in groups too), administer topics, and do it again after kill -9.

mod dumped;
mod examples;
mod faces;
mod kcat;
mod offsets_topic;
mod roster;
mod scenes;
mod setup;

use std::fs::create_dir_all;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::broker::Broker;
use crate::runtimes::RUNTIMES;
use crate::tally::{Tally, say};
use crate::{Fault, tree};
use roster::{Member, ROSTER};
pub(crate) use setup::prepare;

/// How many client programs there are.
pub(crate) const CLIENTS: usize = ROSTER.len();

/// The broker under test: one of ours, or one that runs already.
pub(crate) enum Under {
    Ours(Broker),
    Running(String),
}

impl Under {
    pub(crate) fn bootstrap(&self) -> String {
        match self {
            Under::Ours(broker) => broker.bootstrap(),
            Under::Running(address) => address.clone(),
        }
    }
}

/// Sets up every suite whose runtime is here and runs all of them against one broker.
pub(crate) fn run(
    tally: &mut Tally,
    groups: bool,
    wants: impl Fn(&str) -> bool,
) -> Result<(), Fault> {
    if RUNTIMES.iter().all(|runtime| !wants(runtime.suite)) && !wants("librdkafka") {
        return Ok(());
    }
    create_dir_all(tree::work())?;
    // librdkafka comes along whatever was asked: it creates kcat's topics and is everybody's partner.
    let mut suites = vec!["librdkafka"];
    for runtime in RUNTIMES.iter().filter(|runtime| wants(runtime.suite)) {
        if !runtime.is_here() {
            tally.skip_client(runtime.suite, &runtime.absence())?;
            continue;
        }
        let complaint = prepare(runtime.suite).err();
        tally.check(&format!("clients/{} set-up", runtime.suite), complaint.as_deref())?;
        if complaint.is_none() {
            suites.push(runtime.suite);
        }
    }
    let members: Vec<&'static Member> =
        ROSTER.iter().filter(|member| suites.contains(&member.suite)).collect();
    tally.clients = members.len();
    let Some(under) = under(tally)? else { return Ok(()) };
    // Half an hour ago: old enough to lie before every record that a clock dates, and far from any retention.
    let base = i64::try_from(now()?)? - 1_800_000;
    let run = name_of_run()?;
    let names: Vec<&str> = members.iter().map(|member| member.name).collect();
    say(&format!("clients: {} against {}", names.join(", "), under.bootstrap()))?;
    scenes::play(tally, under, &members, groups, &run, base)
}

/// The broker that all play against; nothing, and a failure counted, if it does not start.
fn under(tally: &mut Tally) -> Result<Option<Under>, Fault> {
    if let Ok(address) = std::env::var("RINGWOOD_TEST_BOOTSTRAP") {
        return Ok(Some(Under::Running(address)));
    }
    // The members of the groups come at once; waiting for more of them would only make the run longer. So would the
    // heartbeats of consumer groups (KIP-848), by which members learn of each other.
    let mut broker = Broker::fresh("broker", 3)?.with(&[
        "--set",
        "group.initial.rebalance.delay.ms=0",
        "--set",
        "group.consumer.min.heartbeat.interval.ms=300",
        "--set",
        "group.consumer.heartbeat.interval.ms=300",
    ]);
    if let Err(fault) = broker.start() {
        tally.check("clients: the broker starts", Some(&fault.to_string()))?;
        return Ok(None);
    }
    Ok(Some(Under::Ours(broker)))
}

/// Kafka's own tools, and our faces of them, without the clients.
pub(crate) fn tools(tally: &mut Tally) -> Result<(), Fault> {
    let java = RUNTIMES.iter().find(|runtime| runtime.suite == "java").ok_or("no java suite")?;
    if !java.is_here() {
        return tally.skip_client("tools", &java.absence());
    }
    create_dir_all(tree::work())?;
    let complaint = prepare("java").err();
    tally.check("tools: set-up", complaint.as_deref())?;
    if complaint.is_some() {
        return Ok(());
    }
    let Some(under) = under(tally)? else { return Ok(()) };
    faces::run(tally, &under.bootstrap(), &name_of_run()?)
}

/// Milliseconds since 1970.
fn now() -> Result<u128, Fault> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())
}

/// What the names of all topics and groups begin with.
fn name_of_run() -> Result<String, Fault> {
    Ok(format!("t{}", now()? % 1_000_000_000))
}
