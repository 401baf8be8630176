//! Groups that change their protocol while they have members (KIP-848): from classic to consumer and back.
//!
//! A group is made anew member by member: each leaves as one of the old protocol and comes back as one of the new. The first
//! member of the consumer protocol turns a classic group into a consumer group; the classic ones go on in it, and are served
//! as if it were theirs ([`crate::consumer`]). When the last member of the consumer protocol goes, what is left becomes a
//! classic group again. What members have stays with them all the while: nobody gets it before they gave it up.
//!
//! What the log holds of the old kind is deleted in the same batch that tells it of the new one, so that it has one of them,
//! or the other. A group whose records have no room in one batch keeps its protocol. Where the log has something of both, as
//! when a batch failed, the classic group counts: its one record holds all of it.

use crate::classic::{CONSUMER, ClassicState};
use crate::config::Config;
use crate::consumer::ConsumerGroup;
use crate::coordinator::delete_metadata;
use crate::group::Group;
use crate::outbox::AppendFailure;
use crate::turn::Turn;

/// `group.consumer.migration.policy`: which ways groups may go while they have members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MigrationPolicy {
    /// Both ways.
    #[default]
    Bidirectional,
    /// Only from the classic to the consumer protocol.
    Upgrade,
    /// Only from the consumer to the classic protocol.
    Downgrade,
    /// Neither way.
    Disabled,
}

impl MigrationPolicy {
    /// The policy of this name, in upper or lower case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            ("bidirectional", Self::Bidirectional),
            ("upgrade", Self::Upgrade),
            ("downgrade", Self::Downgrade),
            ("disabled", Self::Disabled),
        ];
        all.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, policy)| policy)
    }

    fn upgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    fn downgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

/// Whether a classic group with members takes in one of the consumer protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upgrade {
    /// It becomes a consumer group.
    Yes,
    /// Its assignment is on its way into the log; until it is there nobody knows who has what.
    Later,
    /// It does not.
    No,
}

impl Group {
    /// Whether this classic group may become a consumer group.
    pub(crate) fn upgrade(&self, config: &Config) -> Upgrade {
        let classic = &self.classic;
        let fits = classic.protocol_type.as_deref() == Some(CONSUMER)
            && classic.members.len() < config.consumer_max_size
            && classic.is_understood()
            && classic.bytes_as_consumers() < config.batch_bytes_max;
        match config.consumer_migration.upgrades() && fits {
            true if classic.is_storing() => Upgrade::Later,
            true => Upgrade::Yes,
            false => Upgrade::No,
        }
    }

    /// A classic group with members becomes a consumer group with the same members, each with what it has.
    pub(crate) fn become_consumers(&mut self, turn: &mut Turn<'_>) {
        self.owes_record = None;
        let next = self.classic.successor();
        let classic = std::mem::replace(&mut self.classic, next);
        let id = classic.id.clone();
        self.consumer.get_or_insert_with(|| ConsumerGroup::new(&id)).adopt(classic, turn);
    }

    /// Ends an operation on a consumer group: it becomes a classic one if only members of that protocol are left, and what
    /// has changed is written.
    ///
    /// # Errors
    /// A record has no room in a batch. It is tried again later.
    pub(crate) fn settle_consumers(&mut self, turn: &mut Turn<'_>) -> Result<(), AppendFailure> {
        let Some(consumers) = &mut self.consumer else { return Ok(()) };
        let config = turn.config;
        let is_last = consumers.is_there()
            && consumers.has_only_classic()
            && consumers.members.len() <= config.group_max_size
            && config.consumer_migration.downgrades()
            && consumers.bytes_as_classic() < config.batch_bytes_max;
        let mut written = Ok(());
        if is_last {
            let (generation, members) = consumers.dissolve(turn.topics);
            self.owes_record = Some(generation);
            self.classic = self.classic.successor();
            self.classic.adopt(generation, members);
            written = self.classic.call_back(turn);
        } else if consumers.is_there() && self.classic.metadata.latest().is_some() {
            // It was a classic group.
            let id = consumers.id.clone();
            let written = consumers.write(turn);
            return written.and(delete_metadata(self, &id, turn));
        } else if !consumers.is_there()
            && consumers.owes_deletions()
            && let Some(generation) = self.owes_record
        {
            // Of a later generation nobody knows yet what its members get, and a record of it would say that they know: its
            // assignment writes it. Nor is anything written before it is known what becomes of a record that is on its way.
            let is_assigned =
                self.classic.generation == generation || self.classic.state == ClassicState::Empty;
            if self.classic.metadata.is_pending() || !is_assigned {
                consumers.write_again(turn);
                return Ok(());
            }
            written = self.classic.push_metadata(turn);
        }
        if written.is_err() {
            // What the log has of the old kind stays until it has something of the new one.
            consumers.write_again(turn);
            return written;
        }
        consumers.write(turn)
    }
}
