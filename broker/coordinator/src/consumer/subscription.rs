//! What members want to read: topics by name, and topics by a pattern that the broker looks at.

use super::ConsumerGroup;
use super::assignor::{Question, Wanted};
use crate::topics::Topics;
use regex::bytes::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes that a compiled pattern may take, some thousand states. No backtracking: a look at a name, on the core's
/// thread, costs at most the states for each byte.
const PATTERN_BYTES_MAX: usize = 32 << 10;
/// The longest pattern, in bytes.
const PATTERN_LENGTH_MAX: usize = 1_024;
/// The most different patterns of one group. All of them are compiled and looked at when a topic comes.
const PATTERNS_MAX: usize = 100;

/// A pattern, and the topics that it matches. The compiled program is not kept: it takes a hundred times the text, and a
/// client may invent as many as it likes.
#[derive(Debug, Default)]
pub(crate) struct Pattern {
    /// Of the names that have come; some may be gone.
    pub(super) topics: BTreeSet<String>,
    /// How many names had come when it was looked at; none yet.
    seen: Option<u64>,
}

impl Pattern {
    /// Whether members with this pattern read `topic`, as far as is known: until there was a look at all, they may.
    pub(super) fn may_match(&self, topic: &str) -> bool {
        self.seen.is_none() || self.topics.contains(topic)
    }

    /// Looks at the names that are new. What a pattern says of a name never changes.
    fn look(&mut self, text: &str, topics: &Topics) {
        let seen = self.seen.replace(topics.count_of_names()).unwrap_or(0);
        self.topics.retain(|name| topics.named(name).is_some());
        let mut new = topics.names_since(seen).peekable();
        if new.peek().is_none() {
            return;
        }
        // One in the log that this broker does not understand matches nothing.
        let Ok(regex) = compile_whole(text) else { return };
        self.topics.extend(new.filter(|n| regex.is_match(n.as_bytes())).map(str::to_owned));
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    let build =
        |unicode| RegexBuilder::new(text).unicode(unicode).size_limit(PATTERN_BYTES_MAX).build();
    // Names of topics are ASCII, and so are the classes of RE2, as `\w`: programs stay small. Patterns that name more, as
    // `\p{Greek}` does, are patterns all the same.
    build(false).or_else(|_| build(true)).map_err(|e| e.to_string())
}

/// A pattern that matches whole names.
fn compile_whole(text: &str) -> Result<Regex, String> {
    compile(&format!("^(?:{text})$"))
}

/// Whether a member may have this pattern.
///
/// # Errors
/// It is no regular expression, or one that is too large.
pub(crate) fn check_pattern(text: &str) -> Result<(), String> {
    if text.len() > PATTERN_LENGTH_MAX {
        return Err(format!("a pattern of more than {PATTERN_LENGTH_MAX} bytes"));
    }
    // On its own first, so that a bracket too many cannot pair with ours.
    compile(text)?;
    compile_whole(text)?;
    Ok(())
}

impl ConsumerGroup {
    /// Takes up a pattern of a member.
    ///
    /// # Errors
    /// It is none that a member may have, or the group has too many.
    pub(super) fn use_pattern(
        &mut self,
        text: &str,
        member_id: &str,
        topics: &Topics,
    ) -> Result<(), String> {
        if self.patterns.contains_key(text) {
            return Ok(());
        }
        let others = self.members.iter().filter(|(id, _)| *id != member_id);
        let others: BTreeSet<&str> = others.filter_map(|(_, m)| m.pattern.as_deref()).collect();
        if others.len() >= PATTERNS_MAX {
            return Err(format!("the group has {PATTERNS_MAX} patterns, and may not have more"));
        }
        check_pattern(text)?;
        let mut pattern = Pattern::default();
        pattern.look(text, topics);
        self.patterns.insert(text.to_owned(), pattern);
        Ok(())
    }

    /// The patterns of members that the log told of. The next heartbeat looks at the topics: a partition that is loaded must
    /// not wait for it.
    pub(super) fn recall_patterns(&mut self) {
        let texts: BTreeSet<&String> =
            self.members.values().filter_map(|m| m.pattern.as_ref()).collect();
        // A member whose pattern is one too many gets nothing by it.
        let new = texts.into_iter().take(PATTERNS_MAX);
        self.patterns = new.map(|text| (text.clone(), Pattern::default())).collect();
        self.stale = true;
    }

    /// A member does not have this pattern any more: it is forgotten if nobody else does.
    pub(super) fn forget_pattern(&mut self, text: Option<&str>) {
        let Some(text) = text else { return };
        if !self.members.values().any(|m| m.pattern.as_deref() == Some(text)) {
            self.patterns.remove(text);
        }
    }

    /// Forgets the patterns that no member has any more.
    pub(super) fn forget_patterns(&mut self) {
        if self.patterns.is_empty() {
            return;
        }
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
        if !self.stale {
            // The epoch rises in any case; what the members read together is looked at when it is assigned. A walk over all
            // members at every join would cost a crowd that comes the square of its size.
            self.hash_is_old = true;
            return true;
        }
        self.stale = false;
        for (text, pattern) in &mut self.patterns {
            pattern.look(text, topics);
        }
        self.rehash(topics)
    }

    /// Finds out what the members read together; whether that is something new.
    pub(super) fn rehash(&mut self, topics: &Topics) -> bool {
        self.hash_is_old = false;
        let hash = hash(&self.question(topics));
        let changed = hash != self.metadata_hash;
        self.metadata_hash = hash;
        changed
    }

    /// What there is to assign: what each member wants and there is.
    pub(super) fn question(&self, topics: &Topics) -> Question<'_> {
        let mut question = Question::default();
        // Crowds say the same: it is looked up once for all of them.
        let mut by_words: BTreeMap<(&BTreeSet<String>, Option<&str>), usize> = BTreeMap::new();
        let mut by_topics: BTreeMap<Wanted, usize> = BTreeMap::new();
        for m in self.members.values() {
            let class = *by_words.entry((&m.topics, m.pattern.as_deref())).or_insert_with(|| {
                let pattern = m.pattern.as_ref().and_then(|text| self.patterns.get(text));
                let matched = pattern.into_iter().flat_map(|p| &p.topics);
                let named = m.topics.iter().chain(matched).filter_map(|name| topics.named(name));
                let wanted: Wanted = named.collect();
                let next = question.wants.len();
                *by_topics.entry(wanted).or_insert_with_key(|wanted| {
                    question.wants.push(wanted.clone());
                    next
                })
            });
            question.members.push((class, &m.target));
        }
        question
    }
}

/// FNV-1a over all topics that members want and that are there, with ids and partition counts.
fn hash(question: &Question<'_>) -> i64 {
    let all: Wanted = question.wants.iter().flatten().map(|(id, count)| (*id, *count)).collect();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (id, count) in all {
        for byte in id.0.iter().chain(&count.to_be_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    i64::from_be_bytes(hash.to_be_bytes())
}
