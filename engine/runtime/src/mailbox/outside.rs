//! A mailbox of a thread that is not a core: the control thread, whose tasks run on another executor.

use super::bell::Bell;
use super::{Class, In, Out, Seat, take};
use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// Sends from outside. It may change threads between calls.
pub struct OutsideSender<M> {
    me: usize,
    out: Vec<Vec<Out<M>>>,
    bells: Arc<Vec<Bell>>,
}

/// Receives outside. It may change threads between calls.
pub struct OutsideReceiver<M> {
    me: usize,
    inn: Vec<Vec<In<M>>>,
    turn: Cell<usize>,
    bells: Arc<Vec<Bell>>,
}

impl<M> std::fmt::Debug for OutsideSender<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutsideSender({})", self.me)
    }
}

impl<M> std::fmt::Debug for OutsideReceiver<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutsideReceiver({})", self.me)
    }
}

/// Takes a seat that is not a core's.
#[must_use]
pub fn outside<M: Send>(seat: Seat<M>) -> (OutsideSender<M>, OutsideReceiver<M>) {
    assert!(seat.me >= seat.cores, "seat {} is a core's", seat.me);
    let Seat { me, out, inn, bells, .. } = seat;
    // Nobody loops for this endpoint: whoever sends to it strikes, whether or not it waits.
    bells[me].fall_asleep();
    let sender = OutsideSender { me, out, bells: Arc::clone(&bells) };
    (sender, OutsideReceiver { me, inn, turn: Cell::new(0), bells })
}

fn ring(bells: &[Bell], to: usize) {
    if bells[to].must_wake() {
        bells[to].strike();
    }
}

impl<M: Send> OutsideSender<M> {
    /// Sends to endpoint `to`, and waits while its ring is full.
    pub async fn send(&mut self, to: usize, class: Class, message: M) {
        let Self { me, out, bells } = self;
        let mut message = Some(message);
        poll_fn(|cx| {
            let Some(m) = message.take() else { return Poll::Ready(()) };
            // Word is left before the second try, so that room made between the two is not missed.
            let back = match out[to][class.index()].push(m) {
                Ok(()) => return Poll::Ready(()),
                Err(back) => back,
            };
            bells[*me].wait(cx.waker());
            bells[*me].fall_asleep();
            match out[to][class.index()].push(back) {
                Ok(()) => Poll::Ready(()),
                Err(back) => {
                    message = Some(back);
                    Poll::Pending
                }
            }
        })
        .await;
        ring(bells, to);
    }

    /// Sends to endpoint `to` if there is room, or gives the message back.
    ///
    /// # Errors
    /// The ring is full; the message.
    pub fn try_send(&mut self, to: usize, class: Class, message: M) -> Result<(), M> {
        self.out[to][class.index()].push(message)?;
        ring(&self.bells, to);
        Ok(())
    }
}

impl<M: Send> OutsideReceiver<M> {
    /// The next message and its sender's number: control first, then data, then background.
    pub async fn recv(&mut self) -> (usize, M) {
        let Self { me, inn, turn, bells } = self;
        poll_fn(|cx| {
            let mut found = take(inn, turn);
            if found.is_none() {
                bells[*me].wait(cx.waker());
                bells[*me].fall_asleep();
                found = take(inn, turn);
            }
            let Some((from, message, waiting)) = found else { return Poll::Pending };
            if waiting {
                ring(bells, from);
            }
            Poll::Ready((from, message))
        })
        .await
    }

    /// The next message and its sender's number, if there is one.
    #[must_use]
    pub fn try_recv(&mut self) -> Option<(usize, M)> {
        let (from, message, waiting) = take(&mut self.inn, &self.turn)?;
        if waiting {
            ring(&self.bells, from);
        }
        Some((from, message))
    }
}
