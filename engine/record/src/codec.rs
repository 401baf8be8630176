//! Compression codecs by their number in a batch's attributes.

use std::fmt;
use std::str::FromStr;

/// How the records section of a batch is compressed (attributes, bits 0 to 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Codec {
    /// 0: not at all.
    #[default]
    None,
    /// 1: gzip.
    Gzip,
    /// 2: snappy, in the framing of the xerial library.
    Snappy,
    /// 3: the LZ4 frame format.
    Lz4,
    /// 4: zstandard (KIP-110; not before Produce 7 and Fetch 10).
    Zstd,
}

/// A codec number that Kafka does not define.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownCodec(pub u8);

impl fmt::Display for UnknownCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown compression codec {}", self.0)
    }
}

impl std::error::Error for UnknownCodec {}

impl Codec {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number that a batch's attributes carry.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name that `compression.type` uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl TryFrom<u8> for Codec {
    type Error = UnknownCodec;
    fn try_from(number: u8) -> Result<Self, UnknownCodec> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            n => Err(UnknownCodec(n)),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a name as `compression.type` spells it; `uncompressed` is another word for `none`.
impl FromStr for Codec {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "uncompressed" => Ok(Self::None),
            _ => Self::ALL
                .into_iter()
                .find(|c| c.name() == name)
                .ok_or_else(|| format!("`{name}` is none of none, gzip, snappy, lz4, zstd")),
        }
    }
}
