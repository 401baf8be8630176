//! The programs of `docs/examples` must do what they say.

use std::time::Duration;

use super::roster::python;
use crate::{Fault, program, tally::Tally, tree};

/// Runs the producer and then the consumer, and compares what comes out with what went in.
pub(crate) fn run(tally: &mut Tally, bootstrap: &str, run: &str) -> Result<(), Fault> {
    let topic = format!("{run}-example");
    let mut out = Vec::new();
    for file in ["producer.py", "consumer.py"] {
        let mut command = python();
        command.arg(tree::root().join("docs/examples").join(file)).args([bootstrap, &topic]);
        let outcome = program::run(&mut command, None, Duration::from_secs(60))?;
        let complaint = (!outcome.status.success()).then(|| outcome.last_words());
        tally.check(&format!("docs/examples/{file}"), complaint.as_deref())?;
        out.push(String::from_utf8_lossy(&outcome.out).into_owned());
    }
    let lines = |text: Option<&String>, word: &str| -> Vec<String> {
        let mut found: Vec<String> = text
            .map(String::as_str)
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.strip_prefix(word).map(str::to_owned))
            .collect();
        found.sort();
        found
    };
    let (sent, got) = (lines(out.first(), "acknowledged "), lines(out.get(1), "got "));
    let complaint = (sent.is_empty() || sent != got).then(|| format!("sent {sent:?}, got {got:?}"));
    tally.check("docs/examples: what was produced is consumed", complaint.as_deref())
}
