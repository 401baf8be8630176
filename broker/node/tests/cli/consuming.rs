//! `ringwood consume`.

use super::broker::Broker;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn with_ten() -> Broker {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "2"]).ok();
    let input: String = (0..10).map(|i| format!("0 {} r{i}\n", 1000 * (i + 1))).collect();
    broker.feed(&["produce", "t", "-f", "%p %T %v\\n"], input.as_bytes()).ok();
    broker.feed(&["produce", "t", "-p", "1"], b"other\n").ok();
    broker
}

#[test]
fn reading_starts_where_it_is_told_to_and_ends_at_the_end() {
    let broker = with_ten();
    let read = |more: &[&str]| broker.run(&[&["consume", "t", "-p", "0"], more].concat()).ok();
    assert_eq!(read(&[]).lines().count(), 10);
    assert_eq!(read(&["-o", "start", "-n", "2"]), "r0\nr1\n");
    assert_eq!(read(&["-o", "end"]), "");
    assert_eq!(read(&["-o", "7"]), "r7\nr8\nr9\n");
    assert_eq!(read(&["-o", "-2"]), "r8\nr9\n");
    assert_eq!(read(&["-o", "-99"]).lines().count(), 10);
    assert_eq!(read(&["-o", "@8500"]), "r8\nr9\n");
    assert_eq!(read(&["-o", "@1970-01-01T00:00:10Z", "--read-committed"]), "r9\n");
    assert_eq!(read(&["-o", "@now"]), "");
    assert_eq!(read(&["-o", "10"]), "");
    assert_eq!(broker.run(&["consume", "t"]).ok().lines().count(), 11);
    broker.run(&["topic", "trim", "t", "-p", "0", "--before", "4"]).ok();
    let trimmed = broker.run(&["consume", "t", "-p", "0", "-o", "1", "-n", "1"]);
    assert!(trimmed.err.contains("begins at 4"), "{trimmed:?}");
    assert_eq!(trimmed.ok(), "r4\n");
}

#[test]
fn records_are_printed_as_asked() {
    let broker = with_ten();
    let one = ["consume", "t", "-p", "0", "-n", "1"];
    let format = [&one as &[&str], &["-f", "%t/%p@%o %T %D [%k]%K %v %e%%\\n"]].concat();
    assert_eq!(broker.run(&format).ok(), "t/0@0 1000 1970-01-01T00:00:01.000Z []-1 r0 0%\n");
    let json = [&one as &[&str], &["--json"]].concat();
    assert_eq!(
        broker.run(&json).ok(),
        "{\"topic\":\"t\",\"partition\":0,\"offset\":0,\"timestamp\":\"1970-01-01T00:00:01.000Z\",\
         \"timestamp_type\":\"create_time\",\"leader_epoch\":0,\"key\":null,\"value\":\"r0\",\
         \"headers\":[]}\n"
    );
}

#[test]
fn what_cannot_be_read_is_told() {
    let broker = with_ten();
    broker.run(&["consume", "tt"]).fails(7, &["UNKNOWN_TOPIC_OR_PARTITION", "did you mean t?"]);
    broker.run(&["consume", "t", "-p", "2"]).fails(7, &["no partition 2", "0 to 1"]);
    broker.run(&["consume", "t", "-p", "0", "-o", "11"]).fails(7, &["OFFSET_OUT_OF_RANGE"]);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let broker = with_ten();
    let lines: String = (0..200_000).map(|i| format!("line {i}\n")).collect();
    broker.feed(&["produce", "long"], lines.as_bytes()).ok();
    for arguments in [&["consume", "long"] as &[&str], &["consume", "long", "--follow"]] {
        let mut child = broker
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(first, "line 0\n");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn follow_waits_for_more() {
    let broker = with_ten();
    let begun = Instant::now();
    let child = broker
        .command(&["consume", "t", "-o", "end", "--follow", "-n", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It may look for the end before or after this: so until it has seen enough.
    let mut child = child;
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        broker.feed(&["produce", "t", "-p", "1"], b"new\n").ok();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "new\nnew\n");
}
