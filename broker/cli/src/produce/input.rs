//! The input, read and split in a thread of its own.

use crate::format::{Fields, Splitter};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Where records come from.
pub(super) enum Source {
    /// Records that end with a delimiter.
    Stdin(Splitter),
    /// Each file is one record.
    Files(Vec<PathBuf>),
}

/// A record of the input, counted from 1, or why it is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) fields: Result<Fields, String>,
}

/// What the reader hands over. When it is through, the channel closes.
#[derive(Debug)]
pub(super) enum Message {
    Records(Vec<Numbered>),
    Broken { what: String, error: io::Error },
}

/// The largest record that is read; brokers take requests of 100 MiB at most unless told otherwise.
const RECORD_BYTES_MAX: usize = 96 << 20;
/// About how many bytes are handed over at once.
const HANDOVER_BYTES: usize = 256 << 10;
const HANDOVER_RECORDS: usize = 1000;
const READ_BYTES: usize = 256 << 10;

/// Starts the reader. It runs at most two handovers ahead.
pub(super) fn read(source: Source) -> Receiver<Message> {
    let (to, from) = sync_channel(1);
    std::thread::spawn(move || {
        let ended = match source {
            Source::Stdin(splitter) => {
                // No lock: it could not be sent, and nobody else reads.
                let mut input = BufReader::with_capacity(READ_BYTES, io::stdin());
                records(&mut input, &splitter, RECORD_BYTES_MAX, &to)
            }
            Source::Files(paths) => files(&paths, &to),
        };
        if let Err((what, error)) = ended {
            // A sender that has given up does not want to know.
            let _ = to.send(Message::Broken { what, error });
        }
    });
    from
}

type Broken = (String, io::Error);

fn files(paths: &[PathBuf], to: &SyncSender<Message>) -> Result<(), Broken> {
    for (number, path) in (1..).zip(paths) {
        let broken = |e| (format!("cannot read {}", path.display()), e);
        let fields = whole(path)
            .map_err(broken)?
            .map(|value| Fields { value: Some(value), ..Fields::default() });
        if to.send(Message::Records(vec![Numbered { number, fields }])).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn whole(path: &Path) -> io::Result<Result<Vec<u8>, String>> {
    let mut value = Vec::new();
    let limit = u64::try_from(RECORD_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)?.take(limit + 1).read_to_end(&mut value)?;
    if value.len() > RECORD_BYTES_MAX {
        return Ok(Err(too_large(RECORD_BYTES_MAX)));
    }
    Ok(Ok(value))
}

fn too_large(limit: usize) -> String {
    format!("is larger than {limit} bytes, the most that a request can carry")
}

/// Reads records until the input ends. What has been read is handed over before the input is waited for.
fn records(
    input: &mut impl Peek,
    splitter: &Splitter,
    limit: usize,
    to: &SyncSender<Message>,
) -> Result<(), Broken> {
    let delimiter = splitter.delimiter();
    let Some(last) = delimiter.last().copied() else { return Ok(()) };
    let mut ready = Vec::new();
    let mut bytes = 0;
    let mut number = 0;
    let broken = |e| ("cannot read stdin".to_owned(), e);
    loop {
        let pausing = !input.peek().contains(&last);
        let full = bytes >= HANDOVER_BYTES || ready.len() >= HANDOVER_RECORDS;
        if (pausing || full) && !ready.is_empty() {
            bytes = 0;
            if to.send(Message::Records(std::mem::take(&mut ready))).is_err() {
                return Ok(());
            }
        }
        let fields = match next(input, delimiter, last, limit).map_err(broken)? {
            Next::End => break,
            Next::Record(text) => {
                bytes += text.len();
                splitter.split(&text)
            }
            Next::TooLarge => Err(too_large(limit)),
        };
        number += 1;
        ready.push(Numbered { number, fields });
    }
    if !ready.is_empty() {
        // A sender that has given up does not want the rest.
        let _ = to.send(Message::Records(ready));
    }
    Ok(())
}

/// A reader that tells what it has without waiting.
trait Peek: BufRead {
    fn peek(&self) -> &[u8];
}

impl<R: Read> Peek for BufReader<R> {
    fn peek(&self) -> &[u8] {
        self.buffer()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Record(Vec<u8>),
    TooLarge,
    End,
}

/// One record, without its delimiter. The last one may lack it. Of one above the limit nothing is kept but its end.
fn next(input: &mut impl BufRead, delimiter: &[u8], last: u8, limit: usize) -> io::Result<Next> {
    let mut text = Vec::new();
    let mut too_large = false;
    loop {
        let room = limit.saturating_add(delimiter.len()).saturating_sub(text.len()).max(1);
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let n = input.by_ref().take(room).read_until(last, &mut text)?;
        if text.ends_with(delimiter) {
            text.truncate(text.len() - delimiter.len());
            break;
        }
        if n == 0 {
            if text.is_empty() && !too_large {
                return Ok(Next::End);
            }
            break;
        }
        if text.len() >= limit.saturating_add(delimiter.len()) {
            too_large = true;
            // The delimiter may have begun already.
            let keep = text.len() - (delimiter.len() - 1);
            text.drain(..keep);
        }
    }
    if too_large || text.len() > limit { Ok(Next::TooLarge) } else { Ok(Next::Record(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::parse;

    fn all(input: &str, splitter: &Splitter, limit: usize) -> Vec<Result<String, ()>> {
        let (to, from) = sync_channel(100);
        let mut input = BufReader::with_capacity(4, input.as_bytes());
        records(&mut input, splitter, limit, &to).unwrap();
        drop(to);
        let mut got = Vec::new();
        for message in from {
            let Message::Records(records) = message else { panic!("{message:?}") };
            for r in records {
                assert_eq!(r.number, u64::try_from(got.len()).unwrap() + 1);
                let value = r.fields.map(|f| String::from_utf8(f.value.unwrap()).unwrap());
                got.push(value.map_err(|_| ()));
            }
        }
        got
    }

    fn ok(texts: &[&str]) -> Vec<Result<String, ()>> {
        texts.iter().map(|t| Ok((*t).to_owned())).collect()
    }

    #[test]
    fn a_record_is_a_line_and_the_last_one_may_lack_its_end() {
        let lines = Splitter::lines();
        assert_eq!(all("", &lines, 100), []);
        assert_eq!(all("\n", &lines, 100), ok(&[""]));
        assert_eq!(all("one\ntwo\n\nthree", &lines, 100), ok(&["one", "two", "", "three"]));
    }

    #[test]
    fn a_delimiter_of_several_bytes_ends_a_record_only_as_a_whole() {
        let s = Splitter::new(parse("%v--;").unwrap()).unwrap();
        assert_eq!(all("a;b-;c--;d--;", &s, 100), ok(&["a;b-;c", "d"]));
        assert_eq!(all("a--", &s, 100), ok(&["a--"]));
    }

    #[test]
    fn what_is_too_large_is_skipped_and_nothing_else() {
        let lines = Splitter::lines();
        let got = all("12345\n123456\n1234567890123\nok\n123456", &lines, 5);
        assert_eq!(got, [Ok("12345".into()), Err(()), Err(()), Ok("ok".into()), Err(())]);
        let s = Splitter::new(parse("%v--;").unwrap()).unwrap();
        let got = all("12345--;123456--;1234567890--;ok--;123456-", &s, 5);
        assert_eq!(got, [Ok("12345".into()), Err(()), Err(()), Ok("ok".into()), Err(())]);
    }
}
