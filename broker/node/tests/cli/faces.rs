//! The faces of Kafka's tools, called through the links that `ringwood tools install` makes. What the originals print is
//! compared in the client suites; here is what they do, and what they refuse.

use super::broker::{Broker, Ran, ringwood, run};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The links, gone with their owner.
struct Tools(PathBuf);

impl Tools {
    fn install(name: &str) -> Self {
        let at = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("tools-{name}-{}", std::process::id()));
        let installed = ringwood(&["tools", "install", at.to_str().unwrap()], b"");
        assert_eq!(installed.code, 0, "{installed:?}");
        Self(at)
    }

    fn run(&self, tool: &str, line: &str) -> Ran {
        self.feed(tool, line, b"")
    }

    fn feed(&self, tool: &str, line: &str, stdin: &[u8]) -> Ran {
        run(Command::new(self.0.join(tool)).args(line.split_whitespace()), stdin)
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn links_are_made_and_files_are_left_alone() {
    let tools = Tools::install("links");
    assert_eq!(std::fs::read_dir(&tools.0).unwrap().count(), 9);
    // Again is no failure; a file in the place of a link is.
    let at = tools.0.to_str().unwrap();
    assert_eq!(ringwood(&["tools", "install", at, "--sh"], b"").code, 0);
    assert!(tools.0.join("kafka-topics.sh").exists());
    let original = tools.0.join("kafka-configs");
    std::fs::remove_file(&original).unwrap();
    std::fs::write(&original, "theirs").unwrap();
    ringwood(&["tools", "install", at], b"").fails(7, &["kafka-configs is there already"]);
    assert_eq!(std::fs::read_to_string(&original).unwrap(), "theirs");
}

#[test]
fn a_person_who_knows_kafka_gets_through_a_day() {
    let broker = Broker::start();
    let tools = Tools::install("day");
    let b = format!("--bootstrap-server {}", broker.address());
    let ok = |tool: &str, line: &str| tools.run(tool, &format!("{b} {line}")).ok();
    assert_eq!(ok("kafka-topics", "--create --topic t --partitions 2"), "Created topic t.\n");
    assert_eq!(ok("kafka-topics", "--list"), "t\n");
    let input = b"a\t1\nb\t2\nc\t3\n";
    let line = format!("{b} --topic t --reader-property parse.key=true");
    assert_eq!(tools.feed("kafka-console-producer", &line, input).ok(), "");
    let offsets = ok("kafka-get-offsets", "--topic t");
    let total: i64 =
        offsets.lines().map(|l| l.rsplit(':').next().unwrap().parse::<i64>().unwrap()).sum();
    assert_eq!((offsets.lines().count(), total), (2, 3));

    // A group reads, commits, and goes on where it was.
    let read = "--topic t --from-beginning --group g --formatter-property print.key=true";
    let three = tools.run("kafka-console-consumer", &format!("{b} {read} --max-messages 3"));
    assert!(three.err.contains("Processed a total of 3 messages"), "{three:?}");
    let out = three.ok();
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a\t1", "b\t2", "c\t3"]);
    tools.feed("kafka-console-producer", &format!("{b} --topic t"), b"later\n").ok();
    assert_eq!(ok("kafka-console-consumer", &format!("{read} --max-messages 1")), "null\tlater\n");
    let lag = ok("kafka-consumer-groups", "--describe --group g");
    let lags: Vec<_> = lag
        .lines()
        .filter(|l| l.starts_with("g "))
        .map(|l| l.split_whitespace().nth(5).unwrap())
        .collect();
    assert_eq!(lags, ["0", "0"], "{lag}");
    let reset =
        ok("kafka-consumer-groups", "--reset-offsets --group g --topic t --to-earliest --execute");
    assert_eq!(reset.lines().filter(|l| l.ends_with(" 0")).count(), 2, "{reset}");
    assert_eq!(
        ok("kafka-console-consumer", "--topic t --group g --max-messages 4").lines().count(),
        4
    );
    ok("kafka-consumer-groups", "--delete --group g");
    assert!(!ok("kafka-consumer-groups", "--list").lines().any(|l| l == "g"));

    ok("kafka-configs", "--alter --topic t --add-config retention.ms=60000");
    assert!(
        ok("kafka-configs", "--describe --topic t")
            .contains("  retention.ms=60000 sensitive=false")
    );
    ok("kafka-topics", "--delete --topic t");
    assert_eq!(ok("kafka-topics", "--list --exclude-internal"), "\n");
}

#[test]
fn two_members_share_a_topic_and_the_one_that_stays_takes_over() {
    let broker = Broker::start();
    let tools = Tools::install("members");
    let b = format!("--bootstrap-server {}", broker.address());
    tools.run("kafka-topics", &format!("{b} --create --topic t --partitions 2")).ok();
    let member = || {
        Command::new(tools.0.join("kafka-console-consumer"))
            .args(format!("{b} --topic t --group g").split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let partitions = || -> Vec<usize> {
        let line = format!("{b} --describe --group g --members");
        let text = tools.run("kafka-consumer-groups", &line).out;
        let rows = text.lines().filter(|l| l.starts_with("g "));
        let mut counts: Vec<_> =
            rows.filter_map(|l| l.split_whitespace().nth(4)?.parse().ok()).collect();
        counts.sort_unstable();
        counts
    };
    let until = |expected: &[usize]| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while partitions() != expected {
            assert!(Instant::now() < deadline, "{:?}, not {expected:?}", partitions());
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let mut first = member();
    until(&[2]);
    let mut second = member();
    until(&[1, 1]);
    // SIGTERM is a goodbye: nobody waits for the session's end.
    let id = i32::try_from(second.id()).unwrap();
    assert!(Command::new("kill").arg(id.to_string()).status().unwrap().success());
    assert!(second.wait().unwrap().success());
    until(&[2]);
    first.kill().unwrap();
    first.wait().unwrap();
}

/// Kafka's console consumer invents a group when none is named: others see it while it reads, and it commits nothing.
#[test]
fn a_consumer_without_a_group_has_one_of_its_own_and_commits_nothing() {
    let broker = Broker::start();
    let tools = Tools::install("nameless");
    let b = format!("--bootstrap-server {}", broker.address());
    tools.run("kafka-topics", &format!("{b} --create --topic t --partitions 2")).ok();
    tools.feed("kafka-console-producer", &format!("{b} --topic t"), b"one\n").ok();
    // Of a group that is named it would commit many times in what follows.
    let line =
        format!("{b} --topic t --from-beginning --command-property auto.commit.interval.ms=20");
    let mut reader = Command::new(tools.0.join("kafka-console-consumer"))
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut read = String::new();
    BufReader::new(reader.stdout.as_mut().unwrap()).read_line(&mut read).unwrap();
    assert_eq!(read, "one\n");
    let listed = tools.run("kafka-consumer-groups", &format!("{b} --list")).ok();
    let own: Vec<_> = listed.lines().filter(|l| !l.is_empty()).collect();
    let [group] = own[..] else { panic!("{listed:?} is not one group") };
    let number = group.strip_prefix("console-consumer-").and_then(|n| n.parse::<u32>().ok());
    assert!(number.is_some_and(|n| n < 100_000), "{group}");
    // Rows end with the member; before it stand the committed offset, the end and the lag.
    let rows = || -> Vec<Vec<String>> {
        let line = format!("{b} --describe --group {group}");
        let out = tools.run("kafka-consumer-groups", &line).out;
        let own = out.lines().filter(|l| l.starts_with(group));
        own.map(|l| l.split_whitespace().map(str::to_owned).collect()).collect()
    };
    std::thread::sleep(Duration::from_millis(300));
    let seen = rows();
    assert_eq!(seen.len(), 2, "{seen:?}");
    for row in &seen {
        assert_eq!((row[3].as_str(), row[5].as_str()), ("-", "-"), "{row:?}");
        assert!(row[6].starts_with("console-consumer-"), "{row:?}");
    }
    // Nor does it with its last words.
    let id = i32::try_from(reader.id()).unwrap();
    assert!(Command::new("kill").arg(id.to_string()).status().unwrap().success());
    assert!(reader.wait().unwrap().success());
    let left = rows();
    assert!(left.iter().all(|row| row[3] == "-"), "{left:?}");
    // One that is named does, within the same time: this looks in the right place.
    let named = format!("{line} --group {group} --max-messages 1");
    tools.run("kafka-console-consumer", &named).ok();
    assert!(rows().iter().any(|row| row[3] == "1"), "{:?}", rows());
}

#[test]
fn refusals_are_by_name_and_old_flags_are_translated() {
    let tools = Tools::install("refusals");
    let zookeeper = tools.run("kafka-topics", "--zookeeper zk1:2181 --list");
    assert_eq!(zookeeper.code, 1);
    assert!(
        zookeeper.err.contains("kafka-topics --bootstrap-server 127.0.0.1:9092 --list"),
        "{zookeeper:?}"
    );
    let refused = tools.run("kafka-configs", "--describe --user alice --bootstrap-server x:1");
    assert_eq!((refused.code, refused.err.as_str()), (1, "not supported by ringwood: --user\n"));
    let sasl = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sasl.properties");
    std::fs::write(&sasl, "security.protocol=SASL_SSL\n").unwrap();
    let line = format!("--list --bootstrap-server x:1 --command-config {}", sasl.display());
    let refused = tools.run("kafka-topics", &line);
    assert!(
        refused.err.contains("not supported by ringwood: security.protocol=SASL_SSL"),
        "{refused:?}"
    );
    let nobody = tools.run("kafka-topics", "--list --bootstrap-server 127.0.0.1:1");
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.err.contains("127.0.0.1:1"), "{nobody:?}");
    assert_eq!(tools.run("kafka-topics", "").code, 1);
    let help = tools.run("kafka-topics", "--help");
    assert!(help.err.contains("--replication-factor <N>"), "{help:?}");
    assert!(tools.run("kafka-topics", "--version").ok().starts_with("ringwood "));
}

#[test]
fn properties_are_read_and_those_without_effect_are_named() {
    let broker = Broker::start();
    let tools = Tools::install("properties");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("producer.properties");
    std::fs::write(&file, "acks=1\ncompression.type=lz4\nssl.truststore.location=/nowhere\n")
        .unwrap();
    let line = format!(
        "--bootstrap-server {} --topic p --command-config {}",
        broker.address(),
        file.display()
    );
    let sent = tools.feed("kafka-console-producer", &line, b"one\n");
    assert!(
        sent.err.contains("warning: the property ssl.truststore.location has no effect here"),
        "{sent:?}"
    );
    sent.ok();
    std::fs::write(&file, "acks=2\n").unwrap();
    let bad = tools.feed("kafka-console-producer", &line, b"two\n");
    assert_eq!(bad.code, 1);
    assert!(bad.err.contains("acks"), "{bad:?}");
    let read = format!(
        "--bootstrap-server {} --topic p --partition 0 --offset earliest --timeout-ms 500",
        broker.address()
    );
    assert_eq!(tools.run("kafka-console-consumer", &read).ok(), "one\n");
}
