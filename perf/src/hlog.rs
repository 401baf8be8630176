//! `.hlog`: one line per second and kind, in the interval log format of HdrHistogram (V2, compressed, base64).
//!
//! The tag of a line is the kind (`response`, `service`, `delay`, `e2e`, `lag`, `prompt`), so that one file holds them all and the public
//! tools split them. The log is also what `compare` and `show` read: adding its lines gives back the whole run. A log of other tags
//! (a broker's, by API and stage) is read one tag at a time: added up, they would be a distribution of nothing.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
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

use crate::latency::{Kind, Latency, SparseLatencies, SparseLatency};

/// The latencies that were completed in one interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Since the log's start time.
    pub start: Duration,
    /// How long the interval lasted.
    pub length: Duration,
    /// What was recorded in it.
    pub latencies: SparseLatencies,
}

/// Writes a whole log: header, then a line for each interval and kind that has records.
///
/// # Errors
/// What the writer answers, as text.
pub fn write(
    out: &mut impl Write,
    started: SystemTime,
    comments: &[String],
    intervals: impl IntoIterator<Item = impl Borrow<Interval>>,
) -> Result<(), String> {
    let mut log = Writer::begin(out, started, comments)?;
    for interval in intervals {
        log.add(interval.borrow())?;
    }
    Ok(())
}

/// A log that is written while what it tells of goes on. Each interval is handed over whole: where the writer ends, so does the log,
/// behind the last of them.
pub struct Writer<W> {
    out: W,
    serializer: V2DeflateSerializer,
    lines: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins it with its header.
    ///
    /// # Errors
    /// What the writer answers, as text.
    pub fn begin(mut out: W, started: SystemTime, comments: &[String]) -> Result<Self, String> {
        let mut serializer = V2DeflateSerializer::new();
        let mut lines = Vec::new();
        let begun = head(started, comments).begin_log_with(&mut lines, &mut serializer);
        begun.map(drop).map_err(|e| e.to_string())?;
        out.write_all(&lines).map_err(|e| e.to_string())?;
        Ok(Self { out, serializer, lines })
    }

    /// Writes a line for each kind that has records.
    ///
    /// # Errors
    /// What the writer answers, as text.
    pub fn add(&mut self, interval: &Interval) -> Result<(), String> {
        self.encode(interval)?;
        // Its header has told the scale already.
        let told = self.lines.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = self.lines.get(told..).unwrap_or_default();
        self.out.write_all(lines).map_err(|e| e.to_string())
    }

    /// The lines of an interval, behind a header of one line.
    fn encode(&mut self, interval: &Interval) -> Result<(), String> {
        self.lines.clear();
        let mut log = scaled(IntervalLogWriterBuilder::new())
            .begin_log_with(&mut self.lines, &mut self.serializer)
            .map_err(|e| e.to_string())?;
        for kind in Kind::ALL {
            let latency = interval.latencies.of(kind);
            if latency.count() == 0 {
                continue;
            }
            log.write_histogram(
                latency.dense().histogram(),
                interval.start,
                interval.length,
                Tag::new(kind.name()),
            )
            .map_err(|e| format!("interval log: {e:?}"))?;
        }
        Ok(())
    }
}

fn head(started: SystemTime, comments: &[String]) -> IntervalLogWriterBuilder {
    let mut builder = scaled(IntervalLogWriterBuilder::new());
    for comment in comments {
        builder.add_comment(comment);
    }
    // Base time is the start: the time stamps of the lines are seconds since it, as the public readers expect.
    builder.with_start_time(started).with_base_time(started);
    builder
}

/// The highest value of a line is told in milliseconds.
fn scaled(mut builder: IntervalLogWriterBuilder) -> IntervalLogWriterBuilder {
    builder.with_max_value_divisor(1e6);
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

/// When a log begins, if it says so.
#[must_use]
pub fn begins(text: &[u8]) -> Option<SystemTime> {
    IntervalLogIterator::new(text).find_map(|entry| {
        let Ok(LogEntry::StartTime(since_epoch)) = entry else { return None };
        SystemTime::UNIX_EPOCH.checked_add(since_epoch)
    })
}

/// The clocks of two machines may be so far apart.
const CLOCKS: Duration = Duration::from_secs(5);

/// How much of a broker's log is missing at its beginning, of a run that began at `started`: a broker keeps the last hour at most, and of
/// very busy seconds less. `None`: nothing is, as far as the clocks can tell.
#[must_use]
pub fn missing(text: &[u8], started: SystemTime) -> Option<Duration> {
    begins(text)?.duration_since(started).ok().filter(|late| *late > CLOCKS)
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
    pub latency: SparseLatency,
}

/// Reads a log of any tags, lines in the order of the file.
///
/// # Errors
/// A sentence that says what is not as the format has it.
pub fn parse_tagged(text: &[u8]) -> Result<Vec<Line>, String> {
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (whole, last) = text.split_at(end);
    let mut lines = whole_lines(whole)?;
    // The log of a run that was killed may end within a line, which then says nothing.
    let last = [last, b"\n".as_slice()].concat();
    lines.extend(whole_lines(&last).unwrap_or_default());
    if lines.is_empty() {
        return Err("the log has no intervals".into());
    }
    Ok(lines)
}

fn whole_lines(text: &[u8]) -> Result<Vec<Line>, String> {
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
            latency: SparseLatency::from(&Latency::from_histogram(&histogram)),
        });
    }
    Ok(lines)
}

/// A log, read back.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Kind, start in seconds, length in seconds, latencies; in the order of the file. A line without a tag counts as `response`.
    pub lines: Vec<(Kind, f64, f64, SparseLatency)>,
}

impl Log {
    /// The whole log added up, by kind.
    #[must_use]
    pub fn total(&self) -> BTreeMap<Kind, Latency> {
        let mut total: BTreeMap<Kind, Latency> = BTreeMap::new();
        for (kind, _, _, latency) in &self.lines {
            total.entry(*kind).or_default().add_sparse(latency);
        }
        total
    }
}

/// Reads a log of our kinds, or of none. Values are taken as nanoseconds.
///
/// # Errors
/// A sentence that says what is not as the format has it, or which tags are no kinds of latency.
pub fn parse(text: &[u8]) -> Result<Log, String> {
    let (mut log, mut foreign) = (Log::default(), BTreeSet::new());
    for line in parse_tagged(text)? {
        let kind = if line.tag.is_empty() { Some(Kind::Response) } else { Kind::named(&line.tag) };
        match kind {
            Some(kind) => log.lines.push((kind, line.start, line.length, line.latency)),
            None => _ = foreign.insert(line.tag),
        }
    }
    if foreign.is_empty() {
        Ok(log)
    } else {
        Err(format!("its tags are no kinds of latency, name one with --tag: {}", listed(&foreign)))
    }
}

/// What the lines of one tag come to.
///
/// # Errors
/// A sentence that says what is not as the format has it, or which tags there are where this one is not.
pub fn of_tag(text: &[u8], tag: &str) -> Result<Latency, String> {
    let (mut found, mut total, mut others) = (false, Latency::new(), BTreeSet::new());
    for line in parse_tagged(text)? {
        if line.tag == tag {
            found = true;
            total.add_sparse(&line.latency);
        } else {
            others.insert(line.tag);
        }
    }
    if found { Ok(total) } else { Err(format!("no tag `{tag}`, but {}", listed(&others))) }
}

/// So many tags are named before the rest is counted.
const TAGS_NAMED: usize = 12;

fn listed(tags: &BTreeSet<String>) -> String {
    let name = |tag: &String| if tag.is_empty() { "lines without one".into() } else { tag.clone() };
    let mut names: Vec<String> = tags.iter().take(TAGS_NAMED).map(name).collect();
    if tags.len() > TAGS_NAMED {
        names.push(format!("and {} more", tags.len() - TAGS_NAMED));
    }
    names.join(", ")
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
    use crate::latency::Latencies;

    fn interval(second: u64, value: u64, count: u64) -> Interval {
        let mut latencies = Latencies::default();
        latencies.of_mut(Kind::Response).record_n(value, count);
        latencies.of_mut(Kind::EndToEnd).record_n(value * 2, count);
        Interval {
            start: Duration::from_secs(second),
            length: Duration::from_secs(1),
            latencies: SparseLatencies::from(&latencies),
        }
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
    fn a_log_is_whole_after_every_interval_and_may_end_within_a_line() {
        let (mut whole, started) = (Vec::new(), SystemTime::UNIX_EPOCH);
        let intervals = [interval(0, 1_000_000, 10), interval(1, 5_000_000, 30)];
        write(&mut whole, started, &[], &intervals).unwrap();
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for count in 0..=intervals.len() {
            text.clear();
            {
                let mut log = Writer::begin(&mut text, started, &[]).unwrap();
                intervals[..count].iter().for_each(|interval| log.add(interval).unwrap());
            }
            assert!(whole.starts_with(&text), "{}", String::from_utf8_lossy(&text));
            ends.push(text.len());
        }
        assert_eq!(text, whole);
        let told = |end: usize| {
            let log = parse(&whole[..end]).unwrap();
            log.total().get(&Kind::Response).map_or(0, Latency::count)
        };
        assert_eq!((told(ends[1]), told(ends[2])), (10, 40));
        // Within the first line of the second interval, and of all but the end of the last one.
        for end in [ends[1] + 1, ends[1] + 40] {
            assert_eq!(told(end), 10, "{end}");
        }
        assert_eq!(told(ends[2] - 1), 40);
    }

    #[test]
    fn tags_that_are_no_kinds_are_read_one_at_a_time() {
        let mut text = Vec::new();
        let line = |tag: &str, value, count| Counted {
            tag: tag.into(),
            start: Duration::ZERO,
            length: Duration::from_secs(1),
            counts: vec![(value, count)],
        };
        let lines = [line("Produce.total", 9_000, 5), line("Fetch.read", 1_000, 7)];
        let lines = lines.into_iter().chain([line("Produce.total", 8_000, 2)]);
        write_counted(&mut text, SystemTime::UNIX_EPOCH, &[], lines).unwrap();
        // All together they would be twelve requests of nothing.
        let refused = parse(&text).unwrap_err();
        assert_eq!(
            refused,
            "its tags are no kinds of latency, name one with --tag: Fetch.read, Produce.total"
        );
        assert_eq!(of_tag(&text, "Produce.total").map(|found| found.count()), Ok(7));
        let missing = of_tag(&text, "Produce.flush").unwrap_err();
        assert_eq!(missing, "no tag `Produce.flush`, but Fetch.read, Produce.total");
    }

    #[test]
    fn a_log_that_begins_after_the_run_says_how_much_is_missing() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let line = Counted {
            tag: "Produce.total".into(),
            start: Duration::ZERO,
            length: Duration::from_secs(1),
            counts: vec![(9_000, 5)],
        };
        let mut text = Vec::new();
        write_counted(&mut text, at(1_700_003_600), &["a broker".into()], [line]).unwrap();
        assert_eq!(begins(&text), Some(at(1_700_003_600)));
        assert_eq!(missing(&text, at(1_700_000_000)), Some(Duration::from_secs(3_600)));
        assert_eq!(missing(&text, at(1_700_003_597)), None, "clocks");
        assert_eq!(missing(&text, at(1_700_004_000)), None, "it reaches further back");
        assert_eq!(missing(b"#[nothing]\n", at(0)), None);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        assert!(parse(b"").is_err());
        assert!(parse(b"hello,world\n").is_err());
        assert!(base64("@@@@").is_err());
    }
}
