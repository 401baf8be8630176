//! What counts, what does not, and which targets are told.

use super::*;
use crate::{
    latency::Latency,
    peers::{Contender, Pair, Profile},
};
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: PeersArgs,
}

fn turn(rate: f64, cpu: f64, p99: Option<u64>, calm: Verdict) -> Turn {
    Turn {
        rate,
        bytes_rate: rate * 100.0,
        cpu_per_gb_produced: Some(cpu / 2.0),
        cores_per_gb_produced: Some(cpu),
        client_cpu_per_gb: Some(0.7),
        cached_bytes: Some(3 << 30),
        cpu_per_gb_fetched: Some(cpu / 2.0),
        idle: Some(0.002),
        messages_per_request: Some(1.0),
        latency: vec![Some(1_000_000), None, Some(90_000_000), None, None],
        half_rate: (rate / 2.0) as u64,
        half_latency: vec![Some(1_000_000), None, p99, None, None],
        half: calm.clone(),
        calm,
        ..Turn::default()
    }
}

fn seen(is_kafka: bool, pair: Pair, turns: Vec<Turn>) -> Seen {
    Seen {
        contender: Contender { is_kafka, pair },
        turns,
        response: Latency::new(),
        profile: Profile::default(),
        fingerprint: format!("{pair:?}, portable"),
        command: vec!["java".into(), "-Xmx1G".into()],
        configuration: "node.id=1\n".into(),
        failures: Vec::new(),
    }
}

#[test]
fn invalid_turns_do_not_count_and_targets_are_told() {
    let args = Line::parse_from(["peers"]).args;
    let invalid = Verdict::Invalid("late".into());
    let sides = Sides { broker: Some(vec![0]), client: Some(vec![1]) };
    let all = [
        seen(true, Pair::Written, vec![turn(9e5, 10.0, Some(5_000_000), Verdict::Valid); 3]),
        seen(
            false,
            Pair::Fsync,
            vec![
                turn(3e6, 1.9, Some(4_000_000), Verdict::Valid),
                turn(2.5e6, 2.5, None, invalid),
                turn(1e6, 1.8, Some(6_000_000), Verdict::Valid),
            ],
        ),
    ];
    let report = Report {
        machine: Machine::default(),
        turns: 3,
        lengths: Lengths::of(&args),
        took: Duration::from_secs(600),
        args: &args,
        sides: &sides,
        memory: "8.0 GiB of memory touched first".into(),
        bounds: Bounds {
            flush_p99: Some(3e6),
            round_trip_p99: Some(1e6),
            device: Some(1e9),
            loopback: Some(2e8),
        },
        seen: &all,
    };
    let text = report.text();
    let line = |start: &str| {
        let found = text.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("{start} in {text}")).to_owned()
    };
    assert!(line("durable ingest").ends_with("2.50M/s   reached"), "{text}");
    assert!(line("broker CPU s/GB produced and fetched, fsync").ends_with("reached"), "{text}");
    assert!(line("broker CPU s/GB produced and fetched, written").contains("n/a"), "{text}");
    assert!(line("broker CPU s/GB fetched").contains("0.95"), "{text}");
    assert!(line("broker's, of its cores").contains("10.00"), "{text}");
    assert!(line("the client's CPU s/GB").ends_with("0.70"), "{text}");
    // 50,000 of 2.5 M, and of 900,000; the generator was the bound of none.
    assert!(line("50.0k/s in % of its max").ends_with("2.0"), "{text}");
    assert!(line("50.0k/s in % of its max").contains("5.6"), "{text}");
    let markdown = report.markdown();
    assert!(markdown.contains("\n| max records/s | 900.0k | 2.50M |\n"), "{markdown}");
    assert!(
        markdown.contains("| durable ingest of 100 B records, one broker core |"),
        "{markdown}"
    );
    assert!(text.contains("8.0 GiB of memory touched first"), "{text}");
    assert!(line("page cache grown by").contains("3.0 GiB"), "{text}");
    // At half of its own maximum, not at the common rate.
    assert!(line("durable p99 at half load against Kafka").ends_with("reached"), "{text}");
    assert!(line("p99 at half of its max").ends_with("5.00 ms"), "{text}");
    assert!(line("p99 at 50.0k/s").ends_with("90.0 ms"), "{text}");
    assert!(line("half of its max, records/s").ends_with("1.25M"), "{text}");
    assert!(line("INVALID(generator) at half").ends_with("1 of 3"), "{text}");
    // 1.5 times 3 ms and 1 ms.
    let bare = line("durable p99 at half load against the bare");
    assert!(bare.contains("<= 5.50 ms"), "{text}");
    assert!(line("durable ingest, one").ends_with("reached"), "{text}");
    assert!(line("messages between cores").ends_with("not told"), "{text}");
    assert!(line("bytes copied in user space per byte fetched").ends_with("not told"), "{text}");
    for said in ["kafka page cache: Written, portable", "not its figures", "of fewer than five"] {
        assert!(text.contains(said) && markdown.contains(said), "{said}: {text}");
    }
    assert!(line("idle broker").ends_with("reached"), "{text}");
    assert!(line("bytes copied").ends_with("not told"), "{text}");
    assert!(line("INVALID(generator) at the rate").ends_with("1 of 3"), "{text}");
    assert!(report.html().contains("java -Xmx1G") && report.html().contains("node.id=1"));
}

#[test]
fn a_missed_target_says_where_the_time_went() {
    let args = Line::parse_from(["peers"]).args;
    let sides = Sides { broker: Some(vec![0]), client: Some(vec![1]) };
    let recording = |flush: u64| {
        let line = |tag: &str, nanos| crate::hlog::Counted {
            tag: tag.into(),
            start: Duration::ZERO,
            length: Duration::from_secs(1),
            counts: vec![(nanos, 2_000)],
        };
        let mut log = Vec::new();
        let lines = [line("Produce.total", 10_000_000), line("Produce.flush", flush)];
        let epoch = std::time::SystemTime::UNIX_EPOCH;
        crate::hlog::write_counted(&mut log, epoch, &[], lines).unwrap();
        crate::run::Recording { broker_log: Some(log), ..Default::default() }
    };
    let mut slow =
        seen(false, Pair::Fsync, vec![turn(3e6, 1.9, Some(9_000_000), Verdict::Valid); 3]);
    slow.profile.half.add(&recording(8_000_000));
    slow.profile.calm.add(&recording(2_000_000));
    let all =
        [seen(true, Pair::Written, vec![turn(9e5, 9.0, Some(5_000_000), Verdict::Valid); 3]), slow];
    let report = Report {
        machine: Machine::default(),
        turns: 3,
        lengths: Lengths::of(&args),
        took: Duration::ZERO,
        args: &args,
        sides: &sides,
        memory: String::new(),
        bounds: Bounds::default(),
        seen: &all,
    };
    let text = report.text();
    let latency = "Missed: durable p99 at half load against Kafka's without flush: of a produce's time in the broker flush 80 % (p99 8.00 ms).";
    assert!(text.lines().any(|line| line.starts_with(latency)), "{text}");
    // Of another part nothing of this one is said, and of what was not kept nothing at all.
    let cpu =
        "Missed: broker CPU s/GB produced and fetched, fsync: nothing that was kept says why.";
    for form in [text, report.markdown(), report.html()] {
        assert!(form.contains(cpu), "{form}");
        assert_eq!(form.matches("flush 80 %").count(), 1, "{form}");
        assert!(!form.contains("flush 20 %") && !form.contains("Missed: idle"), "{form}");
    }
}

#[test]
fn a_figure_of_one_core_is_neither_that_of_two_nor_the_generators() {
    let args = Line::parse_from(["peers"]).args;
    let told = |rate: f64, cores: &[usize], fast: Verdict| {
        let turn = Turn { fast, ..turn(rate, 1.0, None, Verdict::Valid) };
        let seen = [seen(false, Pair::Fsync, vec![turn])];
        let sides = Sides { broker: Some(cores.to_vec()), client: None };
        let report = Report {
            machine: Machine::default(),
            turns: 1,
            lengths: Lengths::of(&args),
            took: Duration::ZERO,
            args: &args,
            sides: &sides,
            memory: String::new(),
            bounds: Bounds::default(),
            seen: &seen,
        };
        let text = report.text();
        let line = text.lines().find(|line| line.starts_with("durable ingest of 100 B"));
        let line = line.unwrap_or_default();
        let words = ["not told", "reached", "missed"];
        words.into_iter().find(|word| line.ends_with(word)).unwrap_or_default()
    };
    let bound = || Verdict::Invalid("busy".into());
    assert_eq!(told(3e6, &[0], Verdict::Valid), "reached");
    assert_eq!(told(3e6, &[0], bound()), "reached");
    assert_eq!(told(3e6, &[0, 1], Verdict::Valid), "not told");
    assert_eq!(told(1e6, &[0, 1], Verdict::Valid), "missed");
    assert_eq!(told(1e6, &[0], bound()), "not told");
}
