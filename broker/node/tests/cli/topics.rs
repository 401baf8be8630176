//! `ringwood topic`.

use super::broker::{Broker, ringwood};

#[test]
fn topics_are_made_looked_at_changed_and_deleted() {
    let broker = Broker::start();
    assert_eq!(broker.run(&["topic", "list"]).ok(), "");
    assert_eq!(broker.run(&["topic", "list", "--json"]).ok(), "[]\n");

    let made = broker.run(&["topic", "create", "orders", "-p", "3", "-c", "retention.ms=3600000"]);
    assert!(made.err.contains("created orders: 3 partitions, 1 replica each"), "{made:?}");
    assert_eq!(made.ok(), "");
    broker.run(&["topic", "create", "orders"]).fails(7, &["TOPIC_ALREADY_EXISTS"]);
    broker.run(&["topic", "create", "orders", "--if-not-exists"]).ok();
    let half = broker.run(&["topic", "create", "payments", "orders", "--json"]);
    let half = half.fails(6, &["TOPIC_ALREADY_EXISTS"]);
    assert!(half.out.contains(r#"{"name":"payments","created":true,"#), "{half:?}");
    assert!(half.out.contains(r#""error":"cannot create topic orders""#), "{half:?}");
    assert_eq!(broker.run(&["topic", "list"]).ok(), "orders\t3\t1\npayments\t1\t1\n");
    let json = broker.run(&["topic", "list", "--json"]).ok();
    assert!(json.contains(r#""partitions":3,"replication_factor":1,"internal":false"#), "{json}");

    broker.run(&["topic", "create", "dry", "--dry-run"]).ok();
    broker.run(&["topic", "describe", "dry"]).fails(7, &["UNKNOWN_TOPIC_OR_PARTITION"]);
    broker.run(&["topic", "create", "a/b"]).fails(1, &["INVALID_TOPIC_EXCEPTION"]);
    broker.run(&["topic", "create", "x", "-r", "3"]).fails(1, &["INVALID_REPLICATION_FACTOR"]);
    broker.run(&["topic", "create", "x", "-c", "retention.sm=1"]).fails(1, &["INVALID_CONFIG"]);

    let described = broker.run(&["topic", "describe", "orders"]).ok();
    assert_eq!(described.lines().next(), Some("orders\t0\t1\t0\t1\t1\t0\t0"));
    assert_eq!(described.lines().count(), 3);
    let json = broker.run(&["topic", "describe", "orders", "--json"]).ok();
    assert!(json.contains(r#""configs":[{"name":"retention.ms","value":"3600000"}]"#), "{json}");
    let near = broker.run(&["topic", "describe", "order"]);
    near.fails(7, &["did you mean orders?"]);
    broker.run(&["topic", "describe", "zebra", "orders"]).fails(6, &["zebra"]);

    broker.run(&["topic", "alter", "payments", "--set", "retention.ms=7000"]).ok();
    let value = broker.run(&["config", "get", "topic/payments", "retention.ms"]).ok();
    assert_eq!(value, "7000\n");
    broker.run(&["topic", "alter", "payments", "--unset", "retention.ms"]).ok();
    assert_eq!(broker.run(&["config", "list", "topic/payments"]).ok(), "");
    broker.run(&["topic", "alter", "nope", "-s", "retention.ms=1"]).fails(7, &["nope"]);

    let more = broker.run(&["topic", "add-partitions", "orders", "--total", "5"]);
    assert!(more.err.contains("orders has 5 partitions, it had 3"), "{more:?}");
    broker.run(&["topic", "add-partitions", "payments", "--add", "1", "--dry-run"]).ok();
    let json = broker.run(&["topic", "add-partitions", "payments", "--add", "2", "--json"]).ok();
    assert_eq!(json, "{\"name\":\"payments\",\"partitions_before\":1,\"partitions\":3}\n");
    broker
        .run(&["topic", "add-partitions", "orders", "--total", "2"])
        .fails(1, &["INVALID_PARTITIONS"]);

    broker.run(&["topic", "delete", "nope"]).fails(7, &["UNKNOWN_TOPIC_OR_PARTITION"]);
    broker.run(&["topic", "delete", "nope", "--if-exists"]).ok();
    broker.run(&["topic", "delete", "nope", "payments"]).fails(6, &["nope"]);
    let gone = broker.run(&["topic", "delete", "orders", "--json"]).ok();
    assert_eq!(gone, "[{\"name\":\"orders\",\"deleted\":true}]\n");
    assert_eq!(broker.run(&["topic", "list"]).ok(), "");
}

#[test]
fn offsets_are_shown_and_the_oldest_records_trimmed() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "2"]).ok();
    let input = b"1 1000 a\n1 2000 b\n1 3000 c\n";
    broker.feed(&["produce", "t", "-f", "%p %T %v\\n"], input).ok();
    let newest = "1970-01-01T00:00:03.000Z";
    let offsets = broker.run(&["topic", "offsets", "t"]).ok();
    assert_eq!(offsets, format!("t\t0\t0\t0\t0\t-\nt\t1\t0\t3\t3\t{newest}\n"));
    let json = broker.run(&["topic", "offsets", "t", "-p", "1", "--json"]).ok();
    assert_eq!(
        json,
        format!(
            "[{{\"topic\":\"t\",\"partition\":1,\"log_start_offset\":0,\"high_watermark\":3,\
             \"last_stable_offset\":3,\"max_timestamp\":\"{newest}\"}}]\n"
        )
    );
    let at = broker.run(&["topic", "offsets", "t", "--at", "1500"]).ok();
    assert_eq!(at, "t\t0\t-\t-\nt\t1\t1\t1970-01-01T00:00:02.000Z\n");
    broker.run(&["topic", "offsets", "t", "-p", "9"]).fails(7, &["partition 9"]);
    broker.run(&["topic", "offsets", "nope"]).fails(7, &["nope"]);

    let trimmed = broker.run(&["topic", "trim", "t", "--before", "@1500", "-p", "1"]).ok();
    assert_eq!(trimmed, "t\t1\t1\n");
    assert_eq!(broker.run(&["consume", "t"]).ok(), "b\nc\n");
    let late = broker.run(&["topic", "trim", "t", "--before", "99", "-p", "1"]);
    late.fails(7, &["OFFSET_OUT_OF_RANGE"]);
    let json = broker.run(&["topic", "trim", "t", "--before", "end", "--json"]).ok();
    assert!(json.contains(r#""partition":1,"log_start_offset":3"#), "{json}");
    assert_eq!(broker.run(&["consume", "t"]).ok(), "");
    broker.run(&["topic", "trim", "nope", "--before", "end"]).fails(7, &["nope"]);
}

#[test]
fn mistakes_on_the_command_line_are_told_with_code_2() {
    for arguments in [
        &["topic", "lst"] as &[&str],
        &["topic"],
        &["topic", "create"],
        &["topic", "create", "t", "-p", "0"],
        &["topic", "alter", "t"],
        &["topic", "trim", "t"],
        &["topic", "add-partitions", "t"],
        &["topic", "list", "-b", "nonsense:port"],
        &["topic", "list", "--timeout", "soon"],
        &["config", "get", "tpoic/t", "k"],
        &["config", "set", "topic/t", "retention.ms"],
        &["produce", "t", "-z", "lzma"],
        &["produce", "t", "-f", "%k%v"],
        &["produce", "t", "--acks", "2"],
        &["consume", "t", "-o", "yesterday"],
        &["consume", "t", "-f", "%q"],
        &["consume", "t", "-f", "%v", "--json"],
        &["consume"],
        &["nothing"],
    ] {
        let ran = ringwood(arguments, b"");
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?} {ran:?}");
        assert!(!ran.err.is_empty(), "{arguments:?}");
    }
    let near = ringwood(&["topic", "lst"], b"");
    assert!(near.err.contains("'list'"), "{near:?}");
}

#[test]
fn without_a_broker_every_command_says_so_with_code_4() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = format!("127.0.0.1:{port}");
    for arguments in [
        &["topic", "list"] as &[&str],
        &["config", "list", "topic/t"],
        &["cluster", "info"],
        &["produce", "t"],
        &["consume", "t"],
    ] {
        let ran = ringwood(&[arguments, &["-b", &at]].concat(), b"x\n");
        let ran = ran.fails(4, &["cannot reach a broker", &at, "ringwood start"]);
        assert_eq!(ran.out, "", "{arguments:?}");
    }
}
