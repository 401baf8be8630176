//! What must be true.

use crate::network::tag_number;
use ringwood_coordinator::Record;
use std::collections::{BTreeMap, BTreeSet};
use wire::internal::Prefixed;
use wire::internal::group_metadata::{GroupMetadataKey, GroupMetadataValue, MemberMetadata};
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
    pub(crate) messages_lost: u64,
    pub(crate) messages_doubled: u64,
    pub(crate) messages_late: u64,
}

impl Tally {
    pub(crate) fn each(&mut self) -> [(&'static str, &mut u64); 16] {
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
            ("messages_lost", &mut self.messages_lost),
            ("messages_doubled", &mut self.messages_doubled),
            ("messages_late", &mut self.messages_late),
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

/// The groups of a storm.
pub(crate) const GROUPS: [&str; 3] = ["readers", "statics", "workers"];

/// The same name, for as long as the program runs.
fn known(group: &str) -> &'static str {
    GROUPS.into_iter().find(|name| *name == group).expect("a group of this storm")
}

/// Numbers, each there or not.
#[derive(Default)]
struct Numbers(Vec<bool>);

impl Numbers {
    fn insert(&mut self, n: u64) {
        let n = usize::try_from(n).unwrap();
        if n >= self.0.len() {
            self.0.resize(n + 1, false);
        }
        self.0[n] = true;
    }

    fn contains(&self, n: u64) -> bool {
        self.0.get(usize::try_from(n).unwrap()).copied().unwrap_or(false)
    }
}

/// The books of one storm.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) tally: Tally,
    /// By coordinator, group and generation: leader and protocol. Before its record is committed a generation is known to
    /// one coordinator only; the next may use the number again.
    led: BTreeMap<(u64, &'static str, i32), (String, String)>,
    /// By group and generation: what the committed log says that each member gets.
    assigned: BTreeMap<(&'static str, i32), BTreeMap<String, Vec<u8>>>,
    /// By the mark of a leader's assignment: whom it names.
    sent: BTreeMap<String, BTreeSet<String>>,
    /// Commits in the committed log, by number.
    in_log: Numbers,
    acked: Vec<u64>,
    last: BTreeMap<(&'static str, i32), (i64, String)>,
}

impl Checks {
    pub(crate) fn on_joined(
        &mut self,
        coordinator: u64,
        group: &'static str,
        generation: i32,
        leader: &str,
        protocol: &str,
    ) {
        let Some(first) = self.led.get(&(coordinator, group, generation)) else {
            self.tally.generations += 1;
            let first = (leader.to_owned(), protocol.to_owned());
            self.led.insert((coordinator, group, generation), first);
            return;
        };
        assert_eq!(first.1, protocol, "{group} generation {generation} has two protocols");
        // A static leader that came back has another member id, and those that ask again are told so.
        let instance = |id| str::rsplit_once(id, '-').map_or(id, |(name, _)| name);
        assert_eq!(instance(&first.0), instance(leader), "{group} {generation} has two leaders");
    }

    /// A leader sends an assignment: bytes `mark/name` for each.
    pub(crate) fn on_assigning(&mut self, mark: &str, names: BTreeSet<String>) {
        self.sent.insert(mark.to_owned(), names);
    }

    /// SyncGroup was answered: with what is in the committed log for this member of this generation.
    pub(crate) fn on_assigned(
        &mut self,
        group: &'static str,
        generation: i32,
        name: &str,
        assignment: &[u8],
    ) {
        self.tally.assignments += 1;
        let stored = self.assigned.get(&(group, generation));
        let stored = stored.unwrap_or_else(|| panic!("{group} {generation} is not in the log"));
        let stored = stored.get(name).map(Vec::as_slice);
        assert_eq!(stored, Some(assignment), "{group} {generation} {name}");
    }

    /// The assignment of a generation is in the log: all of it is what one and the same leader sent, everyone whom that
    /// leader named has something, and it never changes.
    fn on_stored(&mut self, group: &'static str, value: &GroupMetadataValue<'_>) {
        let place = || format!("{group} generation {}", value.generation);
        let name_of =
            |m: &MemberMetadata<'_>| m.group_instance_id.unwrap_or(m.member_id).to_owned();
        let mut mark_of_all = None;
        let mut leader = None;
        let mut empty = Vec::new();
        for m in &value.members {
            let name = m.group_instance_id.unwrap_or(m.member_id);
            let text = std::str::from_utf8(m.assignment).unwrap();
            if Some(m.member_id) == value.leader {
                leader = Some(text);
            }
            let Some((mark, whose)) = text.split_once('/') else {
                assert!(text.is_empty(), "{}: {text}", place());
                empty.push(name);
                continue;
            };
            assert_eq!(whose, name, "{}: not its own", place());
            let all = *mark_of_all.get_or_insert(mark);
            assert_eq!(all, mark, "{}: assignments of two leaders", place());
            assert!(self.sent[mark].contains(name), "{mark} never assigned to {name}");
        }
        assert!(leader.is_some_and(|t| !t.is_empty()), "{}: no assignment of a leader", place());
        let mark = mark_of_all.expect("a leader has one");
        let forgotten = empty.iter().find(|name| self.sent[mark].contains(**name));
        assert_eq!(forgotten, None, "{}: forgot whom {mark} named", place());
        let Some(first) = self.assigned.get(&(group, value.generation)) else {
            let all = value.members.iter().map(|m| (name_of(m), m.assignment.to_vec()));
            self.assigned.insert((group, value.generation), all.collect());
            return;
        };
        let same = value.members.iter().all(|m| {
            let name = m.group_instance_id.unwrap_or(m.member_id);
            first.get(name).map(Vec::as_slice) == Some(m.assignment)
        });
        assert!(same && first.len() == value.members.len(), "{}: assigned twice", place());
    }

    /// A commit of `generation` was taken: by a coordinator that had not begun a later one.
    pub(crate) fn on_taken(&self, coordinator: u64, group: &'static str, generation: i32) {
        let from = (coordinator, group, generation + 1);
        let later = self.led.range(from..(coordinator, group, i32::MAX)).next();
        assert_eq!(later, None, "{group} took a commit of generation {generation}");
    }

    /// A record is committed.
    pub(crate) fn on_committed(&mut self, record: &Record) {
        if is_group(record) {
            let (_, key) = GroupMetadataKey::decode_prefixed(&record.key).unwrap();
            let value = record.value.as_deref().unwrap();
            let (_, value) = GroupMetadataValue::decode_prefixed(value).unwrap();
            if !value.members.is_empty() {
                self.on_stored(known(key.group), &value);
            }
            return;
        }
        let (_, key) = OffsetCommitKey::decode_prefixed(&record.key).unwrap();
        let value = record.value.as_deref().unwrap();
        let (_, value) = OffsetCommitValue::decode_prefixed(value).unwrap();
        self.in_log.insert(tag_number(value.metadata));
        let place = (known(key.group), key.partition.0);
        self.last.insert(place, (value.offset.0, value.metadata.to_owned()));
    }

    pub(crate) fn on_acked(&mut self, tag: u64) {
        self.tally.commits_acked += 1;
        assert!(self.in_log.contains(tag), "commit {tag} was acknowledged before it was committed");
        self.acked.push(tag);
    }

    pub(crate) fn on_refused(&mut self, tag: u64) {
        self.tally.commits_refused += 1;
        assert!(!self.in_log.contains(tag), "commit {tag} was refused, and is in the log");
    }

    pub(crate) fn on_fetched(&self, group: &'static str, partition: i32, offset: i64, tag: &str) {
        match self.last.get(&(group, partition)) {
            Some(last) => {
                let now = (last.0, last.1.as_str());
                assert_eq!(now, (offset, tag), "{group}/{partition} is not the last commit");
            }
            None => assert_eq!((offset, tag), (-1, ""), "{group}/{partition} was never committed"),
        }
    }

    /// All acknowledged commits are among the records of the log.
    pub(crate) fn on_end(&self) {
        assert!(self.acked.iter().all(|tag| self.in_log.contains(*tag)));
    }
}

/// Whether a record is that of a group itself.
pub(crate) fn is_group(record: &Record) -> bool {
    record.key[..2] == [0, 2]
}
