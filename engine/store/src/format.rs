//! The bytes that the store writes. Pure: everything here is a function from numbers to bytes and back.
//!
//! `docs/formats/` draws each of them with a ruler.

pub mod commit;
pub mod layout;
pub mod manifest;
pub mod record;
pub mod rest;
pub mod truncate;

/// The unit of every write: the device's block. A torn write loses at most the block it was in.
pub const BLOCK: usize = 4096;

/// `n` rounded up to whole blocks.
#[must_use]
pub fn blocks(n: usize) -> usize {
    n.next_multiple_of(BLOCK)
}

/// Little-endian numbers at fixed places of a header whose length has been checked.
pub(crate) mod le {
    pub(crate) fn u16(b: &[u8], at: usize) -> u16 {
        let mut x = [0; 2];
        x.copy_from_slice(&b[at..at + 2]);
        u16::from_le_bytes(x)
    }
    pub(crate) fn u32(b: &[u8], at: usize) -> u32 {
        let mut x = [0; 4];
        x.copy_from_slice(&b[at..at + 4]);
        u32::from_le_bytes(x)
    }
    pub(crate) fn u64(b: &[u8], at: usize) -> u64 {
        let mut x = [0; 8];
        x.copy_from_slice(&b[at..at + 8]);
        u64::from_le_bytes(x)
    }
    pub(crate) fn i64(b: &[u8], at: usize) -> i64 {
        u64(b, at).cast_signed()
    }
    pub(crate) fn uuid(b: &[u8], at: usize) -> [u8; 16] {
        let mut x = [0; 16];
        x.copy_from_slice(&b[at..at + 16]);
        x
    }
}
