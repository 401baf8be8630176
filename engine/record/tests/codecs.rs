//! Every codec, there and back, and what their decoders do with hostile input.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use ids::Timestamp;
use ringwood_record::{
    BatchBuilder, BatchError, Batches, Codec, Compressor, DecompressError, Decompressor, Limits,
    ValidBatch, recode, validate,
};

const COMPRESSED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn batch_of(codec: Codec, values: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new().codec(codec);
    for (i, v) in (0..).zip(values) {
        builder.push(Timestamp(1_000 + i), Some(b"key"), Some(v), &[]);
    }
    builder.build().unwrap()
}

fn values(batch: &[u8], decompressor: &mut Decompressor) -> Vec<Vec<u8>> {
    let view = Batches::new(batch).next().unwrap().unwrap();
    view.records_with(decompressor, 64 << 20)
        .unwrap()
        .map(|r| r.unwrap().value.unwrap().to_vec())
        .collect()
}

/// Bytes that compress a little: neither constant nor random.
fn noise(len: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_u32;
    (0..len)
        .map(|i| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if i % 3 == 0 { b'a' } else { (x >> 24) as u8 }
        })
        .collect()
}

#[test]
fn every_codec_gives_back_what_it_took_and_contexts_are_used_again() {
    let mut decompressor = Decompressor::new();
    for round in 0..3 {
        for codec in Codec::ALL {
            for len in [0, 1, 100, 70_000, 1_000_000] {
                let sent: Vec<_> = (0..3).map(|i| noise(len + i + round)).collect();
                let bytes = batch_of(codec, &sent);
                let limits = Limits { batch_bytes_max: 8 << 20, ..Limits::default() };
                let valid: ValidBatch<_> =
                    validate(&bytes[..], &limits, &mut decompressor).unwrap();
                assert_eq!(valid.header().attributes.codec().unwrap(), codec);
                assert_eq!(values(&bytes, &mut decompressor), sent, "{codec} {len}");
            }
        }
    }
}

#[test]
fn levels_are_clamped_and_change_the_size() {
    let text = b"the quick brown fox jumps over the lazy dog ".repeat(2_000);
    for (codec, low, high) in [(Codec::Gzip, 1, 9), (Codec::Zstd, -50, 19)] {
        let mut compressor = Compressor::new();
        let mut sizes = Vec::new();
        for level in [Some(low), None, Some(high), Some(i32::MAX), Some(i32::MIN)] {
            let mut out = Vec::new();
            compressor.compress(codec, level, &text, &mut out).unwrap();
            let mut d = Decompressor::new();
            assert_eq!(d.decompress(codec, &out, text.len()).unwrap(), text, "{codec} {level:?}");
            sizes.push(out.len());
        }
        assert!(sizes[0] > sizes[2], "{codec}: {sizes:?}");
    }
}

#[test]
fn a_bomb_is_refused_at_its_limit() {
    // 64 MiB of zeros take a few KiB (snappy: 3 MiB) and would be taken for a batch of that size.
    let zeros = vec![0; 64 << 20];
    for codec in COMPRESSED {
        let mut bomb = Vec::new();
        Compressor::new().compress(codec, None, &zeros, &mut bomb).unwrap();
        let mut d = Decompressor::new();
        for limit in [0, 1, 1_000, 1 << 20, zeros.len() - 1] {
            assert_eq!(
                d.decompress(codec, &bomb, limit),
                Err(DecompressError::TooLarge { limit }),
                "{codec} {limit}"
            );
        }
        assert_eq!(d.decompress(codec, &bomb, zeros.len()).unwrap().len(), zeros.len(), "{codec}");
    }
}

#[test]
fn the_limit_itself_is_allowed() {
    let bytes = noise(100_000);
    for codec in Codec::ALL {
        let mut packed = Vec::new();
        Compressor::new().compress(codec, None, &bytes, &mut packed).unwrap();
        let mut d = Decompressor::new();
        assert_eq!(d.decompress(codec, &packed, bytes.len()).unwrap(), bytes, "{codec}");
        assert_eq!(
            d.decompress(codec, &packed, bytes.len() - 1),
            Err(DecompressError::TooLarge { limit: bytes.len() - 1 }),
            "{codec}"
        );
    }
}

#[test]
fn a_cut_section_is_corrupt() {
    let bytes = noise(200_000);
    let mut d = Decompressor::new();
    for codec in COMPRESSED {
        let mut packed = Vec::new();
        Compressor::new().compress(codec, None, &bytes, &mut packed).unwrap();
        for cut in [0, 1, 10, packed.len() / 2, packed.len() - 5] {
            let got = d.decompress(codec, &packed[..cut], 1 << 20).map(<[u8]>::len);
            assert_eq!(got, Err(DecompressError::Corrupt(codec)), "{codec} cut at {cut}");
        }
    }
}

#[test]
fn snappy_is_read_raw_framed_and_concatenated() {
    let bytes = noise(50_000);
    let mut d = Decompressor::new();
    let raw = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    assert_eq!(d.decompress(Codec::Snappy, &raw, 1 << 20).unwrap(), bytes);

    let mut framed = Vec::new();
    Compressor::new().compress(Codec::Snappy, None, &bytes, &mut framed).unwrap();
    assert_eq!(framed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    let twice = [framed.clone(), framed].concat();
    assert_eq!(
        d.decompress(Codec::Snappy, &twice, 1 << 20).unwrap(),
        [&bytes[..], &bytes].concat()
    );

    // A block that claims 4 GiB out of nothing is not even given the memory.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    assert_eq!(
        d.decompress(Codec::Snappy, &claim, usize::MAX),
        Err(DecompressError::Corrupt(Codec::Snappy))
    );
}

#[test]
fn gzip_members_and_zstd_frames_follow_one_another() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let (one, two) = (noise(300_000), noise(10));
        let mut packed = Vec::new();
        let mut compressor = Compressor::new();
        compressor.compress(codec, None, &one, &mut packed).unwrap();
        compressor.compress(codec, None, &two, &mut packed).unwrap();
        let mut d = Decompressor::new();
        assert_eq!(d.decompress(codec, &packed, 1 << 20).unwrap(), [one, two].concat(), "{codec}");
    }
}

#[test]
fn zstd_without_a_content_size_is_read_whatever_its_window() {
    use std::io::Write;
    let bytes = noise(3_000_000);
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&bytes).unwrap();
    let packed = encoder.finish().unwrap();
    let mut d = Decompressor::new();
    assert_eq!(d.decompress(Codec::Zstd, &packed, 4 << 20).unwrap(), bytes);
    assert_eq!(
        d.decompress(Codec::Zstd, &packed, 2 << 20),
        Err(DecompressError::TooLarge { limit: 2 << 20 })
    );
}

#[test]
fn a_batch_is_brought_under_another_codec() {
    let sent: Vec<_> = (0..100).map(noise).collect();
    let (mut d, mut c) = (Decompressor::new(), Compressor::new());
    for from in Codec::ALL {
        for to in Codec::ALL {
            let old = batch_of(from, &sent);
            let view = Batches::new(&old).next().unwrap().unwrap();
            let new = recode(&view, to, None, 1 << 20, &mut d, &mut c).unwrap();
            validate(&new[..], &Limits::default(), &mut d).unwrap();
            assert_eq!(values(&new, &mut d), sent, "{from} to {to}");
        }
    }
}

/// Lines of a log: alike, and never the same.
fn log_lines(n: u32) -> Vec<u8> {
    let mut x = 7_u32;
    let mut lines = String::new();
    for i in 0..n {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (user, path) = (x >> 20, (x >> 8) & 63);
        lines += &format!("{i} INFO user={user} GET /items/{path}/of/{user} took {} us\n", x % 977);
    }
    lines.into_bytes()
}

#[test]
fn a_batch_under_a_higher_level_is_smaller_and_reads_back_equal() {
    let sent: Vec<_> = (0..4).map(|i| log_lines(1_000 + i)).collect();
    let old = batch_of(Codec::None, &sent);
    let view = Batches::new(&old).next().unwrap().unwrap();
    let (mut d, mut c) = (Decompressor::new(), Compressor::new());
    for (codec, low, high) in
        [(Codec::Gzip, 1, 9), (Codec::Lz4, 1, 12), (Codec::Lz4, 9, 17), (Codec::Zstd, -5, 19)]
    {
        let mut sizes = Vec::new();
        for level in [low, high] {
            let new = recode(&view, codec, Some(level), 1 << 20, &mut d, &mut c).unwrap();
            validate(&new[..], &Limits::default(), &mut d).unwrap();
            assert_eq!(values(&new, &mut d), sent, "{codec} {level}");
            sizes.push(new.len());
        }
        assert!(sizes[1] < sizes[0], "{codec} from {low} to {high}: {sizes:?}");
    }
}

/// Kafka's clients read a frame of independent blocks of 64 KiB, without content size and checksums.
#[test]
fn an_lz4_frame_is_of_one_form_at_every_level() {
    // More than a block of text, and one that does not compress.
    let mixed = [log_lines(3_000), (0..100_000_u32).flat_map(scattered).collect()].concat();
    let mut compressor = Compressor::new();
    for bytes in [&mixed[..], &mixed[..1], &mixed[..64 << 10], &mixed[..(64 << 10) + 1], &[]] {
        for level in [None, Some(i32::MIN), Some(i32::MAX)].into_iter().chain((0..=18).map(Some)) {
            let mut packed = Vec::new();
            compressor.compress(Codec::Lz4, level, bytes, &mut packed).unwrap();
            assert_eq!(packed[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82], "{level:?}");
            let (mut at, mut blocks) = (7, Vec::new());
            loop {
                let length = u32::from_le_bytes(packed[at..at + 4].try_into().unwrap());
                at += 4;
                if length == 0 {
                    break;
                }
                blocks.push(length);
                at += (length & !(1 << 31)) as usize;
            }
            assert_eq!(at, packed.len(), "{level:?}");
            assert_eq!(blocks.len(), bytes.len().div_ceil(64 << 10), "{level:?}");
            let plain = blocks.iter().filter(|b| **b >> 31 == 1).count();
            assert_eq!(plain > 0, bytes.len() == mixed.len() || bytes.len() % (64 << 10) == 1);
            // Another's reader, and ours.
            let mut read = Vec::new();
            let mut other = lz4_flex::frame::FrameDecoder::new(&packed[..]);
            std::io::Read::read_to_end(&mut other, &mut read).unwrap();
            assert_eq!(read, bytes, "{level:?}");
            let mut d = Decompressor::new();
            assert_eq!(d.decompress(Codec::Lz4, &packed, bytes.len()).unwrap(), bytes);
        }
    }
}

/// Four bytes that nothing compresses.
fn scattered(i: u32) -> [u8; 4] {
    let mut x = i.wrapping_mul(0x9e37_79b9) ^ 0x85eb_ca6b;
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    (x ^ (x >> 16)).to_le_bytes()
}

#[test]
fn compressed_records_are_not_read_as_if_they_were_not() {
    let bytes = batch_of(Codec::Lz4, &[noise(10)]);
    let view = Batches::new(&bytes).next().unwrap().unwrap();
    assert_eq!(view.records().unwrap_err(), BatchError::Compressed(Codec::Lz4));
}

/// Room is filled with zeros before it is written to: here it would be 32 GB of them.
#[test]
fn empty_gzip_members_do_not_pay_for_a_large_one_before_them() {
    let mut stream = Vec::new();
    let zeros = vec![0; 32 << 20];
    Compressor::new().compress(Codec::Gzip, None, &zeros, &mut stream).unwrap();
    let empty = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut some = stream.clone();
    some.extend(empty.repeat(1_000));
    let mut d = Decompressor::new();
    assert_eq!(d.decompress(Codec::Gzip, &some, 64 << 20).unwrap().len(), zeros.len());
    let written = d.bytes_written();
    assert!(written < 128 << 20, "a thousand empty members cost {written} bytes");
    // Nobody writes that many: each costs a step of room.
    stream.extend(empty.repeat(50_000));
    let got = d.decompress(Codec::Gzip, &stream, 64 << 20).map(<[u8]>::len);
    assert_eq!(got, Err(DecompressError::Corrupt(Codec::Gzip)));
}

/// A size is believed as far as the bytes that are there can reach it: a frame of ten bytes gets no 100 MiB.
#[test]
fn a_zstd_frame_that_states_more_than_it_can_hold_costs_nothing() {
    // Magic, single segment with a size of four bytes: 0x06400000. One byte, which is no block.
    let claim = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0x40, 6, 0];
    let mut d = Decompressor::new();
    let got = d.decompress(Codec::Zstd, &claim, 100 << 20).map(<[u8]>::len);
    assert_eq!(got, Err(DecompressError::Corrupt(Codec::Zstd)));
    assert_eq!(d.bytes_written(), 0);
    assert!(format!("{d:?}").contains("kept: 0"), "{d:?}");
    // Blocks of one byte repeated are the densest there is, and are read.
    let zeros = vec![0; 8 << 20];
    let mut packed = Vec::new();
    Compressor::new().compress(Codec::Zstd, None, &zeros, &mut packed).unwrap();
    assert_eq!(d.decompress(Codec::Zstd, &packed, 100 << 20).unwrap(), zeros);
}

/// A buffer that a large batch has left behind is used, and each small one costs its own bytes.
#[test]
fn small_zstd_batches_do_not_pay_for_a_large_one_before_them() {
    use std::io::Write;
    let stream = |bytes: &[u8]| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut d = Decompressor::new();
    let large = noise(3_500_000);
    assert_eq!(d.decompress(Codec::Zstd, &stream(&large), 8 << 20).unwrap(), large);
    let (small, bytes) = (stream(&noise(300)), noise(300));
    let before = d.bytes_written();
    for _ in 0..1_000 {
        assert_eq!(d.decompress(Codec::Zstd, &small, 8 << 20).unwrap(), bytes);
    }
    assert_eq!(d.bytes_written() - before, 1_000 * 300);
}

/// Frames as others write them: every block size, linked or not, with and without checksums and the content's size.
fn lz4(bytes: &[u8], info: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_kind_of_lz4_frame_is_read_and_no_byte_of_it_may_be_another() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    // Far references across blocks, near ones, and what does not compress.
    let far = [noise(70_000), vec![7; 200_000], noise(70_000), noise(9)].concat();
    let mut d = Decompressor::new();
    for bytes in [&far[..], &far[..50], &[]] {
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB]
        {
            for kind in 0..16_u8 {
                let on = |bit: u8| kind & (1 << bit) != 0;
                let info = FrameInfo::new()
                    .block_size(size)
                    .block_mode(if on(0) { BlockMode::Linked } else { BlockMode::Independent })
                    .block_checksums(on(1))
                    .content_checksum(on(2))
                    .content_size(on(3).then_some(bytes.len() as u64));
                let packed = lz4(bytes, info);
                let what = format!("{} bytes, {size:?}, {kind:04b}", bytes.len());
                let got = d.decompress(Codec::Lz4, &packed, bytes.len()).unwrap();
                assert!(got == bytes, "{what}");
                for cut in [1, 4, 5] {
                    let cut = packed.get(..packed.len() - cut).unwrap();
                    assert!(d.decompress(Codec::Lz4, cut, 1 << 20).is_err(), "{what}, cut");
                }
                // Its header has a checksum, and so has what can change and stay readable.
                let checked = if on(2) { packed.len() } else { 7 };
                for at in (0..checked).filter(|at| *at < 30 || at % 4_001 == 0) {
                    let mut other = packed.clone();
                    other[at] ^= 1 << (at % 8);
                    // A larger block size under the same checksum, which has one byte, changes nothing.
                    let got = d.decompress(Codec::Lz4, &other, 1 << 20);
                    assert!(got.is_err() || got == Ok(bytes), "{what}, byte {at}");
                }
            }
        }
    }
}

#[test]
fn an_lz4_frame_is_refused_for_what_kafka_has_no_use_for() {
    let mut d = Decompressor::new();
    let mut packed = Vec::new();
    Compressor::new().compress(Codec::Lz4, None, b"some", &mut packed).unwrap();
    let end = packed.len() - 4;
    // Behind the end; an empty block; a block without an end; a legacy frame; a skippable one.
    let behind = [&packed[..], &[0]].concat();
    let twice = [&packed[..], &packed].concat();
    let empty = [&packed[..end], &[0, 0, 0, 0x80], &packed[end..]].concat();
    let nothing = [&packed[..end], &[1, 0, 0, 0, 0], &packed[end..]].concat();
    let legacy = [&[0x02, 0x21, 0x4c, 0x18], &packed[4..]].concat();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    assert_eq!(d.decompress(Codec::Lz4, &packed, 4).unwrap(), b"some");
    for bad in
        [&behind[..], &twice, &empty, &nothing, &packed[..end], &legacy, &skippable, &packed[..4]]
    {
        let got = d.decompress(Codec::Lz4, bad, 1 << 20).map(<[u8]>::len);
        assert_eq!(got, Err(DecompressError::Corrupt(Codec::Lz4)), "{bad:?}");
    }
}

/// A header may say that blocks have 4 MiB. Room is made for what the bytes that are there can become.
#[test]
fn a_small_lz4_frame_does_not_pay_for_the_block_size_that_it_names() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let small = noise(60);
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        let info = FrameInfo::new().block_size(BlockSize::Max4MB).block_mode(mode);
        let packed = lz4(&small, info);
        let dense = lz4(&[7; 60], FrameInfo::new().block_size(BlockSize::Max4MB).block_mode(mode));
        let mut d = Decompressor::new();
        for _ in 0..1_000 {
            assert_eq!(d.decompress(Codec::Lz4, &packed, 64 << 20).unwrap(), small);
            assert_eq!(d.decompress(Codec::Lz4, &dense, 64 << 20).unwrap(), [7; 60]);
        }
        // Room once, and then the bytes themselves.
        let most = 256 * (packed.len().max(dense.len()) as u64) + 1_000 * 120;
        assert!(d.bytes_written() <= most, "{} bytes, not {most}", d.bytes_written());
        // Nor does what is no block at all.
        let mut bad = dense.clone();
        let block = bad.len() - 8;
        bad[block..].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let before = d.bytes_written();
        for _ in 0..1_000 {
            d.decompress(Codec::Lz4, &bad, 64 << 20).unwrap_err();
        }
        let each = (d.bytes_written() - before) / 1_000;
        assert!(each <= 256 * bad.len() as u64, "{each} bytes for {}", bad.len());
    }
}

#[test]
fn all_that_is_written_is_counted() {
    let mut d = Decompressor::new();
    let mut before = 0;
    for codec in COMPRESSED {
        let mut packed = Vec::new();
        let zeros = vec![0; 8 << 20];
        Compressor::new().compress(codec, None, &zeros, &mut packed).unwrap();
        d.decompress(codec, &packed, 8 << 20).unwrap();
        let after = d.bytes_written();
        assert!(after - before >= 8 << 20, "{codec}: {}", after - before);
        before = after;
        d.decompress(codec, &packed, 1 << 20).unwrap_err();
        before = d.bytes_written().max(before);
    }
}
