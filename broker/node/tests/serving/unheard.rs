//! A broker whose log takes no more, as on a full disk, or whose reader has gone: it serves and stops as if it had been heard.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{PRODUCE, batch, produce, produced};
use std::path::Path;
use std::time::Duration;
use wire::ErrorCode;

#[test]
fn a_broker_whose_words_cannot_be_written_serves_and_stops() {
    let data = fresh("unheard");
    let options = ["--ring", "1MiB", "--memory", "32MiB"];
    // Every write to it fails with ENOSPC; the banner is the first.
    let mut broker = Broker::saying(&data, &options, Path::new("/dev/full"));
    broker.command(&["topic", "create", "t"]);
    let mut line = Line::to(&broker);
    let record = batch(b"some value");
    assert_eq!(produced(&line.ask(PRODUCE, &produce("t", &record))), ErrorCode::NONE);
    // It says that it stops, too.
    broker.terminate();
    let status = broker.ended_within(Duration::from_secs(30)).expect("the broker does not end");
    assert!(status.success(), "{status}");
}
