//! The files of a load run, read back with the public HdrHistogram libraries that the client suites bring: for Python with the
//! suite python, in Java with the suite java.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::program::{self, Outcome};
use crate::tally::{Tally, say};
use crate::{Fault, tree};

/// Tests and the variable that names their library.
struct Reader {
    suite: &'static str,
    tests: [&'static str; 2],
    variable: &'static str,
}

const READERS: [Reader; 2] = [
    Reader {
        suite: "python",
        tests: [
            "the_public_library_reads_what_was_measured",
            "the_public_library_reads_a_brokers_stages",
        ],
        variable: "PYTHON",
    },
    Reader {
        suite: "java",
        tests: [
            "the_reference_library_writes_the_same_distribution",
            "the_reference_library_reads_a_brokers_stages",
        ],
        variable: "HDRHISTOGRAM_JAR",
    },
];

impl Reader {
    /// The library as its suite has installed it into this folder; nothing where it is not there.
    fn library(&self, into: &Path) -> Option<PathBuf> {
        if self.suite == "python" {
            return Some(into.join("venv/bin/python")).filter(|python| python.exists());
        }
        let jars = std::fs::read_dir(into.join("lib")).ok()?;
        let named = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| name.starts_with("HdrHistogram-"))
        };
        jars.flatten().map(|entry| entry.path()).find(named)
    }
}

/// Runs those whose suite is wanted and set up.
pub(crate) fn run(tally: &mut Tally, wants: impl Fn(&str) -> bool) -> Result<(), Fault> {
    for reader in READERS.iter().filter(|reader| wants(reader.suite)) {
        let (name, into) =
            (format!("histograms/{}", reader.suite), tree::work().join(reader.suite));
        let Some(library) = reader.library(&into) else {
            // A suite that could not be set up has said so already; one that was has to have brought the library.
            if into.exists() {
                let why = format!("no HdrHistogram library in {}", into.display());
                tally.check(&name, Some(&why))?;
            } else {
                say(&format!("{name}: not proved, the suite is not set up"))?;
            }
            continue;
        };
        let mut test = Command::new("cargo");
        test.args(["test", "--package", "ringwood-perf", "--test", "hdr", "--", "--nocapture"]);
        test.arg("--exact").args(reader.tests).env(reader.variable, library);
        let outcome = program::run(test.current_dir(tree::root()), None, Duration::from_secs(600))?;
        let complaint = complaint(&outcome);
        tally.check(&name, complaint.as_deref())?;
        if complaint.is_none() {
            say(&format!("{name}: read back"))?;
        }
    }
    Ok(())
}

/// What went wrong. A test that found no library has proved nothing, though it passed.
fn complaint(outcome: &Outcome) -> Option<String> {
    let text = String::from_utf8_lossy(&outcome.out);
    if !outcome.status.success() {
        return Some(format!("{text}\n    {}", outcome.last_words()));
    }
    if let Some(line) = text.lines().find(|line| line.contains("SKIPPED")) {
        return Some(line.to_owned());
    }
    (!text.contains("2 passed")).then(|| "not both tests ran".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_only_where_it_is() {
        let into = std::env::temp_dir().join(format!("ringwood-histograms-{}", std::process::id()));
        std::fs::create_dir_all(into.join("lib")).unwrap();
        let [python, java] = &READERS;
        assert_eq!((python.library(&into), java.library(&into)), (None, None));
        std::fs::write(into.join("lib/kafka-clients-4.3.0.jar"), "").unwrap();
        assert_eq!(java.library(&into), None);
        let jar = into.join("lib/HdrHistogram-2.2.2.jar");
        std::fs::write(&jar, "").unwrap();
        assert_eq!(java.library(&into), Some(jar));
        std::fs::remove_dir_all(&into).unwrap();
    }
}
