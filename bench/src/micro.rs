//! Single functions of the data path, each as something that can be called many times.
//!
//! `benches/micro.rs` measures their time with criterion, [`crate::instructions`] counts their instructions with callgrind.

mod store_append;

pub use store_append::store_append;

use crate::load::{batch_of, produce_frame};
use ids::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use record::{BatchBuilder, BatchHeader, Decompressor, Depth, Limits, ValidBatch};
use std::hint::black_box;
use std::io;
use store::format::{commit, record as journal_record};
use wire::api::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use wire::api::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use wire::{Encoder, Message, Reader, Records, RequestHeader};

/// A function under a name.
pub struct Case {
    /// Its name: what, and on how much.
    pub name: String,
    /// Bytes that one call looks at; 0 where that means nothing.
    pub bytes: usize,
    /// One call.
    pub run: Box<dyn FnMut()>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

fn case(name: impl Into<String>, bytes: usize, run: impl FnMut() + 'static) -> Case {
    Case { name: name.into(), bytes, run: Box::new(run) }
}

/// All of them.
///
/// # Errors
/// An input cannot be made: a defect of this file.
pub fn cases() -> io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (label, batch) in [
        ("1 KiB in 1 record", batch_of(1 << 10, 3).map_err(io::Error::other)?),
        ("16 KiB in 160 records", batch_of_records(160, 100)?),
        ("128 KiB in 1 record", batch_of(128 << 10, 3).map_err(io::Error::other)?),
    ] {
        checks(&mut cases, label, &batch);
        produce(&mut cases, label, &batch)?;
        append(&mut cases, label, &batch)?;
    }
    fetch(&mut cases)?;
    Ok(cases)
}

/// A batch of `count` records with values of `bytes` bytes.
fn batch_of_records(count: usize, bytes: usize) -> io::Result<Vec<u8>> {
    let mut builder = BatchBuilder::new();
    let value = vec![0x5a; bytes];
    for i in 0..count {
        builder.push(Timestamp(1_700_000_000_000 + i as i64), None, Some(&value), &[]);
    }
    builder.build().map_err(io::Error::other)
}

/// Checksum and validation.
fn checks(cases: &mut Vec<Case>, label: &str, batch: &[u8]) {
    let bytes = batch.to_vec();
    cases.push(case(format!("crc32c/{label}"), batch.len(), move || {
        black_box(crc32c::crc32c(black_box(&bytes)));
    }));
    for (name, depth) in [("header", Depth::Header), ("records", Depth::Records)] {
        let bytes = batch.to_vec();
        let limits = Limits { depth, ..Limits::default() };
        let mut decompressor = Decompressor::new();
        cases.push(case(format!("validate {name}/{label}"), batch.len(), move || {
            let valid = record::validate(black_box(&bytes[..]), &limits, &mut decompressor);
            assert!(black_box(valid).is_ok(), "the batch is right");
        }));
    }
}

/// The request as it comes, the answer as it leaves.
fn produce(cases: &mut Vec<Case>, label: &str, batch: &[u8]) -> io::Result<()> {
    let frame = produce_frame(bench_core::TOPIC, 3, batch).map_err(io::Error::other)?;
    cases.push(case(format!("decode Produce/{label}"), 0, move || {
        let mut r = Reader::new(black_box(&frame[4..]));
        let header = RequestHeader::decode(&mut r);
        let version = header.map_or(0, |header| header.api_version);
        let request = ProduceRequest::decode_from(&mut r, version);
        assert!(black_box(request).is_ok(), "the frame is right");
    }));
    if batch.len() < 2 << 10 {
        let mut encoder = Encoder::new();
        cases.push(case("encode Produce answer", 0, move || {
            let partition = PartitionProduceResponse {
                index: PartitionIndex(3),
                base_offset: Offset(black_box(123_456)),
                ..Default::default()
            };
            let topic = TopicProduceResponse {
                name: bench_core::TOPIC,
                partition_responses: vec![partition],
                ..Default::default()
            };
            let body = ProduceResponse { responses: vec![topic], ..Default::default() };
            encoder.clear();
            assert!(encoder.response(7, 11, &body).is_ok(), "the answer can be said");
            black_box(encoder.bytes());
        }));
    }
    Ok(())
}

fn fetch(cases: &mut Vec<Case>) -> io::Result<()> {
    let frame = crate::load::fetch_frame(bench_core::TOPIC, 3, 17).map_err(io::Error::other)?;
    cases.push(case("decode Fetch", 0, move || {
        let mut r = Reader::new(black_box(&frame[4..]));
        let header = RequestHeader::decode(&mut r);
        let version = header.map_or(0, |header| header.api_version);
        assert!(black_box(FetchRequest::decode_from(&mut r, version)).is_ok(), "it is right");
    }));
    let mut encoder = Encoder::new();
    cases.push(case("encode Fetch answer, records elsewhere", 0, move || {
        let partition = PartitionData {
            partition_index: PartitionIndex(3),
            high_watermark: Offset(black_box(123_456)),
            records: Records::Elsewhere { index: 0, len: 128 << 10 },
            ..Default::default()
        };
        let topic = FetchableTopicResponse {
            topic: bench_core::TOPIC,
            partitions: vec![partition],
            ..Default::default()
        };
        let body = FetchResponse { responses: vec![topic], ..Default::default() };
        encoder.clear();
        assert!(encoder.response(7, 12, &body).is_ok(), "the answer can be said");
        black_box(encoder.pieces().count());
    }));
    Ok(())
}

/// The way of a batch into the journal, without its device: the log's decision, the record, and the commit around it.
fn append(cases: &mut Vec<Case>, label: &str, batch: &[u8]) -> io::Result<()> {
    let valid = valid(batch)?;
    let meta = meta(valid.header());
    let config = log::Config { segment_bytes: 1 << 30, ..log::Config::default() };
    let mut log = log::Log::default();
    cases.push(case(format!("log append/{label}"), 0, move || {
        let appended = log.append(black_box(&meta), LeaderEpoch(3), Timestamp(1), &config);
        assert!(black_box(appended).is_ok(), "the batch continues the log");
        // As retention does; otherwise the log's own memory would grow with the calls.
        if log.segments().len() > 1 {
            log.advance_start(log.end());
        }
    }));

    let bytes = batch.to_vec();
    let place = log::Place {
        segment: log::SegmentName { base: Offset::ZERO, creation: 0 },
        position: 4096,
    };
    let entry = journal_record::Header {
        kind: journal_record::Type::Data,
        length: meta.len,
        partition: PartitionId { topic: TopicId([9; 16]), index: PartitionIndex(3) },
        generation: 0,
        previous: 6,
        offset: Offset(77),
        epoch: LeaderEpoch(3),
        place,
        at: Timestamp(1),
    };
    let used = commit::HEADER + journal_record::size(bytes.len());
    let header = commit::Header {
        kind: commit::Kind::Records,
        length: u32::try_from(used.next_multiple_of(4096)).map_err(io::Error::other)?,
        used: u32::try_from(used).map_err(io::Error::other)?,
        records: 1,
        ring: [7; 16],
        sequence: 8,
        position: 4096,
        next: 8192,
        previous_sequence: 6,
        previous_crc: 1,
        flushed_through: 6,
        sealed_at: 1,
    };
    let mut buffer = vec![0; used.next_multiple_of(4096)];
    cases.push(case(format!("journal record and commit/{label}"), batch.len(), move || {
        let at = commit::HEADER;
        let payload = at + journal_record::HEADER;
        buffer[at..payload].copy_from_slice(&black_box(&entry).to_bytes());
        buffer[payload..payload + bytes.len()].copy_from_slice(black_box(&bytes));
        black_box(header.seal(&mut buffer));
    }));
    Ok(())
}

fn valid(batch: &[u8]) -> io::Result<ValidBatch<Vec<u8>>> {
    let limits = Limits::default();
    record::validate(batch.to_vec(), &limits, &mut Decompressor::new()).map_err(io::Error::other)
}

/// What the log must know of a batch.
pub(crate) fn meta(header: &BatchHeader) -> log::BatchMeta {
    log::BatchMeta {
        len: u32::try_from(header.batch_bytes().unwrap_or(0)).unwrap_or(u32::MAX),
        offsets: header.offsets(),
        max_timestamp: header.max_timestamp,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: false,
        control: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs_and_has_a_name_of_its_own() {
        let mut cases = cases().unwrap();
        assert!(cases.len() > 15);
        for case in &mut cases {
            for _ in 0..3 {
                (case.run)();
            }
        }
        let mut names: Vec<&str> = cases.iter().map(|c| &c.name[..]).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cases.len());
    }
}
