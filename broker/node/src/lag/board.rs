//! Where the control thread says that it wants to know, and core 0 leaves what it found.

use runtime::Runtime;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How old may be what a scrape is answered with.
const FRESH: Duration = Duration::from_secs(1);
/// How long a scrape waits for something newer. After that it takes what there is.
const PATIENCE: Duration = Duration::from_secs(5);

type Latest<T> = Option<(Instant, Arc<T>)>;

/// Shared by the control thread and core 0.
#[derive(Default)]
pub(crate) struct Board<T> {
    /// Core 0 serves.
    open: AtomicBool,
    wanted: AtomicBool,
    /// Core 0 is at it.
    gathering: AtomicBool,
    latest: Mutex<Latest<T>>,
    /// What was on the board before: freed by the control thread, which has the time.
    before: Mutex<Latest<T>>,
    /// Counts what was put up.
    put: watch::Sender<u64>,
}

impl<T> Board<T> {
    fn latest(&self) -> MutexGuard<'_, Latest<T>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn before(&self) -> MutexGuard<'_, Latest<T>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Core 0 looks at the board from now on.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Whether somebody wants to know; asked once, it is answered.
    fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }

    /// Core 0 looks at the board: if somebody wants to know, it gathers. It does not wait for that here, where it looks at other boards
    /// too, and looks again when it is done.
    pub(super) fn look<F>(self: &Arc<Self>, rt: &Runtime, gather: impl FnOnce() -> F)
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        if self.gathering.load(Ordering::Acquire) || !self.take_wanted() {
            return;
        }
        self.gathering.store(true, Ordering::Release);
        let (me, gathered) = (Arc::clone(self), gather());
        rt.spawn(async move {
            me.put(gathered.await);
            me.gathering.store(false, Ordering::Release);
        });
    }

    fn put(&self, gathered: T) {
        let before = self.latest().replace((Instant::now(), Arc::new(gathered)));
        *self.before() = before;
        self.put.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// What there is that is not old, and how old it is. Nothing before the broker serves.
    pub(crate) async fn fresh(&self) -> Option<(Duration, Arc<T>)> {
        if !self.open.load(Ordering::Acquire) {
            return None;
        }
        drop(self.before().take());
        let mut news = self.put.subscribe();
        news.mark_unchanged();
        let is_fresh =
            |latest: &Latest<T>| latest.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH);
        if !is_fresh(&self.latest()) {
            self.wanted.store(true, Ordering::Release);
            // Late or not, what is on the board is taken.
            let _ = tokio::time::timeout(PATIENCE, news.changed()).await;
        }
        self.latest().as_ref().map(|(at, gathered)| (at.elapsed(), Arc::clone(gathered)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gathered;
    use super::*;
    use ids::CoreId;
    use runtime::sim::{SimConfig, World};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn scrapes_share_what_is_fresh() {
        let board = Board::<Gathered>::default();
        block_on(async {
            assert!(board.fresh().await.is_none(), "nobody looks at the board yet");
            assert!(!board.take_wanted());
            board.open();
            let first = async {
                let (_, gathered) = board.fresh().await.unwrap();
                gathered.partitions_known
            };
            let core = async {
                while !board.take_wanted() {
                    tokio::task::yield_now().await;
                }
                board.put(Gathered { partitions_known: 7, ..Gathered::default() });
            };
            let (seen, ()) = tokio::join!(first, core);
            assert_eq!(seen, 7);
            assert_eq!(board.fresh().await.unwrap().1.partitions_known, 7);
            assert!(!board.take_wanted(), "the second scrape asks nobody");
        });
    }

    /// One core that hangs keeps the answer to one question, and not the answers to all.
    #[test]
    fn who_looks_at_two_boards_waits_for_neither() {
        let world = World::new(1, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        world
            .run(&rt, async move {
                let (slow, quick) = (Arc::<Board<u32>>::default(), Arc::<Board<u32>>::default());
                let wish = |board: &Board<u32>| board.wanted.store(true, Ordering::Release);
                let shown = |board: &Board<u32>| board.latest().as_ref().map(|(_, n)| **n);
                for n in 1..=3 {
                    wish(&slow);
                    wish(&quick);
                    slow.look(&it, std::future::pending::<u32>);
                    quick.look(&it, || std::future::ready(n));
                    it.sleep(Duration::from_millis(1)).await;
                    assert_eq!((shown(&slow), shown(&quick)), (None, Some(n)));
                }
                assert!(slow.take_wanted(), "who came later is looked after later");
            })
            .expect_done();
    }
}
