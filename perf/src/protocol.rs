//! As much of the Kafka protocol as a load needs, in one version of each API.
//!
//! The harness speaks for itself rather than through the broker's codec: a fault in a shared codec would be on both sides of
//! every conversation and so on neither. The versions are the newest without compact lengths and tagged fields that every broker
//! from Kafka 2.4 to 4.3 answers, so that one fixed layout serves, and a produce request is a few known bytes around a batch.
//!
//! | API | version | | API | version |
//! |---|---|---|---|---|
//! | Produce | 7 | | CreateTopics | 4 |
//! | Fetch | 10 | | DeleteTopics | 3 |
//! | ListOffsets | 1 | | InitProducerId | 1 |
//! | Metadata | 4 | | DescribeConfigs | 2 |
//! | ApiVersions | 0 | | DescribeLogDirs | 1 |

pub mod admin;
pub mod batch;
pub mod fetch;
pub mod produce;

/// An API and the version that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Append batches.
    Produce,
    /// Read batches.
    Fetch,
    /// First and last offsets.
    ListOffsets,
    /// Brokers and leaders.
    Metadata,
    /// What the broker speaks.
    ApiVersions,
    /// New topics.
    CreateTopics,
    /// Away with them.
    DeleteTopics,
    /// An identity for an idempotent producer.
    InitProducerId,
    /// Settings.
    DescribeConfigs,
    /// Where the data is.
    DescribeLogDirs,
}

impl Api {
    /// Every API that a load may use.
    pub const ALL: [Self; 10] = [
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::Metadata,
        Self::ApiVersions,
        Self::CreateTopics,
        Self::DeleteTopics,
        Self::InitProducerId,
        Self::DescribeConfigs,
        Self::DescribeLogDirs,
    ];

    /// Its number in the protocol, and the version spoken here.
    #[must_use]
    pub fn key_and_version(self) -> (i16, i16) {
        match self {
            Self::Produce => (0, 7),
            Self::Fetch => (1, 10),
            Self::ListOffsets => (2, 1),
            Self::Metadata => (3, 4),
            Self::ApiVersions => (18, 0),
            Self::CreateTopics => (19, 4),
            Self::DeleteTopics => (20, 3),
            Self::InitProducerId => (22, 1),
            Self::DescribeConfigs => (32, 2),
            Self::DescribeLogDirs => (35, 1),
        }
    }
}

/// The client's name in every request.
pub const CLIENT_ID: &str = "ringwood-perf";

/// A frame larger than this is not a Kafka answer.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// Why an answer could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an answer that is not as the protocol has it")
    }
}

/// Reads big-endian fields from the front.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the first byte on.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One signed byte.
    ///
    /// # Errors
    /// None is left.
    pub fn i8(&mut self) -> Result<i8, Malformed> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    /// Two bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// How many elements follow; a null array has none. No more than there are bytes left.
    ///
    /// # Errors
    /// Fewer bytes are left than elements are claimed.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.i32()?.max(0)).map_err(|_| Malformed)?;
        if count > self.rest.len() { Err(Malformed) } else { Ok(count) }
    }

    /// A string that is not null.
    ///
    /// # Errors
    /// It is null, cut, or not UTF-8.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        self.nullable_string()?.ok_or(Malformed)
    }

    /// A string.
    ///
    /// # Errors
    /// It is cut or not UTF-8.
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        std::str::from_utf8(self.take(length)?).map(Some).map_err(|_| Malformed)
    }

    /// Bytes; null ones are empty.
    ///
    /// # Errors
    /// They are cut.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let Ok(length) = usize::try_from(self.i32()?) else { return Ok(&[]) };
        self.take(length)
    }
}

/// Writes big-endian fields one after the other.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The frame of a request: its size is put in by `finish`. Request header version 1.
    #[must_use]
    pub fn request(api: Api, correlation: i32) -> Self {
        let (key, version) = api.key_and_version();
        let mut writer = Self::new();
        writer.i32(0).i16(key).i16(version).i32(correlation).string(CLIENT_ID);
        writer
    }

    /// One signed byte.
    pub fn i8(&mut self, value: i8) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Two bytes.
    pub fn i16(&mut self, value: i16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// How many elements follow.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// A string of at most 32767 bytes; a longer one is cut there.
    pub fn string(&mut self, text: &str) -> &mut Self {
        let bytes = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
        self.i16(bytes.len() as i16).raw(bytes)
    }

    /// The null string.
    pub fn null_string(&mut self) -> &mut Self {
        self.i16(-1)
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The frame, its size put in front: what was written, and `more` bytes that follow from elsewhere.
    #[must_use]
    pub fn finish(mut self, more: usize) -> Vec<u8> {
        let size = u32::try_from(self.bytes.len() + more).unwrap_or(u32::MAX).saturating_sub(4);
        if let Some(head) = self.bytes.first_chunk_mut::<4>() {
            *head = size.to_be_bytes();
        }
        self.bytes
    }

    /// The bytes as they are.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// What an error code is called.
#[must_use]
pub fn error_name(code: i16) -> String {
    let name = match code {
        0 => "none",
        1 => "OFFSET_OUT_OF_RANGE",
        2 => "CORRUPT_MESSAGE",
        3 => "UNKNOWN_TOPIC_OR_PARTITION",
        5 => "LEADER_NOT_AVAILABLE",
        6 => "NOT_LEADER_OR_FOLLOWER",
        7 => "REQUEST_TIMED_OUT",
        10 => "MESSAGE_TOO_LARGE",
        14 => "COORDINATOR_LOAD_IN_PROGRESS",
        15 => "COORDINATOR_NOT_AVAILABLE",
        17 => "INVALID_TOPIC_EXCEPTION",
        19 => "NOT_ENOUGH_REPLICAS",
        20 => "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        21 => "INVALID_REQUIRED_ACKS",
        29 => "TOPIC_AUTHORIZATION_FAILED",
        32 => "INVALID_TIMESTAMP",
        35 => "UNSUPPORTED_VERSION",
        36 => "TOPIC_ALREADY_EXISTS",
        37 => "INVALID_PARTITIONS",
        38 => "INVALID_REPLICATION_FACTOR",
        40 => "INVALID_CONFIG",
        42 => "INVALID_REQUEST",
        45 => "OUT_OF_ORDER_SEQUENCE_NUMBER",
        46 => "DUPLICATE_SEQUENCE_NUMBER",
        47 => "INVALID_PRODUCER_EPOCH",
        56 => "KAFKA_STORAGE_ERROR",
        59 => "UNKNOWN_PRODUCER_ID",
        74 => "FENCED_LEADER_EPOCH",
        75 => "UNKNOWN_LEADER_EPOCH",
        76 => "UNSUPPORTED_COMPRESSION_TYPE",
        87 => "INVALID_RECORD",
        89 => "THROTTLING_QUOTA_EXCEEDED",
        other => return format!("error {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_its_size() {
        let mut writer = Writer::request(Api::Metadata, 7);
        writer.count(0);
        let frame = writer.finish(10);
        assert_eq!(frame[..4], (frame.len() as u32 + 10 - 4).to_be_bytes());
        let mut reader = Reader::new(&frame[4..]);
        assert_eq!((reader.i16(), reader.i16(), reader.i32()), (Ok(3), Ok(4), Ok(7)));
        assert_eq!(reader.string(), Ok(CLIENT_ID));
    }

    #[test]
    fn cut_and_lying_answers_are_refused() {
        assert_eq!(Reader::new(&[0, 0]).i32(), Err(Malformed));
        assert_eq!(Reader::new(&[0x7f, 0xff, 0xff, 0xff, 1]).count(), Err(Malformed));
        assert_eq!(Reader::new(&[0x7f, 0xff, 1]).string(), Err(Malformed));
        assert_eq!(Reader::new(&[0xff, 0xff]).string(), Err(Malformed));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff]).count(), Ok(0));
    }
}
