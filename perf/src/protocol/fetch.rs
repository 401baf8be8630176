//! Fetch, within a session or without: see [`crate::load`] for who keeps one.

use super::{Api, Malformed, Reader, Writer};

/// One partition to read: (partition in its topic, offset).
pub type Wanted = (i32, i64);

/// How much is asked for at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the broker may wait for the first bytes, milliseconds.
    pub max_wait_ms: i32,
    /// Fewer bytes than this are waited for.
    pub min_bytes: i32,
    /// Bytes of the whole answer.
    pub max_bytes: i32,
    /// Bytes of one partition.
    pub partition_max_bytes: i32,
}

/// The request for these partitions, by topic, as the next one of a session: (its id, its count of requests). (0, 0) begins one.
#[must_use]
pub fn request(
    correlation: i32,
    limits: Limits,
    session: (i32, i32),
    topics: &[(&str, Vec<Wanted>)],
) -> Vec<u8> {
    let mut request = Writer::request(Api::Fetch, correlation);
    request.i32(-1).i32(limits.max_wait_ms).i32(limits.min_bytes).i32(limits.max_bytes);
    // Isolation: read uncommitted.
    request.i8(0).i32(session.0).i32(session.1).count(topics.len());
    for (topic, partitions) in topics {
        request.string(topic).count(partitions.len());
        for (partition, offset) in partitions {
            request.i32(*partition).i32(-1).i64(*offset).i64(-1).i32(limits.partition_max_bytes);
        }
    }
    // Nothing is forgotten.
    request.count(0);
    request.finish(0)
}

/// One partition of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition in it.
    pub partition: i32,
    /// Error code; 0 is none.
    pub error: i16,
    /// The offset after the last that may be read.
    pub high_watermark: i64,
    /// The first offset that is there.
    pub log_start: i64,
    /// Batches; the last may be cut.
    pub records: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// Error code of the whole; 0 is none.
    pub error: i16,
    /// The session; 0 is none.
    pub session: i32,
    /// Every partition that it names.
    pub parts: Vec<Part<'a>>,
}

/// Reads the answer.
///
/// # Errors
/// It is cut.
pub fn read(mut body: Reader<'_>) -> Result<Answer<'_>, Malformed> {
    let _throttle = body.i32()?;
    let error = body.i16()?;
    let session = body.i32()?;
    let mut parts = Vec::new();
    for _ in 0..body.count()? {
        let topic = body.string()?;
        for _ in 0..body.count()? {
            let (partition, error) = (body.i32()?, body.i16()?);
            let (high_watermark, _last_stable, log_start) = (body.i64()?, body.i64()?, body.i64()?);
            for _ in 0..body.count()? {
                let _aborted = (body.i64()?, body.i64()?);
            }
            let records = body.bytes()?;
            parts.push(Part { topic, partition, error, high_watermark, log_start, records });
        }
    }
    Ok(Answer { error, session, parts })
}
