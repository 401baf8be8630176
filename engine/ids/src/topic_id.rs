//! Topic ids, and the text form that Kafka's tools print.

use std::fmt;

/// A topic's UUID (KIP-516). All zeros means "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl TopicId {
    /// "No topic id" on the wire.
    pub const ZERO: Self = Self([0; 16]);
    /// Kafka's fixed id of the metadata log.
    pub const METADATA: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Reads the 22 characters of URL-safe base64 without padding that Kafka's tools print.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 22 {
            return None;
        }
        let mut bits: u128 = 0;
        for (i, c) in text.iter().enumerate() {
            let v = ALPHABET.iter().position(|a| a == c)? as u128;
            // 21 digits carry 126 bits; the last one carries 2 more and 4 that must be zero.
            if i < 21 {
                bits = bits << 6 | v;
            } else if v & 0xf == 0 {
                bits = bits << 2 | v >> 4;
            } else {
                return None;
            }
        }
        Some(Self(bits.to_be_bytes()))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let mut out = [0u8; 22];
        for (i, o) in out.iter_mut().enumerate() {
            let digit = if i < 21 { bits >> (122 - 6 * i) & 63 } else { bits << 4 & 63 };
            *o = ALPHABET[usize::try_from(digit).unwrap_or(0)];
        }
        f.write_str(std::str::from_utf8(&out).unwrap_or(""))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_kafkas() {
        assert_eq!(TopicId::METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = TopicId(std::array::from_fn(|i| (i * 37 + 200) as u8));
        assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        assert_eq!(TopicId::parse("AAAAAAAAAAAAAAAAAAAAAR"), None);
        assert_eq!(TopicId::parse("short"), None);
    }
}
