//! Faults on order, for tests of what stands above: only with the cargo feature `faults`, on the backends for a real machine.
//!
//! A rule names a kind of operation and a part of a path (of a peer's address, for sockets; for messages between cores all of the
//! receiving one's name, such as `core-1`), and what becomes of the operations that it meets. Rules come from [`set`] or from the environment variable `RINGWOOD_FAULTS`, which the first core of a process
//! reads: rules with `;` between, each a kind and then, with `,` between, `path=`, `after=` (so many are spared), `times=` (so
//! many are met then; all, if it is not given), and one of `error=` (a name or a number), `delay=` (`20ms`, `2s`), `short=`
//! (so many bytes are read or written, no more) or `block=` (for `open` and `names`: the system call itself takes so much longer,
//! and whichever thread carries it out can do nothing else):
//! ```text
//! RINGWOOD_FAULTS='sync,path=journal,after=100,times=1,error=EIO;write,delay=20ms'
//! ```
//! The kinds are `open`, `read`, `write`, `sync`, `allocate`, `names`, `connect`, `accept`, `send`, `receive` and `mailbox`: a message
//! from another core, which comes late and cannot fail. An operation that fails is not carried out. If several rules meet one operation, it is delayed by all of them, and fails by the first.

mod rule;

pub use rule::{Effect, ParseError, Point, Rule, parse};

use crate::driver::FileOp;
use crate::keep::Keep;
use crate::runtime::{Backend, Inner, Runtime};
use std::fmt::Display;
use std::io;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The rules of this process, and how many operations each has matched.
static RULES: Mutex<Vec<(Rule, u64)>> = Mutex::new(Vec::new());
static ENVIRONMENT: OnceLock<Result<(), ParseError>> = OnceLock::new();

fn rules() -> MutexGuard<'static, Vec<(Rule, u64)>> {
    RULES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces the rules of this process, on all cores.
pub fn set(new: Vec<Rule>) {
    *rules() = new.into_iter().map(|rule| (rule, 0)).collect();
}

/// Adds a rule behind the others.
pub fn add(rule: Rule) {
    rules().push((rule, 0));
}

/// Whether there are rules.
pub(crate) fn any() -> bool {
    !rules().is_empty()
}

/// How many operations each rule has met so far, in order; those that it spared are not counted.
#[must_use]
pub fn met() -> Vec<u64> {
    rules().iter().map(|(rule, matched)| rule.met(*matched)).collect()
}

/// Takes over the rules of the environment, once in a process.
///
/// # Errors
/// They cannot be read; every core of the process is told so.
pub(crate) fn from_environment() -> io::Result<()> {
    let taken = ENVIRONMENT.get_or_init(|| {
        let Ok(text) = std::env::var("RINGWOOD_FAULTS") else { return Ok(()) };
        let new = parse(&text)?;
        crate::tell!("warning: faults are injected, as RINGWOOD_FAULTS says: {text}");
        new.into_iter().for_each(add);
        Ok(())
    });
    taken.clone().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
}

/// What becomes of one operation.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fate {
    delay: Duration,
    errno: Option<i32>,
    short: Option<usize>,
}

/// Counts an operation, and says what becomes of it: before its system call, or in it.
fn fate(point: Point, path: &str, in_the_call: bool) -> Fate {
    let mut fate = Fate::default();
    for (rule, matched) in rules().iter_mut() {
        let blocks = matches!(rule.effect, Effect::Block(_));
        if !rule.fits(point, path) || blocks != in_the_call {
            continue;
        }
        let before = rule.met(*matched);
        *matched += 1;
        if rule.met(*matched) == before {
            continue;
        }
        match rule.effect {
            Effect::Fail(errno) => fate.errno = fate.errno.or(Some(errno)),
            Effect::Delay(d) | Effect::Block(d) => fate.delay += d,
            Effect::Short(n) => fate.short = Some(fate.short.map_or(n, |m| m.min(n))),
        }
    }
    fate
}

async fn suffer(inner: &Rc<Inner>, point: Point, path: &dyn Display) -> Result<Fate, i32> {
    if !matches!(inner.backend, Backend::Real(_)) || rules().is_empty() {
        return Ok(Fate::default());
    }
    let fate = fate(point, &path.to_string(), false);
    if !fate.delay.is_zero() {
        Runtime { inner: Rc::clone(inner) }.sleep(fate.delay).await;
    }
    match fate.errno {
        Some(errno) => Err(errno),
        None => Ok(fate),
    }
}

/// How long the system call of an operation blocks its thread beyond what it does anyway.
pub(crate) fn held_up(inner: &Rc<Inner>, point: Point, path: &dyn Display) -> Duration {
    if !matches!(inner.backend, Backend::Real(_)) || rules().is_empty() {
        return Duration::ZERO;
    }
    fate(point, &path.to_string(), true).delay
}

/// An operation is about to be carried out: waits, or fails, as the rules say.
pub(crate) async fn pass(inner: &Rc<Inner>, point: Point, path: &dyn Display) -> io::Result<()> {
    match suffer(inner, point, path).await {
        Ok(_) => Ok(()),
        Err(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// As [`pass`], for an operation that is submitted: what is left of it, or a negated errno.
pub(crate) async fn pass_file(
    inner: &Rc<Inner>,
    path: &dyn Display,
    op: FileOp,
    keep: &mut Keep,
) -> Result<FileOp, i32> {
    let point = match op {
        FileOp::Read { .. } => Point::Read,
        FileOp::Write { .. } | FileOp::Writev { .. } => Point::Write,
        FileOp::Sync { .. } => Point::Sync,
        FileOp::Allocate { .. } => Point::Allocate,
    };
    let fate = suffer(inner, point, path).await.map_err(|errno| -errno)?;
    Ok(match fate.short {
        Some(n) => shortened(op, n, keep),
        None => op,
    })
}

/// The operation for its first `n` bytes.
fn shortened(op: FileOp, n: usize, keep: &mut Keep) -> FileOp {
    let most = u32::try_from(n).unwrap_or(u32::MAX);
    match (op, keep) {
        (FileOp::Read { to, len, pos, fixed }, _) => {
            FileOp::Read { to, len: len.min(most), pos, fixed }
        }
        (FileOp::Write { from, len, pos, fixed }, _) => {
            FileOp::Write { from, len: len.min(most), pos, fixed }
        }
        (FileOp::Writev { pos, .. }, Keep::Writev(_, _, vectors)) => {
            let mut left = n;
            vectors.retain_mut(|v| {
                v.iov_len = v.iov_len.min(left);
                left -= v.iov_len;
                v.iov_len > 0
            });
            let count = u32::try_from(vectors.len()).unwrap_or(0);
            FileOp::Writev { vectors: vectors.as_ptr(), count, pos }
        }
        (FileOp::Writev { .. } | FileOp::Sync { .. } | FileOp::Allocate { .. }, _) => op,
    }
}
