//! Tasks of one core, timers, and the queue of those that can go on.
//!
//! First come, first polled: work that was started in order stays in order.

use ids::Instant;
use slab::Slab;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The ids of tasks that can go on. Shared by their wakers, which never leave the core's thread; one that does stops the
/// process rather than race.
struct Ready {
    owner: ThreadId,
    queue: UnsafeCell<VecDeque<usize>>,
}

// SAFETY: every access to `queue` goes through `Ready::with`, which checks that it happens on the owner's thread.
unsafe impl Send for Ready {}
// SAFETY: as above.
unsafe impl Sync for Ready {}

impl Ready {
    fn with<T>(&self, f: impl FnOnce(&mut VecDeque<usize>) -> T) -> T {
        assert!(
            thread::current().id() == self.owner,
            "a core's task was woken from another thread"
        );
        // SAFETY: one thread only, by the assertion; `f` does not call back into here.
        f(unsafe { &mut *self.queue.get() })
    }
}

struct TaskWaker {
    id: usize,
    queued: Cell<bool>,
    ready: Arc<Ready>,
}

// SAFETY: `queued` is touched only after `Ready::with` has checked the thread.
unsafe impl Send for TaskWaker {}
// SAFETY: as above.
unsafe impl Sync for TaskWaker {}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.with(|queue| {
            if !self.queued.replace(true) {
                queue.push_back(self.id);
            }
        });
    }
}

struct Slot {
    task: Option<Task>,
    waker: Arc<TaskWaker>,
}

/// One core's tasks and timers.
pub(crate) struct Executor {
    tasks: RefCell<Slab<Slot>>,
    ready: Arc<Ready>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next_timer: Cell<u64>,
    /// How often a task has been polled.
    polls: Cell<u64>,
    /// Nothing is spawned any more.
    closed: Cell<bool>,
}

impl Executor {
    pub(crate) fn new() -> Self {
        let ready =
            Ready { owner: thread::current().id(), queue: UnsafeCell::new(VecDeque::new()) };
        Self {
            tasks: RefCell::new(Slab::new()),
            ready: Arc::new(ready),
            timers: RefCell::new(BTreeMap::new()),
            next_timer: Cell::new(0),
            polls: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if self.closed.get() {
            return;
        }
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let waker = Arc::new(TaskWaker {
            id: entry.key(),
            queued: Cell::new(false),
            ready: Arc::clone(&self.ready),
        });
        entry.insert(Slot { task: Some(Box::pin(task)), waker: Arc::clone(&waker) });
        drop(tasks);
        waker.wake_by_ref();
    }

    /// Polls up to `most` tasks, or until it is `over`; whether there are more.
    pub(crate) fn run(&self, most: usize, over: impl Fn() -> bool) -> bool {
        for i in 0..most {
            if i > 0 && over() {
                break;
            }
            let Some(id) = self.ready.with(VecDeque::pop_front) else { return false };
            let taken = {
                let mut tasks = self.tasks.borrow_mut();
                tasks.get_mut(id).map(|slot| {
                    slot.waker.queued.set(false);
                    (slot.task.take(), Arc::clone(&slot.waker))
                })
            };
            let Some((Some(mut task), waker)) = taken else { continue };
            let waker = Waker::from(waker);
            self.polls.set(self.polls.get() + 1);
            match task.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(()) => {
                    let slot = self.tasks.borrow_mut().try_remove(id);
                    drop(slot);
                }
                Poll::Pending => {
                    if let Some(slot) = self.tasks.borrow_mut().get_mut(id) {
                        slot.task = Some(task);
                    }
                }
            }
        }
        self.ready.with(|queue| !queue.is_empty())
    }

    /// How often a task has been polled so far.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Wakes whom `at` has come for.
    pub(crate) fn fire(&self, now: Instant) {
        loop {
            let due = {
                let mut timers = self.timers.borrow_mut();
                match timers.first_entry() {
                    Some(e) if e.key().0 <= now => e.remove(),
                    _ => return,
                }
            };
            due.wake();
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.borrow().first_key_value().map(|(k, _)| k.0)
    }

    pub(crate) fn add_timer(&self, at: Instant, waker: Waker) -> (Instant, u64) {
        let n = self.next_timer.get();
        self.next_timer.set(n + 1);
        self.timers.borrow_mut().insert((at, n), waker);
        (at, n)
    }

    /// Whether the timer is still set and wakes `waker`.
    pub(crate) fn timer_wakes(&self, key: (Instant, u64), waker: &Waker) -> bool {
        self.timers.borrow().get(&key).is_some_and(|w| w.will_wake(waker))
    }

    /// How many timers were ever set.
    pub(crate) fn timers_set(&self) -> u64 {
        self.next_timer.get()
    }

    pub(crate) fn remove_timer(&self, key: (Instant, u64)) {
        self.timers.borrow_mut().remove(&key);
    }

    /// Whether a task can go on.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.with(|queue| !queue.is_empty())
    }

    /// Drops all tasks and takes no more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        loop {
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        self.ready.with(VecDeque::clear);
        let timers = std::mem::take(&mut *self.timers.borrow_mut());
        drop(timers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    /// Resolves when it is polled again.
    #[derive(Default)]
    struct Twice(bool);

    impl Future for Twice {
        type Output = ();
        #[expect(clippy::waker_clone_wake, reason = "both ways of waking are tried")]
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            cx.waker().clone().wake();
            Poll::Pending
        }
    }

    #[test]
    fn first_come_is_first_polled_and_nobody_is_queued_twice() {
        let executor = Executor::new();
        let order: Rc<RefCell<Vec<u8>>> = Rc::default();
        for i in 0..3 {
            let order = Rc::clone(&order);
            executor.spawn(async move {
                order.borrow_mut().push(i);
                Twice::default().await;
                order.borrow_mut().push(i + 10);
            });
        }
        assert!(executor.run(4, || false), "two more");
        assert!(!executor.run(100, || false));
        assert_eq!(*order.borrow(), [0, 1, 2, 10, 11, 12]);
        assert_eq!(Rc::strong_count(&order), 1, "tasks that have ended are dropped");
    }

    #[test]
    fn a_turn_ends_when_its_time_is_over_and_the_rest_keeps_its_order() {
        let executor = Executor::new();
        let order: Rc<RefCell<Vec<u8>>> = Rc::default();
        for i in 0..10 {
            let order = Rc::clone(&order);
            executor.spawn(async move { order.borrow_mut().push(i) });
        }
        // Each task takes a while of work, and a turn three of them.
        let turn = || {
            let begun = order.borrow().len();
            executor.run(256, || order.borrow().len() >= begun + 3)
        };
        assert!(turn());
        assert_eq!((order.borrow().len(), executor.polls()), (3, 3));
        assert!(turn() && turn());
        assert!(!turn());
        assert_eq!(*order.borrow(), (0..10).collect::<Vec<u8>>());
        // However late it is, somebody has his turn.
        executor.spawn(async {});
        assert!(!executor.run(256, || true));
        assert_eq!(executor.polls(), 11);
    }

    #[test]
    fn a_waker_may_be_dropped_elsewhere_and_outlive_everything() {
        let executor = Executor::new();
        let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
        let slot = Rc::clone(&kept);
        executor.spawn(std::future::poll_fn(move |cx| {
            *slot.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }));
        assert!(!executor.run(10, || false));
        let waker = kept.take().unwrap();
        waker.wake_by_ref();
        assert!(executor.is_ready());
        executor.close();
        drop(executor);
        // Nobody is there any more; it is put into a queue that nobody reads.
        waker.wake_by_ref();
        thread::spawn(move || drop(waker)).join().unwrap();
    }

    #[test]
    fn waking_from_another_thread_stops_there() {
        let executor = Executor::new();
        let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
        let slot = Rc::clone(&kept);
        executor.spawn(std::future::poll_fn(move |cx| {
            *slot.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }));
        assert!(!executor.run(10, || false));
        let waker = kept.take().unwrap();
        assert!(thread::spawn(move || waker.wake()).join().is_err());
        assert!(!executor.is_ready());
    }
}
