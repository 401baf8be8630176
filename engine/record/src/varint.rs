//! Zigzag varints, as records use them (the wire protocol's unsigned varints live with the wire).
//!
//! Seven bits a byte, least significant first; zigzag maps 0, -1, 1, -2 to 0, 1, 2, 3. An i32 takes at most 5 bytes, an
//! i64 at most 10. Longer forms, and bits past the type's width, are refused.

/// Reads an i32: the value and the bytes it took. `None` when the input ends early or the form is not an i32.
#[must_use]
pub fn read_i32(bytes: &[u8]) -> Option<(i32, usize)> {
    // Almost every varint in a record is one byte long.
    match *bytes.first()? {
        b if b < 0x80 => Some((unzigzag32(u32::from(b)), 1)),
        _ => {
            let (raw, len) = read_raw(bytes, 5)?;
            Some((unzigzag32(u32::try_from(raw).ok()?), len))
        }
    }
}

/// Reads an i64: the value and the bytes it took. `None` when the input ends early or the form is not an i64.
#[must_use]
pub fn read_i64(bytes: &[u8]) -> Option<(i64, usize)> {
    match *bytes.first()? {
        b if b < 0x80 => Some((unzigzag64(u64::from(b)), 1)),
        _ => {
            let (raw, len) = read_raw(bytes, 10)?;
            Some((unzigzag64(raw), len))
        }
    }
}

fn read_raw(bytes: &[u8], max: usize) -> Option<(u64, usize)> {
    let mut raw = 0u64;
    for (i, b) in bytes.iter().take(max).enumerate() {
        let bits = u64::from(b & 0x7f);
        // The tenth byte has room for one bit.
        if i == 9 && bits > 1 {
            return None;
        }
        raw |= bits << (7 * i);
        if b & 0x80 == 0 {
            return Some((raw, i + 1));
        }
    }
    None
}

/// Appends an i32.
pub fn write_i32(out: &mut Vec<u8>, v: i32) {
    write_raw(out, u64::from(zigzag32(v)));
}

/// Appends an i64.
pub fn write_i64(out: &mut Vec<u8>, v: i64) {
    write_raw(out, zigzag64(v));
}

fn write_raw(out: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        out.push((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that [`write_i32`] takes, 1 to 5.
#[must_use]
pub fn len_i32(v: i32) -> usize {
    len_raw(u64::from(zigzag32(v)))
}

/// Bytes that [`write_i64`] takes, 1 to 10.
#[must_use]
pub fn len_i64(v: i64) -> usize {
    len_raw(zigzag64(v))
}

fn len_raw(raw: u64) -> usize {
    let bits = 64 - (raw | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn zigzag32(v: i32) -> u32 {
    ((v << 1) ^ (v >> 31)).cast_unsigned()
}

fn zigzag64(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)).cast_unsigned()
}

fn unzigzag32(raw: u32) -> i32 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

fn unzigzag64(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_have_known_bytes() {
        for (v, bytes) in [
            (0i64, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (300, &[0xd8, 4]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            write_i64(&mut out, v);
            assert_eq!(out, bytes, "{v}");
            assert_eq!(len_i64(v), bytes.len(), "{v}");
            assert_eq!(read_i64(bytes), Some((v, bytes.len())), "{v}");
            if let Ok(v) = i32::try_from(v) {
                assert_eq!(read_i32(bytes), Some((v, bytes.len())), "{v}");
                assert_eq!(len_i32(v), bytes.len(), "{v}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(read_i32(&[]), None);
        assert_eq!(read_i32(&[0x80]), None);
        assert_eq!(read_i32(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None, "33 bits");
        assert_eq!(read_i32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), None, "six bytes");
        assert_eq!(
            read_i64(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            None,
            "65 bits"
        );
    }
}
