//! `kafka-console-consumer`: the records of topics on stdout, as a member of a group, or of one partition.

mod deserializer;
mod formatter;
mod options;
mod reading;

use super::end::{Done, End};
use super::grammar::Words;
use super::session;
use crate::output::say;
use client::{Client, FetchConfig, Fetcher};
use options::{Options, What};
use reading::{Reading, Source};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(super) fn run(line: &Words) -> Done {
    let options = Options::read(line)?;
    let client = session::connect(line, &options.properties, "console-consumer")?;
    let config = FetchConfig {
        max_wait: reading::TURN,
        isolation: options.isolation,
        on_out_of_range: options.reset,
        ..options.fetch.clone()
    };
    // The end of the process leaves the group, and says how many records there were.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|e| End::Error(format!("signals cannot be watched: {e}")))?;
    }
    let source = match &options.what {
        What::Partition { topic, partition, from } => {
            Source::Partition { topic: topic.clone(), partition: *partition, from: *from }
        }
        What::Topic(_) | What::Matching(_) => Source::Group(Box::new(member(line, &options)?)),
    };
    let mut reading = Reading::new(Fetcher::new(client, config), &options, source, stop);
    let done = reading.all();
    say(format_args!("Processed a total of {} messages", reading.count()));
    done
}

/// The group has a connection of its own: joining waits for others.
fn member(line: &Words, options: &Options) -> Result<crate::member::Member, End> {
    let brokers = session::brokers(line)?;
    let mut config = session::config(&options.properties, "console-consumer")?;
    config.request_timeout =
        config.request_timeout.max(crate::member::REBALANCE + std::time::Duration::from_secs(5));
    let client = Client::connect(&brokers, config)?;
    Ok(crate::member::Member::new(client, &options.group))
}
