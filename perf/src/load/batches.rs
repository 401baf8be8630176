//! Turns records that are due into batches.
//!
//! Records are copied from a template that was encoded before the run; only where keyed values vary in size each is encoded anew.
//! Without keys a producer fills one partition's batch and goes on to the next partition. With keys every partition has its own
//! open batch. A batch is closed when it is full or when its first record has waited for `linger`; while the in-flight bound
//! stops its connection it stays open and keeps filling, as the batches of other Kafka clients do.

use std::collections::VecDeque;

use super::{
    dues::Dues,
    plan::Plan,
    values::{Template, Values},
};
use crate::{
    failure::Failure,
    protocol::batch::{HEADER_BYTES, partition_of_key, put_record, record_bytes},
    random::{Random, Zipf},
    spec::{KeySpec, SizeSpec},
    stamp::{self, Origin},
};

/// A batch that is complete but for its header.
#[derive(Debug)]
pub(super) struct Closed {
    /// Over all topics of the run.
    pub(super) partition: u32,
    /// Room for the header, then the records.
    pub(super) bytes: Vec<u8>,
    pub(super) count: u32,
    pub(super) dues: Dues,
    /// Number of its first record among the producer's records of this partition.
    pub(super) first_sequence: u64,
}

#[derive(Debug)]
struct Open {
    bytes: Vec<u8>,
    count: u32,
    dues: Dues,
    first_sequence: u64,
    template: usize,
}

/// The keys, as they are drawn.
#[derive(Clone, Debug)]
enum Keys {
    None,
    Random(u64),
    Sequential(u64),
    Zipf(Zipf),
}

/// One producer's open batches.
#[derive(Debug)]
pub(super) struct Batches {
    producer: u32,
    partitions: u32,
    topics: u32,
    batch_bytes: usize,
    verify: bool,
    keys: Keys,
    /// Gaps between due times are equal within a batch.
    even: bool,
    random: Random,
    values: Values,
    templates: Vec<Template>,
    template: usize,
    open: Vec<Option<Open>>,
    /// Partitions with an open batch, by the due time of the batch's first record.
    order: VecDeque<(u64, u32)>,
    /// The partition that fills when there are no keys.
    current: u32,
    /// The next number for each partition.
    sequences: Vec<u64>,
    spare: Vec<Vec<u8>>,
}

/// A key is a number, the highest byte first.
const KEY_BYTES: usize = 8;

/// Buffers kept for the next batches.
const SPARE_MAX: usize = 64;

impl Batches {
    pub(super) fn new(
        plan: &Plan,
        producer: u32,
        run: u32,
        even: bool,
        mut random: Random,
    ) -> Result<Self, Failure> {
        let mut values = Values::new(&plan.size, run, &mut random)?;
        if plan.verify && values.smallest() < stamp::FULL_BYTES {
            return Err(Failure::Usage(format!(
                "--verify needs {} bytes in every value, the smallest has {}",
                stamp::FULL_BYTES,
                values.smallest()
            )));
        }
        let keys = match plan.keys {
            KeySpec::None => Keys::None,
            KeySpec::Random(n) => Keys::Random(n),
            KeySpec::Sequential => Keys::Sequential(u64::from(producer)),
            KeySpec::Zipf(s, n) => Keys::Zipf(Zipf::new(s, n)),
        };
        // Sizes that vary are drawn anew in a few templates; equal ones need one. With keys many batches are closed after their first
        // records: of a few templates these would always be the same sizes, so that they are drawn one by one.
        let (templates, key_bytes) = match (&keys, &plan.size) {
            (Keys::None, SizeSpec::Fixed(_)) => (1, None),
            (Keys::None, SizeSpec::Uniform(..) | SizeSpec::File(_)) => (8, None),
            (Keys::Random(_) | Keys::Sequential(_) | Keys::Zipf(_), SizeSpec::Fixed(_)) => {
                (1, Some(KEY_BYTES))
            }
            (Keys::Random(_) | Keys::Sequential(_) | Keys::Zipf(_), _) => (0, None),
        };
        let body = plan.batch_bytes.saturating_sub(HEADER_BYTES);
        let templates =
            (0..templates).map(|_| Template::new(&mut values, body, key_bytes)).collect();
        let all = plan.partitions_all();
        Ok(Self {
            producer,
            partitions: plan.partitions,
            topics: plan.topics,
            batch_bytes: plan.batch_bytes,
            verify: plan.verify,
            even: even && matches!(keys, Keys::None),
            keys,
            random,
            values,
            templates,
            template: 0,
            open: std::iter::repeat_with(|| None).take(all).collect(),
            order: VecDeque::new(),
            current: producer % all.max(1) as u32,
            sequences: vec![0; all],
            spare: Vec::new(),
        })
    }

    /// Whether records have keys: then it is not known which batch the next one fills.
    pub(super) fn is_keyed(&self) -> bool {
        !matches!(self.keys, Keys::None)
    }

    /// The partition whose batch fills next when there are no keys.
    pub(super) fn current(&self) -> u32 {
        self.current
    }

    /// Leaves the current partition for the next one; only where it has no open batch.
    pub(super) fn skip(&mut self) {
        self.current = (self.current + 1) % self.open.len() as u32;
    }

    /// How many more records fill the current batch; `None` with keys.
    pub(super) fn room(&self) -> Option<u32> {
        if self.is_keyed() {
            return None;
        }
        Some(match &self.open[self.current as usize] {
            Some(open) => self.templates[open.template].count() - open.count,
            None => self.templates[self.template].count(),
        })
    }

    /// The due time of the longest waiting open batch's first record, and its partition.
    pub(super) fn oldest(&mut self) -> Option<(u64, u32)> {
        while let Some((first, partition)) = self.order.front().copied() {
            let open = self.open[partition as usize].as_ref();
            if open.and_then(|open| open.dues.first()) == Some(first) {
                return Some((first, partition));
            }
            self.order.pop_front();
        }
        None
    }

    /// Every open batch's (first due time, partition), oldest first.
    pub(super) fn waiting(&mut self) -> Vec<(u64, u32)> {
        let open = &self.open;
        self.order.retain(|(first, partition)| {
            let batch = open[*partition as usize].as_ref();
            batch.and_then(|batch| batch.dues.first()) == Some(*first)
        });
        self.order.iter().copied().collect()
    }

    /// Whether a batch of this partition is being filled.
    pub(super) fn is_open(&self, partition: u32) -> bool {
        self.open.get(partition as usize).is_some_and(Option::is_some)
    }

    /// Adds a record that was due at `at`. Gives back the batches that are full now: at most one before it, and its own.
    pub(super) fn push(&mut self, at: u64, stage: usize, full: &mut Vec<Closed>) {
        match self.keys {
            Keys::None => self.push_template(at, stage, full),
            Keys::Random(_) | Keys::Sequential(_) | Keys::Zipf(_) => {
                self.push_keyed(at, stage, full);
            }
        }
    }

    fn push_template(&mut self, at: u64, stage: usize, full: &mut Vec<Closed>) {
        let partition = self.current;
        if self.open[partition as usize].is_none() {
            self.start(partition, at);
        }
        if self.copy(partition, None, at, stage) {
            full.extend(self.close(partition));
        }
    }

    fn push_keyed(&mut self, at: u64, stage: usize, full: &mut Vec<Closed>) {
        let key = match &mut self.keys {
            Keys::None => 0,
            Keys::Random(n) => self.random.below(*n),
            Keys::Sequential(next) => {
                *next += 1;
                *next
            }
            Keys::Zipf(zipf) => zipf.sample(&mut self.random),
        };
        let key: [u8; KEY_BYTES] = key.to_be_bytes();
        // The topic is drawn apart from the key: a key has one partition in every topic.
        let topic =
            if self.topics > 1 { self.random.below(u64::from(self.topics)) as u32 } else { 0 };
        let partition = topic * self.partitions + partition_of_key(&key, self.partitions);
        let place = partition as usize;
        if !self.templates.is_empty() {
            if self.open[place].is_none() {
                self.start(partition, at);
            }
            if self.copy(partition, Some(key), at, stage) {
                full.extend(self.close(partition));
            }
            return;
        }
        let bytes = record_bytes(Some(key.len()), self.values.peek_bytes());
        if self.open[place].as_ref().is_some_and(|o| o.bytes.len() + bytes > self.batch_bytes) {
            full.extend(self.close(partition));
        }
        if self.open[place].is_none() {
            self.start(partition, at);
        }
        let sequence = self.sequences[place];
        let Some(open) = self.open[place].as_mut() else { return };
        let value =
            put_record(&mut open.bytes, i64::from(open.count), Some(&key), self.values.take());
        let value = &mut open.bytes[value];
        if self.verify {
            stamp::full(value, at, Origin { producer: self.producer, partition, sequence });
        } else {
            stamp::time(value, at);
        }
        open.dues.push(at, stage, false);
        open.count += 1;
        self.sequences[place] = sequence + 1;
        if open.bytes.len() >= self.batch_bytes {
            full.extend(self.close(partition));
        }
    }

    /// Adds a copy of the template's next record to the open batch of this partition. Gives back whether the batch is full now.
    fn copy(
        &mut self,
        partition: u32,
        key: Option<[u8; KEY_BYTES]>,
        at: u64,
        stage: usize,
    ) -> bool {
        let place = partition as usize;
        let sequence = self.sequences[place];
        let Some(open) = self.open[place].as_mut() else { return false };
        let template = &self.templates[open.template];
        let pattern = template.record(open.count);
        let start = open.bytes.len();
        open.bytes.extend_from_slice(pattern.bytes);
        let record = &mut open.bytes[start..];
        if let Some(key) = key {
            record[pattern.key].copy_from_slice(&key);
        }
        let value = &mut record[pattern.value];
        if self.verify {
            stamp::full(value, at, Origin { producer: self.producer, partition, sequence });
        } else {
            stamp::time(value, at);
        }
        open.dues.push(at, stage, self.even);
        open.count += 1;
        self.sequences[place] = sequence + 1;
        open.count == template.count()
    }

    fn start(&mut self, partition: u32, at: u64) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.resize(HEADER_BYTES, 0);
        self.open[partition as usize] = Some(Open {
            bytes,
            count: 0,
            dues: Dues::default(),
            first_sequence: self.sequences[partition as usize],
            template: self.template,
        });
        if !self.templates.is_empty() {
            self.template = (self.template + 1) % self.templates.len();
        }
        self.order.push_back((at, partition));
    }

    /// Closes the open batch of this partition, where there is one.
    pub(super) fn close(&mut self, partition: u32) -> Option<Closed> {
        let open = self.open[partition as usize].take()?;
        if !self.is_keyed() && partition == self.current {
            self.skip();
        }
        let Open { bytes, count, dues, first_sequence, .. } = open;
        Some(Closed { partition, bytes, count, dues, first_sequence })
    }

    /// Takes a buffer back.
    pub(super) fn recycle(&mut self, bytes: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(bytes);
        }
    }

    /// How many records were made for this partition.
    pub(super) fn made(&self, partition: u32) -> u64 {
        self.sequences[partition as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::batch::walk, stamp::Read};

    fn plan(keys: KeySpec, verify: bool) -> Plan {
        Plan {
            keys,
            verify,
            size: SizeSpec::Fixed(100),
            batch_bytes: 1000,
            partitions: 3,
            ..Plan::default()
        }
    }

    fn make(plan: &Plan, records: u64) -> (Batches, Vec<Closed>) {
        let mut batches = Batches::new(plan, 1, 77, true, Random::new(1)).unwrap();
        let mut full = Vec::new();
        for at in 0..records {
            batches.push(at * 10, 0, &mut full);
        }
        (batches, full)
    }

    fn sequences(batches: &[Closed], partition: u32) -> Vec<u64> {
        let mut all = Vec::new();
        for batch in batches.iter().filter(|batch| batch.partition == partition) {
            assert_eq!(batch.first_sequence, all.len() as u64);
            let before = all.len();
            walk(&batch.bytes[HEADER_BYTES..], |_, value| match stamp::read(value, 77) {
                Read::Verified { origin, .. } => all.push(origin.sequence),
                other @ (Read::Timed { .. }
                | Read::Another { .. }
                | Read::Corrupt
                | Read::Foreign) => panic!("{other:?}"),
            })
            .unwrap();
            assert_eq!(all.len() - before, batch.count as usize);
        }
        all
    }

    #[test]
    fn without_keys_partitions_take_turns() {
        let (batches, full) = make(&plan(KeySpec::None, true), 100);
        let turns: Vec<u32> = full.iter().map(|batch| batch.partition).collect();
        assert_eq!(turns[..4], [1, 2, 0, 1]);
        assert!(
            full.iter().all(|batch| batch.bytes.len() <= 1000 && batch.dues.segments().len() == 1)
        );
        assert_eq!(sequences(&full, 1), (0..sequences(&full, 1).len() as u64).collect::<Vec<_>>());
        assert!(batches.room().is_some_and(|room| room > 0));
    }

    #[test]
    fn keyed_records_keep_their_order_in_their_partition() {
        keyed(&plan(KeySpec::Random(50), true));
        // Sizes that vary are encoded one by one.
        keyed(&Plan { size: SizeSpec::Uniform(60, 140), ..plan(KeySpec::Random(50), true) });
    }

    fn keyed(plan: &Plan) {
        let (mut batches, mut full) = make(plan, 500);
        assert!(full.iter().all(|batch| batch.bytes.len() <= 1000));
        while let Some((_, partition)) = batches.oldest() {
            full.extend(batches.close(partition));
        }
        let mut total = 0;
        for partition in 0..3 {
            let seen = sequences(&full, partition);
            assert_eq!(seen, (0..batches.made(partition)).collect::<Vec<_>>());
            total += seen.len();
        }
        assert_eq!(total, 500);
        assert!(batches.waiting().is_empty());
    }

    #[test]
    fn a_copied_record_has_the_key_that_chose_its_partition() {
        let keys = |spec| {
            let (mut batches, mut full) = make(&plan(spec, false), 300);
            while let Some((_, partition)) = batches.oldest() {
                full.extend(batches.close(partition));
            }
            let mut keys = Vec::new();
            for batch in &full {
                walk_keyed(&batch.bytes[HEADER_BYTES..], |key, value| {
                    assert_eq!(partition_of_key(key, 3), batch.partition);
                    assert_eq!(value.len(), 100);
                    keys.push(u64::from_be_bytes(key.try_into().unwrap()));
                });
            }
            keys.sort_unstable();
            keys
        };
        // Producer 1 counts from the number behind its own.
        assert_eq!(keys(KeySpec::Sequential), (2..302).collect::<Vec<u64>>());
        let random = keys(KeySpec::Random(50));
        assert!(random.len() == 300 && random.iter().all(|key| *key < 50), "{random:?}");
    }

    /// Key and value of every record.
    fn walk_keyed(mut records: &[u8], mut each: impl FnMut(&[u8], &[u8])) {
        let number = |bytes: &mut &[u8]| {
            let (mut value, mut shift) = (0_u64, 0);
            loop {
                let (byte, rest) = bytes.split_first().unwrap();
                *bytes = rest;
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    return (value >> 1) as usize;
                }
            }
        };
        while !records.is_empty() {
            let length = number(&mut records);
            let (record, rest) = records.split_at(length);
            // Attributes and timestamp delta, a byte each, and the delta.
            let mut record = &record[2..];
            number(&mut record);
            let key_bytes = number(&mut record);
            let (key, mut record) = record.split_at(key_bytes);
            let value_bytes = number(&mut record);
            each(key, &record[..value_bytes]);
            records = rest;
        }
    }

    #[test]
    fn a_value_too_small_for_its_stamp_is_refused() {
        let small = Plan { size: SizeSpec::Fixed(10), verify: true, ..Plan::default() };
        assert!(Batches::new(&small, 0, 1, true, Random::new(1)).is_err());
    }
}
