//! What counts, what does not, and which targets are told.

use super::*;
use crate::{
    latency::Latency,
    peers::{Contender, Pair, profile::Profile},
};
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: PeersArgs,
}

/// Percentiles of which the records carry the first and the third; the third may be the generator's.
fn told(p99: Option<u64>) -> Vec<Told> {
    let p99 = p99.map_or(Told::Moved, Told::Nanos);
    vec![Told::Nanos(1_000_000), Told::TooFew, p99, Told::TooFew, Told::TooFew]
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
        latency: told(Some(90_000_000)),
        half_rate: (rate / 2.0) as u64,
        half_latency: told(p99),
        half_service: told(p99),
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
        seen(true, Pair::Written, vec![turn(9e5, 10.0, Some(5_000_000), Verdict::Valid); 5]),
        seen(
            false,
            Pair::Fsync,
            vec![
                turn(3e6, 1.9, Some(4_000_000), Verdict::Valid),
                turn(2.5e6, 2.5, None, invalid),
                turn(1e6, 1.8, Some(6_000_000), Verdict::Valid),
                turn(2.6e6, 1.9, Some(5_000_000), Verdict::Valid),
                turn(2.4e6, 1.9, Some(5_000_000), Verdict::Valid),
            ],
        ),
    ];
    let report = Report {
        machine: Machine::default(),
        turns: 5,
        early: None,
        lengths: Lengths::of(&args),
        took: Duration::from_secs(600),
        brought: Some(Duration::from_secs(77)),
        args: &args,
        sides: &sides,
        memory: "8.0 GiB of memory touched first".into(),
        kept_awake: 1,
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
    assert!(line("p99 at half of its max").ends_with("5.00 ms, 4 of 5"), "{text}");
    assert!(line("p99 at 50.0k/s").ends_with("90.0 ms, 4 of 5"), "{text}");
    assert!(line("half of its max, records/s").ends_with("1.25M"), "{text}");
    assert!(line("INVALID(generator) at half").ends_with("1 of 5"), "{text}");
    // 1.5 times 3 ms and 1 ms.
    let bare = line("durable p99 at half load against the bare");
    assert!(bare.contains("<= 5.50 ms (6.50 ms)"), "{text}");
    assert!(line("durable ingest, one").ends_with("reached"), "{text}");
    assert!(line("messages between cores").ends_with("not told"), "{text}");
    assert!(line("bytes copied in user space per byte fetched").ends_with("not told"), "{text}");
    for said in [
        "kafka page cache: Written, portable",
        "not its figures",
        "`3 of 5` says",
        "processors kept awake by an idle-class thread each: 1",
        "mvn brought Kafka's jars in 77 s, which are not counted",
    ] {
        assert!(text.contains(said) && markdown.contains(said), "{said}: {text}");
    }
    assert!(line("idle broker").ends_with("reached"), "{text}");
    assert!(line("bytes copied").ends_with("not told"), "{text}");
    assert!(line("INVALID(generator) at the rate").ends_with("1 of 5"), "{text}");
    assert!(report.html().contains("java -Xmx1G") && report.html().contains("node.id=1"));
    // Of a part of the turns it says so before anything else, in every form.
    let said = "ended early after 7 of 10 turns, by SIGINT";
    assert!(!text.contains("ended early") && !report.html().contains("ended early"));
    let part = Report { early: Some(said.into()), ..report };
    assert!(part.text().starts_with(said) && part.markdown().starts_with(said));
    let (page, paragraph) = (part.html(), format!("<p>{said}</p>"));
    let place = page.find(&paragraph).unwrap();
    assert!(page.find("<p>").is_some_and(|first| first == place), "{page}");
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
        early: None,
        lengths: Lengths::of(&args),
        took: Duration::ZERO,
        brought: None,
        args: &args,
        sides: &sides,
        memory: String::new(),
        kept_awake: 0,
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
            early: None,
            lengths: Lengths::of(&args),
            took: Duration::ZERO,
            brought: None,
            args: &args,
            sides: &sides,
            memory: String::new(),
            kept_awake: 0,
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

/// What a report of these turns of Kafka's page cache and of Ringwood's fsync has in a line, and all of it.
fn report_of(kafka: Vec<Turn>, ringwood: Vec<Turn>, words: &[&str]) -> String {
    let args = Line::parse_from([&["peers"][..], words].concat()).args;
    let sides = Sides { broker: Some(vec![0]), client: Some(vec![1]) };
    let seen = [seen(true, Pair::Written, kafka), seen(false, Pair::Fsync, ringwood)];
    let bounds = Bounds { flush_p99: Some(4e6), round_trip_p99: Some(1e6), ..Bounds::default() };
    Report {
        machine: Machine::default(),
        turns: 5,
        early: None,
        lengths: Lengths::of(&args),
        took: Duration::ZERO,
        brought: None,
        args: &args,
        sides: &sides,
        memory: String::new(),
        kept_awake: 0,
        bounds,
        seen: &seen,
    }
    .text()
}

fn line_of<'a>(text: &'a str, start: &str) -> &'a str {
    let found = text.lines().find(|line| line.starts_with(start));
    found.unwrap_or_else(|| panic!("{start} in {text}"))
}

const AGAINST_KAFKA: &str = "durable p99 at half load against Kafka";
const AGAINST_THE_DEVICE: &str = "durable p99 at half load against the bare";

/// Five turns with this p99 at half load.
fn five(p99: u64) -> Vec<Turn> {
    vec![turn(1e6, 1.0, Some(p99), Verdict::Valid); 5]
}

fn saturated() -> Verdict {
    Verdict::Saturated("held".into())
}

#[test]
fn half_of_what_the_client_made_is_no_half_load() {
    let mut ours = five(4_000_000);
    let text = report_of(five(5_000_000), ours.clone(), &[]);
    for target in [AGAINST_KAFKA, AGAINST_THE_DEVICE] {
        assert!(line_of(&text, target).ends_with("reached"), "{text}");
    }
    ours[3].fast = Verdict::Invalid("busy".into());
    let text = report_of(five(5_000_000), ours.clone(), &[]);
    for target in [AGAINST_KAFKA, AGAINST_THE_DEVICE] {
        assert!(line_of(&text, target).ends_with("not told"), "{text}");
    }
    assert!(text.contains("the client was the bound of ringwood fsync's max"), "{text}");
    // What is too slow at less than half is too slow at half. Where Kafka had less it is not held against Ringwood.
    ours.iter_mut().for_each(|turn| turn.half_latency = told(Some(9_000_000)));
    let mut theirs = five(5_000_000);
    let text = report_of(theirs.clone(), ours.clone(), &[]);
    assert!(line_of(&text, AGAINST_KAFKA).ends_with("missed"), "{text}");
    theirs[0].fast = Verdict::Invalid("busy".into());
    let text = report_of(theirs, ours, &[]);
    assert!(line_of(&text, AGAINST_KAFKA).ends_with("not told"), "{text}");
    assert!(line_of(&text, AGAINST_THE_DEVICE).ends_with("missed"), "{text}");
}

#[test]
fn the_linger_is_no_part_of_what_a_bare_device_bounds() {
    // 1.5 times 4 ms and 1 ms; and a linger of 1 ms.
    let told_of = |service, response| {
        let mut ours = five(response);
        ours.iter_mut().for_each(|turn| turn.half_service = told(Some(service)));
        let text = report_of(five(5_000_000), ours, &[]);
        let line = line_of(&text, AGAINST_THE_DEVICE);
        assert!(line.contains("(response, with 1.00 ms of linger)"), "{text}");
        ["reached", "missed"].into_iter().find(|word| line.ends_with(word))
    };
    assert_eq!(told_of(6_500_000, 7_900_000), Some("reached"));
    assert_eq!(told_of(7_100_000, 7_900_000), Some("missed"));
    // Requests that are fast once they are sent, and wait to be.
    assert_eq!(told_of(6_500_000, 8_100_000), Some("missed"));
}

#[test]
fn a_broker_without_other_cores_reaches_nothing_by_sending_them_nothing() {
    let args = Line::parse_from(["peers"]).args;
    let told = |messages: f64, cores: &[usize]| {
        let turn =
            Turn { messages_per_request: Some(messages), ..turn(1e6, 1.0, None, Verdict::Valid) };
        let seen = [seen(false, Pair::Fsync, vec![turn])];
        let sides = Sides { broker: Some(cores.to_vec()), client: None };
        let text = Report {
            machine: Machine::default(),
            turns: 1,
            early: None,
            lengths: Lengths::of(&args),
            took: Duration::ZERO,
            brought: None,
            args: &args,
            sides: &sides,
            memory: String::new(),
            kept_awake: 0,
            bounds: Bounds::default(),
            seen: &seen,
        }
        .text();
        let line = line_of(&text, "messages between cores");
        let words = ["not told", "reached", "missed"];
        let word = words.into_iter().find(|word| line.ends_with(word)).unwrap_or_default();
        (word, text.contains(": the broker had one core"))
    };
    assert_eq!(told(0.0, &[0]), ("not told", true));
    assert_eq!(told(0.0, &[0, 1]), ("reached", false));
    // A client that asks any core makes some, and that is no fault of the broker's.
    assert_eq!(told(1.0, &[0, 1]), ("not told", false));
}

#[test]
fn the_p99_of_an_overloaded_peer_is_no_bound() {
    let overloaded = |count: usize| {
        let mut turns = five(5_000_000);
        for turn in &mut turns[..count] {
            turn.half = saturated();
            turn.half_latency = told(Some(5_000_000_000));
        }
        turns
    };
    let text = report_of(overloaded(5), five(40_000_000), &[]);
    assert!(line_of(&text, AGAINST_KAFKA).ends_with("not told"), "{text}");
    assert!(line_of(&text, "p99 at half of its max").contains("SATURATED 5.00 s  "), "{text}");
    assert!(text.contains("kafka page cache kept up and has a p99 in 0 of its turns"), "{text}");
    // Two are left out of the bound, and three make one.
    let text = report_of(overloaded(2), five(40_000_000), &[]);
    assert!(line_of(&text, AGAINST_KAFKA).ends_with("missed"), "{text}");
    assert!(line_of(&text, "p99 at half of its max").contains("5.00 ms, 3 of 5"), "{text}");
    assert!(line_of(&text, "saturated at half").contains("2 of 5"), "{text}");
    let text = report_of(overloaded(3), five(40_000_000), &[]);
    assert!(line_of(&text, AGAINST_KAFKA).ends_with("not told"), "{text}");
}

#[test]
fn turns_that_were_too_much_make_no_good_answer_by_being_left_out() {
    let mut ours = five(4_000_000);
    for (turn, p99) in ours.iter_mut().zip([3_000_000, 4_000_000, 6_000_000]) {
        turn.half_latency = told(Some(p99));
    }
    ours[3] =
        Turn { half: saturated(), half_latency: told(Some(4_000_000_000)), ..ours[3].clone() };
    ours[4] = ours[3].clone();
    // 3, 4 and 6 ms: with the other two the median is 6.
    let text = report_of(five(5_000_000), ours, &[]);
    assert!(line_of(&text, AGAINST_KAFKA).ends_with("not told"), "{text}");
    assert!(text.contains("ringwood fsync was SATURATED in too many turns"), "{text}");
}

#[test]
fn a_median_of_one_turn_is_not_called_one_of_five() {
    let mut ours = five(4_000_000);
    ours[1..].iter_mut().for_each(|turn| turn.half_latency = told(None));
    ours[2].idle = None;
    let text = report_of(five(5_000_000), ours, &[]);
    assert!(line_of(&text, "p99 at half of its max").ends_with("4.00 ms, 1 of 5"), "{text}");
    assert!(line_of(&text, "p50 at half of its max").ends_with("1.00 ms"), "{text}");
    assert!(line_of(&text, "idle, %").ends_with("0.20, 4 of 5"), "{text}");
    let target = line_of(&text, AGAINST_KAFKA);
    assert!(target.contains("4.00 ms, 1 of 5") && target.ends_with("not told"), "{text}");
    assert!(line_of(&text, "idle broker").contains("% of a core, 4 of 5"), "{text}");
    // Nothing at all: the generator may have made every one, or the records were too few.
    let mut none = five(4_000_000);
    none.iter_mut().for_each(|turn| turn.half_latency = told(None));
    let text = report_of(none, five(4_000_000), &[]);
    assert!(line_of(&text, "p99 at half of its max").contains("INVALID"), "{text}");
    assert!(line_of(&text, "p99.9 at half of its max").contains("n/a"), "{text}");
}

#[test]
fn a_cold_jvm_is_no_measure_of_cpu() {
    const CPU: &str = "broker CPU s/GB produced and fetched, fsync";
    let turns = |cpu| vec![turn(1e6, cpu, Some(4_000_000), Verdict::Valid); 5];
    let told = |ours: f64, words: &[&str]| {
        let text = report_of(turns(10.0), turns(ours), words);
        let note = text.contains("Kafka's JVM was loaded for 2 s");
        let word = ["not told", "reached", "missed"]
            .into_iter()
            .find(|word| line_of(&text, CPU).ends_with(word));
        (word.unwrap_or_default(), note)
    };
    assert_eq!(told(1.9, &[]), ("reached", false));
    assert_eq!(told(1.9, &["--short"]), ("not told", true));
    // More than a share of too much is more than that of what it should be.
    assert_eq!(told(2.1, &["--short"]), ("missed", true));
}

#[test]
fn records_that_failed_are_in_the_tables() {
    let mut theirs = five(5_000_000);
    let text = report_of(theirs.clone(), five(4_000_000), &[]);
    assert!(!text.contains("records that failed"), "{text}");
    let refused = |failed| {
        let errors = [("NOT_ENOUGH_REPLICAS".to_owned(), failed)].into();
        let stages = vec![crate::run::Stage { failed, errors, ..Default::default() }];
        let repeats = vec![crate::run::Repeat { stages, ..Default::default() }];
        Failed::of(&crate::run::Run { repeats, ..Default::default() })
    };
    theirs[0].failed.insert(MAX, refused(300));
    theirs[4].failed.insert(MAX, refused(80));
    let text = report_of(theirs, five(4_000_000), &[]);
    let row = line_of(&text, "records that failed at max");
    assert!(row.contains("380: NOT_ENOUGH_REPLICAS") && row.ends_with("none"), "{text}");
    assert!(!text.contains("records that failed in"), "{text}");
}
