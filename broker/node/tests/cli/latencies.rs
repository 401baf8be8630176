//! `ringwood latency` and `ringwood top` against a broker, and against what is none.

use super::broker::{Broker, ringwood};
use std::time::{Duration, Instant};

#[test]
fn stages_and_metrics_count_what_was_produced() {
    let broker = Broker::start();
    let admin = broker.admin();
    broker.run(&["topic", "create", "t", "-p", "1"]).ok();
    for _ in 0..5 {
        broker.feed(&["produce", "t"], b"x\n").ok();
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let table = loop {
        let table = broker.run(&["latency", "--admin", &admin, "--api", "produce"]).ok();
        let total = table.lines().find(|l| l.starts_with("Produce\ttotal\t"));
        // It is told once a second.
        if total.is_some_and(|l| l.split('\t').nth(3) == Some("5")) {
            break table;
        }
        assert!(Instant::now() < deadline, "{table}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let total = table.lines().find(|l| l.starts_with("Produce\ttotal\t")).unwrap();
    let columns: Vec<&str> = total.split('\t').collect();
    assert_eq!(columns[5..9], ["n/a"; 4], "five requests have no percentiles: {table}");
    // The flush of a commit that stands alone has the time of its write.
    for stage in ["receive", "decode", "append", "commit", "flush", "wake", "encode", "send"] {
        assert!(table.contains(&format!("Produce\t{stage}\t")), "{stage}: {table}");
    }
    assert!(!table.contains("Metadata"), "{table}");
    let all = broker.run(&["latency", "--admin", &admin, "--last", "1m"]).ok();
    assert!(all.contains("Metadata\thandle\t"), "{all}");
    let why = broker.run(&["latency", "why", "--admin", &admin, "--of", "Produce"]).ok();
    assert!(why.contains("worst requests") && why.contains("t-0"), "{why}");
    let top = broker.run(&["top", "--once", "--admin", &admin]).ok();
    assert!(top.starts_with("ringwood ") && top.contains("FLUSH/S"), "{top}");
}

#[test]
fn what_is_no_admin_address_is_said() {
    let nobody = ["latency", "--admin", "127.0.0.1:1"];
    ringwood(&nobody, b"").fails(4, &["error[admin]", "127.0.0.1:1"]);
    ringwood(&["top", "--once", "--admin", "127.0.0.1:1"], b"").fails(4, &["error[admin]"]);
    ringwood(&["latency", "--diff", "nothing.hlog", "nobody"], b"")
        .fails(1, &["nothing.hlog", "no such file"]);
    let broker = Broker::start();
    let core = broker.run(&["latency", "--admin", &broker.admin(), "--core", "99", "--json"]).ok();
    assert!(core.contains("\"stages\":[]"), "{core}");
}
