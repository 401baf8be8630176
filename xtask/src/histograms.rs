//! The files of a load run, read back with the public HdrHistogram libraries that the client suites bring: for Python with the
//! suite python, in Java with the suite java.

use std::process::Command;
use std::time::Duration;

use crate::program::{self, Outcome};
use crate::tally::{Tally, say};
use crate::{Fault, tree};

/// A test and the variable that names its library.
struct Reader {
    suite: &'static str,
    test: &'static str,
    variable: &'static str,
}

const READERS: [Reader; 2] = [
    Reader {
        suite: "python",
        test: "the_public_library_reads_what_was_measured",
        variable: "PYTHON",
    },
    Reader {
        suite: "java",
        test: "the_reference_library_writes_the_same_distribution",
        variable: "HDRHISTOGRAM_JAR",
    },
];

impl Reader {
    /// The library as its suite has installed it; nothing where the suite was not set up.
    fn library(&self) -> Option<std::path::PathBuf> {
        let into = tree::work().join(self.suite);
        if self.suite == "python" {
            return Some(into.join("venv/bin/python")).filter(|python| python.exists());
        }
        let jars = std::fs::read_dir(into.join("lib")).ok()?;
        let named = |path: &std::path::PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| name.starts_with("HdrHistogram-"))
        };
        jars.flatten().map(|entry| entry.path()).find(named)
    }
}

/// Runs those whose suite is wanted and set up.
pub(crate) fn run(tally: &mut Tally, wants: impl Fn(&str) -> bool) -> Result<(), Fault> {
    for reader in READERS.iter().filter(|reader| wants(reader.suite)) {
        let Some(library) = reader.library() else { continue };
        let mut test = Command::new("cargo");
        test.args(["test", "--package", "ringwood-perf", "--test", "hdr", "--", "--nocapture"]);
        test.args(["--exact", reader.test]).env(reader.variable, library);
        let outcome = program::run(test.current_dir(tree::root()), None, Duration::from_secs(600))?;
        let name = format!("histograms/{}", reader.suite);
        tally.check(&name, complaint(&outcome).as_deref())?;
        say(&format!("{name}: read back"))?;
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
    (!text.contains("1 passed")).then(|| "no test ran".to_owned())
}
