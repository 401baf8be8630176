//! What the cores ask of each other.
//!
//! A question is a function that runs on the other core, with that core's [`Broker`] at hand; its answer comes back by the
//! same way. Questions of one class that are asked one after the other arrive in that order, also when the ring between the
//! two cores is full: then they wait in a queue here, which is bounded by the requests in progress. Nothing is dropped, and
//! receiving never waits for sending, so two cores whose rings are full both ways go on.

use crate::broker::Broker;
use ids::CoreId;
use runtime::sync::{Notify, Oneshot, OneshotSender, oneshot};
use runtime::{Class, Mailbox, Runtime};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

type Value = Box<dyn Any + Send>;
type Task = Pin<Box<dyn Future<Output = Value>>>;
type Run = Box<dyn FnOnce(&Rc<Broker>) -> Task + Send>;
type Apply = Box<dyn FnOnce(&Rc<Broker>) + Send>;

/// What travels between two cores.
pub(crate) enum Letter {
    /// Run this and answer.
    Ask { id: u64, class: Class, run: Run },
    /// Do this at once, before anything that was asked later.
    Apply(Apply),
    /// The answer to question `id`.
    Answer { id: u64, value: Value },
    /// Nobody waits for the answer to question `id` any more: stop.
    Cancel { id: u64 },
}

/// How many letters each class may hold in the ring between two cores.
pub(crate) const CAPACITY: runtime::Capacity =
    runtime::Capacity { control: 256, data: 1024, background: 64 };

/// Letters sent, by class.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) control: u64,
    pub(crate) data: u64,
    pub(crate) background: u64,
}

const CLASSES: [Class; 3] = [Class::Control, Class::Data, Class::Background];

fn place(class: Class) -> usize {
    match class {
        Class::Control => 0,
        Class::Data => 1,
        Class::Background => 2,
    }
}

/// One core's post office. A cheap handle that never leaves its core.
#[derive(Clone)]
pub(crate) struct Post {
    office: Rc<Office>,
}

struct Office {
    rt: Runtime,
    mail: Mailbox<Letter>,
    next: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, OneshotSender<Value>>>,
    /// Questions of others that may be cancelled, while they run here.
    running: RefCell<BTreeMap<(u16, u64), Rc<Notify>>>,
    /// Letters for which a ring had no room, by core and class; whether a task sends them.
    outbox: RefCell<BTreeMap<(u16, usize), VecDeque<Letter>>>,
    sent: Cell<Sent>,
}

impl Post {
    pub(crate) fn new(rt: Runtime, mail: Mailbox<Letter>) -> Self {
        let office = Office {
            rt,
            mail,
            next: Cell::new(1),
            waiting: RefCell::default(),
            running: RefCell::default(),
            outbox: RefCell::default(),
            sent: Cell::default(),
        };
        Self { office: Rc::new(office) }
    }

    /// Letters sent so far.
    pub(crate) fn sent(&self) -> Sent {
        self.office.sent.get()
    }

    /// Serves what the other cores ask. Started once, when the broker can answer.
    pub(crate) fn serve(&self, broker: &Rc<Broker>) {
        let (post, broker) = (self.clone(), Rc::clone(broker));
        self.office.rt.spawn(async move {
            loop {
                let (from, letter) = post.office.mail.recv().await;
                post.open(&broker, from, letter);
            }
        });
    }

    fn open(&self, broker: &Rc<Broker>, from: CoreId, letter: Letter) {
        match letter {
            Letter::Apply(apply) => apply(broker),
            Letter::Answer { id, value } => {
                let waiter = self.office.waiting.borrow_mut().remove(&id);
                // Who asked may have gone; the answer goes with it.
                if let Some(w) = waiter {
                    w.send(value);
                }
            }
            Letter::Cancel { id } => {
                let running = self.office.running.borrow().get(&(from.0, id)).cloned();
                if let Some(stop) = running {
                    stop.notify();
                }
            }
            Letter::Ask { id, class, run } => {
                let stop = Rc::new(Notify::new());
                self.office.running.borrow_mut().insert((from.0, id), Rc::clone(&stop));
                let (post, mut task) = (self.clone(), run(broker));
                self.office.rt.spawn(async move {
                    let value = {
                        let mut stopped = std::pin::pin!(stop.notified());
                        std::future::poll_fn(|cx| match task.as_mut().poll(cx) {
                            Poll::Ready(value) => Poll::Ready(Some(value)),
                            Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
                        })
                        .await
                    };
                    post.office.running.borrow_mut().remove(&(from.0, id));
                    if let Some(value) = value {
                        post.send(from, class, Letter::Answer { id, value });
                    }
                });
            }
        }
    }

    fn send(&self, to: CoreId, class: Class, letter: Letter) {
        let office = &self.office;
        let mut sent = office.sent.get();
        match class {
            Class::Control => sent.control += 1,
            Class::Data => sent.data += 1,
            Class::Background => sent.background += 1,
        }
        office.sent.set(sent);
        let key = (to.0, place(class));
        let mut outbox = office.outbox.borrow_mut();
        if let Some(queue) = outbox.get_mut(&key) {
            queue.push_back(letter);
            return;
        }
        let Err(letter) = office.mail.try_send(to.index(), class, letter) else { return };
        outbox.insert(key, VecDeque::from([letter]));
        drop(outbox);
        let office = Rc::clone(office);
        self.office.rt.spawn(async move {
            loop {
                let next = {
                    let mut outbox = office.outbox.borrow_mut();
                    let next = outbox.get_mut(&key).and_then(VecDeque::pop_front);
                    if next.is_none() {
                        outbox.remove(&key);
                    }
                    next
                };
                let Some(letter) = next else { return };
                office.mail.send(to, CLASSES[key.1], letter).await;
            }
        });
    }

    /// Does something on core `to` at once when it arrives there, before anything that is asked later.
    pub(crate) fn tell(
        &self,
        to: CoreId,
        class: Class,
        apply: impl FnOnce(&Rc<Broker>) + Send + 'static,
    ) {
        self.send(to, class, Letter::Apply(Box::new(apply)));
    }

    /// Runs `run` on core `to`. The letter leaves now, not at the first poll. With `cancel` it is stopped there when the
    /// answer is dropped here; otherwise it runs to its end.
    pub(crate) fn ask<R, F>(
        &self,
        to: CoreId,
        class: Class,
        cancel: bool,
        run: impl FnOnce(Rc<Broker>) -> F + Send + 'static,
    ) -> Asked<R>
    where
        R: Send + 'static,
        F: Future<Output = R> + 'static,
    {
        let id = self.office.next.get();
        self.office.next.set(id + 1);
        let (send, receive) = oneshot();
        self.office.waiting.borrow_mut().insert(id, send);
        let run: Run = Box::new(move |broker| {
            let future = run(Rc::clone(broker));
            Box::pin(async move {
                let value: Value = Box::new(future.await);
                value
            })
        });
        self.send(to, class, Letter::Ask { id, class, run });
        let cancel = cancel.then_some((to, class));
        Asked { post: self.clone(), id, answer: Some(receive), cancel, kind: PhantomData }
    }
}

/// An answer that is on its way.
pub(crate) struct Asked<R> {
    post: Post,
    id: u64,
    answer: Option<Oneshot<Value>>,
    cancel: Option<(CoreId, Class)>,
    kind: PhantomData<fn() -> R>,
}

impl<R: 'static> Future for Asked<R> {
    /// Nothing if the other core has ended.
    type Output = Option<R>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        match Pin::new(answer).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(value) => {
                self.answer = None;
                let value = value.and_then(|v| v.downcast::<R>().ok()).map(|v| *v);
                Poll::Ready(value)
            }
        }
    }
}

impl<R> Drop for Asked<R> {
    fn drop(&mut self) {
        if self.answer.take().is_some() {
            self.post.office.waiting.borrow_mut().remove(&self.id);
            if let Some((to, class)) = self.cancel {
                self.post.send(to, class, Letter::Cancel { id: self.id });
            }
        }
    }
}
