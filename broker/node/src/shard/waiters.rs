//! Who waits for a partition.

use super::watch::Entry;
use ids::Offset;
use runtime::sync::{Notify, Oneshot, OneshotSender, oneshot};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

type ByOffset = BTreeMap<Offset, Vec<OneshotSender<()>>>;

/// Waiters of one partition. Bounded by the requests in flight, which the connections bound.
#[derive(Default)]
pub(crate) struct Waiters {
    acked: ByOffset,
    committed: ByOffset,
    watchers: Vec<Weak<Notify>>,
    followers: Vec<Entry>,
}

impl Waiters {
    /// Resolves when this broker's own end has reached `end`; to nothing if the partition goes away before.
    pub(crate) fn until_acked(&mut self, end: Offset) -> Oneshot<()> {
        add(&mut self.acked, end)
    }

    /// Resolves when the high watermark has reached `end`; to nothing if the partition goes away before.
    pub(crate) fn until_committed(&mut self, end: Offset) -> Oneshot<()> {
        add(&mut self.committed, end)
    }

    /// The first offset that somebody waits for.
    pub(crate) fn first(&self) -> Option<Offset> {
        let first = |waiters: &ByOffset| waiters.first_key_value().map(|(end, _)| *end);
        first(&self.acked).into_iter().chain(first(&self.committed)).min()
    }

    /// Rings `bell` at every move of the high watermark, as long as somebody holds it.
    pub(crate) fn watch(&mut self, bell: &Rc<Notify>) {
        self.watchers.retain(|w| w.strong_count() > 0);
        self.watchers.push(Rc::downgrade(bell));
    }

    /// Tells a reader of every move of the high watermark, as long as it wants to be told.
    pub(crate) fn follow(&mut self, entry: Entry) {
        if self.followers.len() == self.followers.capacity() {
            self.followers.retain(Entry::is_alive);
        }
        self.followers.push(entry);
    }

    /// Something else has changed that readers want to know.
    pub(crate) fn on_change(&mut self) {
        self.ring();
    }

    pub(crate) fn on_acked(&mut self, end: Offset) {
        release(&mut self.acked, end);
    }

    pub(crate) fn on_committed(&mut self, high_watermark: Offset) {
        release(&mut self.committed, high_watermark);
        self.ring();
    }

    /// The partition is gone: nobody's offset will come.
    pub(crate) fn end(&mut self) {
        self.acked.clear();
        self.committed.clear();
        self.ring();
    }

    fn ring(&mut self) {
        self.watchers.retain(|w| match w.upgrade() {
            Some(bell) => {
                bell.notify();
                true
            }
            None => false,
        });
        self.followers.retain(Entry::on_move);
    }
}

fn add(waiters: &mut ByOffset, end: Offset) -> Oneshot<()> {
    let (send, receive) = oneshot();
    waiters.entry(end).or_default().push(send);
    receive
}

fn release(waiters: &mut ByOffset, end: Offset) {
    if waiters.first_key_value().is_none_or(|(first, _)| *first > end) {
        return;
    }
    let later = waiters.split_off(&end.next());
    for waiter in std::mem::replace(waiters, later).into_values().flatten() {
        waiter.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_goes_on_at_its_offset_and_not_before() {
        let mut w = Waiters::default();
        let early = w.until_committed(Offset(5));
        let late = w.until_committed(Offset(6));
        w.on_acked(Offset(9));
        w.on_committed(Offset(5));
        assert_eq!(w.committed.len(), 1);
        assert_eq!(w.first(), Some(Offset(6)));
        let first = w.until_acked(Offset(4));
        assert_eq!(w.first(), Some(Offset(4)));
        drop((early, late, first));
        w.end();
        assert!(w.committed.is_empty());
        assert_eq!(w.first(), None);
    }
}
