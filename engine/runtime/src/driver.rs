//! What carries out the work of a core on a real machine.

use crate::keep::Keep;
use crate::portable::Portable;
use crate::probe::{Features, WhyNot};
use crate::runtime::{Io, Tuning};
use crate::uring::Uring;
use crate::{buffer::Memory, mailbox::bell::Bell};
use ids::CoreId;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The bells of a node, and which of them is this core's.
pub(crate) type Bells = (Arc<Vec<Bell>>, usize);

/// How long a turn may wait in the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Not,
    For(Duration),
    Forever,
}

/// One operation on an open file. What it points to is in the [`Keep`] that goes with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileRequest {
    pub(crate) fd: RawFd,
    pub(crate) op: FileOp,
    /// Once a write has succeeded in whole, the file's data are synced, without a turn of the core in between. The result is
    /// the write's, or the sync's if that has failed. After a short write nothing is synced.
    pub(crate) then_sync: bool,
    /// Where requests stand in line for threads, this one does so beside those that are not urgent.
    pub(crate) urgent: bool,
}

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileOp {
    /// `fixed`: the number under which the kernel knows the memory.
    Read {
        to: *mut u8,
        len: u32,
        pos: u64,
        fixed: Option<u16>,
    },
    Write {
        from: *const u8,
        len: u32,
        pos: u64,
        fixed: Option<u16>,
    },
    Writev {
        vectors: *const libc::iovec,
        count: u32,
        pos: u64,
    },
    /// `data`: without what is not needed to read it back.
    Sync {
        data: bool,
    },
    Allocate {
        pos: u64,
        len: u64,
    },
}

/// The backends for a real machine.
#[derive(Clone)]
pub(crate) enum Driver {
    Uring(Rc<Uring>),
    Portable(Rc<Portable>),
}

impl Driver {
    /// Makes the driver of the calling thread, which is the only one that may use it.
    pub(crate) fn new(core: CoreId, tuning: &Tuning, bells: Option<Bells>) -> io::Result<Self> {
        let portable = |why| Portable::new(core, tuning, bells.clone(), why).map(Self::Portable);
        match tuning.io {
            Io::Portable => portable(WhyNot::NotAsked),
            Io::Uring => Uring::new(tuning, bells).map(Self::Uring).map_err(io::Error::other),
            Io::Auto => match Uring::new(tuning, bells.clone()) {
                Ok(uring) => Ok(Self::Uring(uring)),
                Err(why) => portable(why),
            },
        }
    }

    /// Lets the kernel know large blocks of `memory`, if that helps.
    pub(crate) fn adopt(&self, memory: &Memory) {
        if let Self::Uring(uring) = self {
            memory.set_registrar(Box::new(uring.registrar()));
        }
    }

    /// Carries out `request`, which points only into memory that `keep` holds: its result as the kernel says it (a count, or a
    /// negated errno), and `keep` back. Dropping the future leaves a write or a sync to finish by itself, with its memory.
    pub(crate) async fn submit(&self, request: FileRequest, keep: Keep) -> (i32, Option<Keep>) {
        match self {
            Self::Uring(uring) => uring.submit_file(&request, keep).await,
            Self::Portable(portable) => portable.submit_file(request, keep).await,
        }
    }

    /// Hands over what is queued, waits as long as `wait` says, and wakes whom something has happened for.
    pub(crate) fn turn(&self, wait: Wait) {
        match self {
            Self::Uring(uring) => uring.turn(wait),
            Self::Portable(portable) => portable.turn(wait),
        }
    }

    /// Ends everything, or after `patience` gives up what has not ended, and its memory, for good.
    pub(crate) fn drain(&self, patience: Duration) {
        match self {
            Self::Uring(uring) => uring.drain(patience),
            Self::Portable(portable) => portable.drain(patience),
        }
    }

    /// Wakes core `to`, which sleeps.
    pub(crate) fn nudge(&self, to: usize) {
        match self {
            Self::Uring(uring) => uring.nudge(to),
            Self::Portable(portable) => portable.nudge(to),
        }
    }

    /// Holds on to a lock's descriptor until the last operation has ended, also after the process was killed; where, if it can.
    pub(crate) fn hold_file(&self, fd: &Rc<OwnedFd>) -> Option<u32> {
        match self {
            Self::Uring(uring) => uring.hold_file(fd),
            Self::Portable(portable) => Some(portable.hold_file(fd)),
        }
    }

    /// Undoes [`Driver::hold_file`].
    pub(crate) fn release_file(&self, slot: u32) {
        match self {
            Self::Uring(uring) => uring.release_file(slot),
            Self::Portable(portable) => portable.release_file(slot),
        }
    }

    pub(crate) fn features(&self) -> Features {
        match self {
            Self::Uring(uring) => uring.features(),
            Self::Portable(portable) => portable.features(),
        }
    }

    pub(crate) fn fixed_bytes(&self) -> usize {
        match self {
            Self::Uring(uring) => uring.fixed_bytes(),
            Self::Portable(_) => 0,
        }
    }

    /// Sends without a copy, and those that had to be copied after all.
    pub(crate) fn zero_copy(&self) -> (u64, u64) {
        match self {
            Self::Uring(uring) => (uring.zero_copy_sends.get(), uring.zero_copy_refused.get()),
            Self::Portable(_) => (0, 0),
        }
    }

    /// Bytes that were copied out of receive buffers because those were scarce.
    pub(crate) fn receives_copied(&self) -> u64 {
        match self {
            Self::Uring(uring) => uring.receives_copied.get(),
            Self::Portable(_) => 0,
        }
    }

    /// Entries handed to the kernel, and completions taken from it; none where there is no ring.
    pub(crate) fn entries(&self) -> (u64, u64) {
        match self {
            Self::Uring(uring) => uring.entries(),
            Self::Portable(_) => (0, 0),
        }
    }

    /// How often it has entered the kernel to wait or to hand over.
    pub(crate) fn enters(&self) -> u64 {
        match self {
            Self::Uring(uring) => uring.enters.get(),
            Self::Portable(portable) => portable.enters(),
        }
    }
}
