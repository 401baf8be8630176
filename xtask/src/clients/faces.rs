//! Kafka's own command-line tools beside our faces of them, against one broker: what `java/tools.txt` asks, line by line, and the flags that
//! the originals' `--help` lists.

use std::collections::BTreeSet;
use std::fs::{self, read_to_string};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::offsets_topic;
use crate::tally::{Tally, say};
use crate::{Fault, program, tree};

/// The longest that one tool may take.
pub(super) const LIMIT: Duration = Duration::from_secs(90);

/// The tools, and the classes behind them.
const TOOLS: [(&str, &str); 9] = [
    ("kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    ("kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    ("kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer"),
    ("kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ("kafka-delete-records", "org.apache.kafka.tools.DeleteRecordsCommand"),
    ("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    ("kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
];

/// Runs everything; `bootstrap` is the broker's address.
pub(crate) fn run(tally: &mut Tally, bootstrap: &str, run: &str) -> Result<(), Fault> {
    let (before, started) = ((tally.passed, tally.failed), Instant::now());
    for (tool, _) in TOOLS {
        let complaint = flags(tool)?;
        tally.check(&format!("tools/{tool}: flags of --help"), complaint.as_deref())?;
    }
    for (name, text) in FILES {
        fs::write(tree::work().join(name), text)?;
    }
    let text = questions()?;
    let mut played = 0;
    let mut live = Vec::new();
    for (line, answer) in with_answers(&text)? {
        played += 1;
        if let Some(words) = line.strip_prefix("live ") {
            let (member, complaint) = Live::start(words, bootstrap, run)?;
            live.push(member);
            tally.check(&format!("tools/{line}"), complaint.as_deref())?;
            continue;
        }
        let mut scene = Scene::read(line).ok_or_else(|| format!("no scene: {line}"))?;
        scene.answer = answer.into_iter().map(str::to_owned).collect();
        let complaint = scene.play(bootstrap, run)?;
        tally.check(&format!("tools/{}", scene.words.join(" ")), complaint.as_deref())?;
    }
    if played == 0 {
        tally.check("tools", Some("no scene was played"))?;
    }
    for (words, good, said) in FEATURES {
        let complaint = features(words, good, said, bootstrap)?;
        tally.check(&format!("tools/kafka-features {words}"), complaint.as_deref())?;
    }
    offsets_topic::run(tally, bootstrap, run)?;
    let [ours, theirs] = [starts(|tool| Ok(face(tool)), 11)?, starts(original, 1)?];
    say(&format!(
        "tools: `--version` takes a face {:.1} ms, and an original {:.0} ms (medians of all tools; no verdict)",
        ours.as_secs_f64() * 1e3,
        theirs.as_secs_f64() * 1e3
    ))?;
    let (passed, failed) = (tally.passed - before.0, tally.failed - before.1);
    let seconds = started.elapsed().as_secs_f32();
    say(&format!("tools: {passed} passed, {failed} failed in {seconds:.1} s"))
}

/// How long the tools take to say their version: the median, of each tool so many times.
fn starts(
    command: impl Fn(&str) -> Result<Command, Fault>,
    times: usize,
) -> Result<Duration, Fault> {
    let mut took = Vec::new();
    for (tool, _) in TOOLS {
        for _ in 0..times {
            let mut command = command(tool)?;
            command.arg("--version").stdin(Stdio::null());
            let began = Instant::now();
            // Not by `program::run`, which looks for the end every 10 ms.
            let said = command.output()?;
            took.push(began.elapsed());
            if !said.status.success() || said.stdout.is_empty() {
                return Err(format!("{tool} --version: {}", said.status).into());
            }
        }
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

/// Files that the questions name, beside those of each topic.
const FILES: [(&str, &str); 4] = [
    ("client.properties", "client.id=tools\n"),
    ("reader.properties", "parse.key=true\nkey.separator=:\n"),
    ("formatter.properties", "print.key=true\nkey.separator=|\n"),
    ("topic.properties", "flush.ms=9000\nretention.ms=700000\n"),
];

fn questions() -> Result<String, Fault> {
    Ok(read_to_string(tree::clients().join("java/tools.txt"))?)
}

/// The questions, each with the lines that its answer must have.
fn with_answers(text: &str) -> Result<Vec<(&str, Vec<&str>)>, Fault> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("= ") {
            None => all.push((line, Vec::new())),
            Some(answer) => {
                let (question, answers) = all.last_mut().ok_or("an answer without a question")?;
                if question.starts_with("live ") {
                    return Err(format!("nobody answers {question}").into());
                }
                answers.push(answer);
            }
        }
    }
    Ok(all)
}

/// A line with single spaces for what is between its words: tables are as wide as names are long.
fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first of these lines that the text does not have, each behind the one before.
fn missing<'a>(answer: &'a [String], out: &str) -> Option<&'a str> {
    let mut lines = out.lines().map(words);
    answer.iter().find(|wanted| !lines.any(|line| line == words(wanted))).map(String::as_str)
}

/// What Kafka's own `kafka-features`, of which there is no face, is asked; whether it is right, and what it must say.
const FEATURES: [(&str, bool, &str); 4] = [
    ("describe", true, "Feature: group.version"),
    ("upgrade --feature group.version=1", true, ""),
    ("upgrade --feature group.version=2", false, "group.version"),
    ("downgrade --unsafe --feature metadata.version=1", false, "metadata.version"),
];

fn features(words: &str, good: bool, said: &str, bootstrap: &str) -> Result<Option<String>, Fault> {
    let mut command = java("org.apache.kafka.tools.FeatureCommand");
    command.args(["--bootstrap-server", bootstrap]).args(words.split(' '));
    let outcome = program::run(&mut command, None, LIMIT)?;
    let all = format!("{}{}", String::from_utf8_lossy(&outcome.out), outcome.err);
    let right = outcome.status.success() == good && all.contains(said);
    Ok((!right).then(|| format!("{}: {all}", outcome.status)))
}

pub(super) fn original(tool: &str) -> Result<Command, Fault> {
    let class = TOOLS.iter().find(|(name, _)| *name == tool).ok_or("an unknown tool")?.1;
    Ok(java(class))
}

fn java(class: &str) -> Command {
    let mut java = Command::new("java");
    let jars = tree::work().join("java/lib").join("*");
    // Short runs: the quick compiler is the better one.
    java.args(["-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp"]).arg(jars).arg(class);
    java
}

fn face(tool: &str) -> Command {
    let mut command = Command::new(tree::binary("ringwood"));
    command.arg0(tool);
    command
}

/// The flags that the original lists and our file does not, or the other way round.
fn flags(tool: &str) -> Result<Option<String>, Fault> {
    let outcome = program::run(original(tool)?.arg("--help"), None, LIMIT)?;
    let help = format!("{}\n{}", String::from_utf8_lossy(&outcome.out), outcome.err);
    let theirs: BTreeSet<String> = help.lines().filter_map(flag_of_help).collect();
    let file = tree::root().join("broker/cli/src/faces/flags").join(format!("{tool}.flags"));
    let ours: BTreeSet<String> = read_to_string(file)?.lines().filter_map(flag_of_file).collect();
    let difference: Vec<_> = theirs.symmetric_difference(&ours).cloned().collect();
    Ok(if theirs.is_empty() {
        Some("the original lists no flags".into())
    } else if difference.is_empty() {
        None
    } else {
        Some(format!("only on one side: {}", difference.join(", ")))
    })
}

fn flag_of_help(line: &str) -> Option<String> {
    // A row of dashes stands below the headings.
    let name = line.strip_prefix("--").filter(|name| !name.starts_with('-'))?;
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c)));
    Some(name.get(..end.unwrap_or(name.len()))?.to_owned())
}

fn flag_of_file(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let fate = words.next()?;
    let known = fate == "does" || fate == "refuses";
    known.then(|| words.next())?.and_then(|w| w.strip_prefix("--")).map(str::to_owned)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Same,
    Sorted,
    Json,
}

/// A consumer of Kafka's own that reads on while the tools look at its group. It goes with this.
struct Live(Child);

impl Drop for Live {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Live {
    /// Starts it and waits until its group is stable; the complaint says that it never was.
    fn start(words: &str, bootstrap: &str, run: &str) -> Result<(Live, Option<String>), Fault> {
        let mut words = words.split_whitespace();
        let mut command = original(words.next().ok_or("a scene without a tool")?)?;
        let named = named(run);
        command.args(words.map(|word| word.replace("{t}", &named[0]).replace("{live}", &named[2])));
        command.args(["--bootstrap-server", bootstrap]).stdout(Stdio::null()).stderr(Stdio::null());
        let live = Live(command.stdin(Stdio::null()).spawn()?);
        let deadline = Instant::now() + LIMIT;
        loop {
            let mut state = face("kafka-consumer-groups");
            state.args(["--describe", "--state", "--group", &named[2]]);
            state.args(["--bootstrap-server", bootstrap]);
            let outcome = program::run(&mut state, None, LIMIT)?;
            if String::from_utf8_lossy(&outcome.out).contains(" Stable ") {
                return Ok((live, None));
            }
            if Instant::now() > deadline {
                let why = format!("its group is not stable: {}", outcome.last_words());
                return Ok((live, Some(why)));
            }
            sleep(Duration::from_millis(200));
        }
    }
}

/// What the originals call their things, what the faces call theirs, and the group that both look at. Names of one length,
/// which no other name begins with: the scenes match them as patterns.
fn named(run: &str) -> [String; 3] {
    ["tools1", "tools2", "live"].map(|name| format!("{run}-{name}"))
}

struct Scene {
    how: How,
    /// The original ends with 0 although something is wrong.
    lenient: bool,
    words: Vec<String>,
    input: String,
    /// Lines of the answer that are known whoever answers.
    answer: Vec<String>,
}

impl Scene {
    fn read(line: &str) -> Option<Scene> {
        let (how, rest) = line.split_once(' ')?;
        let (words, input) = rest.split_once(" << ").unwrap_or((rest, ""));
        let (how, lenient) = how.strip_suffix('!').map_or((how, false), |how| (how, true));
        Some(Scene {
            how: match how {
                "same" => How::Same,
                "sorted" => How::Sorted,
                "json" => How::Json,
                _ => return None,
            },
            lenient,
            words: words.split_whitespace().map(str::to_owned).collect(),
            input: input.replace("\\t", "\t").replace("\\n", "\n"),
            answer: Vec::new(),
        })
    }

    fn play(&self, bootstrap: &str, run: &str) -> Result<Option<String>, Fault> {
        let tool = self.words.first().ok_or("a scene without a tool")?;
        let named = named(run);
        let theirs = self.ask(original(tool)?, bootstrap, &named, &named[0])?;
        let ours = self.ask(face(tool), bootstrap, &named, &named[1])?;
        let expected = if self.lenient && theirs.code == Some(0) { Some(1) } else { theirs.code };
        Ok(if ours.code != expected {
            Some(format!("exit code {:?}, not {expected:?}\n    {}", ours.code, ours.err))
        } else if theirs.out != ours.out {
            Some(format!(
                "the original:\n{}\n  the face:\n{}\n  {}",
                theirs.out, ours.out, theirs.err
            ))
        } else {
            let answer: Vec<String> =
                self.answer.iter().map(|line| line.replace("{live}", &named[2])).collect();
            let missing = missing(&answer, &ours.out);
            missing.map(|line| format!("both have no line {line:?} here:\n{}", ours.out))
        })
    }

    fn ask(
        &self,
        mut command: Command,
        bootstrap: &str,
        named: &[String; 3],
        own: &str,
    ) -> Result<Answer, Fault> {
        let dir = tree::work();
        let plan = format!(
            r#"{{"partitions": [{{"topic": "{own}", "partition": 1, "offset": 1}}], "version": 1}}"#
        );
        fs::write(dir.join(format!("{own}.json")), plan)?;
        fs::write(dir.join(format!("{own}.csv")), format!("{own},1,1\n"))?;
        let at = dir.display().to_string();
        for word in self.words.iter().skip(1) {
            let word = word.replace("{t}", own).replace("{live}", &named[2]);
            command.arg(word.replace("{dir}", &at));
        }
        command.args(["--bootstrap-server", bootstrap]);
        let outcome = program::run(&mut command, Some(self.input.clone().into_bytes()), LIMIT)?;
        if outcome.timed_out {
            return Err(format!("{} takes too long", program::line(&command)).into());
        }
        let out = String::from_utf8_lossy(&outcome.out);
        // The member of the group that both look at reads the original's topic.
        let out = named[..2].iter().fold(out.into_owned(), |out, name| out.replace(name, "NAME"));
        Ok(Answer {
            code: outcome.status.code(),
            out: self.settled(&out),
            err: outcome.last_words(),
        })
    }

    /// What may differ without being different: ids of topics, and order where there is none.
    fn settled(&self, out: &str) -> String {
        let mut lines: Vec<String> = out.lines().map(settled_line).collect();
        match self.how {
            How::Same => {}
            How::Sorted => lines.sort(),
            How::Json => {
                if let Some(last) = lines.last_mut()
                    && let Ok(mut document) = serde_json::from_str::<Value>(last)
                {
                    sort(&mut document);
                    *last = document.to_string();
                }
            }
        }
        lines.join("\n")
    }
}

struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

fn settled_line(line: &str) -> String {
    let mut cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
    for cell in &mut cells {
        if cell.starts_with("TopicId: ") {
            "TopicId: ID".clone_into(cell);
        } else if let Some(list) = cell.strip_prefix("Configs: ") {
            let mut configs: Vec<_> = list.split(',').collect();
            configs.sort_unstable();
            *cell = format!("Configs: {}", configs.join(","));
        }
    }
    cells.join("\t")
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_key(Value::to_string);
        }
        Value::Object(fields) => fields.values_mut().for_each(sort),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_from_helps_and_from_files() {
        assert_eq!(flag_of_help("--topic <String: topic>   The topic").as_deref(), Some("topic"));
        assert_eq!(flag_of_help("--producer.config <S>").as_deref(), Some("producer.config"));
        assert_eq!(flag_of_help("  --indented"), None);
        assert_eq!(flag_of_help("------      -----------"), None);
        assert_eq!(flag_of_file("does     --state [STATES]  | x").as_deref(), Some("state"));
        assert_eq!(flag_of_file("gone     --zookeeper <H> --bootstrap-server"), None);
    }

    #[test]
    fn scenes_say_how_they_are_compared() {
        let scene = Scene::read("sorted!  kafka-x --topic {t} << a\\tb\\n").expect("a scene");
        assert!(scene.lenient && scene.how == How::Sorted);
        assert_eq!(scene.input, "a\tb\n");
        assert_eq!(scene.settled("b\na"), "a\nb");
        assert!(Scene::read("maybe kafka-x").is_none());
    }

    #[test]
    fn an_answer_is_looked_for_in_order_and_whatever_the_width_of_columns() {
        let text = "same kafka-x\n\n# why\n= A 1\n= B 2\nsame kafka-y\n";
        let all = with_answers(text).expect("questions");
        assert_eq!(all, [("same kafka-x", vec!["A 1", "B 2"]), ("same kafka-y", vec![])]);
        assert!(with_answers("= A\n").is_err() && with_answers("live kafka-x\n= A\n").is_err());
        let answer = ["A 1".to_owned(), "B 2".to_owned()];
        assert_eq!(missing(&answer, "HEAD\nA     1\n\tB\t2 \n"), None);
        assert_eq!(missing(&answer, "B 2\nA 1\n"), Some("B 2"));
        assert_eq!(missing(&answer, "A 11\nB 2\n"), Some("A 1"));
    }

    /// A flag that is said to be done is one that the original and the face were both asked with.
    #[test]
    fn every_flag_that_is_done_is_asked_for() {
        let text = questions().expect("the questions");
        let everywhere = ["help", "version", "bootstrap-server"];
        for (tool, _) in TOOLS {
            let asked: BTreeSet<&str> = text
                .lines()
                .filter(|line| line.split_whitespace().nth(1) == Some(tool))
                .flat_map(|line| line.split(" << ").next().unwrap_or(line).split_whitespace())
                .filter_map(|word| word.strip_prefix("--"))
                .collect();
            let file = tree::root().join(format!("broker/cli/src/faces/flags/{tool}.flags"));
            let file = read_to_string(file).expect("the flags");
            let done =
                file.lines().filter(|line| line.starts_with("does ")).filter_map(flag_of_file);
            let never: Vec<_> = done
                .filter(|flag| {
                    !asked.contains(flag.as_str()) && !everywhere.contains(&flag.as_str())
                })
                .collect();
            assert!(never.is_empty(), "{tool}: nobody asks with {never:?}");
        }
    }

    #[test]
    fn ids_and_the_order_of_hash_tables_do_not_count() {
        assert_eq!(
            settled_line("T\tTopicId: x\tConfigs: b=1,a=2"),
            "T\tTopicId: ID\tConfigs: a=2,b=1"
        );
        let scene = Scene::read("json kafka-x").expect("a scene");
        assert_eq!(scene.settled("x\n{\"a\":[3,1]}"), "x\n{\"a\":[1,3]}");
    }
}
