//! The layout: which cores' rings this data directory consists of. A few lines of text with a checksum, so that a person can
//! read it and a torn write cannot be taken for it.

use std::fmt::Write as _;

/// One core's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// The ring's uuid.
    pub ring: [u8; 16],
    /// How many files the ring has.
    pub files: u32,
    /// Bytes of each.
    pub file_bytes: u64,
}

/// The whole layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Rises with every change of the core count; names the directory `cores-<generation>`.
    pub generation: u64,
    /// The data directory's own uuid: a broker knows by it that the disk is the one it had.
    pub directory: [u8; 16],
    /// A part per core.
    pub cores: Vec<Core>,
}

fn hex(uuid: &[u8; 16]) -> String {
    uuid.iter().fold(String::new(), |mut s, b| {
        // Writing to a String cannot fail.
        let _ = write!(s, "{b:02x}");
        s
    })
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let n = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| n.to_be_bytes())
}

impl Layout {
    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut t = format!(
            "ringwood layout 1\ngeneration {}\ndirectory {}\ncores {}\n",
            self.generation,
            hex(&self.directory),
            self.cores.len()
        );
        for c in &self.cores {
            // Writing to a String cannot fail.
            let _ = writeln!(t, "ring {} files {} bytes {}", hex(&c.ring), c.files, c.file_bytes);
        }
        let crc = crc32c::crc32c(t.as_bytes());
        t + &format!("crc {crc:08x}\n")
    }

    /// Reads the file's text; `None` if it is not whole.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let at = text.rfind("crc ")?;
        let crc = u32::from_str_radix(text[at..].strip_prefix("crc ")?.trim_end(), 16).ok()?;
        if crc32c::crc32c(&text.as_bytes()[..at]) != crc {
            return None;
        }
        let mut lines = text[..at].lines();
        if lines.next()? != "ringwood layout 1" {
            return None;
        }
        let generation = lines.next()?.strip_prefix("generation ")?.parse().ok()?;
        let directory = unhex(lines.next()?.strip_prefix("directory ")?)?;
        let count: usize = lines.next()?.strip_prefix("cores ")?.parse().ok()?;
        let mut cores = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let ["ring", ring, "files", files, "bytes", bytes] = words[..] else { return None };
            cores.push(Core {
                ring: unhex(ring)?,
                files: files.parse().ok()?,
                file_bytes: bytes.parse().ok()?,
            });
        }
        let sane = |c: &Core| c.files > 0 && c.file_bytes > 0 && c.file_bytes.is_multiple_of(4096);
        if count > usize::from(u16::MAX) || !cores.iter().all(sane) {
            return None;
        }
        (cores.len() == count && count > 0).then_some(Self { generation, directory, cores })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_reads_back_and_a_torn_one_does_not() {
        let core = Core { ring: [0xab; 16], files: 4, file_bytes: 1 << 20 };
        let layout = Layout { generation: 2, directory: [1; 16], cores: vec![core, core] };
        let text = layout.to_text();
        assert_eq!(Layout::parse(&text), Some(layout));
        for cut in 0..text.len() - 1 {
            assert_eq!(Layout::parse(&text[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Layout::parse(&text.replace("files 4", "files 5")), None);
    }
}
