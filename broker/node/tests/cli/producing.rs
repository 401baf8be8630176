//! `ringwood produce`.

use super::broker::Broker;

#[test]
fn lines_become_records_and_the_offsets_are_reported() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    let first = broker.feed(&["produce", "t"], b"one\ntwo\n\nfour");
    assert!(first.err.contains("4 records to t, partition 0, offsets 0 to 3"), "{first:?}");
    assert_eq!(first.ok(), "");
    let second = broker.feed(&["produce", "t", "--json", "--quiet"], b"five\n");
    assert_eq!(second.err, "");
    assert_eq!(
        second.ok(),
        "{\"topic\":\"t\",\"records\":1,\"failed\":0,\"partitions\":[{\"partition\":0,\"records\":1,\
         \"first_offset\":4,\"last_offset\":4}]}\n"
    );
    assert_eq!(broker.run(&["consume", "t"]).ok(), "one\ntwo\n\nfour\nfive\n");
    let none = broker.feed(&["produce", "t"], b"");
    assert!(none.err.contains("0 records to t"), "{none:?}");
    assert_eq!(none.code, 0);
}

#[test]
fn keys_headers_formats_files_and_codecs_arrive() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t"]).ok();
    let keyed = ["produce", "t", "--key-delim", ":", "-H", "a=1", "-H", "b"];
    broker.feed(&keyed, b"k:v:w\nplain\n").ok();
    broker.feed(&["produce", "t", "-k", "fixed"], b"x\n").ok();
    broker.feed(&["produce", "t", "--empty-is-null", "-k", "gone"], b"\n").ok();
    let format = ["produce", "t", "-f", "%T %h %k{base64}|%v{hex};"];
    broker.feed(&format, b"1000 c=3 AP8=|00ff;").ok();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        broker.feed(&["produce", "t", "-z", codec], format!("{codec}\n").as_bytes()).ok();
    }
    broker.feed(&["produce", "t", "--acks", "1"], b"acks 1\n").ok();
    let unknown = broker.feed(&["produce", "t", "--acks", "0"], b"acks 0\n");
    assert!(unknown.err.contains("not acknowledged"), "{unknown:?}");
    let print = ["consume", "t", "-f", "%k{hex}|%v{hex}|%h|%S\\n", "-n", "5"];
    assert_eq!(
        broker.run(&print).ok(),
        "6b|763a77|a=1,b|3\n|706c61696e|a=1,b|5\n6669786564|78||1\n676f6e65|||-1\n00ff|00ff|c=3|2\n"
    );
    let rest = broker.run(&["consume", "t", "-o", "5", "-n", "6"]).ok();
    assert_eq!(rest, "none\ngzip\nsnappy\nlz4\nzstd\nacks 1\n");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    broker.run(&["topic", "create", "files"]).ok();
    broker.run(&["produce", "files", "--file", file]).ok();
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(broker.run(&["consume", "files", "-f", "%v"]).ok(), text);
}

#[test]
fn a_record_that_fails_is_named_and_the_others_are_written() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "2"]).ok();
    let large = "x".repeat(2_000_000);
    let input = format!("one\n{large}\nthree\n");
    let ran = broker.feed(&["produce", "t", "-p", "0"], input.as_bytes());
    let ran = ran.fails(6, &["record 2: MESSAGE_TOO_LARGE", "1 of 3 records not written"]);
    assert!(ran.err.contains("2 records to t, partition 0"), "{ran:?}");
    assert_eq!(broker.run(&["consume", "t"]).ok(), "one\nthree\n");
    // Alone, it is the whole failure; compressed, it fits.
    broker.feed(&["produce", "t", "-p", "0"], large.as_bytes()).fails(1, &["MESSAGE_TOO_LARGE"]);
    broker.feed(&["produce", "t", "-p", "0", "-z", "zstd"], large.as_bytes()).ok();
    let ran = broker.feed(&["produce", "t", "-f", "%p %v\\n"], b"1 a\nb\n7 c\n0 d\n");
    ran.fails(6, &["record 2: has no ` ` behind its partition", "record 3: UNKNOWN_TOPIC_OR"]);
    assert_eq!(broker.run(&["consume", "t", "-p", "1"]).ok(), "a\n");
}

#[test]
fn what_cannot_be_written_to_is_known_before_anything_is_read() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "orders"]).ok();
    broker.feed(&["produce", "orders", "-p", "4"], b"x\n").fails(7, &["no partition 4"]);
    broker
        .feed(&["produce", "ordres", "--no-create"], b"x\n")
        .fails(7, &["UNKNOWN_TOPIC_OR_PARTITION", "did you mean orders?"]);
    broker.feed(&["produce", "bad/name"], b"x\n").fails(1, &["INVALID_TOPIC_EXCEPTION"]);
    broker.run(&["produce", "orders", "--file", "/no/such"]).fails(1, &["/no/such"]);
    broker.feed(&["produce", "orders", "-k", "a", "-f", "%k %v"], b"").fails(2, &["two keys"]);
    // The broker makes topics, unless it is told not to.
    broker.feed(&["produce", "fresh"], b"x\n").ok();
    assert_eq!(broker.run(&["consume", "fresh"]).ok(), "x\n");
}

#[test]
fn a_topic_that_names_a_codec_stores_every_batch_under_it() {
    let mut broker = Broker::start();
    let text = "the same words again and again, the same words\n".repeat(400);
    for codec in ["uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        broker.run(&["topic", "create", codec, "-c", &format!("compression.type={codec}")]).ok();
        for sent in ["none", "gzip", "snappy", "lz4", "zstd"] {
            broker.feed(&["produce", codec, "-z", sent], text.as_bytes()).ok();
        }
        let read = broker.run(&["consume", codec]).ok();
        assert!(read == text.repeat(5), "{codec}: other records came back");
    }
    // As it is stored it would be too large, though it came small.
    let limit = ["-c", "max.message.bytes=2000", "-c", "compression.type=uncompressed"];
    broker.run(&[&["topic", "create", "small"], &limit[..]].concat()).ok();
    let line = format!("{}\n", "again ".repeat(1000));
    let refused = broker.feed(&["produce", "small", "-z", "zstd"], line.as_bytes());
    assert!(refused.code != 0 && refused.err.contains("MESSAGE_TOO_LARGE"), "{refused:?}");
    broker.kill();
    for codec in ["uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        let dump = broker.dump(codec);
        let name = if codec == "uncompressed" { "none" } else { codec };
        let word = format!("codec={name}");
        let batches: Vec<&str> = dump.lines().filter(|line| line.contains("codec=")).collect();
        assert!(batches.len() >= 5, "{codec}: {dump}");
        assert!(batches.iter().all(|line| line.contains(&word)), "{codec}: {dump}");
    }
}

/// Lines of a log: alike, and never the same.
fn log_lines(n: u32) -> String {
    let mut x = 7_u32;
    let line = |i| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (user, path) = (x >> 20, (x >> 8) & 63);
        format!("{i} INFO user={user} GET /items/{path}/of/{user} took {} us\n", x % 977)
    };
    (0..n).map(line).collect()
}

#[test]
fn a_topic_with_a_higher_level_stores_less() {
    let mut broker = Broker::start();
    let text = log_lines(2_000);
    // 9 is the fast compressor of lz4.
    let levels = [("gzip", "1", "9"), ("lz4", "1", "17"), ("lz4", "9", "12"), ("zstd", "-5", "19")];
    for (codec, low, high) in levels {
        for level in [low, high] {
            let topic = format!("{codec}.{low}.{high}.{level}");
            let of = format!("compression.type={codec}");
            let at = format!("compression.{codec}.level={level}");
            broker.run(&["topic", "create", &topic, "-p", "1", "-c", &of, "-c", &at]).ok();
            broker.feed(&["produce", &topic], text.as_bytes()).ok();
            let read = broker.run(&["consume", &topic]).ok();
            assert!(read == text, "{topic}: other records came back");
        }
    }
    broker.kill();
    let stored = |topic: &str| -> u64 {
        let dump = broker.dump(topic);
        let bytes = dump.split_whitespace().filter_map(|word| word.strip_prefix("bytes="));
        bytes.map(|n| n.parse::<u64>().unwrap()).sum()
    };
    for (codec, low, high) in levels {
        let (large, small) = (
            stored(&format!("{codec}.{low}.{high}.{low}")),
            stored(&format!("{codec}.{low}.{high}.{high}")),
        );
        assert!(0 < small && small < large, "{codec}: {large} at {low}, {small} at {high}");
    }
}
