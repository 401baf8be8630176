//! Groups that have a configuration of their own: it counts at once, for members that are there already.

use super::broker::Broker;
use super::live_groups::Member;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use wire::ErrorCode;

/// Beats until the broker asks for this interval.
fn until_asked(member: &mut Member, interval_ms: i32) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let asked = member.beats().unwrap();
        if asked == interval_ms {
            return;
        }
        assert!(Instant::now() < deadline, "{asked} ms and not {interval_ms}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_group_is_set_to_counts_without_a_restart() {
    let name = format!("group-configs-{}", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    let port = super::broker::free_port();
    let file = dir.join("server.properties");
    let text = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\n\
         group.consumer.min.session.timeout.ms=1000\ngroup.consumer.min.heartbeat.interval.ms=100\n",
        dir.join("data").display()
    );
    fs::write(&file, text).unwrap();
    let broker = Broker::with_file(&file, port);
    broker.run(&["topic", "create", "t", "-p", "2"]).ok();
    let mut member = Member::joins(&broker, "own", "A");
    let mut other = Member::joins(&broker, "other", "A");
    assert_eq!(member.beats(), Ok(5_000), "Kafka's default");

    broker.run(&["config", "set", "group/own", "consumer.heartbeat.interval.ms=700"]).ok();
    until_asked(&mut member, 700);
    assert_eq!(other.beats(), Ok(5_000), "another group has the broker's");
    let listed = broker.run(&["config", "list", "group/own"]).ok();
    assert_eq!(listed, "consumer.heartbeat.interval.ms\t700\tgroup\n");
    let got = broker.run(&["config", "get", "group/own", "consumer.heartbeat.interval.ms"]).ok();
    assert_eq!(got, "700\n");

    // Outside of the broker's bounds, or with a session as short as the interval, it is refused, and nothing has changed.
    for wrong in ["consumer.session.timeout.ms=999", "consumer.session.timeout.ms=50000000"] {
        let refused = broker.run(&["config", "set", "group/own", wrong]);
        refused.fails(1, &["INVALID_CONFIG", "consumer.session.timeout.ms"]);
    }
    assert_eq!(member.beats(), Ok(700));

    // A member that is silent is gone after its group's session, and not after the broker's 45 s.
    let both = ["consumer.session.timeout.ms=2000", "consumer.heartbeat.interval.ms=600"];
    broker.run(&[&["config", "set", "group/own"][..], &both].concat()).ok();
    until_asked(&mut member, 600);
    let begun = Instant::now();
    member.beats().unwrap();
    let lists = |state: &str, group: &str| {
        let rows = broker.run(&["group", "list", "--state", state]).ok();
        rows.lines().any(|row| row.split('\t').next() == Some(group))
    };
    while !lists("empty", "own") {
        assert!(begun.elapsed() < Duration::from_secs(30), "the session does not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "the session ended early");
    assert_eq!(member.beats(), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert!(lists("stable", "other"), "the other group has the broker's session");

    // Without its own it has the broker's again.
    let keys = ["consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"];
    broker.run(&[&["config", "unset", "group/own"][..], &keys].concat()).ok();
    let mut again = Member::joins(&broker, "own", "B");
    until_asked(&mut again, 5_000);
    drop(broker);
    fs::remove_dir_all(&dir).unwrap();
}
