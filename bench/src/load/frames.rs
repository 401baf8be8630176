//! Requests, encoded once and sent many times.

use super::Operation;
use ids::{Offset, PartitionIndex, Timestamp};
use record::{BatchBuilder, BuildError};
use wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use wire::api::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use wire::{ApiKey, EncodeError, Encoder, ErrorCode, Message, Reader, Records, ResponseHeader};

/// The newest versions that name topics, which every server here speaks.
pub(super) const PRODUCE_VERSION: i16 = 11;
pub(super) const FETCH_VERSION: i16 = 12;

/// One batch with one record of `bytes` bytes that do not compress to nothing.
///
/// # Errors
/// Larger than a batch can be.
pub fn batch_of(bytes: usize, seed: u64) -> Result<Vec<u8>, BuildError> {
    let mut state = seed | 1;
    let value: Vec<u8> = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    let mut builder = BatchBuilder::new();
    builder.push(Timestamp(1_700_000_000_000), None, Some(&value), &[]);
    builder.build()
}

/// A whole Produce frame: `records` for one partition, acks=all.
///
/// # Errors
/// See [`EncodeError`].
pub fn produce_frame(topic: &str, partition: i32, records: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic,
            partition_data: vec![PartitionProduceData {
                index: PartitionIndex(partition),
                records: Records::Slice(records),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut encoder = Encoder::new();
    encoder.request(0, Some("ringwood-bench"), PRODUCE_VERSION, &request)?;
    Ok(encoder.into_bytes())
}

/// A whole Fetch frame: one batch of one partition, without waiting.
///
/// # Errors
/// See [`EncodeError`].
pub fn fetch_frame(topic: &str, partition: i32, offset: i64) -> Result<Vec<u8>, EncodeError> {
    let request = FetchRequest {
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic,
            partitions: vec![FetchPartition {
                partition: PartitionIndex(partition),
                fetch_offset: Offset(offset),
                // The first batch comes whole whatever this says (KIP-74), and no second one.
                partition_max_bytes: 1,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut encoder = Encoder::new();
    encoder.request(0, Some("ringwood-bench"), FETCH_VERSION, &request)?;
    Ok(encoder.into_bytes())
}

/// The requests of one connection, in turn.
#[derive(Clone, Debug)]
pub struct Frames {
    operation: Operation,
    frames: Vec<Vec<u8>>,
    next: usize,
    /// Bytes of records that an answer to a fetch must hold.
    records: usize,
}

impl Frames {
    /// Sends `batch` again and again.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn produce(topic: &str, partition: i32, batch: &[u8]) -> Result<Self, EncodeError> {
        let frames = vec![produce_frame(topic, partition, batch)?];
        Ok(Self { operation: Operation::Produce, frames, next: 0, records: 0 })
    }

    /// Reads the batches at `offsets`, each of `records` bytes, again and again.
    ///
    /// # Errors
    /// See [`EncodeError`].
    pub fn fetch(
        topic: &str,
        partition: i32,
        offsets: std::ops::Range<i64>,
        records: usize,
    ) -> Result<Self, EncodeError> {
        let frames = offsets.map(|offset| fetch_frame(topic, partition, offset));
        let frames = frames.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { operation: Operation::Fetch, frames, next: 0, records })
    }

    /// Appends the next request to `out`, under this number.
    pub(super) fn next(&mut self, correlation: i32, out: &mut Vec<u8>) {
        let Some(frame) = self.frames.get(self.next) else { return };
        self.next = (self.next + 1) % self.frames.len();
        let at = out.len();
        out.extend_from_slice(frame);
        // Behind the frame's length, the API's number and the version.
        out[at + 8..at + 12].copy_from_slice(&correlation.to_be_bytes());
    }

    /// Whether there is anything to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Checks an answer (without its length) to request `correlation`.
    pub(super) fn check(&self, answer: &[u8], correlation: i32) -> Result<(), String> {
        let (api, version) = match self.operation {
            Operation::Produce => (ApiKey::Produce, PRODUCE_VERSION),
            Operation::Fetch => (ApiKey::Fetch, FETCH_VERSION),
        };
        let mut r = Reader::new(answer);
        let header = ResponseHeader::decode(&mut r, api.response_header_version(version))
            .map_err(|e| e.to_string())?;
        if header.correlation_id != correlation {
            return Err(format!("answer {} instead of {correlation}", header.correlation_id));
        }
        let code = match self.operation {
            Operation::Produce => {
                let response =
                    ProduceResponse::decode_from(&mut r, version).map_err(|e| e.to_string())?;
                let mut all = response.responses.iter().flat_map(|t| &t.partition_responses);
                all.next().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |p| p.error_code)
            }
            Operation::Fetch => {
                let response =
                    FetchResponse::decode_from(&mut r, version).map_err(|e| e.to_string())?;
                let partition = response.responses.iter().flat_map(|t| &t.partitions).next();
                let found = partition.map_or(0, |p| p.records.len());
                let code = partition.map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |p| p.error_code);
                if code == ErrorCode::NONE && found != self.records {
                    return Err(format!("{found} bytes of records instead of {}", self.records));
                }
                code
            }
        };
        if code == ErrorCode::NONE { Ok(()) } else { Err(format!("the server answers {code}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::RequestHeader;

    #[test]
    fn requests_are_numbered_and_go_round() {
        let mut frames = Frames::fetch("bench", 3, 5..7, 100).unwrap();
        let mut out = Vec::new();
        for n in 0..3 {
            frames.next(n, &mut out);
        }
        let len = out.len() / 3;
        for n in 0..3i32 {
            let frame = &out[len * n as usize..][..len];
            let mut r = Reader::new(&frame[4..]);
            assert_eq!(RequestHeader::decode(&mut r).unwrap().correlation_id, n);
            let request = FetchRequest::decode_from(&mut r, FETCH_VERSION).unwrap();
            let partition = &request.topics[0].partitions[0];
            assert_eq!(partition.fetch_offset, Offset(5 + i64::from(n % 2)));
        }
    }

    #[test]
    fn an_answer_that_is_wrong_is_seen() {
        let frames = Frames::produce("bench", 0, &batch_of(10, 1).unwrap()).unwrap();
        let answer = |code| {
            let partition = wire::api::produce::PartitionProduceResponse {
                error_code: code,
                ..Default::default()
            };
            let topic = wire::api::produce::TopicProduceResponse {
                partition_responses: vec![partition],
                ..Default::default()
            };
            let body = ProduceResponse { responses: vec![topic], ..Default::default() };
            let mut encoder = Encoder::new();
            encoder.response(7, PRODUCE_VERSION, &body).unwrap();
            encoder.bytes()[4..].to_vec()
        };
        let good = answer(ErrorCode::NONE);
        assert_eq!(frames.check(&good, 7), Ok(()));
        assert!(frames.check(&good, 8).is_err(), "another number");
        assert!(frames.check(&good[..good.len() - 1], 7).is_err(), "cut");
        assert!(frames.check(&answer(ErrorCode::CORRUPT_MESSAGE), 7).is_err(), "an error");
    }
}
