//! Produce: a few known bytes around batches that go out as they are.

use super::{Api, Malformed, Reader, Writer};

/// One batch of a request: (topic, partition in it, bytes).
pub type Part<'a> = (&'a str, i32, usize);

/// The bytes around the batches: the frame's head, then one piece before each batch. The parts come grouped by topic.
///
/// Piece, batch, piece, batch: `pieces[i]` goes out before batch `i`.
#[must_use]
pub fn request(correlation: i32, acks: i16, timeout_ms: i32, parts: &[Part<'_>]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::with_capacity(parts.len());
    let mut piece = Writer::request(Api::Produce, correlation);
    piece.null_string().i16(acks).i32(timeout_ms);
    let topics = parts.chunk_by(|a, b| a.0 == b.0).count();
    piece.count(topics);
    let mut after = 0;
    for group in parts.chunk_by(|a, b| a.0 == b.0) {
        for (number, (topic, partition, bytes)) in group.iter().enumerate() {
            if number == 0 {
                piece.string(topic).count(group.len());
            }
            piece.i32(*partition).count(*bytes);
            after += piece.len() + bytes;
            pieces.push(std::mem::take(&mut piece).into_bytes());
        }
    }
    // The size is that of everything after it.
    if let Some(head) = pieces.first_mut().and_then(|piece| piece.first_chunk_mut::<4>()) {
        *head = u32::try_from(after - 4).unwrap_or(u32::MAX).to_be_bytes();
    }
    pieces
}

/// Reads the answer: calls `each` with (topic, partition, error code, base offset).
///
/// # Errors
/// The answer is cut.
pub fn read<'a>(
    mut body: Reader<'a>,
    mut each: impl FnMut(&'a str, i32, i16, i64),
) -> Result<(), Malformed> {
    for _ in 0..body.count()? {
        let topic = body.string()?;
        for _ in 0..body.count()? {
            let (partition, error, base) = (body.i32()?, body.i16()?, body.i64()?);
            let (_append_time, _log_start) = (body.i64()?, body.i64()?);
            each(topic, partition, error, base);
        }
    }
    let _throttle = body.i32()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_and_batches_make_one_frame() {
        let parts = [("a", 0, 10), ("a", 3, 20), ("b", 1, 30)];
        let pieces = request(9, -1, 1000, &parts);
        assert_eq!(pieces.len(), 3);
        let mut frame = Vec::new();
        for (piece, (_, _, bytes)) in pieces.iter().zip(parts) {
            frame.extend_from_slice(piece);
            frame.extend(vec![0xbb; bytes]);
        }
        let mut reader = Reader::new(&frame);
        assert_eq!(reader.i32().map(|n| n as usize), Ok(frame.len() - 4));
        assert_eq!((reader.i16(), reader.i16(), reader.i32()), (Ok(0), Ok(7), Ok(9)));
        reader.string().unwrap();
        assert_eq!(reader.nullable_string(), Ok(None));
        assert_eq!((reader.i16(), reader.i32(), reader.count()), (Ok(-1), Ok(1000), Ok(2)));
        assert_eq!((reader.string(), reader.count(), reader.i32()), (Ok("a"), Ok(2), Ok(0)));
        assert_eq!(reader.bytes().map(<[u8]>::len), Ok(10));
        assert_eq!(reader.i32(), Ok(3));
        assert_eq!(reader.bytes().map(<[u8]>::len), Ok(20));
        assert_eq!((reader.string(), reader.count(), reader.i32()), (Ok("b"), Ok(1), Ok(1)));
        assert_eq!(reader.bytes().map(<[u8]>::len), Ok(30));
        assert!(reader.rest().is_empty());
    }
}
