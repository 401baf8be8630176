//! Arbitrary and corrupted bytes: never a panic, never an unbounded loop or allocation, never a false proof.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "hostile/exercise.rs"]
mod exercise;

use exercise::{OUT_MAX, exercise, limits};
use ids::{Offset, ProducerEpoch, ProducerId, Timestamp};
use proptest::prelude::*;
use ringwood_record::{
    BatchBuilder, BatchView, Batches, Codec, Decompressor, Depth, Header, Limits, RecordIter,
    first_at_or_after, of_max_timestamp, validate, varint,
};
use std::path::Path;

#[derive(Clone, Debug)]
struct Spec {
    time: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn spec() -> impl Strategy<Value = Spec> {
    let headers = prop::collection::vec((bytes(5), prop::option::of(bytes(9))), 0..3);
    (-1i64..1 << 42, prop::option::of(bytes(20)), prop::option::of(bytes(300)), headers)
        .prop_map(|(time, key, value, headers)| Spec { time, key, value, headers })
}

fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&Codec::ALL)
}

fn build(codec: Codec, specs: &[Spec]) -> Vec<u8> {
    let mut builder =
        BatchBuilder::new().codec(codec).producer(ProducerId(7), ProducerEpoch(1), i32::MAX);
    for s in specs {
        let headers: Vec<_> =
            s.headers.iter().map(|(k, v)| Header { key: k, value: v.as_deref() }).collect();
        builder.push(Timestamp(s.time), s.key.as_deref(), s.value.as_deref(), &headers);
    }
    builder.build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_is_valid_and_reads_back(codec in codec(), specs in prop::collection::vec(spec(), 1..20)) {
        let batch = build(codec, &specs);
        let mut d = Decompressor::new();
        let valid = validate(&batch[..], &limits(), &mut d).unwrap();
        let header = *valid.header();
        prop_assert_eq!(header.max_timestamp.0, specs.iter().map(|s| s.time).max().unwrap());
        let view = BatchView::first(&batch).unwrap();
        let records: Vec<_> = view.records_with(&mut d, OUT_MAX).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(records.len(), specs.len());
        for (i, (r, s)) in (0..).zip(records.iter().zip(&specs)) {
            prop_assert_eq!(r.offset_delta, i);
            prop_assert_eq!(header.timestamp_of(r.timestamp_delta).0, s.time);
            prop_assert_eq!(r.key, s.key.as_deref());
            prop_assert_eq!(r.value, s.value.as_deref());
            let headers: Vec<_> = r.headers.clone().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&headers, &s.headers);
        }
    }

    #[test]
    fn search_agrees_with_looking_at_every_record(codec in codec(), specs in prop::collection::vec(spec(), 1..20), target in any::<prop::sample::Index>(), nudge in -1i64..2, from in 0i64..20) {
        let batch = build(codec, &specs);
        let view = BatchView::first(&batch).unwrap();
        let mut d = Decompressor::new();
        let target = Timestamp(specs[target.index(specs.len())].time + nudge);
        let found = first_at_or_after(&view, target, Offset(from), &mut d, OUT_MAX).unwrap();
        let expected = (0..).zip(&specs).find(|(i, s)| *i >= from && s.time >= target.0);
        prop_assert_eq!(found.map(|f| (f.offset.0, f.timestamp.0)), expected.map(|(i, s)| (i, s.time)));
        let max = specs.iter().map(|s| s.time).max().unwrap();
        let expected = (max != -1).then(|| specs.iter().position(|s| s.time == max).unwrap() as i64);
        let found = of_max_timestamp(&view, &mut d, OUT_MAX).unwrap();
        prop_assert_eq!(found.map(|f| f.offset.0), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in bytes(400)) {
        let mut d = Decompressor::new();
        exercise(&bytes, &mut d);
        for codec in Codec::ALL {
            if let Ok(out) = d.decompress(codec, &bytes, OUT_MAX) {
                prop_assert!(out.len() <= OUT_MAX);
            }
        }
        for record in RecordIter::new(&bytes, u32::MAX) {
            let _ = record;
        }
    }

    #[test]
    fn a_corrupted_batch_is_never_valid(codec in codec(), specs in prop::collection::vec(spec(), 1..6), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut batch = build(codec, &specs);
        let at = at.index(batch.len());
        batch[at] ^= flip;
        let mut d = Decompressor::new();
        exercise(&batch, &mut d);
        // The epoch is the leader's to write: it is the only field whose value is nobody's business.
        if !(12..16).contains(&at) {
            prop_assert!(validate(&batch[..], &limits(), &mut d).is_err(), "byte {}", at);
        }
    }

    #[test]
    fn a_corrupted_section_under_a_right_checksum_never_panics(codec in codec(), specs in prop::collection::vec(spec(), 1..6), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut batch = build(codec, &specs);
        for (at, byte) in edits {
            let at = 21 + at.index(batch.len() - 21);
            batch[at] = byte;
        }
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        exercise(&batch, &mut Decompressor::new());
    }

    #[test]
    fn a_run_cut_anywhere_yields_its_whole_batches(codec in codec(), specs in prop::collection::vec(spec(), 1..4), n in 1usize..5, cut in any::<prop::sample::Index>()) {
        let one = build(codec, &specs);
        let run = one.repeat(n);
        let cut = cut.index(run.len() + 1);
        let got: Vec<_> = Batches::new(&run[..cut]).collect();
        let whole = cut / one.len();
        prop_assert_eq!(got.iter().filter(|b| b.is_ok()).count(), whole);
        match got.get(whole) {
            None => prop_assert_eq!(cut % one.len(), 0),
            Some(Err(ringwood_record::BatchError::Partial { have, need })) => {
                prop_assert_eq!(*have, cut % one.len());
                prop_assert!(*need > *have && *need <= one.len());
            }
            Some(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn varints_round_trip(v in any::<i64>()) {
        let mut out = Vec::new();
        varint::write_i64(&mut out, v);
        prop_assert_eq!(varint::read_i64(&out), Some((v, out.len())));
        prop_assert_eq!(varint::len_i64(v), out.len());
        prop_assert_eq!(varint::read_i64(&out[..out.len() - 1]), None);
    }
}

/// The inputs of the fuzz target, each run once. One that once was a bug stays there for good.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its inputs")]
fn every_seed_of_the_fuzz_target_is_harmless() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/batches");
    let (mut d, mut good, mut bad) = (Decompressor::new(), 0, 0);
    let limits = Limits { depth: Depth::Records, ..limits() };
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let (whole, readable) = exercise(&bytes, &mut d);
        // The name says what must become of it.
        if name.starts_with("good-") {
            assert!(whole > 0 && readable == whole, "{name}: {readable} of {whole}");
            assert!(validate(&bytes[..], &limits, &mut d).is_ok(), "{name}");
            good += 1;
        } else {
            assert!(validate(&bytes[..], &limits, &mut d).is_err(), "{name}");
            bad += 1;
        }
    }
    assert!(good >= 3 && bad >= 5, "{good} good, {bad} bad: the seeds are not there");
}

/// One batch that says it has 2^31 - 1 records, each header count 2^31 - 1: the loops end with the bytes.
#[test]
fn huge_counts_end_with_the_bytes() {
    let record = [10, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    let mut section = record.to_vec();
    section[0] = 20;
    let got: Vec<_> = RecordIter::new(&section, u32::MAX).collect();
    assert_eq!(got.len(), 1);
    assert!(got[0].is_err());
}
