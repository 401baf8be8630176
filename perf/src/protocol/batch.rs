//! Record batches (version 2): records one after the other, a header that is put in last, and a walk through what came back.
//!
//! ```text
//! 0 base offset (8)   8 length (4)   12 leader epoch (4)   16 magic 2 (1)   17 crc (4)   21 attributes (2)
//! 23 last offset delta (4)   27 base timestamp (8)   35 max timestamp (8)   43 producer id (8)   51 epoch (2)
//! 53 base sequence (4)   57 count (4)   61 records
//! ```
//! The length counts the bytes after it, the CRC-32C the bytes from the attributes on. Every record of a batch carries the batch's
//! own timestamp (delta 0).

use std::ops::Range;

use super::Malformed;

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;

/// Who an idempotent producer is, and its next sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Handed out by the broker.
    pub producer_id: i64,
    /// Likewise.
    pub epoch: i16,
    /// Of the batch's first record.
    pub sequence: i32,
}

/// Writes a signed number as zigzag and base 128.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes [`put_varint`] writes.
#[must_use]
pub fn varint_bytes(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - zigzag.leading_zeros() as usize).max(1).div_ceil(7)
}

/// Appends record number `delta` of its batch; says where its value lies in `out`.
pub fn put_record(out: &mut Vec<u8>, delta: i64, key: Option<&[u8]>, value: &[u8]) -> Range<usize> {
    let key_bytes = key.map_or(1, |key| varint_bytes(key.len() as i64) + key.len());
    let body = 1
        + 1
        + varint_bytes(delta)
        + key_bytes
        + varint_bytes(value.len() as i64)
        + value.len()
        + 1;
    put_varint(out, body as i64);
    // Attributes, then the timestamp delta.
    out.extend_from_slice(&[0, 0]);
    put_varint(out, delta);
    match key {
        Some(key) => {
            put_varint(out, key.len() as i64);
            out.extend_from_slice(key);
        }
        None => put_varint(out, -1),
    }
    put_varint(out, value.len() as i64);
    let start = out.len();
    out.extend_from_slice(value);
    let end = out.len();
    // No headers.
    out.push(0);
    start..end
}

/// Bytes of a record with a value of this size, at most; the delta is taken as below 2^20.
#[must_use]
pub fn record_bytes(key: Option<usize>, value: usize) -> usize {
    let key = key.map_or(1, |key| varint_bytes(key as i64) + key);
    let body = 2 + 3 + key + varint_bytes(value as i64) + value + 1;
    varint_bytes(body as i64) + body
}

/// Puts the header into the first 61 bytes of a batch of `count` (at least 1) records and seals it with its CRC.
pub fn seal(
    batch: &mut [u8],
    count: i32,
    codec: i16,
    timestamp_ms: i64,
    identity: Option<Identity>,
) {
    let length = (batch.len() - 12) as u32;
    let identity = identity.unwrap_or(Identity { producer_id: -1, epoch: -1, sequence: -1 });
    let mut put = |at: usize, bytes: &[u8]| batch[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &0_i64.to_be_bytes());
    put(8, &length.to_be_bytes());
    put(12, &(-1_i32).to_be_bytes());
    put(16, &[2]);
    put(21, &codec.to_be_bytes());
    put(23, &(count - 1).to_be_bytes());
    put(27, &timestamp_ms.to_be_bytes());
    put(35, &timestamp_ms.to_be_bytes());
    put(43, &identity.producer_id.to_be_bytes());
    put(51, &identity.epoch.to_be_bytes());
    put(53, &identity.sequence.to_be_bytes());
    put(57, &count.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// A batch as it came back.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Compression (bits 0 to 2), control (bit 5) and the like.
    pub attributes: i16,
    /// How many records the header claims.
    pub count: i32,
    /// The records, as they are (compressed or not).
    pub records: &'a [u8],
    bytes: &'a [u8],
}

impl Batch<'_> {
    /// Whether the CRC fits.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        let stored = self.bytes.get(17..21).and_then(|crc| crc.try_into().ok());
        stored.is_some_and(|crc| u32::from_be_bytes(crc) == crc32c::crc32c(&self.bytes[21..]))
    }

    /// The codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    #[must_use]
    pub fn codec(&self) -> i16 {
        self.attributes & 7
    }

    /// Whether it holds markers rather than records of clients.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
}

/// Takes the first batch off; `None` where what is left is cut or empty.
///
/// # Errors
/// It is no batch of version 2.
pub fn next<'a>(records: &mut &'a [u8]) -> Result<Option<Batch<'a>>, Malformed> {
    let bytes = *records;
    let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let number =
        |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = usize::try_from(number(8)).map_err(|_| Malformed)?.saturating_add(12);
    if head[16] != 2 || length < HEADER_BYTES {
        return Err(Malformed);
    }
    let Some((batch, rest)) = bytes.split_at_checked(length) else { return Ok(None) };
    *records = rest;
    let base_offset = (i64::from(number(0)) << 32) | i64::from(number(4) as u32);
    Ok(Some(Batch {
        base_offset,
        last_offset: base_offset.saturating_add(i64::from(number(23).max(0))),
        attributes: i16::from_be_bytes([head[21], head[22]]),
        count: number(57),
        records: &batch[HEADER_BYTES..],
        bytes: batch,
    }))
}

fn get_varint(bytes: &mut &[u8]) -> Result<i64, Malformed> {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
        shift += 7;
        if shift > 63 {
            return Err(Malformed);
        }
    }
}

/// Walks through uncompressed records: calls `each` with the offset delta and the value of every one.
///
/// # Errors
/// A record is not as the format has it; those before it were given to `each`.
pub fn walk(mut records: &[u8], mut each: impl FnMut(i64, &[u8])) -> Result<(), Malformed> {
    while !records.is_empty() {
        let length = usize::try_from(get_varint(&mut records)?).map_err(|_| Malformed)?;
        let (record, rest) = records.split_at_checked(length).ok_or(Malformed)?;
        records = rest;
        let mut record = record.get(1..).ok_or(Malformed)?;
        let _timestamp = get_varint(&mut record)?;
        let delta = get_varint(&mut record)?;
        if let Ok(key) = usize::try_from(get_varint(&mut record)?) {
            record = record.get(key..).ok_or(Malformed)?;
        }
        let value = usize::try_from(get_varint(&mut record)?).unwrap_or(0);
        each(delta, record.get(..value).ok_or(Malformed)?);
    }
    Ok(())
}

/// The partition of a key: what the Java client's default partitioner chooses (murmur2, sign bit off, modulo).
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: u32) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(values: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        for (delta, value) in values.iter().enumerate() {
            let at = put_record(&mut bytes, delta as i64, Some(b"key"), value);
            assert_eq!(&bytes[at], *value);
        }
        seal(&mut bytes, values.len() as i32, 0, 1_000, None);
        bytes
    }

    #[test]
    fn what_is_sealed_walks_back() {
        let long = vec![9; 5000];
        let values: [&[u8]; 3] = [b"one", b"", &long];
        let bytes = sealed(&values);
        let mut rest = bytes.as_slice();
        let batch = next(&mut rest).unwrap().unwrap();
        assert!(batch.is_intact() && rest.is_empty());
        assert_eq!((batch.count, batch.last_offset), (3, 2));
        let mut seen = Vec::new();
        walk(batch.records, |delta, value| seen.push((delta, value.to_vec()))).unwrap();
        let expected: Vec<(i64, Vec<u8>)> =
            values.iter().enumerate().map(|(i, v)| (i as i64, v.to_vec())).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_flipped_bit_breaks_the_seal() {
        let mut bytes = sealed(&[b"hello"]);
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        let batch = next(&mut bytes.as_slice()).unwrap().unwrap();
        assert!(!batch.is_intact());
    }

    #[test]
    fn a_cut_batch_waits_for_more_and_nonsense_is_refused() {
        let bytes = sealed(&[b"hello"]);
        assert!(next(&mut &bytes[..bytes.len() - 1]).unwrap().is_none());
        assert!(next(&mut &bytes[..20]).unwrap().is_none());
        let mut old = bytes.clone();
        old[16] = 1;
        assert!(next(&mut old.as_slice()).is_err());
        let mut negative = bytes;
        negative[8] = 0xff;
        assert!(next(&mut negative.as_slice()).is_err());
        assert!(walk(&[0x80; 12], |_, _| {}).is_err());
        assert!(walk(&[200, 1, 0, 0], |_, _| {}).is_err());
    }

    #[test]
    fn sizes_are_told_beforehand() {
        for value in [0, 1, 63, 64, 100, 8191, 8192, 100_000] {
            let mut out = Vec::new();
            put_record(&mut out, (1 << 20) - 1, None, &vec![1; value]);
            assert!(out.len() <= record_bytes(None, value), "{value}");
            assert!(out.len() + 2 >= record_bytes(None, value), "{value}");
        }
    }

    #[test]
    fn keys_go_where_other_clients_send_them() {
        // Values of the Java client's Utils.murmur2, as its documentation of the hash lists them: 21 -> -973932308.
        let hash_of = |key: &[u8]| partition_of_key(key, u32::MAX);
        assert_eq!(hash_of(b"21"), (-973_932_308_i32 as u32) & 0x7fff_ffff);
        assert_eq!(hash_of(b"foobar"), (-790_332_482_i32 as u32) & 0x7fff_ffff);
        assert_eq!(hash_of(b"a-little-bit-long-string"), (-985_981_536_i32 as u32) & 0x7fff_ffff);
    }
}
