//! Drives kcat, which is a program for people and no library: it writes lines and prints what it reads in a format of our choice.
//!
//! It writes profile `text` of the corpus. It reads everything, because the format tells the lengths before the bytes.

use std::process::Command;
use std::time::Duration;

use corpus::Record;

use super::scenes::Stage;
use crate::program::{self, Outcome};
use crate::tally::Tally;
use crate::{Fault, tree};

const NAME: &str = "kcat";
const LIMIT: Duration = Duration::from_secs(120);
const LIMITS: [&str; 4] =
    ["-X", "message.max.bytes=10000000", "-X", "fetch.message.max.bytes=10000000"];

/// One act of kcat; counts its checks.
pub(crate) fn act(
    tally: &mut Tally,
    stage: &Stage,
    label: &str,
    verb: &str,
    asked: &[String],
) -> Result<(), Fault> {
    let mut check = |name: &str, outcome: Result<(), Fault>| {
        let complaint = outcome.err().map(|fault| fault.to_string());
        tally.check(&format!("{label}: {name}"), complaint.as_deref())
    };
    match verb {
        "admin" => check("list metadata", stage.metadata()),
        "write" => {
            for stream in corpus::STREAMS {
                check(&format!("write {stream}"), stage.write(stream))?;
            }
            check("one byte over max.message.bytes", stage.write_too_big())
        }
        _ => {
            for writer in asked {
                let (writer, streams) = writer.split_once(':').ok_or("want WRITER:STREAM,...")?;
                for stream in streams.split(',') {
                    check(&format!("read {writer} {stream}"), stage.read(writer, stream))?;
                    if stream == "none" {
                        check(&format!("offsets by time {writer}"), stage.by_time(writer))?;
                    }
                }
            }
            Ok(())
        }
    }
}

fn good(outcome: Outcome) -> Result<Vec<u8>, Fault> {
    if outcome.status.success() {
        Ok(outcome.out)
    } else {
        Err(format!("{}\n    {}", outcome.status, outcome.last_words()).into())
    }
}

impl Stage {
    fn kcat(&self, words: &[&str], input: Option<Vec<u8>>) -> Result<Outcome, Fault> {
        let mut command = Command::new("kcat");
        command.args(["-b", &self.bootstrap]).args(words).current_dir(tree::work());
        program::run(&mut command, input, LIMIT)
    }

    fn metadata(&self) -> Result<(), Fault> {
        let out = good(self.kcat(&["-L", "-J"], None)?)?;
        let found: serde_json::Value = serde_json::from_slice(&out)?;
        let brokers =
            found.get("brokers").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
        if brokers == 1 { Ok(()) } else { Err(format!("want 1 broker, got {found}").into()) }
    }

    /// kcat creates topics only by accident, so librdkafka does it.
    fn create(&self, topic: &str, partitions: u32, configs: &[&str]) -> Result<(), Fault> {
        let mut command = Command::new(tree::binary("ringwood-clients-rdkafka"));
        command.args(["create", &self.bootstrap, topic, &partitions.to_string()]).args(configs);
        good(program::run(&mut command, None, LIMIT)?).map(drop)
    }

    fn write(&self, stream: &str) -> Result<(), Fault> {
        let topic = format!("{}-{NAME}-{stream}", self.run);
        let parts = corpus::partitions(stream);
        let limit = format!("max.message.bytes={}", corpus::BIG_BATCH_BYTES);
        let configs =
            if stream == "big" { vec!["retention.ms=-1", &limit] } else { vec!["retention.ms=-1"] };
        self.create(&topic, parts, &configs)?;
        let codec = if corpus::CODECS.contains(&stream) { stream } else { "none" };
        let acks = match stream {
            "acks0" => "acks=0",
            "acks1" => "acks=1",
            _ => "acks=all",
        };
        let idempotent =
            if acks == "acks=all" { "enable.idempotence=true" } else { "enable.idempotence=false" };
        let headers: &[&str] = if stream == "big" { &[] } else { &["-H", "profile=text"] };
        for partition in 0..parts {
            let records = (partition..corpus::records(stream)).step_by(parts as usize);
            let mut lines = Vec::new();
            for i in records {
                line(&mut lines, &corpus::expected(NAME, stream, i, self.base));
            }
            let partition = partition.to_string();
            let words = [
                "-P", "-t", &topic, "-p", &partition, "-K", ":", "-Z", "-z", codec, "-X", acks,
                "-X", idempotent,
            ];
            good(self.kcat(&[&words, headers, &LIMITS].concat(), Some(lines))?)?;
        }
        self.read(NAME, stream)
    }

    fn write_too_big(&self) -> Result<(), Fault> {
        let topic = format!("{}-{NAME}-big", self.run);
        let mut lines = Vec::new();
        line(&mut lines, &corpus::big(NAME, self.base, 1));
        let words = [
            "-P",
            "-t",
            &topic,
            "-p",
            "0",
            "-K",
            ":",
            "-Z",
            "-X",
            "acks=all",
            "-X",
            "enable.idempotence=true",
        ];
        let outcome = self.kcat(&[&words[..], &LIMITS].concat(), Some(lines))?;
        if !outcome.status.success() && outcome.err.contains("Broker: Message size too large") {
            return Ok(());
        }
        Err(format!("want MESSAGE_TOO_LARGE, got {}\n    {}", outcome.status, outcome.last_words())
            .into())
    }

    fn read(&self, writer: &str, stream: &str) -> Result<(), Fault> {
        let topic = format!("{}-{writer}-{stream}", self.run);
        let parts = corpus::partitions(stream);
        for partition in 0..parts {
            let format = "%o %T %K %S\n%k%s\n%h\n";
            let place = partition.to_string();
            let words = [
                "-C",
                "-t",
                &topic,
                "-p",
                &place,
                "-o",
                "beginning",
                "-e",
                "-q",
                "-f",
                format,
                "-X",
                "check.crcs=true",
            ];
            let out = good(self.kcat(&[&words[..], &LIMITS].concat(), None)?)?;
            let mut rest = out.as_slice();
            let records = (partition..corpus::records(stream)).step_by(parts as usize);
            for (next, i) in (0..).zip(records) {
                let want = corpus::expected(writer, stream, i, self.base);
                rest = take(rest, next, &want).map_err(|fault| {
                    format!("partition {partition} offset {next} (record {i}): {fault}")
                })?;
            }
            if !rest.is_empty() {
                return Err(format!(
                    "partition {partition}: {} bytes after the last record",
                    rest.len()
                )
                .into());
            }
        }
        Ok(())
    }

    fn by_time(&self, writer: &str) -> Result<(), Fault> {
        // The timestamps of the text profile are the writer's clock: all lie between BASE and now.
        let asked = if corpus::Profile::of(writer) == corpus::Profile::Text { 1 } else { 4 };
        for partition in 0..3 {
            for (timestamp, want) in corpus::times(partition, self.base).into_iter().take(asked) {
                let topic = format!("{}-{writer}-none", self.run);
                let place = format!("{topic}:{partition}:{timestamp}");
                let out = String::from_utf8(good(self.kcat(&["-Q", "-t", &place], None)?)?)?;
                let line = format!("{topic} [{partition}] offset {want}");
                if out.trim() != line {
                    return Err(format!("want `{line}`, got `{}`", out.trim()).into());
                }
            }
        }
        Ok(())
    }
}

/// What kcat is to read as one record: with `-Z`, empty means null.
fn line(out: &mut Vec<u8>, record: &Record) {
    out.extend(record.key.as_deref().unwrap_or_default());
    out.push(b':');
    out.extend(record.value.as_deref().unwrap_or_default());
    out.push(b'\n');
}

/// Takes one printed record off the front and compares it.
fn take<'a>(out: &'a [u8], offset: u64, want: &Record) -> Result<&'a [u8], Fault> {
    let end = out.iter().position(|byte| *byte == b'\n').ok_or("the output ends")?;
    let (head, rest) = out.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let numbers: Vec<i64> = head.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [got_offset, timestamp, key, value] = numbers.as_slice() else {
        return Err(format!("odd line {head}").into());
    };
    if *got_offset != i64::try_from(offset)? {
        return Err(format!("want offset {offset}, got {got_offset}").into());
    }
    let rest = rest.get(1..).ok_or("the output ends")?;
    let (key, rest) = field(rest, *key)?;
    let (value, rest) = field(rest, *value)?;
    let got = Record { key, value, headers: want.headers.clone(), timestamp: Some(*timestamp) };
    if let Some(complaint) = corpus::difference(want, &got) {
        return Err(complaint.into());
    }
    let mut tail = vec![b'\n'];
    for (n, (name, value)) in want.headers.iter().enumerate() {
        if n > 0 {
            tail.push(b',');
        }
        tail.extend(name.as_bytes());
        tail.push(b'=');
        // kcat prints a header's value as a C string: what follows a zero byte is not shown.
        let value = value.as_deref().unwrap_or(b"NULL");
        tail.extend(value.split(|byte| *byte == 0).next().unwrap_or_default());
    }
    tail.push(b'\n');
    rest.strip_prefix(tail.as_slice()).ok_or_else(|| {
        let got = rest.get(..tail.len().min(rest.len())).unwrap_or_default();
        format!(
            "headers: want {:?}, got {:?}",
            String::from_utf8_lossy(&tail),
            String::from_utf8_lossy(got)
        )
        .into()
    })
}

/// Bytes of this length, null where it is negative, and what follows them.
fn field(out: &[u8], length: i64) -> Result<(Option<Vec<u8>>, &[u8]), Fault> {
    let Ok(length) = usize::try_from(length) else { return Ok((None, out)) };
    let (bytes, rest) = out.split_at_checked(length).ok_or("the output ends")?;
    Ok((Some(bytes.to_vec()), rest))
}
