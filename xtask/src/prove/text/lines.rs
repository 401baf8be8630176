//! Where the lines come from: real text that this machine has, numbered and split into parts.

use std::fs::{File, read_dir};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Fault, tree};

/// The longest line that is taken; longer ones are cut.
const LINE_MAX: usize = 500_000;
/// Bytes that are taken of one file at most.
const FILE_MAX: u64 = 64 << 20;
/// How a file that lz4 has packed begins: apt's lists may be.
const LZ4: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Where text is found if nothing else is asked for, the most lifelike first: the package indexes of apt, the sources of
/// crates and of the clients, and what the system has.
pub(super) fn sources() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cargo = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".cargo")));
    let mut all = vec![PathBuf::from("/var/lib/apt/lists")];
    all.extend(cargo.map(|cargo| cargo.join("registry/src")));
    all.extend(["go", "node", "python"].map(|client| tree::work().join(client)));
    all.extend(["/usr/share", "/usr/include", "/usr/lib"].map(PathBuf::from));
    all
}

/// Every file below, in the order of their names.
fn files(at: &Path, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    if !at.is_dir() {
        found.push(at.to_path_buf());
        return Ok(());
    }
    let mut inner = Vec::new();
    for entry in read_dir(at)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_file() {
            inner.push(entry.path());
        }
    }
    inner.sort();
    inner.iter().try_for_each(|path| files(path, found))
}

/// The bytes of a file, unpacked; nothing if it is no text.
fn text(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    if bytes.starts_with(&LZ4) {
        let mut unpack = Command::new("/usr/lib/apt/apt-helper");
        // What it cannot unpack, or is not there to unpack, is no text: there is enough other.
        match unpack.arg("cat-file").arg(path).output() {
            Ok(unpacked) if unpacked.status.success() => bytes = unpacked.stdout,
            Ok(_) | Err(_) => return Ok(None),
        }
    }
    // A carriage return or a zero byte may mean something to a program that reads lines.
    let strange =
        bytes.contains(&0) || bytes.contains(&b'\r') || std::str::from_utf8(&bytes).is_err();
    Ok((!strange).then_some(bytes))
}

/// Writes numbered lines, as many bytes to each part; how many lines and bytes there are. What is taken first comes first.
pub(super) fn number(from: &[PathBuf], bytes: u64, parts: &[PathBuf]) -> Result<(u64, u64), Fault> {
    let mut folders = from.iter().filter(|from| from.exists());
    let mut found = Vec::<PathBuf>::new().into_iter();
    let (mut lines, mut taken) = (0_u64, 0_u64);
    let mut open: Vec<u8> = Vec::new();
    let mut at = 0;
    for (part, path) in (1..).zip(parts) {
        let mut out = BufWriter::new(File::create(path)?);
        while taken < bytes / parts.len() as u64 * part {
            if at == open.len() {
                at = 0;
                if let Some(next) = found.next() {
                    open = text(&next)?.unwrap_or_default();
                } else if let Some(folder) = folders.next() {
                    let mut inner = Vec::new();
                    files(folder, &mut inner)?;
                    (open, found) = (Vec::new(), inner.into_iter());
                } else {
                    let why =
                        format!("there are only {taken} bytes of text; name more with --from");
                    return Err(why.into());
                }
                continue;
            }
            let rest = &open[at..];
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
            at = (at + line.len() + 1).min(open.len());
            let line = &line[..line.len().min(LINE_MAX)];
            write!(out, "{lines:010} ")?;
            out.write_all(line)?;
            out.write_all(b"\n")?;
            lines += 1;
            taken += line.len() as u64 + 12;
        }
        out.flush()?;
    }
    Ok((lines, taken))
}

/// How many lines and bytes these files have.
pub(super) fn count(parts: &[PathBuf]) -> Result<(u64, u64), Fault> {
    let (mut lines, mut bytes) = (0, 0);
    for part in parts {
        let mut file = BufReader::with_capacity(1 << 20, File::open(part)?);
        loop {
            let block = file.fill_buf()?;
            if block.is_empty() {
                break;
            }
            lines += block.iter().filter(|byte| **byte == b'\n').count() as u64;
            bytes += block.len() as u64;
            let n = block.len();
            file.consume(n);
        }
    }
    Ok((lines, bytes))
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, read_to_string, remove_dir_all, write};

    use super::*;

    #[test]
    fn lines_are_numbered_and_split_and_what_is_no_text_is_left_out() -> Result<(), Fault> {
        let at = std::env::temp_dir().join(format!("ringwood-lines-{}", std::process::id()));
        create_dir_all(&at)?;
        write(at.join("a"), "one\ntwo\n\nfour")?;
        write(at.join("b"), [b'x', 0, b'\n'])?;
        write(at.join("c"), "carriage\r\n")?;
        write(at.join("d.lz4"), "a name says nothing\nlast\n")?;
        let parts = [at.join("p0"), at.join("p1")];
        let from = ["a", "b", "c", "d.lz4"].map(|name| at.join(name));
        let made = number(&from, 80, &parts)?;
        let text = read_to_string(&parts[0])? + &read_to_string(&parts[1])?;
        let want = "0000000000 one\n0000000001 two\n0000000002 \n0000000003 four\n0000000004 a name says nothing\n";
        assert_eq!(text, want);
        assert_eq!(made, (5, want.len() as u64));
        assert_eq!(count(&parts)?, made);
        assert!(number(&from, 1 << 20, &parts).is_err(), "there is not so much");
        Ok(remove_dir_all(&at)?)
    }
}
