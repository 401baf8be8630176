//! Kafka Connect: a distributed worker with a file source and a file sink, and kill -9 of the broker while lines pass.
//!
//! Lines are appended to a file, the source writes them to a topic, the sink writes that topic to another file. Configurations,
//! offsets and states are in the worker's own topics: at the end the worker is stopped, more lines are appended, and a new worker
//! with nothing but those topics goes on where the first one was.
//!
//! Before that the worker itself is killed with -9, and another takes its place.
//!
//! Both connectors are at least once: every line must arrive, and the first arrivals must be in order. A line that comes again is
//! counted; it must not be without a kill or a stop to explain it. A worker that is killed may leave half a line in the file that
//! it writes, and what comes next then stands behind it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, read_to_string, write};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::Process;
use super::{Findings, tools};
use crate::Fault;
use crate::broker::free_port;

/// Lines in each of the two halves.
const LINES: u32 = 3_000;

/// The worker's REST interface.
struct Rest(String);

impl Rest {
    /// One request; the answer's status and body.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, Value), Fault> {
        let mut stream = TcpStream::connect(&self.0)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: worker\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        answer(&text).ok_or_else(|| format!("{method} {path}: no answer in {text:?}").into())
    }

    /// Whether a connector and its one task run.
    fn runs(&self, connector: &str) -> bool {
        let Ok((200, status)) = self.ask("GET", &format!("/connectors/{connector}/status"), "")
        else {
            return false;
        };
        status["connector"]["state"] == "RUNNING" && status["tasks"][0]["state"] == "RUNNING"
    }
}

/// Status and JSON body of a response.
fn answer(text: &str) -> Option<(u16, Value)> {
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

fn worker(bootstrap: &str, scratch: &Path, name: &str) -> Result<(Process, Rest), Fault> {
    let address = free_port()?.to_string();
    let mut properties = vec![
        format!("bootstrap.servers={bootstrap}"),
        format!("listeners=http://{address}"),
        "group.id=worker".to_owned(),
        "key.converter=org.apache.kafka.connect.storage.StringConverter".to_owned(),
        "value.converter=org.apache.kafka.connect.storage.StringConverter".to_owned(),
        "offset.flush.interval.ms=1000".to_owned(),
        "offset.storage.partitions=5".to_owned(),
        // A worker that does not come back is not waited for.
        "scheduled.rebalance.max.delay.ms=1000".to_owned(),
        // The connectors are on the class path.
        "plugin.discovery=service_load".to_owned(),
    ];
    for kind in ["config", "offset", "status"] {
        properties.push(format!("{kind}.storage.topic=worker-{kind}"));
        properties.push(format!("{kind}.storage.replication.factor=1"));
    }
    let file = scratch.join(format!("{name}.properties"));
    write(&file, properties.join("\n"))?;
    let mut command = tools::java("org.apache.kafka.connect.cli.ConnectDistributed");
    command.arg(&file);
    let mut process = Process::start(name, &mut command, scratch)?;
    let (rest, deadline) = (Rest(address), Instant::now() + Duration::from_secs(120));
    while !matches!(rest.ask("GET", "/connectors", ""), Ok((200, _))) {
        process.must_live()?;
        if Instant::now() > deadline {
            let log = tools::tail(&scratch.join(format!("{name}.log")), 10);
            return Err(format!("the worker does not answer\n    {log}").into());
        }
        sleep(Duration::from_millis(200));
    }
    Ok((process, rest))
}

fn running(rest: &Rest) -> Result<(), Fault> {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !(rest.runs("source") && rest.runs("sink")) {
        if Instant::now() > deadline {
            return Err("the connectors do not run".into());
        }
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// What arrived.
#[derive(Debug, Default, PartialEq)]
struct Arrived {
    /// Different lines.
    lines: usize,
    /// Lines that had come before.
    again: usize,
    /// Lines that nobody wrote.
    strange: usize,
    /// A first arrival was not the next line.
    swapped: bool,
}

fn arrived(text: &str) -> Arrived {
    let (mut all, mut seen, mut next) = (Arrived::default(), BTreeSet::new(), 0);
    for line in text.lines() {
        let number = number_of(line);
        match number {
            None => all.strange += 1,
            Some(number) if seen.insert(number) => {
                all.swapped |= number != next;
                next = number + 1;
            }
            Some(_) => all.again += 1,
        }
    }
    all.lines = seen.len();
    all
}

/// Which line it is, if it is one whole line that was written.
fn number_of(line: &str) -> Option<u32> {
    let number = line.split(' ').nth(1)?.parse().ok()?;
    (line == text_of(number)).then_some(number)
}

fn text_of(n: u32) -> String {
    format!("line {n} of the file that Connect carries")
}

struct Files {
    source: PathBuf,
    sink: PathBuf,
    written: u32,
    /// Kills of a worker that was writing: each may have left a strange line.
    torn_at_most: usize,
}

impl Files {
    /// Appends so many lines, about a thousand a second.
    fn append(&mut self, lines: u32) -> Result<(), Fault> {
        let mut file = OpenOptions::new().append(true).open(&self.source)?;
        for n in self.written..self.written + lines {
            writeln!(file, "{}", text_of(n))?;
            if n % 50 == 0 {
                sleep(Duration::from_millis(50));
            }
        }
        self.written += lines;
        Ok(())
    }

    /// Waits until all lines have arrived, or for two minutes.
    fn wait(&self, findings: &mut Findings, when: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let want = self.written as usize;
        let mut found;
        loop {
            // The sink makes its file when it starts.
            found = arrived(&read_to_string(&self.sink).unwrap_or_default());
            if found.lines >= want || Instant::now() > deadline {
                break;
            }
            sleep(Duration::from_millis(200));
        }
        findings.count(&format!("{when}_lines"), found.lines);
        findings.count(&format!("{when}_lines_again"), found.again);
        findings.count(&format!("{when}_lines_torn"), found.strange);
        findings.check(found.lines == want, || {
            format!("{when}: {} lines of {want} arrived", found.lines)
        });
        findings.check(!found.swapped, || format!("{when}: the lines are not in order"));
        findings.check(found.strange <= self.torn_at_most, || {
            format!("{when}: {} lines that nobody wrote", found.strange)
        });
    }
}

pub(super) fn play(findings: &mut Findings) -> Result<(), Fault> {
    let scratch = tools::scratch("connect")?;
    let mut broker = tools::broker("connect")?;
    let bootstrap = broker.bootstrap();
    let mut files = Files {
        source: scratch.join("in.txt"),
        sink: scratch.join("out.txt"),
        written: 0,
        torn_at_most: 0,
    };
    File::create(&files.source)?;
    let (mut process, rest) = worker(&bootstrap, &scratch, "worker-1")?;
    for (name, class, file, topic) in [
        ("source", "FileStreamSourceConnector", &files.source, "topic"),
        ("sink", "FileStreamSinkConnector", &files.sink, "topics"),
    ] {
        let config = json!({"name": name, "config": {
            "connector.class": format!("org.apache.kafka.connect.file.{class}"),
            "tasks.max": "1", "file": file, topic: "carried",
        }});
        let (status, body) = rest.ask("POST", "/connectors", &config.to_string())?;
        findings.check(status == 201, || format!("{name}: {status} {body}"));
    }
    running(&rest)?;
    files.append(LINES / 3)?;
    files.wait(findings, "quiet");
    // Nothing was disturbed yet, so nothing may come twice.
    let again = findings.counts.get("quiet_lines_again").cloned();
    findings.check(again == Some(json!(0)), || format!("quiet: {again:?} lines came twice"));
    for _ in 0..2 {
        files.append(LINES / 6)?;
        tools::kill(&mut broker)?;
        files.append(LINES / 6)?;
    }
    files.wait(findings, "killed");
    running(&rest)?;
    process.must_live()?;
    // The worker dies in the middle of its work, and another comes after it.
    for round in 1..=2 {
        files.append(LINES / 6)?;
        process.kill()?;
        files.torn_at_most += 1;
        files.append(LINES / 6)?;
        let rest;
        (process, rest) = worker(&bootstrap, &scratch, &format!("worker-1-{round}"))?;
        running(&rest)?;
    }
    files.wait(findings, "worker_killed");
    findings.count("worker_kills", files.torn_at_most);
    process.must_live()?;
    // A new worker has configurations, offsets and the sink's group from the broker alone.
    process.terminate()?;
    process.join(Duration::from_secs(60))?;
    tools::kill(&mut broker)?;
    files.append(LINES / 2)?;
    let (mut process, rest) = worker(&bootstrap, &scratch, "worker-2")?;
    running(&rest)?;
    files.append(LINES / 2)?;
    files.wait(findings, "restarted");
    findings.count("kills", 3);
    process.must_live()?;
    process.terminate()?;
    process.join(Duration::from_secs(60))?;
    broker.must_live()?;
    broker.discard()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let text = "HTTP/1.1 201 Created\r\nServer: x\r\n\r\n{\"name\": \"sink\"}";
        assert_eq!(answer(text), Some((201, json!({"name": "sink"}))));
        assert_eq!(answer(""), None);
    }

    #[test]
    fn lost_doubled_and_swapped_lines_are_seen() {
        let file = |lines: &[u32]| lines.iter().map(|n| text_of(*n) + "\n").collect::<String>();
        let all = |lines, again, strange, swapped| Arrived { lines, again, strange, swapped };
        assert_eq!(arrived(&file(&[0, 1, 2])), all(3, 0, 0, false));
        assert_eq!(arrived(&file(&[0, 1, 0, 1, 2])), all(3, 2, 0, false));
        assert_eq!(arrived(&file(&[0, 2, 1])), all(3, 0, 0, true));
        assert_eq!(arrived(&file(&[0, 2])), all(2, 0, 0, true));
        let torn = format!("{}line 1 of{}{}", file(&[0]), file(&[0]), file(&[1]));
        assert_eq!(arrived(&torn), all(2, 0, 1, false));
    }
}
