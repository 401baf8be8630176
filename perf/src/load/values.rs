//! The values of the records, made before the run, and templates of batches encoded from them.

use std::{fs, ops::Range};

use crate::{failure::Failure, protocol::batch::put_record, random::Random, spec::SizeSpec, stamp};

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

/// Records of a batch without keys, encoded: any number of them from the front is the body of a batch.
#[derive(Clone, Debug)]
pub(super) struct Template {
    records: Vec<u8>,
    /// Where each value lies in `records`; the record ends one byte after.
    values: Vec<Range<u32>>,
}

impl Template {
    /// As many records as fit into these bytes, at least one.
    pub(super) fn new(values: &mut Values, body_bytes: usize) -> Self {
        let mut template = Self { records: Vec::new(), values: Vec::new() };
        loop {
            let mark = template.records.len();
            let delta = template.values.len() as i64;
            let value = put_record(&mut template.records, delta, None, values.take());
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

    /// Record number `index`, and where its value lies within.
    pub(super) fn record(&self, index: u32) -> (&[u8], Range<usize>) {
        let index = index as usize;
        let start = if index == 0 { 0 } else { self.values[index - 1].end as usize + 1 };
        let value = &self.values[index];
        let record = &self.records[start..value.end as usize + 1];
        (record, value.start as usize - start..value.end as usize - start)
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
        let template = Template::new(&mut values, 4096);
        assert!(template.records.len() <= 4096 && template.count() > 10);
        let mut body = Vec::new();
        for index in 0..7 {
            let (record, value) = template.record(index);
            assert!((20..=200).contains(&record[value].len()));
            body.extend_from_slice(record);
        }
        let mut deltas = Vec::new();
        walk(&body, |delta, _| deltas.push(delta)).unwrap();
        assert_eq!(deltas, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_value_larger_than_a_batch_goes_alone() {
        let mut random = Random::new(1);
        let mut values = Values::new(&SizeSpec::Fixed(10_000), 5, &mut random).unwrap();
        assert_eq!(Template::new(&mut values, 4096).count(), 1);
    }
}
