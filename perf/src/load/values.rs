//! The values of the records, made before the run, and templates of batches encoded from them.

use std::{fs, ops::Range};

use crate::{
    failure::Failure,
    protocol::batch::{put_record, varint_bytes},
    random::Random,
    spec::SizeSpec,
    stamp,
};

/// Values to draw from, prepared with the run's number.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pool: Vec<Vec<u8>>,
    next: usize,
}

/// How many different values there are where sizes vary.
const POOL: usize = 512;

/// Bytes that all values together may take.
const POOL_BYTES: usize = 64 << 20;

impl Values {
    /// The values of this size: random letters, so that compression finds little.
    pub(super) fn new(size: &SizeSpec, run: u32, random: &mut Random) -> Result<Self, Failure> {
        let mut pool = match size {
            SizeSpec::File(path) => {
                let text = fs::read(path).map_err(|e| Failure::file("read", path, &e))?;
                let lines: Vec<Vec<u8>> = text
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect();
                if lines.is_empty() {
                    return Err(Failure::Usage(format!("{} has no lines", path.display())));
                }
                lines
            }
            SizeSpec::Fixed(size) => {
                let count = (POOL_BYTES / (*size).max(1)).clamp(1, POOL);
                (0..count).map(|_| letters(*size, random)).collect()
            }
            SizeSpec::Uniform(from, to) => {
                let count = (POOL_BYTES / (*to).max(1)).clamp(16, POOL);
                (0..count)
                    .map(|_| {
                        let size = from + random.below((to - from + 1) as u64) as usize;
                        letters(size, random)
                    })
                    .collect()
            }
        };
        for value in &mut pool {
            stamp::prepare(value, run);
        }
        Ok(Self { pool, next: 0 })
    }

    /// The smallest value's size.
    pub(super) fn smallest(&self) -> usize {
        self.pool.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// The next value; after the last comes the first.
    pub(super) fn take(&mut self) -> &[u8] {
        let at = self.next;
        self.next = (at + 1) % self.pool.len();
        &self.pool[at]
    }

    /// The size of the value that comes next.
    pub(super) fn peek_bytes(&self) -> usize {
        self.pool[self.next].len()
    }
}

fn letters(size: usize, random: &mut Random) -> Vec<u8> {
    let mut value = vec![0; size];
    random.fill(&mut value);
    for byte in &mut value {
        // 64 printable letters, from `0` to `o`.
        *byte = b'0' + (*byte & 63);
    }
    value
}

/// Records of a batch, encoded: any number of them from the front is the body of a batch.
#[derive(Clone, Debug)]
pub(super) struct Template {
    records: Vec<u8>,
    /// Where each value lies in `records`; the record ends one byte after.
    values: Vec<Range<u32>>,
    /// The size of every key; `None`: there are no keys.
    key_bytes: Option<usize>,
}

/// One record of a template, and what is put into its copies.
#[derive(Clone, Debug)]
pub(super) struct Pattern<'a> {
    pub(super) bytes: &'a [u8],
    /// Where the key lies within; empty without keys.
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Template {
    /// As many records as fit into these bytes, at least one; with room for keys of this size.
    pub(super) fn new(values: &mut Values, body_bytes: usize, key_bytes: Option<usize>) -> Self {
        let key = key_bytes.map(|bytes| vec![0; bytes]);
        let mut template = Self { records: Vec::new(), values: Vec::new(), key_bytes };
        loop {
            let mark = template.records.len();
            let delta = template.values.len() as i64;
            let value = put_record(&mut template.records, delta, key.as_deref(), values.take());
            if template.records.len() > body_bytes && !template.values.is_empty() {
                template.records.truncate(mark);
                return template;
            }
            template.values.push(value.start as u32..value.end as u32);
            if template.records.len() >= body_bytes {
                return template;
            }
        }
    }

    /// How many records it has.
    pub(super) fn count(&self) -> u32 {
        self.values.len() as u32
    }

    /// Record number `index`.
    pub(super) fn record(&self, index: u32) -> Pattern<'_> {
        let index = index as usize;
        let start = if index == 0 { 0 } else { self.values[index - 1].end as usize + 1 };
        let value = &self.values[index];
        let bytes = &self.records[start..value.end as usize + 1];
        let value = value.start as usize - start..value.end as usize - start;
        // Between key and value is the value's length alone.
        let key_end = value.start - varint_bytes(value.len() as i64);
        Pattern { bytes, key: key_end - self.key_bytes.unwrap_or(0)..key_end, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::batch::walk;

    #[test]
    fn a_template_cut_anywhere_is_whole_records() {
        let mut random = Random::new(1);
        let mut values = Values::new(&SizeSpec::Uniform(20, 200), 5, &mut random).unwrap();
        let template = Template::new(&mut values, 4096, None);
        assert!(template.records.len() <= 4096 && template.count() > 10);
        let mut body = Vec::new();
        for index in 0..7 {
            let record = template.record(index);
            assert!((20..=200).contains(&record.bytes[record.value.clone()].len()));
            assert!(record.key.is_empty());
            body.extend_from_slice(record.bytes);
        }
        let mut deltas = Vec::new();
        walk(&body, |delta, _| deltas.push(delta)).unwrap();
        assert_eq!(deltas, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_key_is_put_where_the_encoding_has_it() {
        // Values whose length takes one, two and three bytes.
        for size in [20, 200, 20_000] {
            let mut values = Values::new(&SizeSpec::Fixed(size), 5, &mut Random::new(1)).unwrap();
            let template = Template::new(&mut values.clone(), 3 * size + 200, Some(8));
            assert!(template.count() >= 3, "{size}");
            for index in 0..3_u32 {
                let key = (0xdead_beef_0000_u64 + u64::from(index)).to_be_bytes();
                let Pattern { bytes, key: place, value } = template.record(index);
                let mut filled = bytes.to_vec();
                filled[place].copy_from_slice(&key);
                let mut encoded = Vec::new();
                let at = put_record(&mut encoded, i64::from(index), Some(&key), values.take());
                assert_eq!((filled, value), (encoded, at), "{size}, {index}");
            }
        }
    }

    #[test]
    fn a_value_larger_than_a_batch_goes_alone() {
        let mut random = Random::new(1);
        let mut values = Values::new(&SizeSpec::Fixed(10_000), 5, &mut random).unwrap();
        assert_eq!(Template::new(&mut values, 4096, None).count(), 1);
    }
}
