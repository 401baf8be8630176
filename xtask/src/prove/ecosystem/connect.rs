//! Kafka Connect: a distributed worker with a file source and a file sink, and kill -9 of the broker while lines pass.
//!
//! Lines are appended to a file, the source writes them to a topic, the sink writes that topic to another file. Configurations,
//! offsets and states are in the worker's own topics: at the end the worker is stopped, more lines are appended, and a new worker
//! with nothing but those topics goes on where the first one was.
//!
//! Both connectors are at least once: every line must arrive, and the first arrivals must be in order. A line that comes again is
//! counted; it must not be without a kill or a stop to explain it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, read_to_string, write};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::Process;
use super::{Findings, tools};
use crate::Fault;

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
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut properties = vec![
        format!("bootstrap.servers={bootstrap}"),
        format!("listeners=http://{address}"),
        "group.id=worker".to_owned(),
        "key.converter=org.apache.kafka.connect.storage.StringConverter".to_owned(),
        "value.converter=org.apache.kafka.connect.storage.StringConverter".to_owned(),
        "offset.flush.interval.ms=1000".to_owned(),
        "offset.storage.partitions=5".to_owned(),
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

/// What arrived: how many different lines, how many again, and whether first arrivals were in order.
fn arrived(text: &str) -> (usize, usize, bool) {
    let (mut seen, mut again, mut ordered, mut next) = (BTreeSet::new(), 0, true, 0);
    for line in text.lines() {
        if !seen.insert(line) {
            again += 1;
            continue;
        }
        ordered &= line == text_of(next);
        next += 1;
    }
    (seen.len(), again, ordered)
}

fn text_of(n: u32) -> String {
    format!("line {n} of the file that Connect carries")
}

struct Files {
    source: PathBuf,
    sink: PathBuf,
    written: u32,
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
        let (mut lines, mut again, mut ordered);
        loop {
            // The sink makes its file when it starts.
            (lines, again, ordered) = arrived(&read_to_string(&self.sink).unwrap_or_default());
            if lines >= want || Instant::now() > deadline {
                break;
            }
            sleep(Duration::from_millis(200));
        }
        findings.count(&format!("{when}_lines"), lines);
        findings.count(&format!("{when}_lines_again"), again);
        findings.check(lines == want, || format!("{when}: {lines} lines of {want} arrived"));
        findings.check(ordered, || format!("{when}: the lines are not in order"));
    }
}

pub(super) fn play(findings: &mut Findings) -> Result<(), Fault> {
    let scratch = tools::scratch("connect")?;
    let mut broker = tools::broker("connect")?;
    let bootstrap = broker.bootstrap();
    let mut files =
        Files { source: scratch.join("in.txt"), sink: scratch.join("out.txt"), written: 0 };
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
        assert_eq!(arrived(&file(&[0, 1, 2])), (3, 0, true));
        assert_eq!(arrived(&file(&[0, 1, 0, 1, 2])), (3, 2, true));
        assert_eq!(arrived(&file(&[0, 2, 1])), (3, 0, false));
        assert_eq!(arrived(&file(&[0, 2])), (2, 0, false));
    }
}
