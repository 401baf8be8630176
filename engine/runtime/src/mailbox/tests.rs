//! Order, back-pressure, classes, and that no wake-up is ever lost.

#[path = "../../tests/refusal/skip.rs"]
mod skip;

use super::*;
use crate::probe::{WhyNot, probe};
use crate::runtime::{Io, RuntimeConfig, Tuning, run_with};
use crate::sim::{SimConfig, World};
use std::time::Duration;

fn run_on<T: Send + 'static, F: Future<Output = T> + 'static>(
    io: Io,
    boxes: &Mailboxes,
    core: u16,
    main: impl FnOnce(Runtime) -> F + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let tuning = Tuning { io, mailboxes: Some(boxes.clone()), ..Tuning::default() };
    let config = RuntimeConfig { core: CoreId(core), memory_limit: 1 << 20, pin: None };
    std::thread::spawn(move || run_with(&config, &tuning, main).unwrap())
}

#[test]
fn control_comes_first_and_senders_take_turns() {
    let world = World::new(1, SimConfig::default());
    let node = world.add_node();
    let boxes = Mailboxes::new(3, 0).unwrap();
    let mut seats = boxes.open::<u32>(Capacity::default()).into_iter();
    let cores: Vec<Runtime> = (0..3).map(|i| world.core(node, CoreId(i))).collect();
    let mail: Vec<Mailbox<u32>> =
        cores.iter().map(|rt| rt.mailbox(seats.next().unwrap())).collect();
    mail[1].try_send(0, Class::Background, 9).unwrap();
    mail[1].try_send(0, Class::Data, 1).unwrap();
    mail[1].try_send(0, Class::Data, 2).unwrap();
    mail[2].try_send(0, Class::Data, 3).unwrap();
    mail[0].try_send(0, Class::Control, 7).unwrap();
    let got: Vec<u32> = std::iter::from_fn(|| mail[0].try_recv()).map(|(_, m)| m).collect();
    assert_eq!(got, [7, 1, 3, 2, 9]);
}

#[test]
fn a_full_ring_parks_the_sender_until_there_is_room() {
    let world = World::new(1, SimConfig::default());
    let node = world.add_node();
    let boxes = Mailboxes::new(2, 0).unwrap();
    let small = Capacity { control: 1, data: 2, background: 1 };
    let mut seats = boxes.open::<u32>(small).into_iter();
    let (a, b) = (world.core(node, CoreId(0)), world.core(node, CoreId(1)));
    let (post, mail) = (a.mailbox(seats.next().unwrap()), b.mailbox(seats.next().unwrap()));
    let sent = Rc::new(Cell::new(0));
    a.spawn({
        let (sent, post) = (Rc::clone(&sent), post.clone());
        async move {
            for i in 0..100 {
                post.send(CoreId(1), Class::Data, i).await;
                sent.set(i + 1);
            }
        }
    });
    world.run_for(Duration::from_secs(1));
    assert_eq!(sent.get(), 2, "nobody reads");
    let got = world
        .run(&b, async move {
            let mut got = Vec::new();
            while got.len() < 100 {
                let (from, m) = mail.recv().await;
                assert_eq!(from, CoreId(0));
                got.push(m);
            }
            got
        })
        .expect_done();
    assert_eq!(got, (0..100).collect::<Vec<u32>>());
}

/// A reader is held up between taking a message and looking for word. Meanwhile the sender has used the room, found the ring full
/// again and left word, which the reader takes for room that is gone: the sender, woken for nothing, has to leave word again.
#[test]
fn a_reader_that_was_held_up_does_not_take_the_word_of_a_sender_that_stays_parked() {
    let world = World::new(1, SimConfig::default());
    let node = world.add_node();
    let boxes = Mailboxes::new(2, 0).unwrap();
    let small = Capacity { control: 1, data: 1, background: 1 };
    let mut seats = boxes.open::<u32>(small).into_iter();
    let core = world.core(node, CoreId(0));
    let post = core.mailbox(seats.next().unwrap());
    let Seat { mut inn, bells, .. } = seats.next().unwrap();
    let lane = &mut inn[0][Class::Data.index()];
    post.try_send(1, Class::Data, 1).unwrap();
    assert_eq!(lane.ring.pop(), Ok(1), "the first half of a pop");
    core.spawn({
        let post = post.clone();
        async move {
            post.send(CoreId(1), Class::Data, 2).await;
            post.send(CoreId(1), Class::Data, 3).await;
        }
    });
    world.run_for(Duration::from_secs(1));
    assert!(lane.waiting.take(), "the second half finds word");
    bells[0].strike();
    world.run_for(Duration::from_secs(1));
    post.office.check();
    assert_eq!(lane.pop(), Some((2, true)), "word was left again");
    bells[0].strike();
    world.run_for(Duration::from_secs(1));
    post.office.check();
    world.run_for(Duration::from_secs(1));
    assert_eq!(lane.pop().map(|(m, _)| m), Some(3));
}

/// Two cores play ping-pong through rings of one place while both sleep between every two messages, and flood each other, so
/// that both the sleeper's and the parked sender's flags are used hundreds of thousands of times.
fn no_wake_up_is_lost_between(backends: [Io; 2]) {
    let boxes = Mailboxes::new(2, 0).unwrap();
    let small = Capacity { control: 1, data: 3, background: 1 };
    let mut seats = boxes.open::<u64>(small).into_iter();
    // A second set: a control message would overtake the flood of a core that is not through with it yet.
    let mut tables = boxes.open::<u64>(small).into_iter();
    let threads: Vec<_> = (0..2u16)
        .map(|me| {
            let (seat, table) = (seats.next().unwrap(), tables.next().unwrap());
            run_on(backends[usize::from(me)], &boxes, me, move |rt| async move {
                let (mail, ball) = (rt.mailbox(seat), rt.mailbox(table));
                let other = CoreId(1 - me);
                const FLOOD: u64 = 50_000;
                const ROUNDS: u64 = 2_000;
                let flood = mail.clone();
                rt.spawn(async move {
                    for i in 0..FLOOD {
                        flood.send(other, Class::Data, i).await;
                    }
                });
                for expected in 0..FLOOD {
                    assert_eq!(mail.recv().await, (other, expected));
                }
                // Ping-pong: soon nobody has anything else to do.
                if me == 0 {
                    ball.send(other, Class::Control, 0).await;
                }
                let mut last = 0;
                while last < ROUNDS {
                    last = ball.recv().await.1 + 1;
                    ball.send(other, Class::Control, last).await;
                }
                last
            })
        })
        .collect();
    for t in threads {
        assert!(t.join().unwrap() >= 2_000);
    }
}

#[test]
fn no_wake_up_is_lost_between_rings() {
    if !skip::has_io_uring() {
        return;
    }
    no_wake_up_is_lost_between([Io::Uring, Io::Uring]);
}

#[test]
fn no_wake_up_is_lost_between_pollers() {
    no_wake_up_is_lost_between([Io::Portable, Io::Portable]);
}

#[test]
fn no_wake_up_is_lost_between_a_ring_and_a_poller() {
    if !skip::has_io_uring() {
        return;
    }
    no_wake_up_is_lost_between([Io::Uring, Io::Portable]);
}

#[test]
fn a_thread_outside_talks_to_a_ring_both_ways() {
    if skip::has_io_uring() {
        a_thread_outside_talks_to_a_core_both_ways(Io::Uring);
    }
}

#[test]
fn a_thread_outside_talks_to_a_poller_both_ways() {
    a_thread_outside_talks_to_a_core_both_ways(Io::Portable);
}

fn a_thread_outside_talks_to_a_core_both_ways(io: Io) {
    let boxes = Mailboxes::new(1, 1).unwrap();
    let small = Capacity { control: 1, data: 2, background: 1 };
    let mut seats = boxes.open::<u64>(small).into_iter();
    let seat = seats.next().unwrap();
    let (mut tx, mut rx) = outside(seats.next().unwrap());
    // Each is several switches of threads, which on a crowded machine take milliseconds.
    const N: u64 = 3_000;
    let core = run_on(io, &boxes, 0, move |rt| async move {
        let mail = rt.mailbox(seat);
        for expected in 0..N {
            let (from, m) = mail.recv().await;
            assert_eq!((from.0, m), (1, expected));
            mail.send_to(1, Class::Data, m * 2).await;
        }
    });
    let sender = std::thread::spawn(move || {
        block_on(async {
            for i in 0..N {
                tx.send(0, Class::Data, i).await;
            }
        });
    });
    block_on(async {
        for i in 0..N {
            assert_eq!(rx.recv().await, (0, i * 2));
        }
    });
    sender.join().unwrap();
    core.join().unwrap();
}

/// As between cores, but without one: small enough for Miri, whose memory is as weak as the language allows.
#[test]
fn threads_outside_talk_to_each_other() {
    let boxes = Mailboxes::new(0, 2).unwrap();
    let small = Capacity { control: 1, data: 2, background: 1 };
    let mut seats = boxes.open::<Box<u64>>(small).into_iter();
    let (mut tx, mut back) = outside(seats.next().unwrap());
    let (mut reply, mut rx) = outside(seats.next().unwrap());
    let n = if cfg!(miri) { 60 } else { 3_000 };
    let echo = std::thread::spawn(move || {
        block_on(async {
            for i in 0..n {
                let (from, m) = rx.recv().await;
                assert_eq!((from, *m), (0, i));
                reply.send(0, Class::Data, m).await;
            }
        });
    });
    let sender = std::thread::spawn(move || {
        block_on(async {
            for i in 0..n {
                tx.send(1, Class::Data, Box::new(i)).await;
            }
        });
    });
    block_on(async {
        for i in 0..n {
            assert_eq!(back.recv().await, (1, Box::new(i)));
        }
    });
    sender.join().unwrap();
    echo.join().unwrap();
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(f: F) -> F::Output {
    let mut f = Box::pin(f);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = std::task::Context::from_waker(&waker);
    loop {
        match f.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
