//! What the clients have written, as it lies on the disk: a broker that compressed anew, or not at all, would serve the same
//! records, and every reader would be content. `ringwood storage dump` says what each batch is.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::roster::Member;
use crate::broker::Broker;
use crate::tally::{Tally, say};
use crate::{Fault, program, tree};

/// Batches by topic and codec.
type Batches = BTreeMap<String, BTreeMap<String, u64>>;

/// Stops the broker and looks: each client's stream of a codec has batches of that codec, and that without one has no other.
pub(crate) fn check(
    tally: &mut Tally,
    broker: &mut Broker,
    members: &[&'static Member],
    run: &str,
) -> Result<(), Fault> {
    let stopped = broker.stop(Duration::from_secs(60)).err().map(|fault| fault.to_string());
    tally.check("clients: the broker stops in good order", stopped.as_deref())?;
    let mut dump = Command::new(tree::binary("ringwood"));
    dump.args(["storage", "dump", "--segments", "--json", "--data"]).arg(broker.data());
    let outcome = program::run(&mut dump, None, Duration::from_secs(300))?;
    if !outcome.status.success() {
        return tally.check("clients: storage dump", Some(&outcome.last_words()));
    }
    let batches = count(&String::from_utf8_lossy(&outcome.out));
    for member in members {
        for codec in corpus::CODECS {
            let here = batches.get(&format!("{run}-{}-{codec}", member.name));
            let name = format!("clients/{} on the disk: {codec}", member.name);
            tally.check(&name, complaint(here, codec).as_deref())?;
        }
    }
    let all: u64 = batches.values().flat_map(BTreeMap::values).sum();
    say(&format!("clients: {all} batches of {} topics looked at on the disk", batches.len()))
}

/// The batches that a dump names; what is damaged is nobody's.
fn count(dump: &str) -> Batches {
    let mut all = Batches::new();
    for line in dump.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let word = |name: &str| line.get(name).and_then(Value::as_str);
        if let (Some("batch"), Some(topic), Some(codec)) =
            (word("kind"), word("topic"), word("codec"))
        {
            *all.entry(topic.to_owned()).or_default().entry(codec.to_owned()).or_insert(0) += 1;
        }
    }
    all
}

/// A client may leave a batch as it is where compression does not help; it may not compress what was to be left alone.
fn complaint(here: Option<&BTreeMap<String, u64>>, codec: &str) -> Option<String> {
    let Some(here) = here else { return Some("there is no such topic on the disk".to_owned()) };
    let found: BTreeSet<&str> = here.keys().map(String::as_str).collect();
    let good = found.contains(codec) && found.iter().all(|one| *one == codec || *one == "none");
    (!good).then(|| format!("the batches are {here:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_was_sent_is_told() {
        let dump = "{\"kind\":\"batch\",\"topic\":\"a\",\"codec\":\"gzip\"}\n\
                    {\"kind\":\"batch\",\"topic\":\"a\",\"codec\":\"none\"}\n\
                    {\"kind\":\"damage\",\"topic\":\"a\",\"why\":\"x\"}\nnothing\n\
                    {\"kind\":\"batch\",\"topic\":\"b\",\"codec\":\"none\"}\n";
        let all = count(dump);
        assert_eq!(all["a"], BTreeMap::from([("gzip".to_owned(), 1), ("none".to_owned(), 1)]));
        assert_eq!(complaint(all.get("a"), "gzip"), None);
        assert_eq!(complaint(all.get("b"), "none"), None);
        assert!(complaint(all.get("a"), "zstd").is_some(), "another codec");
        assert!(complaint(all.get("a"), "none").is_some(), "compressed though nobody asked");
        assert!(complaint(all.get("b"), "lz4").is_some(), "not compressed at all");
        assert!(complaint(all.get("c"), "none").is_some(), "nothing there");
    }
}
