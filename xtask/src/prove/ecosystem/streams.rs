//! A Kafka Streams word count: at least once, two threads, a repartition topic and a changelog.
//!
//! Kafka's console producer writes lines, and its console consumer reads the counts. The broker is killed with -9 twice while lines
//! come. Then the application is closed, its state on disk is thrown away, and a new one goes on counting from the changelog alone.
//!
//! At last the application is killed with -9 twice while lines come, and comes back with the state that it had on disk.
//!
//! At least once means that a count may come out too high if a task moved with the work since its last commit undone. A broker that
//! comes back with its groups gives no reason to move one, so the counts must be exact unless the application says that it fell.
//! An application that was killed may count again what came since its last commit, and nothing that came before the kills began.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::process::Process;
use super::{Findings, tools};
use crate::Fault;

const PARTITIONS: u32 = 4;
/// Lines before the application is closed, and again after.
const LINES: u32 = 3_000;
const WORDS: [&str; 5] = ["the", "quick", "brown", "fox", "jumps"];

/// Line `n`; four words, one of them rare.
fn line(n: u32) -> String {
    let word = |step: u32| WORDS[((n / step) % 5) as usize];
    format!("{} {} {} number{}", word(1), word(5), word(25), n % 97)
}

fn expected(lines: u32) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for n in 0..lines {
        for word in line(n).split(' ') {
            *counts.entry(word.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

/// The last count of each word, and how many updates there were, as the console consumer prints them.
fn latest(text: &str) -> (BTreeMap<String, i64>, usize) {
    let mut counts = BTreeMap::new();
    let mut updates = 0;
    for (word, count) in text.lines().filter_map(|line| line.split_once('\t')) {
        if let Ok(count) = count.parse() {
            counts.insert(word.to_owned(), count);
            updates += 1;
        }
    }
    (counts, updates)
}

fn counts(bootstrap: &str) -> Result<(BTreeMap<String, i64>, usize), Fault> {
    let long = "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer";
    let words = [
        "--bootstrap-server",
        bootstrap,
        "--topic",
        "counts",
        "--from-beginning",
        "--timeout-ms",
        // Its group of one waits 3 s for more members before it is given anything.
        "9000",
        "--formatter-property",
        "print.key=true",
        "--formatter-property",
        long,
    ];
    Ok(latest(&tools::tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &words)?))
}

struct Application {
    process: Process,
    states: Vec<String>,
}

impl Application {
    fn start(bootstrap: &str, scratch: &Path, state: &str) -> Result<Application, Fault> {
        let mut command = tools::java("WordCount");
        command.args([bootstrap, "wordcount", "lines", "counts"]).arg(scratch.join(state));
        let process = Process::start(&format!("wordcount-{state}"), &mut command, scratch)?;
        process.wait_for("RUNNING", Duration::from_secs(90), |line| line.contains("RUNNING"))?;
        Ok(Application { process, states: Vec::new() })
    }

    fn close(mut self) -> Result<Vec<String>, Fault> {
        self.process.close_input();
        let well = self.process.join(Duration::from_secs(90))?;
        // The reading thread ends with the pipe, a moment after the process.
        sleep(Duration::from_millis(200));
        self.states.extend(self.process.lines());
        if !well || !self.states.iter().any(|state| state.contains("\"closed\": true")) {
            return Err(
                format!("the application did not close well: {}", self.states.join(" ")).into()
            );
        }
        Ok(self.states)
    }
}

/// Writes lines with the console producer, and meanwhile kills so often.
fn write(
    bootstrap: &str,
    scratch: &Path,
    lines: std::ops::Range<u32>,
    kills: u32,
    mut kill: impl FnMut() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut command = tools::java("org.apache.kafka.tools.ConsoleProducer");
    command.args(["--bootstrap-server", bootstrap, "--topic", "lines"]);
    let mut producer = Process::start("producer", &mut command, scratch)?;
    let every = lines.len() as u32 / (kills + 1);
    for (place, n) in (1..).zip(lines) {
        producer.tell(&line(n))?;
        // 500 lines a second.
        if n % 10 == 0 {
            sleep(Duration::from_millis(20));
        }
        if kills > 0 && place % every == 0 && place / every <= kills {
            kill()?;
        }
    }
    producer.close_input();
    if producer.join(Duration::from_secs(130))? {
        Ok(())
    } else {
        Err(format!(
            "the console producer failed\n    {}",
            tools::tail(&scratch.join("producer.log"), 5)
        )
        .into())
    }
}

/// What was counted of how many lines.
struct Before {
    counts: BTreeMap<String, i64>,
    lines: u32,
}

/// Waits for the counts that there must be; the findings say what came, and it is given back. If it is told what was counted
/// before, lines since then may have been counted twice.
fn settle(
    findings: &mut Findings,
    bootstrap: &str,
    application: &mut Application,
    when: &str,
    lines: u32,
    before: Option<Before>,
) -> Result<Before, Fault> {
    let (want, deadline) = (expected(lines), Instant::now() + Duration::from_secs(90));
    let (mut found, mut updates);
    loop {
        (found, updates) = counts(bootstrap)?;
        if want.iter().all(|(word, count)| found.get(word).is_some_and(|got| got >= count))
            || Instant::now() > deadline
        {
            break;
        }
        application.process.must_live()?;
    }
    application.states.extend(application.process.lines());
    let low = want.iter().filter(|(word, count)| found.get(*word).unwrap_or(&0) < *count).count();
    let high = want.iter().filter(|(word, count)| found.get(*word).unwrap_or(&0) > *count).count();
    let strange = found.keys().filter(|word| !want.contains_key(*word)).count();
    findings.count(&format!("{when}_lines"), lines);
    findings.count(&format!("{when}_words"), want.len());
    findings.count(&format!("{when}_updates"), updates);
    findings.count(&format!("{when}_counts_too_low"), low);
    findings.count(&format!("{when}_counts_too_high"), high);
    findings.check(low == 0, || format!("{when}: {low} of {} words lost counts", want.len()));
    findings.check(strange == 0, || format!("{when}: {strange} words that nobody wrote"));
    let moved = application.states.iter().any(|state| state.contains("REBALANCING"));
    findings.count(&format!("{when}_rebalanced"), moved);
    if let Some(before) = before {
        let once = expected(before.lines);
        let of =
            |counts: &BTreeMap<String, i64>, word: &str| counts.get(word).copied().unwrap_or(0);
        let most =
            |word: &str, count: i64| of(&before.counts, word) + 2 * (count - of(&once, word));
        let above = want.iter().filter(|(word, count)| of(&found, word) > most(word, **count));
        let above = above.count();
        findings.check(above == 0, || {
            format!("{when}: {above} words were counted more than twice since the kills began")
        });
    } else {
        findings.check(high == 0 || moved, || {
            format!("{when}: {high} counts are too high, and no task moved")
        });
    }
    let faults: Vec<&String> =
        application.states.iter().filter(|state| state.contains("fault")).collect();
    findings.check(faults.is_empty(), || format!("{when}: the application failed: {faults:?}"));
    Ok(Before { counts: found, lines })
}

pub(super) fn play(findings: &mut Findings) -> Result<(), Fault> {
    let scratch = tools::scratch("streams")?;
    let mut broker = tools::broker("streams")?;
    let bootstrap = broker.bootstrap();
    tools::create(&bootstrap, "lines", PARTITIONS)?;
    tools::create(&bootstrap, "counts", PARTITIONS)?;

    let mut first = Application::start(&bootstrap, &scratch, "first")?;
    write(&bootstrap, &scratch, 0..LINES, 2, || tools::kill(&mut broker))?;
    settle(findings, &bootstrap, &mut first, "killed", LINES, None)?;
    first.close()?;

    // Another state folder: what it knows it has from the changelog.
    let mut second = Application::start(&bootstrap, &scratch, "second")?;
    write(&bootstrap, &scratch, LINES..2 * LINES, 1, || tools::kill(&mut broker))?;
    let before = settle(findings, &bootstrap, &mut second, "restored", 2 * LINES, None)?;

    let mut deaths = 0;
    write(&bootstrap, &scratch, 2 * LINES..3 * LINES, 2, || {
        second.process.kill()?;
        deaths += 1;
        second = Application::start(&bootstrap, &scratch, "second")?;
        Ok(())
    })?;
    settle(findings, &bootstrap, &mut second, "died", 3 * LINES, Some(before))?;
    findings.count("application_kills", deaths);
    second.close()?;

    let described = tools::tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--bootstrap-server", &bootstrap, "--describe", "--topic", "wordcount-.*"],
    )?;
    for (topic, policy) in
        [("wordcount-words-repartition", "delete"), ("wordcount-counts-changelog", "compact")]
    {
        let config = format!("cleanup.policy={policy}");
        let there = described.lines().any(|line| {
            line.contains(&format!("Topic: {topic}\t"))
                && line.contains(&format!("PartitionCount: {PARTITIONS}"))
                && line.contains(&config)
        });
        findings.check(there, || format!("no {topic} with {config}: {described}"));
    }
    findings.count("kills", 3);
    broker.must_live()?;
    broker.discard()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_words_a_line_are_expected() {
        let counts = expected(1000);
        assert_eq!(counts.values().sum::<i64>(), 4000);
        assert_eq!(counts.len(), 5 + 97);
    }

    #[test]
    fn the_last_count_of_a_word_holds() {
        let (counts, updates) = latest("fox\t1\nthe\t4\nfox\t2\nProcessed a total of 3 messages\n");
        assert_eq!(counts["fox"], 2);
        assert_eq!((counts["the"], updates), (4, 3));
    }
}
