//! The bytes of a simulated file. Pages are shared until one of the sharers writes, and a page of zeros is none: so that a copy
//! of a disk costs little, however much was allocated.

use std::rc::Rc;

const PAGE: usize = 4096;

/// Bytes by position. What was never written reads as zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    len: usize,
    pages: Vec<Option<Rc<[u8; PAGE]>>>,
}

impl Content {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Cuts, or grows by zeros.
    pub(crate) fn resize(&mut self, len: usize) {
        self.pages.resize(len.div_ceil(PAGE), None);
        if len < self.len
            && let Some(Some(last)) = self.pages.get_mut(len / PAGE)
        {
            // What is cut off does not come back when the file grows again.
            Rc::make_mut(last)[len % PAGE..].fill(0);
        }
        self.len = len;
    }

    /// Up to `len` bytes at `pos`; fewer at the end.
    pub(crate) fn read(&self, pos: u64, len: usize) -> Vec<u8> {
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(self.len);
        let to = from.saturating_add(len).min(self.len);
        let mut out = vec![0; to - from];
        each_page(from, to, |page, at, range| {
            if let Some(Some(bytes)) = self.pages.get(page) {
                out[range.clone()].copy_from_slice(&bytes[at..at + range.len()]);
            }
        });
        out
    }

    /// Overwrites what lies within the length; the rest of `data` is dropped.
    pub(crate) fn write(&mut self, pos: u64, data: &[u8]) {
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(self.len);
        let to = from.saturating_add(data.len()).min(self.len);
        let pages = &mut self.pages;
        each_page(from, to, |page, at, range| {
            let part = &data[range];
            let Some(slot) = pages.get_mut(page) else { return };
            if slot.is_none() && part.iter().all(|b| *b == 0) {
                return;
            }
            let bytes = slot.get_or_insert_with(|| Rc::new([0; PAGE]));
            Rc::make_mut(bytes)[at..at + part.len()].copy_from_slice(part);
        });
    }

    /// Turns the bits of `mask` in one byte; whether there is such a byte.
    pub(crate) fn flip(&mut self, at: usize, mask: u8) -> bool {
        if at >= self.len {
            return false;
        }
        let byte = self.read(at as u64, 1)[0] ^ mask;
        self.write(at as u64, &[byte]);
        true
    }
}

/// For each page of `from..to`: its number, where in it the part begins, and which bytes of the whole that part is.
fn each_page(from: usize, to: usize, mut f: impl FnMut(usize, usize, std::ops::Range<usize>)) {
    let mut at = from;
    while at < to {
        let within = at % PAGE;
        let n = (PAGE - within).min(to - at);
        f(at / PAGE, within, at - from..at - from + n);
        at += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_what_was_written_and_zeros_elsewhere() {
        let mut c = Content::default();
        c.resize(10_000);
        c.write(4000, &[7; 300]);
        c.write(9_990, &[9; 300]);
        let copy = c.clone();
        c.write(4100, &[1; 8]);
        let all = copy.read(0, usize::MAX);
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().enumerate().all(|(i, b)| *b
            == match i {
                4000..4300 => 7,
                9_990.. => 9,
                _ => 0,
            }));
        assert_eq!(c.read(4099, 3), [7, 1, 1]);
    }

    #[test]
    fn what_was_cut_off_does_not_come_back() {
        let mut c = Content::default();
        c.resize(5000);
        c.write(0, &[5; 5000]);
        c.resize(100);
        c.resize(5000);
        assert_eq!(c.read(99, 3), [5, 0, 0]);
        assert!(c.flip(99, 1) && !c.flip(5000, 1));
        assert_eq!(c.read(99, 1), [4]);
    }
}
