//! A request in progress.

use crate::connection::{Frame, Reply, Seq};
use crate::counters::add;
use crate::handler::{Handler, OnDisconnect};
use crate::serve::Inner;
use crate::serve::live::{Live, Pending};
use ids::Instant;
use stages::{Laps, Stage};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

/// Starts a request: asks the handler and polls once. What is answered then needs no task.
pub(crate) fn start<H: Handler>(
    server: &Rc<Inner<H>>,
    live: &Rc<Live<H>>,
    seq: Seq,
    frame: Frame,
    arrived: Instant,
) {
    let mut laps = live.spare_laps.take().again(arrived);
    laps.lap(Stage::Receive, || server.rt.clock());
    laps.has_bytes(frame.len());
    let on_disconnect = server.handler.on_disconnect(&live.session, &frame);
    let seen = laps.clone();
    let mut future = Box::pin(server.handler.handle(&live.session, frame, laps));
    let in_flight = InFlight::new(server);
    let waker = live.spare.take().unwrap_or_default();
    waker.woken.store(false, Ordering::Relaxed);
    let std_waker = Waker::from(Arc::clone(&waker));
    match future.as_mut().poll(&mut Context::from_waker(&std_waker)) {
        Poll::Ready((reply, laps)) => {
            live.spare.set(Some(waker));
            drop((in_flight, seen));
            add(&server.counters.requests_at_once, 1);
            answer(server, live, seq, reply, laps);
        }
        Poll::Pending => {
            let pending = Pending { on_disconnect, waker: Arc::clone(&waker), laps: seen };
            live.pending.borrow_mut().insert(seq, pending);
            let live = Rc::clone(live);
            let request = Request { live, seq, on_disconnect, future, waker, std_waker, in_flight };
            server.rt.spawn(request);
        }
    }
}

fn answer<H: Handler>(
    server: &Rc<Inner<H>>,
    live: &Rc<Live<H>>,
    seq: Seq,
    reply: Reply,
    mut laps: Laps,
) {
    let is_silent = matches!(reply, Reply::Nothing | Reply::Close(_));
    let gone = live.ended().is_some();
    if gone && !is_silent {
        laps.goes_unread();
    }
    if gone || is_silent {
        server.handler.answered(&live.session, &laps);
    }
    live.answer(seq, reply, laps, server.rt.now());
}

/// The waker that a request's future sees, from its first poll to its last: whoever remembers the first one must not have to
/// learn another. Before there is a task it only takes a note.
#[derive(Debug, Default)]
pub(crate) struct RequestWaker {
    woken: AtomicBool,
    task: OnceLock<Waker>,
}

impl RequestWaker {
    pub(crate) fn wake_up(&self) {
        self.woken.store(true, Ordering::Release);
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

impl Wake for RequestWaker {
    fn wake(self: Arc<Self>) {
        self.wake_up();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_up();
    }
}

/// Counts a request for as long as it is in progress.
struct InFlight<H: Handler>(Rc<Inner<H>>);

impl<H: Handler> InFlight<H> {
    fn new(server: &Rc<Inner<H>>) -> Self {
        let count = &server.counters.in_flight;
        count.set(count.get() + 1);
        Self(Rc::clone(server))
    }
}

impl<H: Handler> Drop for InFlight<H> {
    fn drop(&mut self) {
        let count = &self.0.counters.in_flight;
        count.set(count.get() - 1);
        self.0.ring_if_quiet();
    }
}

struct Request<H: Handler, F> {
    live: Rc<Live<H>>,
    seq: Seq,
    on_disconnect: OnDisconnect,
    future: Pin<Box<F>>,
    waker: Arc<RequestWaker>,
    std_waker: Waker,
    in_flight: InFlight<H>,
}

impl<H: Handler, F: Future<Output = (Reply, Laps)>> Future for Request<H, F> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let server = &this.in_flight.0;
        if this.on_disconnect == OnDisconnect::Drop && this.live.ended().is_some() {
            add(&server.counters.requests_dropped, 1);
            if let Some(laps) = server.on_over(&this.live, this.seq) {
                server.on_dropped(&this.live, laps);
            }
            return Poll::Ready(());
        }
        let task = this.waker.task.get_or_init(|| cx.waker().clone());
        assert!(task.data() == cx.waker().data(), "a task has one waker for its life");
        if !this.waker.woken.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        match this.future.as_mut().poll(&mut Context::from_waker(&this.std_waker)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((reply, laps)) => {
                drop(server.on_over(&this.live, this.seq));
                answer(server, &this.live, this.seq, reply, laps);
                Poll::Ready(())
            }
        }
    }
}
