//! One connection: requests are executed as they come, answers leave in the order of the requests.

use crate::block::Block;
use crate::partition::ReadRefusal;
use crate::request::{Refused, TOPIC};
use crate::shared_log::Log;
use record::{BatchError, Decompressor, Invalid};
use std::collections::VecDeque;
use std::ops::Deref;
use wire::api::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use wire::api::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use wire::{ApiKey, Encoder, ErrorCode, Message, Piece, Reader, Records, RequestHeader};

/// Requests without an answer that a connection may have.
pub const UNANSWERED_MAX: usize = 64;

/// A part of what is to be sent.
#[derive(Clone, Debug)]
pub enum Part<P> {
    /// Bytes made for this answer.
    Bytes(Vec<u8>),
    /// Records, which the log keeps as well.
    Records(P),
}

#[derive(Debug)]
struct Answer<P> {
    /// The group that must be durable before.
    group: u64,
    parts: Vec<Part<P>>,
}

/// See the module.
#[derive(Debug)]
pub struct Connection<P> {
    number: usize,
    waiting: VecDeque<Answer<P>>,
    decompressor: Decompressor,
}

impl<P: Clone + Deref<Target = [u8]> + for<'a> From<&'a [u8]>> Connection<P> {
    /// The connection of this number.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self { number, waiting: VecDeque::new(), decompressor: Decompressor::new() }
    }

    /// Executes the request in a frame.
    ///
    /// # Errors
    /// The connection has to be closed, for the reason given.
    pub fn execute<B: Block>(
        &mut self,
        frame: &[u8],
        log: &mut Log<B, P>,
        block: impl Fn() -> B,
    ) -> Result<(), Refused> {
        if self.waiting.len() >= UNANSWERED_MAX {
            return Err(Refused::TooManyUnanswered);
        }
        let mut r = Reader::new(frame);
        let header = RequestHeader::decode(&mut r)?;
        let (version, correlation) = (header.api_version, header.correlation_id);
        match (header.api(), version) {
            (Some(ApiKey::Produce), 9..=12) => {
                let request = ProduceRequest::decode_from(&mut r, version)?;
                self.produce(&request, version, correlation, log, block)
            }
            (Some(ApiKey::Fetch), 4..=12) => {
                let request = FetchRequest::decode_from(&mut r, version)?;
                self.fetch(&request, version, correlation, log)
            }
            _ => Err(Refused::Unsupported { api: header.api_key, version }),
        }
    }

    fn produce<B: Block>(
        &mut self,
        request: &ProduceRequest<'_>,
        version: i16,
        correlation: i32,
        log: &mut Log<B, P>,
        block: impl Fn() -> B,
    ) -> Result<(), Refused> {
        let limits = Log::<B, P>::limits();
        let mut group = 0;
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for topic in &request.topic_data {
            let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
            for partition in &topic.partition_data {
                let bytes = partition.records.bytes().unwrap_or(&[]);
                let appended = if topic.name == TOPIC {
                    record::validate(bytes, &limits, &mut self.decompressor)
                        .map_err(code)
                        .and_then(|b| log.append(partition.index.0, &b, self.number, &block))
                } else {
                    Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                };
                let mut response =
                    PartitionProduceResponse { index: partition.index, ..Default::default() };
                match appended {
                    Ok(appended) => {
                        group = group.max(appended.group);
                        response.base_offset = appended.base_offset;
                        response.log_start_offset = ids::Offset::ZERO;
                    }
                    Err(code) => {
                        response.error_code = code;
                        response.base_offset = ids::Offset::NONE;
                    }
                }
                partition_responses.push(response);
            }
            responses.push(TopicProduceResponse {
                name: topic.name,
                partition_responses,
                ..Default::default()
            });
        }
        if request.acks == 0 {
            return Ok(());
        }
        let mut encoder = Encoder::new();
        let body = ProduceResponse { responses, ..Default::default() };
        encoder.response(correlation, version, &body)?;
        let parts = vec![Part::Bytes(encoder.into_bytes())];
        self.waiting.push_back(Answer { group, parts });
        Ok(())
    }

    fn fetch<B: Block>(
        &mut self,
        request: &FetchRequest<'_>,
        version: i16,
        correlation: i32,
        log: &Log<B, P>,
    ) -> Result<(), Refused> {
        let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
        let mut pieces: Vec<Vec<P>> = Vec::new();
        let mut responses = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let bytes_max = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(left);
                let read = if topic.topic == TOPIC {
                    log.read(wanted.partition.0, wanted.fetch_offset, bytes_max)
                } else {
                    Err(ReadRefusal::UnknownPartition)
                };
                let mut data =
                    PartitionData { partition_index: wanted.partition, ..Default::default() };
                match read {
                    Ok(read) => {
                        left = left.saturating_sub(read.bytes);
                        data.high_watermark = read.durable_end;
                        data.last_stable_offset = read.durable_end;
                        data.log_start_offset = read.start;
                        data.records = Records::Elsewhere { index: pieces.len(), len: read.bytes };
                        pieces.push(read.pieces);
                    }
                    Err(ReadRefusal::OutOfRange) => {
                        data.error_code = ErrorCode::OFFSET_OUT_OF_RANGE;
                    }
                    Err(ReadRefusal::UnknownPartition) => {
                        data.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
                    }
                }
                partitions.push(data);
            }
            responses.push(FetchableTopicResponse {
                topic: topic.topic,
                partitions,
                ..Default::default()
            });
        }
        let mut encoder = Encoder::new();
        let body = FetchResponse { responses, ..Default::default() };
        encoder.response(correlation, version, &body)?;
        let (bytes, order) = encoder.into_parts();
        let mut parts = Vec::with_capacity(order.len());
        for piece in order {
            match piece {
                Piece::Bytes(range) => parts.push(Part::Bytes(bytes[range].to_vec())),
                Piece::Records { index, .. } => {
                    parts.extend(pieces[index].drain(..).map(Part::Records));
                }
            }
        }
        self.waiting.push_back(Answer { group: 0, parts });
        Ok(())
    }

    /// Hands out the answers that may leave when groups up to `durable` are on the disk. Short ones become one piece of
    /// memory.
    pub fn release(&mut self, durable: u64, out: &mut Vec<Part<P>>) {
        while self.waiting.front().is_some_and(|answer| answer.group <= durable) {
            for part in self.waiting.pop_front().into_iter().flat_map(|answer| answer.parts) {
                match (out.last_mut(), part) {
                    (Some(Part::Bytes(last)), Part::Bytes(more)) => last.extend_from_slice(&more),
                    (_, part) => out.push(part),
                }
            }
        }
    }

    /// Whether an answer may leave when groups up to `durable` are on the disk.
    #[must_use]
    pub fn is_releasable(&self, durable: u64) -> bool {
        self.waiting.front().is_some_and(|answer| answer.group <= durable)
    }

    /// Requests without an answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.waiting.len()
    }
}

fn code(why: Invalid) -> ErrorCode {
    match why {
        Invalid::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        Invalid::Batch(BatchError::Magic(_)) => ErrorCode::INVALID_RECORD,
        Invalid::Batch(_) => ErrorCode::CORRUPT_MESSAGE,
        Invalid::NotOneBatch { .. }
        | Invalid::BaseOffset(_)
        | Invalid::Count { .. }
        | Invalid::Control
        | Invalid::LogAppendTime
        | Invalid::Sequence { .. }
        | Invalid::Codec(_)
        | Invalid::Decompress(_)
        | Invalid::Record { .. }
        | Invalid::BytesLeft(_)
        | Invalid::OffsetDelta { .. }
        | Invalid::NoKey { .. }
        | Invalid::Timestamp { .. }
        | Invalid::MaxTimestamp { .. } => ErrorCode::INVALID_RECORD,
    }
}

#[cfg(test)]
mod tests;
