//! `.hlog`: one line per second and kind, in the interval log format of HdrHistogram (V2, compressed, base64).
//!
//! The tag of a line is the kind (`response`, `service`, `delay`, `e2e`, `lag`, `prompt`), so that one file holds them all and the public
//! tools split them. The log is also what `compare` and `show` read: adding its lines gives back the whole run.

use std::{
    collections::BTreeMap,
    io::Write,
    time::{Duration, SystemTime},
};

use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer, V2DeflateSerializer,
        interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag},
    },
};

use crate::latency::{Kind, Latencies, Latency};

/// The latencies that were completed in one interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Since the log's start time.
    pub start: Duration,
    /// How long the interval lasted.
    pub length: Duration,
    /// What was recorded in it.
    pub latencies: Latencies,
}

/// Writes a whole log: header, then a line for each interval and kind that has records.
///
/// # Errors
/// What the writer answers, as text.
pub fn write(
    out: &mut impl Write,
    started: SystemTime,
    comments: &[String],
    intervals: impl IntoIterator<Item = Interval>,
) -> Result<(), String> {
    let mut serializer = V2DeflateSerializer::new();
    let builder = head(started, comments);
    let mut log = builder.begin_log_with(out, &mut serializer).map_err(|e| e.to_string())?;
    for interval in intervals {
        for kind in Kind::ALL {
            let latency = interval.latencies.of(kind);
            if latency.count() == 0 {
                continue;
            }
            log.write_histogram(
                latency.histogram(),
                interval.start,
                interval.length,
                Tag::new(kind.name()),
            )
            .map_err(|e| format!("interval log: {e:?}"))?;
        }
    }
    Ok(())
}

fn head(started: SystemTime, comments: &[String]) -> IntervalLogWriterBuilder {
    let mut builder = IntervalLogWriterBuilder::new();
    for comment in comments {
        builder.add_comment(comment);
    }
    // Base time is the start: the time stamps of the lines are seconds since it, as the public readers expect.
    builder.with_start_time(started).with_base_time(started).with_max_value_divisor(1e6);
    builder
}

/// One line to be written, of whatever its tag says.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Without commas and spaces.
    pub tag: String,
    /// Since the log's start time.
    pub start: Duration,
    /// How long the interval lasted.
    pub length: Duration,
    /// Values in nanoseconds, and how often each was met.
    pub counts: Vec<(u64, u64)>,
}

/// Writes a whole log of what somebody else has counted.
///
/// # Errors
/// What the writer answers, as text.
pub fn write_counted(
    out: &mut impl Write,
    started: SystemTime,
    comments: &[String],
    lines: impl IntoIterator<Item = Counted>,
) -> Result<(), String> {
    let mut serializer = V2DeflateSerializer::new();
    let builder = head(started, comments);
    let mut log = builder.begin_log_with(out, &mut serializer).map_err(|e| e.to_string())?;
    let mut latency = Latency::new();
    for line in lines {
        latency.reset();
        for (value, count) in line.counts {
            latency.record_n(value, count);
        }
        let tag = Tag::new(&line.tag).ok_or_else(|| format!("`{}` cannot be a tag", line.tag))?;
        log.write_histogram(latency.histogram(), line.start, line.length, Some(tag))
            .map_err(|e| format!("interval log: {e:?}"))?;
    }
    Ok(())
}

/// One line of a log, read back.
#[derive(Clone, Debug)]
pub struct Line {
    /// Empty where there is none.
    pub tag: String,
    /// Seconds since the log's start, as the file says.
    pub start: f64,
    /// Seconds.
    pub length: f64,
    /// What was recorded, values taken as nanoseconds.
    pub latency: Latency,
}

/// Reads a log of any tags, lines in the order of the file.
///
/// # Errors
/// A sentence that says what is not as the format has it.
pub fn parse_tagged(text: &[u8]) -> Result<Vec<Line>, String> {
    let mut deserializer = Deserializer::new();
    let mut lines = Vec::new();
    for entry in IntervalLogIterator::new(text) {
        let LogEntry::Interval(line) = entry.map_err(|e| format!("not an interval log: {e:?}"))?
        else {
            continue;
        };
        let bytes = base64(line.encoded_histogram())?;
        let histogram: Histogram<u64> = deserializer
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| format!("a histogram of the log: {e:?}"))?;
        lines.push(Line {
            tag: line.tag().map_or_else(String::new, |tag| tag.as_str().to_owned()),
            start: line.start_timestamp().as_secs_f64(),
            length: line.duration().as_secs_f64(),
            latency: Latency::from_histogram(&histogram),
        });
    }
    if lines.is_empty() {
        return Err("the log has no intervals".into());
    }
    Ok(lines)
}

/// A log, read back.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Kind, start in seconds, length in seconds, latencies; in the order of the file. A line without a tag, or with one that is
    /// not ours, counts as `response`.
    pub lines: Vec<(Kind, f64, f64, Latency)>,
}

impl Log {
    /// The whole log added up, by kind.
    #[must_use]
    pub fn total(&self) -> BTreeMap<Kind, Latency> {
        let mut total: BTreeMap<Kind, Latency> = BTreeMap::new();
        for (kind, _, _, latency) in &self.lines {
            total.entry(*kind).or_default().add(latency);
        }
        total
    }
}

/// Reads a log. Values are taken as nanoseconds.
///
/// # Errors
/// A sentence that says what is not as the format has it.
pub fn parse(text: &[u8]) -> Result<Log, String> {
    let lines = parse_tagged(text)?.into_iter().map(|line| {
        let kind = Kind::named(&line.tag).unwrap_or(Kind::Response);
        (kind, line.start, line.length, line.latency)
    });
    Ok(Log { lines: lines.collect() })
}

/// Decodes base64 with its standard alphabet (RFC 4648, section 4).
fn base64(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err("a histogram of the log is not base64".into()),
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(second: u64, value: u64, count: u64) -> Interval {
        let mut latencies = Latencies::default();
        latencies.of_mut(Kind::Response).record_n(value, count);
        latencies.of_mut(Kind::EndToEnd).record_n(value * 2, count);
        Interval { start: Duration::from_secs(second), length: Duration::from_secs(1), latencies }
    }

    #[test]
    fn the_lines_add_up_to_the_run() {
        let mut text = Vec::new();
        let intervals = [interval(0, 1_000_000, 10), interval(1, 5_000_000, 30)];
        write(&mut text, SystemTime::UNIX_EPOCH, &["a run".into()], intervals).unwrap();
        let shown = String::from_utf8(text.clone()).unwrap();
        assert!(shown.contains("Tag=response,"), "{shown}");
        let log = parse(&text).unwrap();
        assert_eq!(log.lines.len(), 4);
        let total = log.total();
        assert_eq!(total[&Kind::Response].count(), 40);
        assert_eq!(total[&Kind::EndToEnd].count(), 40);
        assert!(!total.contains_key(&Kind::Service));
    }

    #[test]
    fn what_is_no_log_is_refused() {
        assert!(parse(b"").is_err());
        assert!(parse(b"hello,world\n").is_err());
        assert!(base64("@@@@").is_err());
    }
}
