//! One session: what it holds, and what of it is awake.

use super::{From, Named, Wanted};
use ids::{CoreId, Instant, Offset, PartitionId};
use std::collections::{BTreeMap, BTreeSet};

/// What the client was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) high_watermark: Offset,
    pub(super) log_start: Offset,
}

pub(super) const NOTHING_TOLD: Told =
    Told { high_watermark: Offset::NONE, log_start: Offset::NONE };

#[derive(Debug)]
pub(super) struct Cached {
    pub(super) wanted: Wanted,
    pub(super) from: From,
    pub(super) told: Told,
    /// Partitions are served in the order of this number; one that returned data goes to the back.
    pub(super) turn: u64,
    /// What it was when it was asked for last.
    pub(super) id: Option<PartitionId>,
    pub(super) awake: bool,
}

#[derive(Debug)]
pub(super) struct FetchSession {
    pub(super) epoch: i32,
    pub(super) by_id: bool,
    pub(super) used: Instant,
    /// The name of its parts on the cores that own its partitions, and which cores these are.
    pub(super) key: u64,
    pub(super) cores: BTreeSet<CoreId>,
    /// By number.
    pub(super) partitions: Vec<Option<Cached>>,
    pub(super) free: Vec<u32>,
    pub(super) numbers: BTreeMap<Wanted, u32>,
    /// All that are awake; after a fetch that was given up this is not known.
    pub(super) awake: Vec<u32>,
    pub(super) next_turn: u64,
    /// A fetch has begun and not told what it has found.
    pub(super) unsettled: bool,
}

impl FetchSession {
    /// The client wants a partition, or wants it from elsewhere; whether it is new.
    pub(super) fn want(&mut self, wanted: Wanted, from: From) -> bool {
        if let Some(number) = self.numbers.get(&wanted) {
            if let Some(Some(cached)) = self.partitions.get_mut(*number as usize) {
                cached.from = from;
                if !std::mem::replace(&mut cached.awake, true) {
                    self.awake.push(*number);
                }
            }
            return false;
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        let cached = Cached {
            wanted: wanted.clone(),
            from,
            told: NOTHING_TOLD,
            turn,
            id: None,
            awake: true,
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.partitions.push(None);
            // Far below 2^32: each takes a hundred bytes.
            u32::try_from(self.partitions.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.partitions.get_mut(number as usize) {
            *place = Some(cached);
        }
        self.numbers.insert(wanted, number);
        self.awake.push(number);
        true
    }

    /// What is awake, in turn. A fetch begins.
    pub(super) fn named(&mut self) -> Vec<Named> {
        if std::mem::replace(&mut self.unsettled, true) {
            let all = (0u32..).zip(&mut self.partitions);
            self.awake = all
                .filter_map(|(number, place)| {
                    place.as_mut().map(|cached| {
                        cached.awake = true;
                        number
                    })
                })
                .collect();
        }
        let mut named: Vec<Named> = self
            .awake
            .iter()
            .filter_map(|number| {
                let cached = self.partitions.get(*number as usize)?.as_ref()?;
                let Cached { turn, wanted, from, id, .. } = cached;
                let (wanted, from) = (wanted.clone(), *from);
                Some(Named { number: *number, turn: *turn, wanted, from, id: *id })
            })
            .collect();
        named.sort_by_key(|n| (n.turn, n.number));
        // A number may have been given back and taken again.
        named.dedup_by_key(|n| n.number);
        named
    }
}
