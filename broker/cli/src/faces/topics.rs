//! `kafka-topics`.

mod change;
mod describe;

use super::end::{Done, End, print, words};
use super::grammar::Words;
use super::names::Names;
use super::session;
use client::{Client, TopicView};

const ACTIONS: [&str; 5] = ["list", "describe", "create", "alter", "delete"];
const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

pub(super) fn run(line: &Words) -> Done {
    check(line)?;
    let mut client = session::admin(line, "kafka-topics")?;
    let done = if line.has("create") {
        change::create(&mut client, line)
    } else if line.has("alter") {
        change::alter(&mut client, line)
    } else if line.has("delete") {
        change::delete(&mut client, line)
    } else if line.has("list") {
        list(&mut client, line)
    } else {
        describe::run(&mut client, line)
    };
    // The original says on stdout what went wrong.
    done.map_err(|end| match end {
        End::Error(text) => End::Complaint(format!("Error while executing topic command : {text}")),
        other => other,
    })
}

/// Combinations that the original refuses.
fn check(line: &Words) -> Done {
    if ACTIONS.iter().filter(|a| line.has(a)).count() != 1 {
        let actions = "--list, --describe, --create, --alter or --delete";
        return Err(End::Usage(format!("Command must include exactly one action: {actions}")));
    }
    if line.has("delete-config") {
        crate::output::say(
            "--delete-config has not been supported since Kafka 4.0; kafka-configs --delete-config does it",
        );
    }
    if !line.has("bootstrap-server") {
        return Err(End::Error("--bootstrap-server must be specified".into()));
    }
    if line.has("describe") && line.has("if-exists") && !line.has("topic") && !line.has("topic-id")
    {
        return Err(End::Usage("--topic or --topic-id is required to describe a topic".into()));
    }
    if !line.has("list") && !line.has("describe") {
        line.required("topic")?;
    }
    if line.has("alter") {
        if line.has("config") {
            return Err(End::Usage(
                "--config goes with --create; kafka-configs changes the configurations of topics"
                    .into(),
            ));
        }
        line.required("partitions")?;
    }
    let only_with = |flag: &str, actions: &[&str]| {
        let others: Vec<_> = ACTIONS.into_iter().filter(|a| !actions.contains(a)).collect();
        line.alone(flag, &others)
    };
    only_with("config", &["create", "alter"])?;
    only_with("partitions", &["create", "alter"])?;
    only_with("replication-factor", &["create"])?;
    only_with("replica-assignment", &["create", "alter"])?;
    if line.has("create") {
        line.alone("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        only_with(report, &["describe"])?;
        line.alone(report, &["topics-with-overrides"])?;
    }
    only_with("topics-with-overrides", &["describe"])?;
    only_with("if-exists", &["alter", "delete", "describe"])?;
    only_with("if-not-exists", &["create"])?;
    only_with("exclude-internal", &["list", "describe"])
}

fn list(client: &mut Client, line: &Words) -> Done {
    let names: Vec<_> = chosen(client, line)?.into_iter().map(|t| t.name).collect();
    print(&names.join("\n"))
}

/// The topics that `--topic` means, by name.
fn chosen(client: &mut Client, line: &Words) -> Result<Vec<TopicView>, End> {
    let names = line.value("topic")?.map(Names::list).transpose()?;
    let exclude = line.has("exclude-internal");
    let mut topics = session::topics(client)?;
    topics.retain(|t| {
        !(exclude && t.is_internal) && names.as_ref().is_none_or(|names| names.has(&t.name))
    });
    Ok(topics)
}

/// The topics that `--topic` means; it is an error if it names none, unless `--if-exists` says otherwise.
fn existing(client: &mut Client, line: &Words) -> Result<Vec<TopicView>, End> {
    let topics = chosen(client, line)?;
    match line.value("topic")? {
        Some(name) if topics.is_empty() && !name.is_empty() && !line.has("if-exists") => {
            Err(End::Error(format!("Topic '{name}' does not exist as expected")))
        }
        _ => Ok(topics),
    }
}

/// The first refusal among several outcomes.
fn first_refusal<T>(outcomes: Vec<client::Outcome<T>>) -> Done {
    outcomes.into_iter().try_for_each(|o| {
        let refused = o.result.err().map(client::ClientError::Refused);
        refused.map_or(Ok(()), |e| Err(End::Error(words(&e))))
    })
}
