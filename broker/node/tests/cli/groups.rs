//! `ringwood group`, and what a member leaves behind.

use super::broker::Broker;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A topic `t` of two partitions with five records and one.
fn with_records() -> Broker {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "2"]).ok();
    broker.feed(&["produce", "t", "-p", "0"], b"a\nb\nc\nd\ne\n").ok();
    broker.feed(&["produce", "t", "-p", "1"], b"x\n").ok();
    broker
}

#[test]
fn offsets_are_moved_shown_and_deleted() {
    let broker = with_records();
    assert_eq!(broker.run(&["group", "list"]).ok(), "");
    // A rehearsal changes nothing, not even whether there is such a group.
    let reset = ["group", "reset", "g", "--topic", "t", "--to-offset", "2"];
    let shown = broker.run(&reset);
    assert!(shown.err.contains("--execute"), "{shown:?}");
    assert!(shown.err.contains("partition 1 of t has offsets 0 to 1: 2 becomes 1"), "{shown:?}");
    assert_eq!(shown.ok(), "g\tt\t0\t-\t2\ng\tt\t1\t-\t1\n");
    assert_eq!(broker.run(&["group", "list"]).ok(), "");
    let execute = |more: &[&str]| {
        let line = [&["group", "reset", "g", "--execute"], more].concat();
        broker.run(&line)
    };
    assert_eq!(
        execute(&["--topic", "t", "--to-offset", "2"]).ok(),
        "g\tt\t0\t-\t2\ng\tt\t1\t-\t1\n"
    );
    assert_eq!(broker.run(&["group", "list"]).ok(), "g\tEmpty\tclassic\t\n");
    assert_eq!(
        broker.run(&["group", "describe", "g"]).ok(),
        "g\tt\t0\t2\t5\t3\t-\t-\ng\tt\t1\t1\t1\t0\t-\t-\n"
    );
    let json = broker.run(&["group", "describe", "g", "--json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["state"], &json[0]["lag"]), (&"Empty".into(), &3.into()));
    assert_eq!(json[0]["partitions"][0]["committed"], 2);
    assert_eq!(broker.run(&["group", "describe", "g", "--members"]).ok(), "");

    assert_eq!(execute(&["--topic", "t:0", "--shift-by", "-1"]).ok(), "g\tt\t0\t2\t1\n");
    assert_eq!(execute(&["--topic", "t:0", "--shift-by", "99"]).ok(), "g\tt\t0\t1\t5\n");
    assert_eq!(execute(&["--topic", "t:0", "--to-earliest"]).ok(), "g\tt\t0\t5\t0\n");
    assert_eq!(execute(&["--all-topics", "--to-latest"]).ok(), "g\tt\t0\t0\t5\ng\tt\t1\t1\t1\n");
    assert_eq!(execute(&["--topic", "t:0", "--by-duration", "1h"]).ok(), "g\tt\t0\t5\t0\n");
    let future = execute(&["--topic", "t:0", "--to-datetime", "2199-01-01"]);
    assert!(future.err.contains("no record at or after that time"), "{future:?}");
    assert_eq!(future.ok(), "g\tt\t0\t0\t5\n");

    let deleted = broker.run(&["group", "delete-offsets", "g", "--topic", "t:1", "--json"]).ok();
    assert_eq!(deleted, "[{\"topic\":\"t\",\"partition\":1,\"deleted\":true}]\n");
    assert_eq!(broker.run(&["group", "describe", "g"]).ok(), "g\tt\t0\t5\t5\t0\t-\t-\n");
    assert_eq!(broker.run(&["group", "delete", "g"]).ok(), "");
    assert_eq!(broker.run(&["group", "list"]).ok(), "");
}

#[test]
fn what_is_wrong_is_named() {
    let broker = with_records();
    broker.run(&["group", "reset", "orders", "-t", "t", "--to-latest", "--execute"]).ok();
    for line in [
        &["group", "describe", "order"][..],
        &["group", "delete", "order"],
        &["group", "delete-offsets", "order", "-t", "t"],
        &["group", "reset", "order", "--all-topics", "--to-latest"],
    ] {
        broker.run(line).fails(7, &["GROUP_ID_NOT_FOUND", "did you mean orders?"]);
    }
    broker.run(&["group", "delete", "order", "--if-exists"]).ok();
    broker.run(&["group", "delete", "order", "orders"]).fails(6, &["order"]);
    broker
        .run(&["group", "reset", "g", "-t", "nope", "--to-latest"])
        .fails(7, &["cannot reset the groups", "UNKNOWN_TOPIC_OR_PARTITION"]);
    broker.run(&["group", "reset", "g", "-t", "t:7", "--to-latest"]).fails(7, &["partition"]);
    broker.run(&["group", "reset", "g", "-t", "t", "--shift-by", "1"]).fails(1, &["shift"]);
    for line in [
        &["group", "reset", "g", "-t", "t"][..],
        &["group", "reset", "g", "--to-latest"],
        &["group", "reset", "g", "-t", "t", "--to-latest", "--to-earliest"],
        &["group", "reset", "g", "-t", "t", "--to-offset", "-1"],
        &["group", "reset", "g", "-t", "t", "--by-duration", "soon"],
        &["group", "delete-offsets", "g"],
    ] {
        assert_eq!(broker.run(line).code, 2, "{line:?}");
    }
    let nobody = super::broker::ringwood(&["-b", "127.0.0.1:1", "group", "list"], b"");
    assert_ne!(nobody.code, 0);
    super::broker::ringwood(&["group", "list", "-b", "127.0.0.1:1"], b"")
        .fails(4, &["127.0.0.1:1"]);
}

#[test]
fn a_group_with_members_is_left_alone() {
    let broker = with_records();
    let mut member = broker
        .command(&["consume", "t", "--group", "g", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = member.stdout.take().unwrap();
    let mut six = [0; 12];
    out.read_exact(&mut six).unwrap();
    let rows = broker.run(&["group", "list", "--state", "stable"]).ok();
    assert_eq!(rows, "g\tStable\tclassic\tconsumer\n");
    let members = broker.run(&["group", "describe", "g", "--members"]).ok();
    assert!(members.contains("\tringwood-cli\t") && members.contains("\tt:0,1"), "{members}");
    broker
        .run(&["group", "reset", "g", "-t", "t", "--to-earliest", "--execute"])
        .fails(1, &["it is Stable and has 1 member", "stop its members first"]);
    broker.run(&["group", "delete", "g"]).fails(1, &["NON_EMPTY_GROUP"]);
    broker
        .run(&["group", "delete-offsets", "g", "-t", "t"])
        .fails(1, &["GROUP_SUBSCRIBED_TO_TOPIC"]);
    // Interrupted, it commits what it has printed, and leaves.
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &member.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    assert!(member.wait().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let rows = broker.run(&["group", "describe", "g"]).ok();
        if rows == "g\tt\t0\t5\t5\t0\t-\t-\ng\tt\t1\t1\t1\t0\t-\t-\n" {
            break;
        }
        assert!(Instant::now() < deadline, "{rows}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_group_goes_on_where_it_was() {
    let broker = with_records();
    let read = |more: &[&str]| {
        let line = [&["consume", "t", "--group", "g"], more].concat();
        let mut lines: Vec<String> = broker.run(&line).ok().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    // To the end, as it was at the beginning.
    assert_eq!(read(&[]), ["a", "b", "c", "d", "e", "x"]);
    assert_eq!(read(&[]), [""; 0]);
    broker.feed(&["produce", "t", "-p", "0"], b"f\ng\n").ok();
    assert_eq!(read(&["-n", "1"]), ["f"]);
    assert_eq!(read(&["--json"]).len(), 1);
    assert_eq!(read(&[]), [""; 0]);
    // A new group begins where it is told to.
    let late = ["consume", "t", "--group", "late", "-o", "end"];
    assert_eq!(broker.run(&late).ok(), "");
    broker.feed(&["produce", "t", "-p", "1"], b"y\n").ok();
    assert_eq!(broker.run(&late).ok(), "y\n");
    // The group says where to read; partitions and offsets cannot be chosen too.
    broker.run(&["consume", "t", "-g", "g", "-p", "0"]).fails(2, &["--group"]);
    broker.run(&["consume", "t", "-g", "g", "-o", "3"]).fails(2, &["group reset"]);
}
