//! What members want to read: topics by name, and topics by a pattern that the broker looks at.

use super::ConsumerGroup;
use crate::topics::Topics;
use ids::TopicId;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes that a compiled pattern may take. RE2's syntax without backtracking: time is linear in the names.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// The longest pattern, in bytes.
const PATTERN_LENGTH_MAX: usize = 4_096;

/// A pattern, and the topics that it matches.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    pub(super) topics: BTreeSet<String>,
}

impl Pattern {
    /// A pattern that matches whole names.
    ///
    /// # Errors
    /// The pattern is no regular expression, or one that is too large.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_LENGTH_MAX {
            return Err(format!("a pattern of more than {PATTERN_LENGTH_MAX} bytes"));
        }
        // On its own first, so that a bracket too many cannot pair with ours.
        let compile =
            |text: &str| regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
        compile(text).map_err(|e| e.to_string())?;
        let regex = compile(&format!("^(?:{text})$")).map_err(|e| e.to_string())?;
        Ok(Self { regex, topics: BTreeSet::new() })
    }

    fn look(&mut self, topics: &Topics) {
        self.topics =
            topics.names().filter(|name| self.regex.is_match(name)).map(str::to_owned).collect();
    }
}

/// What each member wants: topics with their ids and partition counts.
pub(super) type Wants = BTreeMap<String, BTreeMap<TopicId, i32>>;

/// Whether a member may have this pattern.
///
/// # Errors
/// It is no regular expression, or one that is too large.
pub(crate) fn check_pattern(text: &str) -> Result<(), String> {
    Pattern::new(text).map(|_| ())
}

impl ConsumerGroup {
    /// Takes up a pattern of a member.
    pub(super) fn use_pattern(&mut self, text: &str, topics: &Topics) -> Result<(), String> {
        if !self.patterns.contains_key(text) {
            let mut pattern = Pattern::new(text)?;
            pattern.look(topics);
            self.patterns.insert(text.to_owned(), pattern);
        }
        Ok(())
    }

    /// Forgets the patterns that no member has any more.
    pub(super) fn forget_patterns(&mut self) {
        let used: BTreeSet<&str> =
            self.members.values().filter_map(|m| m.pattern.as_deref()).collect();
        self.patterns.retain(|text, _| used.contains(text.as_str()));
    }

    /// Looks at the topics again if they or the members have changed; whether there is something new in what members read.
    pub(super) fn refresh(&mut self, topics: &Topics, members_changed: bool) -> bool {
        if !self.stale && !members_changed {
            // Nearly all heartbeats: they must not cost a walk over all members.
            return false;
        }
        if self.stale {
            self.stale = false;
            for pattern in self.patterns.values_mut() {
                pattern.look(topics);
            }
        }
        let hash = self.hash(topics);
        let changed = hash != self.metadata_hash;
        self.metadata_hash = hash;
        changed
    }

    /// What each member wants and there is.
    pub(super) fn wants(&self, topics: &Topics) -> Wants {
        let of = |m: &super::ConsumerMember| {
            let pattern = m.pattern.as_ref().and_then(|text| self.patterns.get(text));
            let matched = pattern.into_iter().flat_map(|p| &p.topics);
            m.topics.iter().chain(matched).filter_map(|name| topics.named(name)).collect()
        };
        self.members.iter().map(|(id, m)| (id.clone(), of(m))).collect()
    }

    /// FNV-1a over all topics that members want and that are there, with ids and partition counts.
    fn hash(&self, topics: &Topics) -> i64 {
        let mut names: BTreeSet<&str> =
            self.members.values().flat_map(|m| &m.topics).map(String::as_str).collect();
        names.extend(self.patterns.values().flat_map(|p| &p.topics).map(String::as_str));
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for name in names {
            let Some((id, count)) = topics.named(name) else { continue };
            for byte in id.0.iter().chain(&count.to_be_bytes()) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        i64::from_be_bytes(hash.to_be_bytes())
    }
}
