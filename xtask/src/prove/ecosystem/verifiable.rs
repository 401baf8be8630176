//! Kafka's verifiable producer and consumer, with a kill -9 of the broker while both work. The consumer plays once with the classic
//! protocol and once with the consumer protocol (KIP-848).
//!
//! The producer tells partition, offset and value of everything that was acknowledged; the consumer, in a group, tells what it was
//! given. Everything acknowledged must be given, with its value, at its offset. The producer never tries again (its own setting), so
//! what is in flight at a kill may fail; it is counted, and may be in the log or not.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::Process;
use super::{Findings, tools};
use crate::Fault;

const MESSAGES: u64 = 20_000;
/// Messages a second: the kill falls into the middle.
const RATE: u64 = 2_000;
const PARTITIONS: u32 = 3;

type Place = (i64, i64);

/// `name` of an event, and where and what it is about.
fn record(line: &str, name: &str) -> Option<(Place, String)> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event["name"] != name {
        return None;
    }
    let place = (event["partition"].as_i64()?, event["offset"].as_i64()?);
    Some((place, event["value"].as_str()?.to_owned()))
}

fn is(line: &str, name: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|event| event["name"] == name)
}

/// `protocol` is the value of `group.protocol`.
pub(super) fn play(protocol: &str, findings: &mut Findings) -> Result<(), Fault> {
    let scratch = tools::scratch("verifiable")?;
    let mut broker = tools::broker("verifiable")?;
    let bootstrap = broker.bootstrap();
    tools::create(&bootstrap, "verifiable", PARTITIONS)?;
    let common = ["--bootstrap-server", &bootstrap, "--topic", "verifiable"];
    let mut consume = tools::java("org.apache.kafka.tools.VerifiableConsumer");
    consume.args(common).args(["--group-id", "verifiable", "--verbose"]);
    consume.args(["--reset-policy", "earliest", "--group-protocol", protocol]);
    if protocol == "classic" {
        consume.args(["--session-timeout", "10000"]);
    }
    let mut consumer = Process::start("consumer", &mut consume, &scratch)?;
    consumer.wait_for("partitions_assigned", Duration::from_secs(60), |line| {
        is(line, "partitions_assigned")
    })?;
    let mut produce = tools::java("org.apache.kafka.tools.VerifiableProducer");
    produce.args(common).args(["--max-messages", &MESSAGES.to_string()]);
    produce.args(["--throughput", &RATE.to_string(), "--acks", "-1"]);
    let mut producer = Process::start("producer", &mut produce, &scratch)?;

    let (mut acknowledged, mut errors) = (BTreeMap::new(), 0_u64);
    let (mut given, mut again, mut commits) = (BTreeMap::new(), 0_u64, 0_u64);
    let (mut kills, mut done) = (0_u64, false);
    let deadline = Instant::now() + Duration::from_secs(180);
    while Instant::now() < deadline {
        sleep(Duration::from_millis(50));
        for line in producer.lines() {
            acknowledged.extend(record(&line, "producer_send_success"));
            errors += u64::from(is(&line, "producer_send_error"));
            done |= is(&line, "shutdown_complete");
        }
        for line in consumer.lines() {
            if let Some((place, value)) = record(&line, "record_data") {
                again += u64::from(given.insert(place, value).is_some());
            }
            commits += u64::from(is(&line, "offsets_committed"));
        }
        // At a quarter and at a half of the messages.
        if kills < 2 && acknowledged.len() as u64 > MESSAGES / 4 * (kills + 1) {
            tools::kill(&mut broker)?;
            kills += 1;
        }
        if done && given.len() >= acknowledged.len() {
            break;
        }
    }
    let ended_well = producer.join(Duration::from_secs(30))?;
    findings.check(ended_well, || "the producer ended with an error".to_owned());
    consumer.must_live()?;
    consumer.terminate()?;
    consumer.join(Duration::from_secs(30))?;
    let missing = acknowledged.iter().filter(|(place, value)| given.get(place) != Some(value));
    let missing: Vec<_> = missing.collect();
    let described = tools::tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        &["--bootstrap-server", &bootstrap, "--list", "--type", protocol],
    )?;
    findings.check(described.lines().any(|group| group.starts_with("verifiable")), || {
        format!("the group does not speak the {protocol} protocol: {described}")
    });
    findings.count("kills", kills);
    findings.count("acknowledged", acknowledged.len());
    findings.count("errors", errors);
    findings.count("consumed", given.len());
    findings.count("consumed_again", again);
    findings.count("commits", commits);
    findings.count("missing", missing.len());
    findings.check(kills == 2, || format!("{kills} kills, want 2"));
    findings.check(acknowledged.len() as u64 + errors == MESSAGES, || {
        format!("{} acknowledged and {errors} failed of {MESSAGES}", acknowledged.len())
    });
    // A kill takes what was in flight, which is a few batches.
    findings.check(errors < MESSAGES / 10, || format!("{errors} sends failed"));
    findings.check(missing.is_empty(), || {
        format!("{} not consumed, the first {:?}", missing.len(), missing.first())
    });
    // Each value once: nothing is written twice.
    let values: std::collections::BTreeSet<&String> = given.values().collect();
    findings.count("values", values.len());
    findings.check(values.len() == given.len(), || {
        format!("{} places hold {} values", given.len(), values.len())
    });
    findings.check(commits > 0, || "nothing was committed".to_owned());
    broker.must_live()?;
    broker.discard()
}

#[cfg(test)]
mod tests {
    use super::record;

    #[test]
    fn events_are_understood() {
        let line = r#"{"timestamp":1,"name":"record_data","key":null,"value":"7","topic":"v","partition":2,"offset":5}"#;
        assert_eq!(record(line, "record_data"), Some(((2, 5), "7".to_owned())));
        assert_eq!(record(line, "producer_send_success"), None);
        assert_eq!(record("Killed", "record_data"), None);
    }
}
