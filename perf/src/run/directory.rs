//! A run on disk: `run.json`, `response.hgrm`, `service.hgrm`, `e2e.hgrm`, `intervals.hlog`, `timeline.csv`, `broker.json`,
//! `report.html`, and `broker.hlog` where the broker told its own latencies.
//!
//! An INVALID run has no latency in any of them but `intervals.hlog`, which says in its first lines what it is: the evidence of what the
//! generator did. A percentile that the generator may have made is in the `.hgrm` files, among what they call withheld.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Broker, Run, Verdict};
use crate::{
    failure::Failure,
    hgrm,
    hlog::{self, Interval},
    latency::{Kind, Latencies, Told},
    spec::{Quantile, Subject},
};

/// What was measured second by second, beside the run's facts.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The log's start; the intervals count from it.
    pub started: SystemTime,
    /// Latencies second by second, of all repeats.
    pub intervals: Vec<Interval>,
    /// One line a second, header first.
    pub timeline: Vec<String>,
    /// The broker's own interval log of that time, by API and stage, where it serves one.
    pub broker_log: Option<Vec<u8>>,
}

impl Default for Recording {
    fn default() -> Self {
        Self {
            started: SystemTime::UNIX_EPOCH,
            intervals: Vec::new(),
            timeline: Vec::new(),
            broker_log: None,
        }
    }
}

impl Recording {
    /// Everything added up.
    #[must_use]
    pub fn total(&self) -> Latencies {
        let mut total = Latencies::default();
        for interval in &self.intervals {
            total.add_sparse(&interval.latencies);
        }
        total
    }
}

/// The interval log.
const LOG: &str = "intervals.hlog";

/// The other files of a run, that which says what the run was first.
const OTHERS: [&str; 8] = [
    "run.json",
    "broker.json",
    "response.hgrm",
    "service.hgrm",
    "e2e.hgrm",
    "timeline.csv",
    "broker.hlog",
    "report.html",
];

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Names it; nothing is touched yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes every file; those of an earlier run under the same name are replaced.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, run: &Run, recording: &Recording) -> Result<(), Failure> {
        fs::create_dir_all(&self.path).map_err(|e| Failure::file("create", &self.path, &e))?;
        self.json("run.json", run)?;
        self.json("broker.json", &run.broker)?;
        let total = recording.total();
        for kind in [Kind::Response, Kind::Service, Kind::EndToEnd] {
            let mut text = Vec::new();
            if run.verdict.is_invalid() {
                text.extend(format!("#[{}]\n", run.verdict).bytes());
            } else if total.of(kind).count() > 0 {
                hgrm::write_told(&total, kind, &mut text)
                    .map_err(|e| Failure::Local(format!("{}: {e}", kind.name())))?;
            }
            self.file(&format!("{}.hgrm", kind.name()), &text)?;
        }
        self.log_of(run, recording)?;
        let timeline: Vec<String> = match run.verdict.is_invalid() {
            true => recording.timeline.iter().map(|line| without_latencies(line)).collect(),
            false => recording.timeline.clone(),
        };
        self.file("timeline.csv", (timeline.join("\n") + "\n").as_bytes())?;
        match &recording.broker_log {
            Some(log) => self.file("broker.hlog", log)?,
            None => self.forget("broker.hlog")?,
        }
        let page = crate::view::run_page(run, recording);
        self.file("report.html", page.as_bytes())
    }

    /// The whole interval log, in place of the one that grew meanwhile: at no moment there is neither.
    fn log_of(&self, run: &Run, recording: &Recording) -> Result<(), Failure> {
        let mut comments = run.log_head();
        if run.verdict.is_invalid() {
            comments.push(run.verdict.to_string());
        }
        let [path, part] = [LOG, "intervals.hlog.part"].map(|name| self.path.join(name));
        let file = File::create(&part).map_err(|e| Failure::file("create", &part, &e))?;
        let mut out = BufWriter::new(file);
        hlog::write(&mut out, recording.started, &comments, &recording.intervals)
            .map_err(|why| Failure::Local(format!("{}: {why}", part.display())))?;
        out.flush().map_err(|e| Failure::file("write", &part, &e))?;
        fs::rename(&part, &path).map_err(|e| Failure::file("write", &path, &e))
    }

    /// A new interval log, for a run that has begun. What an earlier run has left under the same name goes: beside this log it would be
    /// taken for this run's.
    pub(crate) fn begin_log(&self) -> Result<File, Failure> {
        fs::create_dir_all(&self.path).map_err(|e| Failure::file("create", &self.path, &e))?;
        OTHERS.iter().try_for_each(|name| self.forget(name))?;
        let path = self.path.join(LOG);
        File::create(&path).map_err(|e| Failure::file("create", &path, &e))
    }

    /// The run's facts.
    ///
    /// # Errors
    /// The file is missing or is none of ours.
    pub fn run(&self) -> Result<Run, Failure> {
        let text = self.read("run.json")?;
        serde_json::from_slice(&text)
            .map_err(|e| Failure::Local(format!("{}/run.json: {e}", self.path.display())))
    }

    /// The interval log.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn log(&self) -> Result<hlog::Log, Failure> {
        hlog::parse(&self.read(LOG)?)
            .map_err(|e| Failure::Local(format!("{}/intervals.hlog: {e}", self.path.display())))
    }

    /// The interval log added up.
    pub(crate) fn total(&self) -> Result<Latencies, Failure> {
        self.log().map(|log| together(&log))
    }

    /// The broker's facts.
    ///
    /// # Errors
    /// The file is missing or is none of ours.
    pub fn broker(&self) -> Result<Broker, Failure> {
        serde_json::from_slice(&self.read("broker.json")?)
            .map_err(|e| Failure::Local(format!("{}/broker.json: {e}", self.path.display())))
    }

    /// The lines of the timeline, header first.
    ///
    /// # Errors
    /// The file is missing.
    pub fn timeline(&self) -> Result<Vec<String>, Failure> {
        let text = String::from_utf8_lossy(&self.read("timeline.csv")?).into_owned();
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn json(&self, name: &str, value: &impl serde::Serialize) -> Result<(), Failure> {
        let text =
            serde_json::to_vec_pretty(value).map_err(|e| Failure::Local(format!("{name}: {e}")))?;
        self.file(name, &text)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(name);
        fs::write(&path, bytes).map_err(|e| Failure::file("write", &path, &e))
    }

    /// Removes what an earlier run of the name has left.
    fn forget(&self, name: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::file("remove", &path, &e))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let path = self.path.join(name);
        fs::read(&path).map_err(|e| Failure::file("read", &path, &e))
    }
}

/// The columns of the timeline that are latencies of the load: its header names them.
const LATENCY_COLUMNS: std::ops::RangeInclusive<usize> = 4..=8;

/// A line of the timeline without its latencies: they are the generator's.
fn without_latencies(line: &str) -> String {
    let columns = line.split(',').enumerate();
    let kept = columns.filter(|(number, _)| !LATENCY_COLUMNS.contains(number));
    kept.map(|(_, column)| column).collect::<Vec<_>>().join(",")
}

/// What a log or a percentile text says of itself among its comments: that its numbers are the generator's.
fn invalidity(text: &[u8]) -> Option<String> {
    text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"#")).find_map(|line| {
        let line = String::from_utf8_lossy(line);
        let said = line.trim_start_matches(['#', '[']).trim_end_matches(']');
        said.strip_prefix("INVALID(generator): ").map(str::to_owned)
    })
}

/// Which distribution is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) kind: Kind,
    /// One of a broker's own log, by API and stage, instead.
    pub(crate) tag: Option<&'a str>,
}

/// A distribution to compare, from wherever it comes: a run directory, an interval log, or a percentile text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// The metric's distribution as points.
    pub(crate) curve: hgrm::Curve,
    /// Which of the distributions is the metric.
    kind: Option<Kind>,
    /// All distributions in full, where the source has them: the metric's alone does not say what the generator did to it.
    total: Option<Latencies>,
    /// The same for each repeat.
    repeats: Vec<Latencies>,
    /// Acknowledged records a second of each repeat, and bytes.
    pub(crate) rates: Vec<f64>,
    pub(crate) byte_rates: Vec<f64>,
    pub(crate) run: Option<Run>,
    /// Why its numbers are the generator's own, where they are.
    pub(crate) invalid: Option<String>,
}

impl Measured {
    /// Reads a run directory, a `.hlog` or a `.hgrm`.
    pub(crate) fn load(path: &Path, wanted: Wanted<'_>) -> Result<Self, Failure> {
        let name = path
            .file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let extension = path.extension().and_then(|e| e.to_str());
        if let Some(tag) = wanted.tag {
            return Self::of_broker(name, path, tag);
        }
        let kind = wanted.kind;
        if path.is_dir() {
            return Self::of_directory(name, &Directory::at(path), kind);
        }
        let bytes = fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
        let wrong = |e: String| Failure::Local(format!("{}: {e}", path.display()));
        let invalid = invalidity(&bytes);
        if extension == Some("hlog") {
            let log = hlog::parse(&bytes).map_err(wrong)?;
            return Ok(Self { invalid, ..Self::of_latencies(name, kind, together(&log)) });
        }
        if invalid.is_some() {
            return Ok(Self { name, invalid, ..Self::default() });
        }
        let curve = hgrm::parse(&String::from_utf8_lossy(&bytes)).map_err(wrong)?;
        Ok(Self { name, curve, ..Self::default() })
    }

    /// Repeats with these rates and no latencies.
    #[cfg(test)]
    pub(crate) fn of_rates(rates: &[f64]) -> Self {
        Self { kind: Some(Kind::Response), rates: rates.to_vec(), ..Self::default() }
    }

    /// One tag of a broker's own log: a file, or that of a run directory. It is the broker's whatever the generator did.
    fn of_broker(name: String, path: &Path, tag: &str) -> Result<Self, Failure> {
        let file = if path.is_dir() { path.join("broker.hlog") } else { path.to_path_buf() };
        let bytes = fs::read(&file).map_err(|e| match path.is_dir() {
            true => Failure::Local(format!(
                "{}: {e}; a run has it where --admin named the broker's metrics",
                file.display()
            )),
            false => Failure::file("read", &file, &e),
        })?;
        let latency = hlog::of_tag(&bytes, tag)
            .map_err(|e| Failure::Local(format!("{}: {e}", file.display())))?;
        let mut total = Latencies::default();
        // No lateness of a generator is in it, as there is none in `service`.
        total.of_mut(Kind::Service).add(&latency);
        Ok(Self::of_latencies(name, Kind::Service, total))
    }

    pub(crate) fn of_latencies(name: String, kind: Kind, total: Latencies) -> Self {
        let curve = hgrm::Curve::told(&total, kind);
        Self { name, curve, kind: Some(kind), total: Some(total), ..Self::default() }
    }

    fn of_directory(name: String, directory: &Directory, kind: Kind) -> Result<Self, Failure> {
        let run = directory.run()?;
        let log = directory.log()?;
        let mut repeats: Vec<Latencies> = vec![Latencies::default(); run.repeats.len()];
        for (of, start, _, latency) in &log.lines {
            if let Some(latencies) = home(&run, *start).and_then(|home| repeats.get_mut(home)) {
                latencies.of_mut(*of).add_sparse(latency);
            }
        }
        let of_stages = |of: fn(&super::Stage) -> f64| -> Vec<f64> {
            run.repeats
                .iter()
                .map(|repeat| {
                    let seconds: f64 = repeat.stages.iter().map(|s| s.seconds).sum();
                    let amount: f64 = repeat.stages.iter().map(|s| of(s) * s.seconds).sum();
                    if seconds > 0.0 { amount / seconds } else { 0.0 }
                })
                .collect()
        };
        let (rates, byte_rates) =
            (of_stages(super::Stage::rate), of_stages(super::Stage::bytes_rate));
        let whole = Self::of_latencies(name, kind, together(&log));
        let invalid = match &run.verdict {
            Verdict::Invalid(why) => Some(why.clone()),
            Verdict::Valid | Verdict::Saturated(_) => None,
        };
        Ok(Self { repeats, rates, byte_rates, run: Some(run), invalid, ..whole })
    }

    /// What the run was found to be: its numbers are the generator's own.
    pub(crate) fn is_invalid(&self) -> bool {
        self.invalid.is_some()
    }

    /// The value at this quantile in nanoseconds; `None` where the sample cannot carry it or the generator may have made it.
    pub(crate) fn at(&self, quantile: Quantile) -> Option<f64> {
        match self.distributions() {
            _ if self.is_invalid() => None,
            Some((kind, total)) => total.at(kind, quantile).map(|nanos| nanos as f64),
            None if self.curve.count < quantile.samples_needed() => None,
            None if self.curve.is_withheld(quantile.fraction()) => None,
            None => self.curve.at(quantile.fraction()),
        }
    }

    /// Whether there is no value at this quantile because the generator may have made it.
    pub(crate) fn is_moved(&self, subject: Subject) -> bool {
        match (subject, self.distributions()) {
            (Subject::Rate, _) => false,
            _ if self.is_invalid() => true,
            (Subject::Latency(quantile), Some((kind, total))) => {
                total.told(kind, quantile) == Told::Moved
            }
            (Subject::Mean, Some((kind, total))) => {
                total.of(kind).count() > 0 && total.mean(kind).is_none()
            }
            (Subject::Latency(quantile), None) => {
                self.curve.count >= quantile.samples_needed()
                    && self.curve.is_withheld(quantile.fraction())
            }
            (Subject::Mean, None) => false,
        }
    }

    fn distributions(&self) -> Option<(Kind, &Latencies)> {
        self.kind.zip(self.total.as_ref())
    }

    /// What a subject comes to over the whole run; of an invalid one nothing.
    pub(crate) fn value(&self, subject: Subject) -> Option<f64> {
        match subject {
            Subject::Latency(quantile) => self.at(quantile),
            _ if self.is_invalid() => None,
            Subject::Mean => self.distributions().and_then(|(kind, total)| total.mean(kind)),
            Subject::Rate => mean(&self.rates),
        }
    }

    /// The same of each repeat that carries it.
    pub(crate) fn samples(&self, subject: Subject) -> Vec<f64> {
        let Some(kind) = self.kind else { return Vec::new() };
        let nanos = |latencies: &Latencies| match subject {
            Subject::Latency(quantile) => latencies.at(kind, quantile).map(|nanos| nanos as f64),
            Subject::Mean | Subject::Rate => latencies.mean(kind),
        };
        match subject {
            _ if self.is_invalid() => Vec::new(),
            Subject::Rate => self.rates.clone(),
            Subject::Latency(_) | Subject::Mean => self.repeats.iter().filter_map(nanos).collect(),
        }
    }

    /// Smallest and largest value over the repeats; `None` where there are fewer than two.
    pub(crate) fn spread(&self, subject: Subject) -> Option<(f64, f64)> {
        spread(&self.samples(subject))
    }

    /// Acknowledged bytes a second, mean of the repeats.
    pub(crate) fn byte_rate(&self) -> Option<f64> {
        mean(&self.byte_rates)
    }
}

/// The whole log, kind by kind.
fn together(log: &hlog::Log) -> Latencies {
    let mut all = Latencies::default();
    for (kind, _, _, latency) in &log.lines {
        all.of_mut(*kind).add_sparse(latency);
    }
    all
}

/// Which repeat an interval that began then belongs to: the last that had begun. An interval after a repeat's window holds what was
/// acknowledged late, and may reach into the next one's window: where they end does not part them.
fn home(run: &Run, start: f64) -> Option<usize> {
    // A millisecond of slack: the log keeps three digits of a second.
    run.repeats.iter().rposition(|repeat| start >= repeat.from_seconds - 0.001)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn spread(values: &[f64]) -> Option<(f64, f64)> {
    (values.len() >= 2).then(|| {
        values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Repeat;

    #[test]
    fn a_second_belongs_to_the_repeat_that_it_began_in() {
        // Each repeat has a second of late acknowledgements after its window, and the second begins within the first's.
        let repeat = |from_seconds: f64| Repeat {
            from_seconds,
            to_seconds: from_seconds + 2.0,
            ..Repeat::default()
        };
        let run = Run { repeats: vec![repeat(0.3), repeat(1.7)], ..Run::default() };
        let intervals = [(0.3, 100), (1.3, 1), (1.7, 200), (2.7, 2)].map(|(start, count)| {
            let mut latencies = Latencies::default();
            latencies.of_mut(Kind::Response).record_n(1_000_000, count);
            let length = std::time::Duration::from_secs(1);
            let start = std::time::Duration::from_secs_f64(start);
            Interval { start, length, latencies: (&latencies).into() }
        });
        let recording = Recording { intervals: intervals.into(), ..Recording::default() };
        let path = std::env::temp_dir().join(format!("ringwood-repeats-{}", std::process::id()));
        Directory::at(&path).save(&run, &recording).unwrap();
        let wanted = Wanted { kind: Kind::Response, tag: None };
        let measured = Measured::load(&path, wanted).unwrap();
        fs::remove_dir_all(&path).unwrap();
        let counts: Vec<u64> =
            measured.repeats.iter().map(|repeat| repeat.of(Kind::Response).count()).collect();
        assert_eq!(counts, [101, 202]);
    }

    #[test]
    fn an_invalid_run_has_its_latencies_in_one_file_that_says_so() {
        let mut latencies = Latencies::default();
        latencies.of_mut(Kind::Response).record_n(1_234_567, 10_000);
        let length = std::time::Duration::from_secs(1);
        let latencies = (&latencies).into();
        let interval = Interval { start: std::time::Duration::ZERO, length, latencies };
        let line = "1,1000,1.5,900,11.1,12.2,13.3,14.4,15.5,0,3,0.0,99.9";
        let recording = Recording {
            intervals: vec![interval],
            timeline: vec![crate::load::TIMELINE.to_owned(), line.to_owned()],
            ..Recording::default()
        };
        let verdict = Verdict::Invalid("late".into());
        let run = Run { verdict, repeats: vec![Repeat::default()], ..Run::default() };
        let path = std::env::temp_dir().join(format!("ringwood-invalid-{}", std::process::id()));
        let directory = Directory::at(&path);
        directory.save(&run, &recording).unwrap();
        let timeline = directory.timeline().unwrap();
        assert_eq!(timeline[1], "1,1000,1.5,900,0,3,0.0,99.9");
        let header = "second,acknowledged_per_s,mib_per_s,received_per_s,failed,in_flight,behind_ms,generator_lag_p99_ms";
        assert_eq!(timeline[0], header);
        let text = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        assert_eq!(text("response.hgrm"), "#[INVALID(generator): late]\n");
        assert!(text("intervals.hlog").lines().any(|l| l == "#INVALID(generator): late"));
        let page = text("report.html");
        assert!(!page.contains("Latency by percentile") && !page.contains("over time"), "{page}");
        assert!(!page.contains("1.23"), "{page}");
        // Nor are they to be had through the files one by one.
        for name in ["", "intervals.hlog", "response.hgrm"] {
            let wanted = Wanted { kind: Kind::Response, tag: None };
            let measured = Measured::load(&path.join(name), wanted).unwrap();
            assert_eq!(measured.invalid.as_deref(), Some("late"), "{name}");
            assert_eq!(measured.value(Subject::Latency(Quantile::MAX)), None, "{name}");
        }
        fs::remove_dir_all(&path).unwrap();
    }
}
