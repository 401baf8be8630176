//! Lines of stdin, read in a thread of their own, so that acknowledgements are taken while the input pauses.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines in a row, without their ends, or why there are no more.
pub(super) type Batch = io::Result<Vec<Vec<u8>>>;

/// The longest line; brokers take requests of 100 MiB at most unless told otherwise.
const LINE_BYTES_MAX: usize = 96 << 20;
/// About how many bytes and lines are handed over at once, and at most two of these wait.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_LINES: usize = 1000;

/// Starts to read. `prompt`: a person types, and is shown a `>`.
pub(super) fn read(prompt: bool) -> Receiver<Batch> {
    let (to, from) = sync_channel(1);
    std::thread::spawn(move || {
        let mut input = BufReader::with_capacity(64 << 10, io::stdin());
        if let Err(e) = lines(&mut input, LINE_BYTES_MAX, prompt, &to) {
            // A sender that has given up does not want to know.
            let _ = to.send(Err(e));
        }
    });
    from
}

fn lines(
    input: &mut BufReader<impl Read>,
    line_bytes_max: usize,
    prompt: bool,
    to: &SyncSender<Batch>,
) -> io::Result<()> {
    let mut batch: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    loop {
        if prompt {
            let mut out = io::stdout().lock();
            out.write_all(b">").and_then(|()| out.flush())?;
        }
        let mut line = Vec::new();
        let limit = u64::try_from(line_bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        input.by_ref().take(limit).read_until(b'\n', &mut line)?;
        let ended = line.is_empty();
        if line.len() > line_bytes_max {
            let text = format!("a line of more than {line_bytes_max} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !ended {
            bytes += line.len();
            // A carriage return ends a line too, as in Java.
            batch.extend(line.split(|b| *b == b'\r').map(<[u8]>::to_vec));
        }
        // Before the next line has to be waited for, what there is goes.
        let waits = !input.buffer().contains(&b'\n');
        let full = bytes >= BATCH_BYTES || batch.len() >= BATCH_LINES;
        if !batch.is_empty() && (ended || full || waits) {
            bytes = 0;
            if to.send(Ok(std::mem::take(&mut batch))).is_err() {
                return Ok(());
            }
        }
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &[u8], line_bytes_max: usize) -> (Vec<Vec<u8>>, bool) {
        let (to, from) = sync_channel(100);
        let whole = lines(&mut BufReader::new(text), line_bytes_max, false, &to).is_ok();
        drop(to);
        (from.into_iter().flat_map(Result::unwrap).collect(), whole)
    }

    #[test]
    fn lines_end_as_in_java_and_the_last_needs_no_end() {
        let (lines, whole) = read_all(b"a\nb\r\n\nc\rd\ne", 100);
        assert!(whole);
        assert_eq!(lines, [&b"a"[..], b"b", b"", b"c", b"d", b"e"]);
        assert_eq!(read_all(b"", 100).0.len(), 0);
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let (lines, whole) = read_all(b"short\nvery long line", 8);
        assert_eq!(lines, [b"short"]);
        assert!(!whole);
    }
}
