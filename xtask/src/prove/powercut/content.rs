//! What a file holds: as its readers see it, as the disk surely has it, and everything between.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::prove::random::Random;

/// Bytes of a block: what is lost, kept or torn by itself.
pub(super) const BLOCK: usize = 4096;
/// Bytes that a disk writes whole.
const SECTOR: usize = 512;

type Block = Arc<[u8; BLOCK]>;

/// What one cut did to files.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) kept: u64,
    pub(crate) dropped: u64,
    pub(crate) torn: u64,
}

/// Size and blocks; a block that is not there is zeros.
#[derive(Clone, Default)]
struct Content {
    size: u64,
    blocks: BTreeMap<u64, Block>,
}

impl Content {
    fn block(&self, index: u64) -> Block {
        self.blocks.get(&index).cloned().unwrap_or_else(|| Arc::new([0; BLOCK]))
    }
}

/// One regular file.
#[derive(Default)]
pub(super) struct File {
    now: Content,
    durable: Content,
    /// Versions of blocks that no flush has covered, oldest first, each with its moment.
    pending: BTreeMap<u64, Vec<(u64, Block)>>,
    sizes: Vec<(u64, u64)>,
    /// Counts changes; a flush covers those up to the moment at which it was asked for.
    moment: u64,
}

impl File {
    pub(super) fn size(&self) -> u64 {
        self.now.size
    }

    pub(super) fn moment(&self) -> u64 {
        self.moment
    }

    pub(super) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let end = self.now.size.min(offset.saturating_add(len as u64));
        let mut bytes = Vec::new();
        let mut at = offset;
        while at < end {
            let start = (at % BLOCK as u64) as usize;
            let part = ((end - at) as usize).min(BLOCK - start);
            match self.now.blocks.get(&(at / BLOCK as u64)) {
                Some(block) => bytes.extend_from_slice(&block[start..start + part]),
                None => bytes.resize(bytes.len() + part, 0),
            }
            at += part as u64;
        }
        bytes
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let (index, start) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let part = rest.len().min(BLOCK - start);
            let mut block = self.now.block(index);
            Arc::make_mut(&mut block)[start..start + part].copy_from_slice(&rest[..part]);
            self.put(index, block);
            rest = &rest[part..];
            at += part as u64;
        }
        if at > self.now.size {
            self.resize(at);
        }
    }

    fn put(&mut self, index: u64, block: Block) {
        self.moment += 1;
        self.pending.entry(index).or_default().push((self.moment, Arc::clone(&block)));
        self.now.blocks.insert(index, block);
    }

    /// Sets the size. What is cut off reads as zeros if the file grows again.
    pub(super) fn resize(&mut self, size: u64) {
        if size == self.now.size {
            return;
        }
        let (first, kept) = (size / BLOCK as u64, (size % BLOCK as u64) as usize);
        // None if the file grows.
        let beyond: Vec<u64> = self.now.blocks.range(first..).map(|(index, _)| *index).collect();
        for index in beyond {
            let keep = if index == first { kept } else { 0 };
            let mut block = self.now.block(index);
            Arc::make_mut(&mut block)[keep..].fill(0);
            self.put(index, block);
        }
        self.moment += 1;
        self.sizes.push((self.moment, size));
        self.now.size = size;
    }

    /// A flush that was asked for at this moment is over.
    pub(super) fn flushed(&mut self, moment: u64) {
        self.pending.retain(|index, versions| {
            let covered = versions.partition_point(|(at, _)| *at <= moment);
            if let Some((_, last)) = versions.drain(..covered).next_back() {
                self.durable.blocks.insert(*index, last);
            }
            !versions.is_empty()
        });
        let covered = self.sizes.partition_point(|(at, _)| *at <= moment);
        if let Some((_, last)) = self.sizes.drain(..covered).next_back() {
            self.durable.size = last;
        }
    }

    /// What the disk has after a cut: each block as one of its versions or torn between two of them, the size likewise. Or
    /// all is lost that is not sure.
    pub(super) fn cut(&mut self, random: &mut Random, all_lost: bool, fate: &mut Fate) {
        let mode = if all_lost { 0 } else { random.below(4) };
        for (index, versions) in std::mem::take(&mut self.pending) {
            let all = versions.len() as u64;
            // All lost, all kept, or each by itself.
            let chosen = match mode {
                0 => 0,
                1 => all,
                _ => random.below(all + 1),
            };
            let before = self.durable.block(index);
            let version = |n: u64| {
                let newer = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
                newer.and_then(|n| versions.get(n)).map_or_else(|| before.clone(), |v| v.1.clone())
            };
            let mut block = version(chosen);
            if mode > 1 && random.one_in(4) {
                let other = version(random.below(all + 1));
                for sector in 0..BLOCK / SECTOR {
                    if random.one_in(2) {
                        let range = sector * SECTOR..(sector + 1) * SECTOR;
                        Arc::make_mut(&mut block)[range.clone()].copy_from_slice(&other[range]);
                    }
                }
                fate.torn += 1;
            } else if chosen == all {
                fate.kept += 1;
            } else {
                fate.dropped += 1;
            }
            self.durable.blocks.insert(index, block);
        }
        let sizes = std::mem::take(&mut self.sizes);
        let chosen = match mode {
            0 => 0,
            1 => sizes.len() as u64,
            _ => random.below(sizes.len() as u64 + 1),
        };
        let newer = usize::try_from(chosen).ok().and_then(|n| n.checked_sub(1));
        if let Some((_, size)) = newer.and_then(|n| sizes.get(n)) {
            self.durable.size = *size;
        }
        let first = self.durable.size.div_ceil(BLOCK as u64);
        drop(self.durable.blocks.split_off(&first));
        let kept = (self.durable.size % BLOCK as u64) as usize;
        if kept > 0
            && let Some(last) = self.durable.blocks.get_mut(&(self.durable.size / BLOCK as u64))
        {
            Arc::make_mut(last)[kept..].fill(0);
        }
        self.now = self.durable.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 3 * BLOCK;

    #[test]
    fn what_was_flushed_survives_every_cut() {
        for seed in 0..200 {
            let mut file = File::default();
            file.write(0, &[1; LEN]);
            file.flushed(file.moment());
            file.cut(&mut Random(seed), false, &mut Fate::default());
            assert_eq!(file.read(0, LEN + 1), vec![1; LEN]);
        }
    }

    #[test]
    fn a_flush_covers_nothing_that_was_written_after_it_was_asked_for() {
        let (mut lost, mut kept) = (0, 0);
        for seed in 0..200 {
            let mut file = File::default();
            file.write(0, &[1; LEN]);
            let asked = file.moment();
            file.write(0, &[2; BLOCK]);
            file.flushed(asked);
            file.cut(&mut Random(seed), false, &mut Fate::default());
            let found = file.read(0, LEN);
            assert!(found[..BLOCK].chunks(SECTOR).all(|s| s == [1; SECTOR] || s == [2; SECTOR]));
            assert_eq!(found[BLOCK..], [1; LEN - BLOCK]);
            lost += u32::from(found[..BLOCK] == [1; BLOCK]);
            kept += u32::from(found[..BLOCK] == [2; BLOCK]);
        }
        assert!(lost > 10 && kept > 10, "{lost} {kept}");
    }

    #[test]
    fn what_was_not_flushed_is_dropped_kept_and_torn() {
        let mut fate = Fate::default();
        let mut whole = 0;
        for seed in 0..100 {
            let mut file = File::default();
            file.write(0, &[1; LEN]);
            file.cut(&mut Random(seed), false, &mut fate);
            whole += u32::from(file.read(0, LEN) == vec![1; LEN]);
        }
        assert!(fate.kept > 0 && fate.dropped > 0 && fate.torn > 0, "{fate:?}");
        assert!(whole < 100 && whole > 0);
    }

    #[test]
    fn all_that_is_not_sure_can_be_lost_at_once() {
        for seed in 0..20 {
            let (mut file, mut fate) = (File::default(), Fate::default());
            file.write(0, &[1; LEN]);
            file.flushed(file.moment());
            file.write(100, &[2; 2 * LEN]);
            file.cut(&mut Random(seed), true, &mut fate);
            assert_eq!(file.read(0, 3 * LEN), vec![1; LEN]);
            assert_eq!((fate.kept, fate.torn), (0, 0));
        }
    }

    #[test]
    fn a_size_that_is_no_multiple_of_a_block_survives_a_flush() {
        for seed in 0..50 {
            let mut file = File::default();
            file.write(0, b"a few lines");
            file.flushed(file.moment());
            file.cut(&mut Random(seed), false, &mut Fate::default());
            assert_eq!((file.size(), file.read(0, 1 << 20)), (11, b"a few lines".to_vec()));
            assert_eq!(file.read(11, 1 << 20), b"", "behind the end there is nothing");
        }
    }

    #[test]
    fn what_a_truncation_takes_away_reads_as_zeros() {
        let mut file = File::default();
        file.write(0, &[1; LEN]);
        file.resize(100);
        file.resize(LEN as u64);
        let found = file.read(0, LEN);
        assert_eq!(found[..100], [1; 100]);
        assert!(found[100..].iter().all(|b| *b == 0));
    }
}
