//! The newest offset of each key of a part of the log, in memory of a fixed size.
//!
//! A slot holds 16 bytes of a keyed hash and an offset. Two keys with the same hash would cost one of them its last record,
//! and keys come from strangers; so the hash is SipHash with 128 bits under a random key that no client knows. A map that is
//! full says so: the compaction then goes up to there, and another one goes on.

use ids::Offset;
use siphasher::sip128::SipHasher24;

/// Bytes of a slot.
const SLOT: usize = size_of::<Place>();
/// Slots of a hundred that may be used: beyond that looking takes too long.
const LOAD_PERCENT: usize = 90;

/// A slot as it lies in memory: hash, and the offset and one more; 0 there is a free slot.
///
/// An array of numbers: of those, zeros are asked for from the system, which gives them page by page as they are touched. A
/// structure would be written out, all at once, before the first key is noted.
type Place = [u64; 3];

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: [u64; 2],
    next: u64,
}

impl Slot {
    fn of([a, b, next]: Place) -> Self {
        Self { hash: [a, b], next }
    }

    fn is_free(&self) -> bool {
        self.next == 0
    }
}

/// What came of noting a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mapped {
    /// The map holds the offset.
    Noted,
    /// There is no room for another key; nothing has changed.
    Full,
}

/// The map of one pass.
#[derive(Clone, Debug)]
pub struct KeyMap {
    slots: Vec<Place>,
    secret: (u64, u64),
    used: usize,
    used_max: usize,
}

impl KeyMap {
    /// A map in at most `bytes` of memory, and no more than `keys` need; one key always fits. `secret` is random.
    #[must_use]
    pub fn new(bytes: usize, keys: u64, secret: (u64, u64)) -> Self {
        let wanted = usize::try_from(keys).unwrap_or(usize::MAX);
        let wanted = wanted.saturating_mul(100) / LOAD_PERCENT;
        let count = (bytes / SLOT).min(wanted.saturating_add(2)).max(2);
        let used_max = (count * LOAD_PERCENT / 100).max(1);
        Self { slots: vec![[0; 3]; count], secret, used: 0, used_max }
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let hash = SipHasher24::new_with_keys(self.secret.0, self.secret.1).hash(key);
        [hash.h1, hash.h2]
    }

    fn slot(&self, at: usize) -> Slot {
        Slot::of(self.slots[at])
    }

    /// The slot of `hash`: its own, or the free one where it would go.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let mut at = (hash[0] % count as u64) as usize;
        // Ends: some slot is always free.
        while !self.slot(at).is_free() && self.slot(at).hash != hash {
            at = (at + 1) % count;
        }
        at
    }

    /// Notes that `key` has a record at `offset`. Offsets come in rising order.
    pub fn note(&mut self, key: &[u8], offset: Offset) -> Mapped {
        let hash = self.hash(key);
        let at = self.find(hash);
        if self.slot(at).is_free() {
            if self.used == self.used_max {
                return Mapped::Full;
            }
            self.used += 1;
        }
        self.slots[at] = [hash[0], hash[1], offset.0.cast_unsigned() + 1];
        Mapped::Noted
    }

    /// The newest offset of `key`, if the map has one.
    #[must_use]
    pub fn newest(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slot(self.find(self.hash(key)));
        slot.next.checked_sub(1).map(|o| Offset(o.cast_signed()))
    }

    /// Whether the record at `offset` is the newest of `key` as far as the map knows.
    #[must_use]
    pub fn is_latest(&self, key: &[u8], offset: Offset) -> bool {
        self.newest(key).is_none_or(|newest| offset >= newest)
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// How many keys it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.used_max
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slots.len() * SLOT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_keeps_the_newest_offset_and_says_when_it_is_full() {
        let mut map = KeyMap::new(24 * 10, 1_000, (1, 2));
        assert_eq!((map.capacity(), map.bytes()), (9, 240));
        for n in 0..9_i64 {
            assert_eq!(map.note(&n.to_be_bytes(), Offset(n)), Mapped::Noted);
        }
        assert_eq!(map.note(b"one more", Offset(9)), Mapped::Full);
        assert_eq!(map.newest(b"one more"), None);
        assert!(map.is_latest(b"one more", Offset(0)));
        // A known key always fits.
        assert_eq!(map.note(&3_i64.to_be_bytes(), Offset(20)), Mapped::Noted);
        assert_eq!(map.newest(&3_i64.to_be_bytes()), Some(Offset(20)));
        assert!(!map.is_latest(&3_i64.to_be_bytes(), Offset(3)));
        assert!(map.is_latest(&3_i64.to_be_bytes(), Offset(20)));
        assert_eq!(map.len(), 9);
    }

    #[test]
    fn it_takes_no_more_memory_than_there_are_keys_and_one_key_always_fits() {
        assert!(KeyMap::new(64 << 20, 10, (0, 0)).bytes() < 24 * 20);
        let mut least = KeyMap::new(0, 0, (0, 0));
        assert_eq!(least.note(b"", Offset(0)), Mapped::Noted);
        assert_eq!(least.note(b"x", Offset(1)), Mapped::Full);
    }

    #[test]
    fn sixty_four_mebibytes_hold_two_and_a_half_million_keys() {
        // So 50 million keys take twenty passes.
        assert_eq!(KeyMap::new(64 << 20, u64::MAX, (0, 0)).capacity(), 2_516_581);
    }

    #[test]
    fn it_agrees_with_a_real_map_up_to_its_capacity() {
        let mut map = KeyMap::new(24 * 5_000, u64::MAX, (7, 9));
        let mut model = BTreeMap::new();
        let mut x = 1_u64;
        for n in 0..20_000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = (x >> 33) % 6_000;
            if map.note(&key.to_le_bytes(), Offset(n)) == Mapped::Noted {
                model.insert(key, n);
            }
        }
        assert_eq!(map.len(), 4_500);
        assert_eq!(model.len(), 4_500);
        for key in 0..6_000_u64 {
            let newest = map.newest(&key.to_le_bytes()).map(|o| o.0);
            assert_eq!(newest, model.get(&key).copied(), "key {key}");
        }
    }

    /// A turn of the core's loop makes it: memory that nobody has touched yet costs nothing.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_large_map_is_zeroed_by_the_system_as_it_fills_up() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        let before = resident();
        let map = KeyMap::new(512 << 20, u64::MAX, (1, 2));
        let grown = resident().saturating_sub(before);
        assert!(grown < 128 << 20, "{} of {} bytes were touched", grown, map.bytes());
        assert_eq!(map.newest(b"any"), None);
    }
}
