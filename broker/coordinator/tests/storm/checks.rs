//! What must be true.

use ringwood_coordinator::Record;
use std::collections::{BTreeMap, BTreeSet};
use wire::internal::Prefixed;
use wire::internal::group_metadata::{GroupMetadataKey, GroupMetadataValue};
use wire::internal::offset_commit::{OffsetCommitKey, OffsetCommitValue};

/// What happened, so that a test can tell that something did.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    pub(crate) runs: u64,
    pub(crate) crashes: u64,
    pub(crate) generations: u64,
    pub(crate) assignments: u64,
    pub(crate) commits_acked: u64,
    pub(crate) commits_refused: u64,
    pub(crate) fenced: u64,
    pub(crate) unknown_members: u64,
    pub(crate) failed_appends: u64,
    pub(crate) failed_syncs: u64,
    pub(crate) timeouts: u64,
    pub(crate) abandoned: u64,
    pub(crate) survivors: u64,
}

impl Tally {
    pub(crate) fn each(&mut self) -> [(&'static str, &mut u64); 13] {
        [
            ("runs", &mut self.runs),
            ("crashes", &mut self.crashes),
            ("generations", &mut self.generations),
            ("assignments", &mut self.assignments),
            ("commits_acknowledged", &mut self.commits_acked),
            ("commits_refused", &mut self.commits_refused),
            ("fenced", &mut self.fenced),
            ("unknown_members", &mut self.unknown_members),
            ("failed_appends", &mut self.failed_appends),
            ("failed_syncs", &mut self.failed_syncs),
            ("timeouts", &mut self.timeouts),
            ("abandoned", &mut self.abandoned),
            ("survivors", &mut self.survivors),
        ]
    }

    pub(crate) fn add(&mut self, mut other: Self) {
        for ((_, sum), (_, more)) in self.each().into_iter().zip(other.each()) {
            *sum += *more;
        }
    }

    /// A storm in which nothing happened would prove nothing.
    pub(crate) fn assert_eventful(&mut self) {
        assert!(self.each().iter().all(|(_, n)| **n > 0), "{self:?}");
    }
}

/// The books of one storm.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) tally: Tally,
    /// By coordinator, group and generation: leader and protocol. Before its record is committed a generation is known to
    /// one coordinator only; the next may use the number again.
    led: BTreeMap<(u64, String, i32), (String, String)>,
    /// By group and generation: what the committed log says that each member gets.
    assigned: BTreeMap<(String, i32), BTreeMap<String, String>>,
    /// By the mark of a leader's assignment: whom it names.
    sent: BTreeMap<String, BTreeSet<String>>,
    /// Commits in the committed log.
    in_log: BTreeSet<String>,
    acked: BTreeSet<String>,
    last: BTreeMap<(String, i32), (i64, String)>,
}

impl Checks {
    pub(crate) fn on_joined(
        &mut self,
        coordinator: u64,
        group: &str,
        generation: i32,
        leader: &str,
        protocol: &str,
    ) {
        let key = (coordinator, group.to_owned(), generation);
        let now = (leader.to_owned(), protocol.to_owned());
        if !self.led.contains_key(&key) {
            self.tally.generations += 1;
        }
        let first = self.led.entry(key).or_insert_with(|| now.clone());
        // A static leader that came back has another member id, and those that ask again are told so.
        assert_eq!(first.1, now.1, "{group} generation {generation} has two protocols");
        let instance =
            |id: &str| id.rsplit_once('-').map_or(id.to_owned(), |(name, _)| name.to_owned());
        assert_eq!(instance(&first.0), instance(&now.0), "{group} {generation} has two leaders");
    }

    /// A leader sends an assignment: bytes `mark/name` for each.
    pub(crate) fn on_assigning(&mut self, mark: &str, names: BTreeSet<String>) {
        self.sent.insert(mark.to_owned(), names);
    }

    /// SyncGroup was answered: with what is in the committed log for this member of this generation.
    pub(crate) fn on_assigned(
        &mut self,
        group: &str,
        generation: i32,
        name: &str,
        assignment: &[u8],
    ) {
        self.tally.assignments += 1;
        let stored = self.assigned.get(&(group.to_owned(), generation));
        let stored = stored.unwrap_or_else(|| panic!("{group} {generation} is not in the log"));
        let text = String::from_utf8(assignment.to_vec()).unwrap();
        assert_eq!(stored.get(name), Some(&text), "{group} {generation} {name}");
    }

    /// The assignment of a generation is in the log: all of it is what one and the same leader sent, everyone whom that
    /// leader named has something, and it never changes.
    fn on_stored(&mut self, group: &str, value: &GroupMetadataValue<'_>) {
        let mut names = BTreeMap::new();
        let mut marks = BTreeSet::new();
        let mut leader = None;
        for m in &value.members {
            let name = m.group_instance_id.unwrap_or(m.member_id);
            let text = std::str::from_utf8(m.assignment).unwrap();
            if Some(m.member_id) == value.leader {
                leader = Some(text);
            }
            if let Some((mark, whose)) = text.split_once('/') {
                assert_eq!(whose, name, "{group} {}: not its own", value.generation);
                assert!(self.sent[mark].contains(name), "{mark} never assigned to {name}");
                marks.insert(mark);
            }
            names.insert(name.to_owned(), text.to_owned());
        }
        let place = format!("{group} generation {}", value.generation);
        assert!(leader.is_some_and(|text| !text.is_empty()), "{place}: no assignment of a leader");
        assert_eq!(marks.len(), 1, "{place}: assignments of two leaders");
        for mark in marks {
            let named = &self.sent[mark];
            let forgotten = names.iter().find(|(n, text)| named.contains(*n) && text.is_empty());
            assert_eq!(forgotten, None, "{place}: forgot whom {mark} named");
        }
        let key = (group.to_owned(), value.generation);
        let first = self.assigned.entry(key).or_insert_with(|| names.clone());
        assert_eq!(*first, names, "{place}: assigned twice");
    }

    /// A commit of `generation` was taken: by a coordinator that had not begun a later one.
    pub(crate) fn on_taken(&self, coordinator: u64, group: &str, generation: i32) {
        let from = (coordinator, group.to_owned(), generation + 1);
        let to = (coordinator, group.to_owned(), i32::MAX);
        let later = self.led.range(from..to).next();
        assert_eq!(later, None, "{group} took a commit of generation {generation}");
    }

    /// A record is committed.
    pub(crate) fn on_committed(&mut self, record: &Record) {
        if record.key[..2] == [0, 2] {
            let (_, key) = GroupMetadataKey::decode_prefixed(&record.key).unwrap();
            let value = record.value.as_deref().unwrap();
            let (_, value) = GroupMetadataValue::decode_prefixed(value).unwrap();
            if !value.members.is_empty() {
                self.on_stored(key.group, &value);
            }
            return;
        }
        let (_, key) = OffsetCommitKey::decode_prefixed(&record.key).unwrap();
        let value = record.value.as_deref().unwrap();
        let (_, value) = OffsetCommitValue::decode_prefixed(value).unwrap();
        self.in_log.insert(value.metadata.to_owned());
        let place = (key.group.to_owned(), key.partition.0);
        self.last.insert(place, (value.offset.0, value.metadata.to_owned()));
    }

    pub(crate) fn on_acked(&mut self, tag: &str) {
        self.tally.commits_acked += 1;
        assert!(self.in_log.contains(tag), "commit {tag} was acknowledged before it was committed");
        self.acked.insert(tag.to_owned());
    }

    pub(crate) fn on_refused(&mut self, tag: &str) {
        self.tally.commits_refused += 1;
        assert!(!self.in_log.contains(tag), "commit {tag} was refused, and is in the log");
    }

    pub(crate) fn on_fetched(&self, group: &str, partition: i32, offset: i64, tag: &str) {
        let place = (group.to_owned(), partition);
        let now = (offset, tag.to_owned());
        match self.last.get(&place) {
            Some(last) => assert_eq!(last, &now, "{group}/{partition} is not the last commit"),
            None => assert_eq!(now, (-1, String::new()), "{group}/{partition} was never committed"),
        }
    }

    /// All acknowledged commits are among the records of the log.
    pub(crate) fn on_end(&self) {
        assert!(self.acked.is_subset(&self.in_log));
    }
}
