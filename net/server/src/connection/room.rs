//! The budget for frames in buffers of our own.
//!
//! A frame is charged in full before its buffer is made, so that a frame which has begun can always end. Who finds no room
//! waits in line; small, medium and large frames have a line each. Large ones leave a quarter of the room to the others, so that a
//! few half-sent ones do not stop everybody: an eighth to medium and small ones, an eighth to small ones alone. While a large one
//! waits, medium ones keep to their eighth, so that they do not stop it either.
//!
//! Small frames come first and may take all of the room. So the medium ones' eighth is kept from large ones, not from small ones:
//! where those fill the room and keep coming, all others wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Frames up to this size are small.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// Frames up to this part of the room are medium: four fit into their eighth.
const MEDIUM_PART: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Small,
    Medium,
    Large,
}

#[derive(Debug)]
struct Waiter {
    bytes: usize,
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: Cell<usize>,
    /// How much of that medium frames have.
    medium_used: Cell<usize>,
    highest: Cell<usize>,
    small: RefCell<VecDeque<Rc<Waiter>>>,
    medium: RefCell<VecDeque<Rc<Waiter>>>,
    large: RefCell<VecDeque<Rc<Waiter>>>,
}

/// One core's room for frames. A cheap handle.
#[derive(Clone, Debug)]
pub struct Room(Rc<Inner>);

/// Room that is taken; dropping it gives it back.
pub struct Charge {
    room: Room,
    bytes: usize,
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge({} bytes)", self.bytes)
    }
}

impl Room {
    /// Room for `limit` bytes, or a little more than one frame of `frame_bytes_max` if that is larger.
    #[must_use]
    pub fn new(limit: usize, frame_bytes_max: usize) -> Self {
        // Large frames may use three quarters; the largest, rounded up to whole pages, must fit there.
        let least = frame_bytes_max.saturating_add(8192) / 3 * 4 + 4;
        Self(Rc::new(Inner {
            limit: limit.max(least),
            used: Cell::new(0),
            medium_used: Cell::new(0),
            highest: Cell::new(0),
            small: RefCell::default(),
            medium: RefCell::default(),
            large: RefCell::default(),
        }))
    }

    /// Takes room at once, unless there is none or others wait for it.
    #[must_use]
    pub fn try_charge(&self, bytes: usize) -> Option<Charge> {
        (self.line(bytes).borrow().is_empty() && self.fits(bytes)).then(|| self.take(bytes))
    }

    /// Takes room for bytes that have been received already, up to a quarter beyond the limit.
    #[must_use]
    pub fn charge_beyond(&self, bytes: usize) -> Option<Charge> {
        let most = self.0.limit + self.0.limit / 4;
        (self.used().saturating_add(bytes) <= most).then(|| self.take(bytes))
    }

    /// Takes room as soon as it is this caller's turn.
    #[must_use]
    pub fn charge(&self, bytes: usize) -> Charging {
        Charging { room: self.clone(), bytes, waiter: None }
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.get()
    }

    /// The most bytes that were ever taken.
    #[must_use]
    pub fn highest(&self) -> usize {
        self.0.highest.get()
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Whether somebody waits.
    #[must_use]
    pub fn is_short(&self) -> bool {
        let lines = [&self.0.small, &self.0.medium, &self.0.large];
        lines.iter().any(|line| !line.borrow().is_empty())
    }

    fn class(&self, bytes: usize) -> Class {
        match bytes {
            0..=SMALL_BYTES_MAX => Class::Small,
            _ if bytes <= self.0.limit / MEDIUM_PART => Class::Medium,
            _ => Class::Large,
        }
    }

    fn line(&self, bytes: usize) -> &RefCell<VecDeque<Rc<Waiter>>> {
        match self.class(bytes) {
            Class::Small => &self.0.small,
            Class::Medium => &self.0.medium,
            Class::Large => &self.0.large,
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        let (limit, medium_used) = (self.0.limit, self.0.medium_used.get());
        let (shared, own) = (limit - limit / 4, limit / 8);
        let then = self.used().saturating_add(bytes);
        // A request for more than everything has its turn when nothing else is held.
        self.used() == 0
            || match self.class(bytes) {
                Class::Small => then <= limit,
                Class::Medium => {
                    (then <= shared && self.0.large.borrow().is_empty())
                        || (then <= shared + own && medium_used + bytes <= own)
                }
                Class::Large => then - medium_used.min(own) <= shared,
            }
    }

    fn take(&self, bytes: usize) -> Charge {
        self.count(bytes);
        Charge { room: self.clone(), bytes }
    }

    fn count(&self, bytes: usize) {
        self.0.used.set(self.0.used.get() + bytes);
        if self.class(bytes) == Class::Medium {
            self.0.medium_used.set(self.0.medium_used.get() + bytes);
        }
        self.0.highest.set(self.0.highest.get().max(self.0.used.get()));
    }

    /// Lets those go on who are first in their line and fit.
    fn grant(&self) {
        // Medium ones last: they may have more when no large one waits any more.
        for line in [&self.0.small, &self.0.large, &self.0.medium] {
            loop {
                let first = {
                    let mut line = line.borrow_mut();
                    match line.front() {
                        Some(w) if self.fits(w.bytes) => line.pop_front(),
                        _ => None,
                    }
                };
                let Some(waiter) = first else { break };
                self.count(waiter.bytes);
                waiter.granted.set(true);
                let waker = waiter.waker.borrow_mut().take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let room = &self.room.0;
        room.used.set(room.used.get() - self.bytes);
        if self.room.class(self.bytes) == Class::Medium {
            room.medium_used.set(room.medium_used.get() - self.bytes);
        }
        self.room.grant();
    }
}

/// See [`Room::charge`].
#[derive(Debug)]
pub struct Charging {
    room: Room,
    bytes: usize,
    waiter: Option<Rc<Waiter>>,
}

impl Future for Charging {
    type Output = Charge;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Charge> {
        let bytes = self.bytes;
        match &self.waiter {
            None => {
                if let Some(charge) = self.room.try_charge(bytes) {
                    return Poll::Ready(charge);
                }
                let waker = RefCell::new(Some(cx.waker().clone()));
                let waiter = Rc::new(Waiter { bytes, granted: Cell::new(false), waker });
                self.room.line(bytes).borrow_mut().push_back(Rc::clone(&waiter));
                self.waiter = Some(waiter);
                Poll::Pending
            }
            Some(waiter) if waiter.granted.get() => {
                self.waiter = None;
                Poll::Ready(Charge { room: self.room.clone(), bytes })
            }
            Some(waiter) => {
                *waiter.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Charging {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter.take() else { return };
        if waiter.granted.get() {
            drop(Charge { room: self.room.clone(), bytes: self.bytes });
            return;
        }
        self.room.line(self.bytes).borrow_mut().retain(|w| !Rc::ptr_eq(w, &waiter));
        // The one behind may fit.
        self.room.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn poll(charging: &mut Charging) -> Option<Charge> {
        match Pin::new(charging).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(charge) => Some(charge),
            Poll::Pending => None,
        }
    }

    #[test]
    fn large_frames_leave_a_quarter_to_small_ones() {
        let room = Room::new(16 * MIB, MIB);
        let large: Vec<Charge> = (0..20).map_while(|_| room.try_charge(MIB)).collect();
        assert_eq!(large.len(), 12);
        assert!(room.try_charge(SMALL_BYTES_MAX).is_some());
    }

    /// Of the large ones that are half sent nobody knows when they end.
    #[test]
    fn a_large_frame_that_waits_stops_no_medium_ones() {
        let room = Room::new(256 * MIB, 100 * MIB);
        let held = room.try_charge(150 * MIB).unwrap();
        let mut large = room.charge(100 * MIB);
        assert!(poll(&mut large).is_none());
        assert!((0..1000).all(|_| room.try_charge(300_000).is_some()), "one after another");
        let medium: Vec<Charge> = (0..200).map_while(|_| room.try_charge(MIB)).collect();
        assert_eq!(medium.len(), 32, "an eighth");
        assert!(room.try_charge(SMALL_BYTES_MAX).is_some());
        let mut next = room.charge(MIB);
        assert!(poll(&mut next).is_none());
        drop(held);
        let large = poll(&mut large).expect("its turn, though others hold some");
        let next = poll(&mut next).expect("no large one waits any more");
        assert_eq!(room.used(), (100 + 32 + 1) * MIB);
        drop((large, medium, next));
        assert_eq!((room.used(), room.is_short()), (0, false));
    }

    #[test]
    fn medium_frames_that_never_cease_do_not_stop_a_large_one() {
        let room = Room::new(256 * MIB, 100 * MIB);
        let mut medium: VecDeque<Charge> = (0..500).map_while(|_| room.try_charge(MIB)).collect();
        assert_eq!(medium.len(), 192, "three quarters");
        let mut large = room.charge(100 * MIB);
        let mut ended = 0;
        while poll(&mut large).is_none() {
            assert!(ended < 192, "it starves");
            drop(medium.pop_front());
            ended += 1;
            medium.extend(room.try_charge(MIB));
        }
        assert_eq!(ended, 68, "until 124 were left, of which 32 are in their own part");
        // The largest that may come, while medium ones have their part all the time.
        medium.truncate(32);
        let mut large = room.charge(192 * MIB);
        assert!(poll(&mut large).is_some());
        assert_eq!(room.used(), 32 * MIB);
    }

    #[test]
    fn who_waits_is_served_in_order_and_nobody_overtakes() {
        let room = Room::new(16 * MIB, MIB);
        let held = room.try_charge(12 * MIB).unwrap();
        let (mut first, mut second) = (room.charge(8 * MIB), room.charge(MIB));
        assert!(poll(&mut first).is_none());
        assert!(poll(&mut second).is_none());
        assert!(room.is_short());
        assert!(room.try_charge(2 * MIB).is_none(), "others wait");
        drop(held);
        let first = poll(&mut first).expect("its turn");
        let second = poll(&mut second).expect("fits as well");
        assert_eq!(room.used(), 9 * MIB);
        drop((first, second));
        assert_eq!(room.used(), 0);
        assert!(!room.is_short());
    }

    #[test]
    fn who_gives_up_frees_its_place_and_its_grant() {
        let room = Room::new(16 * MIB, MIB);
        let held = room.try_charge(12 * MIB).unwrap();
        let (mut first, mut second) = (room.charge(12 * MIB), room.charge(MIB));
        assert!(poll(&mut first).is_none());
        assert!(poll(&mut second).is_none());
        drop(held);
        assert_eq!(room.used(), 12 * MIB, "granted before it is polled");
        drop(first);
        assert!(poll(&mut second).is_some());
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn the_largest_frame_always_fits_into_an_empty_room() {
        for frame in [1, 4096, MIB, 100 * MIB, i32::MAX as usize] {
            let room = Room::new(0, frame);
            let small = room.try_charge(0).unwrap();
            assert!(room.try_charge(frame.next_multiple_of(4096)).is_some(), "{frame}");
            drop(small);
        }
    }

    #[test]
    fn received_bytes_may_go_a_quarter_beyond() {
        let room = Room::new(16 * MIB, MIB);
        let _all = room.charge_beyond(16 * MIB).unwrap();
        assert!(room.try_charge(1).is_none());
        let _more = room.charge_beyond(4 * MIB).unwrap();
        assert!(room.charge_beyond(1).is_none());
    }
}
