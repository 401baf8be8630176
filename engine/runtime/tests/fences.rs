//! The flag by which a sleeper and a sender, or a parked sender and a reader, find each other: every order of their steps.
//!
//! Loom runs each scene once for every order that the language's memory model allows, and fails where somebody waits for ever.

use loom::sync::Arc;
use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[path = "../src/mailbox/flag.rs"]
mod flag;

use flag::Flag;

/// A ring of messages as its two ends see it, of `room` places: one thread moves `tail`, the other `head`.
struct Ring {
    tail: AtomicUsize,
    head: AtomicUsize,
    room: usize,
}

impl Ring {
    fn new(room: usize) -> Self {
        Self { tail: AtomicUsize::new(0), head: AtomicUsize::new(0), room }
    }

    fn push(&self) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail - self.head.load(Ordering::Acquire) == self.room {
            return false;
        }
        self.tail.store(tail + 1, Ordering::Release);
        true
    }

    fn pop(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        if head == self.tail.load(Ordering::Acquire) {
            return false;
        }
        self.head.store(head + 1, Ordering::Release);
        true
    }
}

/// What a core's poller, or its io_uring, is to it: wakes that come while it is awake are kept.
struct Core {
    asleep: Flag,
    poller: Notify,
}

impl Core {
    fn new() -> Self {
        Self { asleep: Flag::new(), poller: Notify::new() }
    }
}

#[test]
fn a_sleeper_never_misses_its_mail() {
    loom::model(|| {
        let shared = Arc::new((Ring::new(4), Core::new()));
        let sender = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (ring, core) = &*shared;
                for _ in 0..2 {
                    assert!(ring.push());
                    if core.asleep.take() {
                        core.poller.notify();
                    }
                }
            }
        });
        let (ring, core) = &*shared;
        let mut got = 0;
        while got < 2 {
            if ring.pop() {
                got += 1;
                continue;
            }
            core.asleep.raise();
            if ring.pop() {
                got += 1;
            } else {
                core.poller.wait();
            }
            core.asleep.lower();
        }
        sender.join().unwrap();
    });
}

/// A sender parks while its reader takes `messages` out of a ring of one place. `again`: as `Out::has_room`, who looks for room
/// and finds none leaves word again.
fn a_sender_parks(messages: usize, again: bool, preemptions: Option<usize>) {
    let mut scene = loom::model::Builder::new();
    scene.preemption_bound = preemptions;
    scene.check(move || {
        // The sender's own core is what the reader wakes, so both flags are in play.
        let shared = Arc::new((Ring::new(1), Flag::new(), Core::new()));
        let reader = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (ring, waiting, core) = &*shared;
                let mut got = 0;
                while got < messages {
                    if !ring.pop() {
                        // Here it is the sender that is watched.
                        thread::yield_now();
                        continue;
                    }
                    got += 1;
                    if waiting.take() && core.asleep.take() {
                        core.poller.notify();
                    }
                }
            }
        });
        let (ring, waiting, core) = &*shared;
        let is_full =
            || ring.tail.load(Ordering::Relaxed) - ring.head.load(Ordering::Acquire) == ring.room;
        let has_room = || {
            if !is_full() {
                return true;
            }
            if again {
                waiting.raise();
            }
            !is_full()
        };
        let mut sent = 0;
        while sent < messages {
            if ring.push() {
                sent += 1;
                continue;
            }
            waiting.raise();
            if ring.push() {
                sent += 1;
                continue;
            }
            // The task is parked, and polled again only when `Inbox::check` has found room. Its core looks before it sleeps.
            loop {
                core.asleep.raise();
                if has_room() {
                    core.asleep.lower();
                    break;
                }
                core.poller.wait();
                core.asleep.lower();
            }
        }
        assert!(reader.join().is_ok(), "the reader");
    });
}

#[test]
fn a_parked_sender_never_misses_the_room_that_is_made() {
    a_sender_parks(2, true, None);
    // The third message is what a reader that was held up needs: two preemptions, of more orders than can be tried.
    a_sender_parks(3, true, Some(2));
}

/// The check can fail: a reader that was held up takes word that was left for the next room. The sender sleeps for ever, and the
/// reader looks for a third message until Loom gives up.
#[test]
#[should_panic(expected = "maximum number of branches")]
fn word_that_is_left_once_is_taken_for_room_that_is_gone() {
    a_sender_parks(3, false, Some(2));
}

/// The check can fail: without the fences the sleeper and the sender miss each other.
#[test]
#[should_panic(expected = "deadlock")]
fn without_fences_mail_is_missed() {
    use loom::sync::atomic::AtomicBool;
    loom::model(|| {
        let shared = Arc::new((AtomicUsize::new(0), AtomicBool::new(false), Notify::new()));
        let sender = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (mail, asleep, poller) = &*shared;
                mail.store(1, Ordering::Release);
                if asleep.load(Ordering::Relaxed) {
                    poller.notify();
                }
            }
        });
        let (mail, asleep, poller) = &*shared;
        asleep.store(true, Ordering::Relaxed);
        if mail.load(Ordering::Acquire) == 0 {
            poller.wait();
        }
        sender.join().unwrap();
    });
}
