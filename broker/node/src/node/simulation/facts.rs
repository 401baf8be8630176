//! What was answered, and what that forbids. Nothing here knows how the node works.

use super::Tally;
use std::collections::{BTreeMap, BTreeSet};

/// A topic's partition, by name and index.
pub(super) type Part = (&'static str, i32);

/// One batch of an idempotent producer, as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) part: Part,
    /// In the batch's one record: no two batches have the same.
    pub(super) word: u64,
    pub(super) producer: i64,
    pub(super) sequence: i32,
    /// Where it is, once that was answered.
    pub(super) offset: Option<i64>,
}

/// A producer's state that outlives its connections.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    pub(super) id: i64,
    /// The next sequence number of each partition.
    pub(super) next: BTreeMap<Part, i32>,
    /// Sent and not answered, oldest first.
    pub(super) open: BTreeMap<Part, Sent>,
}

/// Everything that is known.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) tally: Tally,
    guilt: Option<String>,
    pub(super) words: u64,
    /// Acknowledged batches by their word.
    pub(super) acked: BTreeMap<u64, Sent>,
    /// Every batch that was ever sent, acknowledged or not.
    pub(super) sent: BTreeMap<u64, Sent>,
    pub(super) producers: Vec<Producer>,
    pub(super) producer_ids: BTreeSet<i64>,
    /// Topics that somebody was shown, and whose deletion nobody has asked for.
    pub(super) shown: BTreeSet<String>,
    /// Topics whose deletion was asked for: they may be there or not.
    ending: BTreeSet<String>,
    /// Topics whose deletion was confirmed.
    pub(super) gone: BTreeSet<String>,
    pub(super) topics: u64,
    /// The last offset that was confirmed to a group, and the last that was asked for.
    pub(super) confirmed: i64,
    pub(super) asked: i64,
}

impl Facts {
    /// The first that must not be stays.
    pub(super) fn accuse(&mut self, what: String) {
        self.guilt.get_or_insert(what);
    }

    pub(super) fn guilt(&mut self) -> Option<String> {
        self.guilt.take()
    }

    /// A batch was acknowledged, at first or as a duplicate.
    pub(super) fn on_acked(&mut self, mut sent: Sent, offset: i64) {
        sent.offset = Some(offset);
        self.tally.acknowledged += 1;
        if let Some(before) = self.acked.insert(sent.word, sent.clone())
            && before.offset != sent.offset
        {
            self.accuse(format!("{sent:?} was acknowledged before, at {:?}", before.offset));
        }
    }

    pub(super) fn on_producer_id(&mut self, id: i64) {
        self.tally.producer_ids += 1;
        if !self.producer_ids.insert(id) {
            self.accuse(format!("producer id {id} was handed out twice"));
        }
    }

    /// Somebody was told that this topic is there.
    pub(super) fn on_shown(&mut self, name: String) {
        if !self.ending.contains(&name) {
            self.shown.insert(name);
        }
    }

    /// Somebody is about to ask for the end of this topic.
    pub(super) fn end(&mut self, name: &str) {
        self.shown.remove(name);
        self.ending.insert(name.to_owned());
    }

    /// What a Metadata answer for all topics says.
    pub(super) fn on_topics(&mut self, names: &BTreeSet<String>) {
        let lost: Vec<&String> = self.shown.iter().filter(|name| !names.contains(*name)).collect();
        if !lost.is_empty() {
            let what = format!("topics {lost:?} were shown before and are not there");
            self.accuse(what);
        }
        let back: Vec<&String> = self.gone.iter().filter(|name| names.contains(*name)).collect();
        if !back.is_empty() {
            let what = format!("topics {back:?} were deleted and are there again");
            self.accuse(what);
        }
    }

    /// The machine of the clients has died with all connections.
    pub(super) fn forget_connections(&mut self) {
        // A producer that lives on sends again what was not answered: `open` stays. Half of them do not.
        let keep = self.producers.len() / 2;
        self.producers.truncate(keep);
    }
}
