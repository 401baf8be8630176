//! The broker keys: those that this broker acts on, in a table for each thing that they are about, and (in `inert`) all others
//! that Kafka ever had.
//!
//! Whether a key is used is a promise to the operator: a key moves out of `inert` in the same change that makes the broker
//! act on it.

mod groups;
mod inert;
mod listed;
mod logs;
mod node;
mod topics;
mod transactions;

use super::key::{Check, Key, Synonym, Update, ValueType};

pub use inert::INERT_BROKER_KEYS;
pub(super) use listed::is_listed;

const fn same(name: &'static str) -> Synonym {
    Synonym { name, scale: 1 }
}

const LONG_MAX: &str = "9223372036854775807";
const INT_MAX: &str = "2147483647";

const fn key(
    name: &'static str,
    kind: ValueType,
    default: Option<&'static str>,
    check: Check,
    update: Update,
    doc: &'static str,
) -> Key {
    Key::new(name, kind, default, check, doc).update(update)
}

/// A broker key by name, used or not.
#[must_use]
pub fn broker_key(name: &str) -> Option<&'static Key> {
    let find =
        |keys: &'static [Key]| keys.binary_search_by(|k| k.name.cmp(name)).ok().map(|i| &keys[i]);
    find(BROKER_KEYS).or_else(|| find(INERT_BROKER_KEYS))
}

/// All broker keys, by name.
#[must_use]
pub fn all_broker_keys() -> Vec<&'static Key> {
    let mut all: Vec<_> = BROKER_KEYS.iter().chain(INERT_BROKER_KEYS).collect();
    all.sort_by_key(|k| k.name);
    all
}

/// Keys that belong to a plug-in, a listener or a config provider and whose names nobody can list: known by their
/// beginning, and inert.
const FAMILIES: &[&str] = &[
    "config.providers.",
    "listener.name.",
    "metrics.jmx.",
    "remote.log.metadata.",
    "rlmm.config.",
    "rsm.config.",
];

/// Whether a broker key without an entry of its own belongs to a known family.
#[must_use]
pub fn is_of_a_family(name: &str) -> bool {
    FAMILIES.iter().any(|f| name.len() > f.len() && name.starts_with(f))
}

/// Whether a key that is not in the tables carries a secret by its name, so that its value is never shown.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "jaas.config", "passphrase", ".key"].iter().any(|s| name.contains(s))
}

/// The tables, each by name.
const TABLES: [&[Key]; 5] =
    [groups::KEYS, logs::KEYS, node::KEYS, topics::KEYS, transactions::KEYS];

const COUNT: usize = {
    let (mut count, mut table) = (0, 0);
    while table < TABLES.len() {
        count += TABLES[table].len();
        table += 1;
    }
    count
};

/// The tables in one, by name.
const fn merged() -> [Key; COUNT] {
    let mut all = [TABLES[0][0]; COUNT];
    let mut taken = [0; TABLES.len()];
    let mut n = 0;
    while n < COUNT {
        let mut least: Option<usize> = None;
        let mut table = 0;
        while table < TABLES.len() {
            if taken[table] < TABLES[table].len() {
                let first = match least {
                    None => true,
                    Some(least) => {
                        let (name, before) =
                            (TABLES[table][taken[table]].name, TABLES[least][taken[least]].name);
                        is_before(name.as_bytes(), before.as_bytes())
                    }
                };
                if first {
                    least = Some(table);
                }
            }
            table += 1;
        }
        if let Some(table) = least {
            all[n] = TABLES[table][taken[table]];
            taken[table] += 1;
        }
        n += 1;
    }
    all
}

const fn is_before(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

/// The broker keys that this broker acts on, by name.
pub static BROKER_KEYS: &[Key] = {
    static MERGED: [Key; COUNT] = merged();
    &MERGED
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Effect;

    #[test]
    fn the_tables_are_sorted_disjoint_and_their_defaults_are_legal() {
        for (keys, effect) in [(BROKER_KEYS, Effect::Used), (INERT_BROKER_KEYS, Effect::Inert)] {
            for pair in keys.windows(2) {
                assert!(pair[0].name < pair[1].name, "{} {}", pair[0].name, pair[1].name);
            }
            for key in keys {
                assert_eq!(key.effect, effect, "{}", key.name);
                if let Some(default) = key.default {
                    assert_eq!(key.parse(default).unwrap().to_string(), default, "{}", key.name);
                }
                assert_eq!(key.doc.is_empty(), effect == Effect::Inert, "{}", key.name);
            }
        }
        assert!(BROKER_KEYS.iter().all(|u| INERT_BROKER_KEYS.iter().all(|i| i.name != u.name)));
    }

    #[test]
    fn a_synonym_of_a_broker_key_is_a_broker_key() {
        for key in BROKER_KEYS {
            assert!(key.synonyms.iter().all(|s| broker_key(s.name).is_some()), "{}", key.name);
        }
    }

    #[test]
    fn families_and_secrets() {
        assert!(is_of_a_family("listener.name.internal.ssl.keystore.password"));
        assert!(!is_of_a_family("listener.name."));
        assert!(looks_secret("listener.name.internal.ssl.keystore.password"));
        assert!(looks_secret("listener.name.x.plain.sasl.jaas.config"));
        assert!(!looks_secret("listener.name.internal.ssl.client.auth"));
    }
}
