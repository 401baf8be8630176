//! A damaged journal, as its owner meets it: what the broker says and goes on serving, `storage info`, `storage accept-loss`,
//! and a broker that does not start because it does not know which topics there are.

use super::broker::{Broker, Ran, free_port, ringwood};
use std::fs;
use std::path::{Path, PathBuf};

/// What is in a folder, in the order of the names.
fn within(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |p: &PathBuf| p.file_name().unwrap().to_string_lossy().starts_with(prefix);
    let mut some: Vec<PathBuf> = all.filter(is_one).collect();
    some.sort();
    some
}

/// Turns a bit of the first journal record that has these bytes, and only of that; those of the metadata log are on core 0.
fn damage(data: &Path, marker: &[u8]) {
    let cores =
        within(data, "cores-").iter().flat_map(|layout| within(layout, "")).collect::<Vec<_>>();
    for ring in cores.iter().flat_map(|core| within(core, "ring-")) {
        let mut bytes = fs::read(&ring).unwrap();
        let found = bytes.windows(marker.len()).position(|part| part == marker);
        if let Some(at) = found {
            bytes[at] ^= 1;
            fs::write(&ring, bytes).unwrap();
            return;
        }
    }
    panic!("no record of the journal has {}", String::from_utf8_lossy(marker));
}

/// `storage` on this data directory.
fn storage(data: &Path, words: &[&str]) -> Ran {
    ringwood(&[&["storage"], words, &["--data", data.to_str().unwrap()]].concat(), b"")
}

/// Start, end and mark of a partition, as `storage info` says.
fn info(data: &Path, topic: &str) -> (i64, i64, Option<String>) {
    let said = storage(data, &["info", "--json"]).ok();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let partitions = said["partitions"].as_array().unwrap();
    let p = partitions.iter().find(|p| p["topic"] == topic).unwrap_or_else(|| panic!("{said}"));
    let mark = p["incomplete"].as_str().map(str::to_owned);
    (p["start"].as_i64().unwrap(), p["end"].as_i64().unwrap(), mark)
}

#[test]
fn a_loss_is_named_stays_until_it_is_accepted_and_then_the_topic_goes_on() {
    let mut broker = Broker::start();
    broker.run(&["topic", "create", "whole", "torn", "-p", "1"]).ok();
    // Each is acknowledged, and so flushed, before the next is sent.
    for value in ["first", "second-of-torn", "third"] {
        broker.feed(&["produce", "torn"], format!("{value}\n").as_bytes()).ok();
        broker.feed(&["produce", "whole"], format!("{value}\n").as_bytes()).ok();
    }
    let all = ["first", "second-of-torn", "third", ""].join("\n");
    broker.kill();
    let data = broker.data().to_path_buf();
    assert_eq!(info(&data, "torn"), (0, 3, None));
    storage(&data, &["accept-loss", "torn"]).fails(7, &["there is no loss to accept"]);
    storage(&data, &["verify"]).ok();
    damage(&data, b"second-of-torn");
    let verified = storage(&data, &["verify"]);
    assert_ne!(verified.code, 0, "{verified:?}");

    // The broker serves what is whole, and of the torn topic what comes before the damage.
    broker.restart();
    assert_eq!(broker.run(&["consume", "whole"]).ok(), all);
    assert_eq!(broker.run(&["consume", "torn"]).ok(), "first\n");
    broker.feed(&["produce", "whole"], b"more\n").ok();
    let refused = broker.feed(&["produce", "torn", "--timeout", "2s"], b"more\n");
    assert_ne!(refused.code, 0, "{refused:?}");
    broker.kill();

    // The mark stays over a start, and says why; the whole topic has none.
    let (start, end, mark) = info(&data, "torn");
    assert_eq!((start, end), (0, 1), "{mark:?}");
    assert!(mark.is_some());
    assert_eq!(info(&data, "whole").2, None);
    storage(&data, &["accept-loss", "whole"]).fails(7, &["there is no loss to accept"]);
    storage(&data, &["accept-loss", "nothing"]).fails(7, &["nothing"]);
    let accepted = storage(&data, &["accept-loss", "torn:0"]).ok();
    assert!(accepted.contains("torn") && accepted.contains("kept=0..0"), "{accepted}");
    assert_eq!(info(&data, "torn").2, None);
    storage(&data, &["accept-loss", "torn"]).fails(7, &["there is no loss to accept"]);

    broker.restart();
    broker.feed(&["produce", "torn"], b"after\n").ok();
    let read = broker.run(&["consume", "torn"]).ok();
    assert!(read.starts_with("first\n") && read.ends_with("after\n"), "{read}");
    assert!(!read.contains("second"), "{read}");
    assert_eq!(broker.run(&["consume", "whole"]).ok(), format!("{all}more\n"));
}

#[test]
fn a_broker_that_does_not_know_its_topics_does_not_start_and_removes_nothing() {
    let mut broker = Broker::start();
    broker.run(&["topic", "create", "forgotten", "-p", "1"]).ok();
    broker.run(&["topic", "create", "remembered", "-p", "1"]).ok();
    for topic in ["forgotten", "remembered"] {
        broker.feed(&["produce", topic], format!("{topic}-record\n").as_bytes()).ok();
    }
    broker.kill();
    let data = broker.data().to_path_buf();
    // The record of the topic is the first that has its name.
    damage(&data, b"forgotten");
    for _ in 0..2 {
        let (kafka, admin) =
            (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let place = ["start", "--data", data.to_str().unwrap(), "--listen", &kafka];
        let rest = ["--admin", &admin, "--ring", "8MiB", "--memory", "64MiB", "--reserve", "1MiB"];
        let said = ringwood(&[&place[..], &rest[..]].concat(), b"");
        said.fails(1, &["the metadata log cannot be read", "restore the data directory"]);
    }
    // What the topics hold is still in the journal, under their ids.
    let said = storage(&data, &["info", "--json"]).ok();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let ends: Vec<i64> = said["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["topic"] != "__cluster_metadata")
        .map(|p| p["end"].as_i64().unwrap())
        .collect();
    assert_eq!(ends, [1, 1], "{said}");
    let (_, _, mark) = info(&data, "__cluster_metadata");
    assert!(mark.is_some());
}
