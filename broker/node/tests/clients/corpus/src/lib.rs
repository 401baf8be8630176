//! The corpus of `CORPUS.md`, in Rust: what record `i` of a stream must look like.
//!
//! Nothing here knows a client or a broker; the readers compare what they got with what these functions say.
#![forbid(unsafe_code)]

/// Codecs that every writer uses, in Kafka's names; each is a stream of its own.
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// Every stream, in the order in which it is written.
pub const STREAMS: [&str; 8] = ["none", "gzip", "snappy", "lz4", "zstd", "acks1", "acks0", "big"];
/// `max.message.bytes` of the stream `big`: exactly its one batch.
pub const BIG_BATCH_BYTES: usize = 8_388_682;
/// Length of the value of the stream `big`.
pub const BIG_VALUE_BYTES: usize = 8_388_608;
/// The digest of records 0 to 59 of seed 1 (see `CORPUS.md`).
pub const DIGEST: u32 = 0xb5b8_4ce0;

/// One record as a reader must see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Key, null where `None`.
    pub key: Option<Vec<u8>>,
    /// Value, null where `None`.
    pub value: Option<Vec<u8>>,
    /// Headers in order, duplicates included.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970; `None` where the writer could not choose it.
    pub timestamp: Option<i64>,
}

/// Which of the three dialects of the corpus a writer can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Everything.
    Full,
    /// Null header values are written as empty ones, and so is a null value beside a null key.
    Filled,
    /// Lines of letters, as kcat reads them.
    Text,
}

impl Profile {
    /// The dialect of a writer.
    #[must_use]
    pub fn of(writer: &str) -> Profile {
        match writer {
            "kcat" => Profile::Text,
            "kafkajs" | "kafkapython" | "aiokafka" => Profile::Filled,
            _ => Profile::Full,
        }
    }
}

/// How many records a stream has.
#[must_use]
pub fn records(stream: &str) -> u32 {
    match stream {
        "big" => 1,
        "acks0" | "acks1" => 30,
        _ => 240,
    }
}

/// How many partitions the topic of a stream has.
#[must_use]
pub fn partitions(stream: &str) -> u32 {
    if stream == "big" { 1 } else { 3 }
}

/// FNV-1a, 32 bits.
#[must_use]
pub fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The seed of a stream.
#[must_use]
pub fn seed(writer: &str, stream: &str) -> u32 {
    fnv(format!("{writer}/{stream}").as_bytes())
}

fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

struct Random {
    state: u32,
    letters: bool,
}

impl Random {
    fn start(seed: u32, i: u32, letters: bool) -> Random {
        let state = mix(seed ^ mix(i.wrapping_add(1)));
        Random { state: if state == 0 { 0x9e37_79b9 } else { state }, letters }
    }

    fn next(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut byte = || {
            let drawn = (self.next() >> 24) as u8;
            if self.letters { b'a' + drawn % 26 } else { drawn }
        };
        (0..count).map(|_| byte()).collect()
    }

    fn repeated(&mut self, length: usize, period: usize) -> Vec<u8> {
        let block = self.bytes(length.min(period));
        block.iter().copied().cycle().take(length).collect()
    }
}

/// Record `i` of the stream with this seed.
#[must_use]
pub fn record(seed: u32, i: u32, base: i64, profile: Profile) -> Record {
    let text = profile == Profile::Text;
    let mut random = Random::start(seed, i, text);
    let empty = || if text { None } else { Some(Vec::new()) };
    let key = match i % 5 {
        0 => None,
        1 => empty(),
        _ => {
            let length = 1 + random.next() % 32;
            Some(random.bytes(length as usize))
        }
    };
    let length = if i == 0 {
        Some(1)
    } else if i % 80 == 50 {
        Some(1_000_000)
    } else if i % 40 == 21 {
        Some(100_000)
    } else if i % 7 == 3 {
        None
    } else if i % 7 == 4 {
        Some(0)
    } else if i % 8 == 5 {
        Some(1000 + random.next() % 9000)
    } else {
        Some(1 + random.next() % 200)
    };
    let period = if i % 2 == 1 { 251 } else { 65_521 };
    let value = match length {
        None if profile == Profile::Filled && key.is_none() => Some(Vec::new()),
        None => None,
        Some(0) => empty(),
        Some(length) => Some(random.repeated(length as usize, period)),
    };
    let headers = if text {
        vec![("profile".to_owned(), Some(b"text".to_vec()))]
    } else {
        (0..i % 4)
            .map(|h| {
                let name = if h == 2 { "h\u{e9}" } else { "h0" };
                let value = match (i + h) % 6 {
                    5 if profile == Profile::Full => None,
                    4 | 5 => Some(Vec::new()),
                    _ => {
                        let length = 1 + random.next() % 20;
                        Some(random.bytes(length as usize))
                    }
                };
                (name.to_owned(), value)
            })
            .collect()
    };
    let timestamp = (!text).then(|| base + timestamp_delta(i));
    Record { key, value, headers, timestamp }
}

/// The timestamp of record `i`, less BASE.
#[must_use]
pub fn timestamp_delta(i: u32) -> i64 {
    100 * i64::from(i) - if i % 10 == 9 { 450 } else { 0 }
}

/// The one record of the stream `big`, with `extra` bytes more than it should have.
#[must_use]
pub fn big(writer: &str, base: i64, extra: usize) -> Record {
    let profile = Profile::of(writer);
    let mut random = Random::start(seed(writer, "big"), 0, profile == Profile::Text);
    Record {
        key: None,
        value: Some(random.repeated(BIG_VALUE_BYTES + extra, 65_521)),
        headers: Vec::new(),
        timestamp: (profile != Profile::Text).then_some(base),
    }
}

/// Record `i` of a writer's stream.
#[must_use]
pub fn expected(writer: &str, stream: &str, i: u32, base: i64) -> Record {
    if stream == "big" {
        big(writer, base, 0)
    } else {
        record(seed(writer, stream), i, base, Profile::of(writer))
    }
}

/// The look-ups by time that a reader makes on a partition of the stream `none`: (timestamp, offset or -1).
#[must_use]
pub fn times(partition: u32, base: i64) -> Vec<(i64, i64)> {
    let of: Vec<i64> =
        (partition..records("none")).step_by(3).map(|i| base + timestamp_delta(i)).collect();
    let third = of.len() / 3;
    let first_at = |t: i64| of.iter().position(|at| *at >= t).map_or(-1, |at| at as i64);
    [base, of[third] + 1, of[2 * third] + 1, base + 10_000_000]
        .into_iter()
        .map(|t| (t, first_at(t)))
        .collect()
}

/// What tells two records apart, in words; `None` where they are alike.
#[must_use]
pub fn difference(want: &Record, got: &Record) -> Option<String> {
    let brief = |bytes: &Option<Vec<u8>>| match bytes {
        None => "null".to_owned(),
        Some(bytes) => format!("{} bytes, fnv {:08x}", bytes.len(), fnv(bytes)),
    };
    if want.key != got.key {
        return Some(format!("key: want {}, got {}", brief(&want.key), brief(&got.key)));
    }
    if want.value != got.value {
        return Some(format!("value: want {}, got {}", brief(&want.value), brief(&got.value)));
    }
    if want.headers != got.headers {
        return Some(format!("headers: want {:?}, got {:?}", want.headers, got.headers));
    }
    if want.timestamp.is_some() && want.timestamp != got.timestamp {
        return Some(format!("timestamp: want {:?}, got {:?}", want.timestamp, got.timestamp));
    }
    None
}

/// The digest of this implementation; must be [`DIGEST`].
#[must_use]
pub fn digest() -> u32 {
    fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
        let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        out.extend(length.to_be_bytes());
        out.extend(bytes.unwrap_or_default());
    }
    let mut out = Vec::new();
    for i in 0..60 {
        let record = record(1, i, 0, Profile::Full);
        put(&mut out, record.key.as_deref());
        put(&mut out, record.value.as_deref());
        out.extend((record.headers.len() as u32).to_be_bytes());
        for (name, value) in &record.headers {
            put(&mut out, Some(name.as_bytes()));
            put(&mut out, value.as_deref());
        }
        out.extend(record.timestamp.unwrap_or_default().to_be_bytes());
    }
    fnv(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_every_language_gets() {
        assert_eq!(digest(), DIGEST, "got {:#010x}", digest());
    }

    #[test]
    fn every_edge_case_occurs() {
        let all: Vec<Record> = (0..240).map(|i| record(7, i, 0, Profile::Full)).collect();
        let lengths: Vec<usize> =
            all.iter().filter_map(|r| r.value.as_ref().map(Vec::len)).collect();
        assert!(all.iter().any(|r| r.key.is_none()));
        assert!(all.iter().any(|r| r.key.as_ref().is_some_and(Vec::is_empty)));
        assert!(all.iter().any(|r| r.value.is_none()));
        assert!(all.iter().any(|r| r.headers.iter().any(|(_, value)| value.is_none())));
        assert!(all.iter().any(|r| r.headers.len() == 3));
        assert!([0, 1, 100_000, 1_000_000].iter().all(|n| lengths.contains(n)), "{lengths:?}");
    }

    #[test]
    fn offsets_by_time_are_the_first_at_or_after() {
        for partition in 0..3 {
            let times = times(partition, 1000);
            assert_eq!(times.first().map(|t| t.1), Some(0));
            assert_eq!(times.last().map(|t| t.1), Some(-1));
            assert!(times[1].1 > 20 && times[2].1 > times[1].1, "{times:?}");
        }
    }
}
