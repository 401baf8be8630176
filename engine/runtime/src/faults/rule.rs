//! Rules, and how they are written.

use std::fmt;
use std::time::Duration;

/// Where a fault can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Opening or creating a file.
    Open,
    /// Reading a file.
    Read,
    /// Writing a file.
    Write,
    /// Making a file or a directory durable.
    Sync,
    /// Allocating space, or setting the length.
    Allocate,
    /// Renaming, removing, listing, making a directory.
    Names,
    /// Connecting.
    Connect,
    /// Accepting a connection.
    Accept,
    /// Sending.
    Send,
    /// Receiving.
    Receive,
    /// A message from another core.
    Mailbox,
}

/// What happens to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is not carried out and fails with this errno.
    Fail(i32),
    /// It begins so much later.
    Delay(Duration),
    /// It reads or writes at most so many bytes.
    Short(usize),
    /// Its system call blocks the thread that carries it out for so long.
    Block(Duration),
}

/// Whom a fault meets, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Operations of this kind ...
    pub point: Point,
    /// ... on paths or peers' addresses that contain this, or on the core of this name; on all, if it is empty.
    pub path: String,
    /// So many of them are spared first.
    pub after: u64,
    /// So many are met then; all, without a number.
    pub times: Option<u64>,
    /// What happens to them.
    pub effect: Effect,
}

impl Rule {
    /// Whether it is about this operation on `path`.
    pub(super) fn fits(&self, point: Point, path: &str) -> bool {
        let named = match point {
            // `core-1` is no part of `core-10`.
            Point::Mailbox => self.path.is_empty() || self.path == path,
            Point::Open
            | Point::Read
            | Point::Write
            | Point::Sync
            | Point::Allocate
            | Point::Names
            | Point::Connect
            | Point::Accept
            | Point::Send
            | Point::Receive => path.contains(&self.path),
        };
        named && self.point == point
    }

    /// How many are met among the first `matched` that fit.
    pub(super) fn met(&self, matched: u64) -> u64 {
        matched.saturating_sub(self.after).min(self.times.unwrap_or(u64::MAX))
    }
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    rule: String,
    why: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RINGWOOD_FAULTS: in the rule {:?}: {}", self.rule, self.why)
    }
}

impl std::error::Error for ParseError {}

const POINTS: [(&str, Point); 11] = [
    ("open", Point::Open),
    ("read", Point::Read),
    ("write", Point::Write),
    ("sync", Point::Sync),
    ("allocate", Point::Allocate),
    ("names", Point::Names),
    ("connect", Point::Connect),
    ("accept", Point::Accept),
    ("send", Point::Send),
    ("receive", Point::Receive),
    ("mailbox", Point::Mailbox),
];

const ERRORS: [(&str, i32); 14] = [
    ("EIO", libc::EIO),
    ("ENOSPC", libc::ENOSPC),
    ("EDQUOT", libc::EDQUOT),
    ("EROFS", libc::EROFS),
    ("ENOENT", libc::ENOENT),
    ("EACCES", libc::EACCES),
    ("EINTR", libc::EINTR),
    ("EAGAIN", libc::EAGAIN),
    ("ENOMEM", libc::ENOMEM),
    ("EMFILE", libc::EMFILE),
    ("ENFILE", libc::ENFILE),
    ("EPIPE", libc::EPIPE),
    ("ECONNRESET", libc::ECONNRESET),
    ("ETIMEDOUT", libc::ETIMEDOUT),
];

/// Reads rules as the environment has them, see [the module](super).
///
/// # Errors
/// The first rule that cannot be read, and why.
pub fn parse(text: &str) -> Result<Vec<Rule>, ParseError> {
    let rules = text.split(';').map(str::trim).filter(|rule| !rule.is_empty());
    rules.map(|rule| one(rule).map_err(|why| ParseError { rule: rule.to_owned(), why })).collect()
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}

fn one(text: &str) -> Result<Rule, String> {
    let mut fields = text.split(',').map(str::trim);
    let kind = fields.next().unwrap_or_default();
    let Some(point) = find(&POINTS, kind) else {
        let names: Vec<&str> = POINTS.iter().map(|(n, _)| *n).collect();
        return Err(format!("no operation is called {kind:?}; there are {}", names.join(", ")));
    };
    let (mut path, mut after, mut times) = (String::new(), 0, None);
    let mut effect = None;
    for field in fields {
        let Some((name, value)) = field.split_once('=') else {
            return Err(format!("{field:?} is not of the form name=value"));
        };
        let found = match name {
            "path" => {
                value.clone_into(&mut path);
                continue;
            }
            "after" => {
                after = number(value)?;
                continue;
            }
            "times" => {
                times = Some(number(value)?);
                continue;
            }
            "error" if point == Point::Mailbox => {
                return Err(format!("{kind} cannot fail: a message can be late"));
            }
            "error" => Effect::Fail(errno(value)?),
            "delay" => Effect::Delay(duration(value)?),
            "short" if matches!(point, Point::Read | Point::Write) => {
                let bytes = usize::try_from(number(value)?);
                Effect::Short(bytes.map_err(|_| format!("{value} bytes are too many"))?)
            }
            "short" => return Err(format!("{kind} cannot be short; read and write can")),
            "block" if matches!(point, Point::Open | Point::Names) => {
                Effect::Block(duration(value)?)
            }
            "block" => return Err(format!("{kind} cannot block; open and names can")),
            _ => {
                return Err(format!(
                    "{name:?} is none of path, after, times, error, delay, short, block"
                ));
            }
        };
        if effect.replace(found).is_some() {
            return Err("more than one of error, delay, short and block".to_owned());
        }
    }
    let Some(effect) = effect else {
        return Err("it lacks one of error, delay, short and block".to_owned());
    };
    Ok(Rule { point, path, after, times, effect })
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

fn errno(text: &str) -> Result<i32, String> {
    if let Some(errno) = find(&ERRORS, text) {
        return Ok(errno);
    }
    // Linux knows errors from 1 to 4095.
    match text.parse::<i32>() {
        Ok(n) if (1..4096).contains(&n) => Ok(n),
        Ok(_) | Err(_) => {
            let names: Vec<&str> = ERRORS.iter().map(|(n, _)| *n).collect();
            Err(format!(
                "{text:?} is neither the number of an error nor one of {}",
                names.join(", ")
            ))
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 20ms or 2s");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let n: u64 = digits.parse().map_err(|_| wrong())?;
    match &text[digits.len()..] {
        "us" => Ok(Duration::from_micros(n)),
        "ms" => Ok(Duration::from_millis(n)),
        "s" => Ok(Duration::from_secs(n)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        let text =
            "sync,path=journal,after=100,times=1,error=EIO; write , delay=20ms;read,short=512;";
        let rule = |point, path: &str, after, times, effect| Rule {
            point,
            path: path.to_owned(),
            after,
            times,
            effect,
        };
        assert_eq!(
            parse(text),
            Ok(vec![
                rule(Point::Sync, "journal", 100, Some(1), Effect::Fail(libc::EIO)),
                rule(Point::Write, "", 0, None, Effect::Delay(Duration::from_millis(20))),
                rule(Point::Read, "", 0, None, Effect::Short(512)),
            ])
        );
        assert_eq!(parse(" "), Ok(Vec::new()));
        assert_eq!(parse("open,error=28").map(|r| r[0].effect), Ok(Effect::Fail(libc::ENOSPC)));
    }

    #[test]
    fn a_rule_that_cannot_be_read_says_why() {
        for (text, why) in [
            ("fsync,error=EIO", "no operation is called \"fsync\""),
            ("sync", "lacks one of"),
            ("sync,error=EWHAT", "\"EWHAT\" is neither"),
            ("sync,error=0", "\"0\" is neither"),
            ("sync,error=EIO,delay=1s", "more than one"),
            ("sync,short=5", "cannot be short"),
            ("sync,block=5ms", "cannot block"),
            ("mailbox,error=EIO", "cannot fail"),
            ("write,delay=5", "not a duration"),
            ("write,delay=5min", "not a duration"),
            ("write,after=x,error=EIO", "\"x\" is not a number"),
            ("write,error", "name=value"),
            ("write,often=3,error=EIO", "none of path"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(why) && said.contains(text), "{said}");
        }
    }

    #[test]
    fn a_core_is_met_by_its_whole_name_and_a_file_by_a_part_of_its_path() {
        let fits = |text: &str, point, path: &str| parse(text).unwrap()[0].fits(point, path);
        let core = |path: &str| fits("mailbox,path=core-1,delay=1s", Point::Mailbox, path);
        assert_eq!(["core-1", "core-10", "core-2"].map(core), [true, false, false]);
        assert!(fits("mailbox,delay=1s", Point::Mailbox, "core-10"));
        let file = |point| fits("sync,path=ring,error=EIO", point, "/data/core-1/ring-0");
        assert_eq!([Point::Sync, Point::Write].map(file), [true, false]);
    }

    #[test]
    fn some_are_spared_and_then_some_are_met() {
        let mut rule = parse("read,after=3,times=2,error=EIO").unwrap().remove(0);
        assert_eq!([0, 3, 4, 5, 6, 100].map(|n| rule.met(n)), [0, 0, 1, 2, 2, 2]);
        rule.times = None;
        assert_eq!([0, 3, 4, 100].map(|n| rule.met(n)), [0, 0, 1, 97]);
    }
}
