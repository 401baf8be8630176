//! The interval log of a run under way. Each second is in it as soon as it is over: a run that is killed has told of all the others.

use std::{fs::File, time::SystemTime};

use super::Directory;
use crate::{
    failure::Failure,
    hlog::{Interval, Writer},
    terminal,
};

/// Among the first lines of a log that was not written by a run that ended: nobody has judged what is in it.
const UNFINISHED: &str = "unfinished: the run that wrote this had not ended";

/// Where the seconds of a run go until it is kept as a whole.
pub(crate) struct Growing {
    directory: Directory,
    started: SystemTime,
    comments: Vec<String>,
    /// Nothing is touched before there is a second to write.
    log: Option<Writer<File>>,
    has_failed: bool,
}

impl Growing {
    /// In this directory, of a log that begins then.
    pub(crate) fn new(
        directory: Directory,
        started: SystemTime,
        mut comments: Vec<String>,
    ) -> Self {
        comments.push(UNFINISHED.to_owned());
        Self { directory, started, comments, log: None, has_failed: false }
    }

    /// Writes a second that is over.
    pub(crate) fn add(&mut self, interval: &Interval) {
        if self.has_failed {
            return;
        }
        if let Err(failure) = self.attempt(interval) {
            // The run is not lost for this: what it has is written at its end as well.
            terminal::note(&failure.to_string());
            (self.log, self.has_failed) = (None, true);
        }
    }

    fn attempt(&mut self, interval: &Interval) -> Result<(), Failure> {
        let place = self.directory.path().display().to_string();
        let wrong = |why: String| Failure::Local(format!("{place}/intervals.hlog: {why}"));
        if self.log.is_none() {
            let file = self.directory.begin_log()?;
            let log = Writer::begin(file, self.started, &self.comments).map_err(wrong)?;
            self.log = Some(log);
        }
        match &mut self.log {
            Some(log) => log.add(interval).map_err(wrong),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::{
        latency::{Kind, Latencies},
        run::{Recording, Run},
    };

    #[test]
    fn a_run_that_is_killed_has_told_of_its_finished_seconds() {
        let path = std::env::temp_dir().join(format!("ringwood-growing-{}", std::process::id()));
        let directory = Directory::at(&path);
        let mut latencies = Latencies::default();
        latencies.of_mut(Kind::Response).record_n(1_000_000, 40);
        let interval = |second| Interval {
            start: Duration::from_secs(second),
            length: Duration::from_secs(1),
            latencies: (&latencies).into(),
        };
        let earlier = Recording { intervals: vec![interval(0)], ..Recording::default() };
        directory.save(&Run::default(), &earlier).unwrap();
        let head = vec!["a run".to_owned()];
        let mut growing = Growing::new(directory.clone(), SystemTime::UNIX_EPOCH, head);
        assert!(directory.run().is_ok(), "what there was stays until there is something else");
        let mut recording = Recording::default();
        for second in 0..3_u32 {
            growing.add(&interval(u64::from(second)));
            recording.intervals.push(interval(u64::from(second)));
            // As a reader finds it now, whatever becomes of the writer.
            let lines = directory.log().unwrap().lines;
            let starts: Vec<f64> = lines.iter().map(|(_, start, ..)| *start).collect();
            assert_eq!(starts, (0..=second).map(f64::from).collect::<Vec<_>>());
            assert!(directory.run().is_err(), "it would be another run's");
        }
        let text = || fs::read_to_string(path.join("intervals.hlog")).unwrap();
        assert!(text().contains("\n#unfinished: "), "{}", text());
        let lines = |text: &str| text.lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(lines(&text()), 3);
        directory.save(&Run::default(), &recording).unwrap();
        assert!(!text().contains("unfinished") && lines(&text()) == 3, "{}", text());
        assert!(directory.run().is_ok());
        let mut names: Vec<_> = fs::read_dir(&path).unwrap().flatten().collect();
        names.retain(|entry| entry.file_name().to_string_lossy().ends_with(".part"));
        assert!(names.is_empty(), "{names:?}");
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_written_ends_no_run() {
        let path = std::env::temp_dir().join(format!("ringwood-no-log-{}", std::process::id()));
        fs::write(&path, "a file where the directory would be").unwrap();
        let directory = Directory::at(&path);
        let mut growing = Growing::new(directory, SystemTime::UNIX_EPOCH, Vec::new());
        let interval = Interval {
            start: Duration::ZERO,
            length: Duration::from_secs(1),
            latencies: (&Latencies::default()).into(),
        };
        for _ in 0..2 {
            growing.add(&interval);
        }
        assert!(growing.has_failed && growing.log.is_none());
        fs::remove_file(&path).unwrap();
    }
}
