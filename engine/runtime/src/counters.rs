//! What a core has done so far: plain counters, written by its thread alone.

use std::cell::Cell;
use std::time::Duration;

/// Operations that have ended well, and the bytes that they moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// How many there were, as the core's tasks asked for them: one of them may take several system calls.
    pub operations: u64,
    /// Bytes that they moved.
    pub bytes: u64,
}

/// A snapshot of what a core has done since it started. Differences of two of them show the load between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reads of files.
    pub reads: Flow,
    /// Writes of files.
    pub writes: Flow,
    /// Files and directories made durable.
    pub syncs: u64,
    /// Sends to sockets.
    pub sends: Flow,
    /// System calls' worth of sends whose bytes the kernel took from our buffers, without a copy.
    pub zero_copy_sends: u64,
    /// Sends that were to be so and had to be copied after all: too little memory may be locked.
    pub zero_copy_refused: u64,
    /// Receives from sockets.
    pub receives: Flow,
    /// Received bytes that were copied out of the kernel's buffers because those were scarce.
    pub receives_copied: u64,
    /// Operations and parts of them that were handed to the core's io_uring; none on other backends.
    pub submissions: u64,
    /// Completions that came back from it: none for what was told to be silent and went well.
    pub completions: u64,
    /// Rounds of the core's loop.
    pub turns: u64,
    /// How often it went to sleep because nothing could go on, and was woken.
    pub wake_ups: u64,
    /// Processor time of the core's thread, in the kernel too; not that of `portable`'s file threads. None in a simulation.
    pub busy: Duration,
}

/// One kind of operation.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    operations: Cell<u64>,
    bytes: Cell<u64>,
}

impl Meter {
    pub(crate) fn count(&self, bytes: usize) {
        self.operations.set(self.operations.get() + 1);
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    fn read(&self) -> Flow {
        Flow { operations: self.operations.get(), bytes: self.bytes.get() }
    }
}

/// A core's counters.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) reads: Meter,
    pub(crate) writes: Meter,
    pub(crate) syncs: Meter,
    pub(crate) sends: Meter,
    pub(crate) receives: Meter,
    pub(crate) turns: Meter,
    pub(crate) wake_ups: Meter,
}

impl Meters {
    /// A snapshot; `zero_copy` are the driver's counts of sends done so, and refused; `entries` those of what it handed over
    /// and got back, `receives_copied` the bytes that it copied out of receive buffers.
    pub(crate) fn read(
        &self,
        busy: Duration,
        zero_copy: (u64, u64),
        entries: (u64, u64),
        receives_copied: u64,
    ) -> Counters {
        Counters {
            reads: self.reads.read(),
            writes: self.writes.read(),
            syncs: self.syncs.read().operations,
            sends: self.sends.read(),
            zero_copy_sends: zero_copy.0,
            zero_copy_refused: zero_copy.1,
            receives: self.receives.read(),
            receives_copied,
            submissions: entries.0,
            completions: entries.1,
            turns: self.turns.read().operations,
            wake_ups: self.wake_ups.read().operations,
            busy,
        }
    }
}
