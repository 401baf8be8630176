//! Until when a request waits: one timer, however many of its batches wait.

use runtime::{Runtime, Sleep};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// The end of a request's patience, counted from when the first of its batches began to wait. It belongs to one task.
pub(crate) struct Deadline {
    patience: Duration,
    timer: RefCell<Option<Sleep>>,
}

impl Deadline {
    pub(crate) fn after(patience: Duration) -> Self {
        Self { patience, timer: RefCell::default() }
    }

    fn poll(&self, rt: &Runtime, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.borrow_mut();
        Pin::new(timer.get_or_insert_with(|| rt.sleep(self.patience))).poll(cx)
    }

    /// `None` if `future` has not resolved when the deadline comes.
    pub(super) async fn bounds<F: Future>(&self, rt: &Runtime, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            self.poll(rt, cx).map(|()| None)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::CoreId;
    use runtime::sim::{SimConfig, World};
    use std::future::pending;
    use std::rc::Rc;

    #[test]
    fn a_thousand_waits_have_one_timer_that_stays_where_it_is() {
        let world = World::new(1, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let before = rt.timers_set();
        world
            .run(&rt, async move {
                let deadline = Rc::new(Deadline::after(Duration::from_secs(5)));
                let begun = it.now();
                let mut waits: Vec<_> =
                    (0..1_000).map(|_| Box::pin(deadline.bounds(&it, pending::<()>()))).collect();
                let mut polls = 0;
                let mut over = 0;
                poll_fn(|cx| {
                    polls += 1;
                    waits.retain_mut(|w| match w.as_mut().poll(cx) {
                        Poll::Ready(ended) => {
                            assert!(ended.is_none());
                            over += 1;
                            false
                        }
                        Poll::Pending => true,
                    });
                    if polls < 100 {
                        // As when one of them after the other is acknowledged.
                        cx.waker().wake_by_ref();
                    }
                    if waits.is_empty() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                assert_eq!((over, it.now().since(begun)), (1_000, Duration::from_secs(5)));
                assert_eq!(it.timers_set() - before, 1);
            })
            .expect_done();
    }
}
