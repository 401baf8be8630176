//! Answers that other cores owe. One that hangs is not asked again before it has answered: so it has little to do when it is back,
//! and its ring does not fill up meanwhile.

use crate::shard::within;
use ids::{CoreId, Instant};
use runtime::Runtime;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Of each core one answer at most.
pub(super) struct Owed<A>(RefCell<BTreeMap<CoreId, A>>);

impl<A> Default for Owed<A> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<A: Future + Unpin> Owed<A> {
    /// Whether this core owes an answer still.
    pub(super) async fn by(&self, core: CoreId) -> bool {
        let owed = self.0.borrow_mut().remove(&core);
        let Some(mut owed) = owed else { return false };
        let came = poll_fn(|cx| Poll::Ready(Pin::new(&mut owed).poll(cx).is_ready())).await;
        if !came {
            self.0.borrow_mut().insert(core, owed);
        }
        !came
    }

    /// The answer if it is there by then. If not, the core owes it.
    pub(super) async fn wait(
        &self,
        rt: &Runtime,
        deadline: Instant,
        core: CoreId,
        mut answer: A,
    ) -> Option<A::Output> {
        // What has come already needs no time.
        let left = deadline.since(rt.now()).max(Duration::from_millis(1));
        let came = within(rt, left, &mut answer).await;
        if came.is_none() {
            self.0.borrow_mut().insert(core, answer);
        }
        came
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::sim::{SimConfig, World};
    use runtime::sync::{Oneshot, oneshot};

    #[test]
    fn a_core_owes_what_it_has_not_answered_in_time() {
        let world = World::new(1, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        world
            .run(&rt, async move {
                let (owed, core) = (Owed::<Oneshot<i32>>::default(), CoreId(1));
                assert!(!owed.by(core).await);
                let (send, answer) = oneshot();
                let soon = it.now() + Duration::from_secs(1);
                assert_eq!(owed.wait(&it, soon, core, answer).await, None);
                assert!(owed.by(core).await && owed.by(core).await);
                assert!(!owed.by(CoreId(2)).await, "another one owes nothing");
                send.send(7);
                assert!(!owed.by(core).await);
                // What is there is taken, however late it is asked for.
                let (send, answer) = oneshot();
                send.send(8);
                let late = it.now();
                assert_eq!(owed.wait(&it, late, core, answer).await, Some(Some(8)));
                assert!(!owed.by(core).await);
            })
            .expect_done();
    }
}
