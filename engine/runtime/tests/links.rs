//! A write with a sync linked to it: on both backends over the real kernel, and on the simulated disk, where the power may go
//! between the two.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail like tests; figures are shown"
)]

#[path = "refusal/skip.rs"]
mod skip;

use ids::CoreId;
use ringwood_runtime::sim::{DiskOp, Injection, Outcome, SimConfig, World};
use ringwood_runtime::{
    ALIGN, Counters, File, Io, Linked, Open, Runtime, RuntimeConfig, Slice, Tuning, WhyNot, probe,
    run_with,
};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const ALL: Open =
    Open { read: true, write: true, create: true, create_new: false, truncate: true, direct: true };

/// Makes a test for each backend of every scene.
macro_rules! on_both {
    ($($scene:ident)*) => {
        mod uring {
            $(#[test] fn $scene() {
                if super::skip::has_io_uring() {
                    super::$scene(super::Io::Uring);
                }
            })*
        }
        mod portable {
            $(#[test] fn $scene() { super::$scene(super::Io::Portable); })*
        }
    };
}

on_both! {
    a_link_costs_a_core_one_turn
    many_links_overflow_neither_queue
    what_a_write_cannot_do_no_sync_follows
    a_short_write_is_not_taken_for_a_whole_one
    a_dropped_link_keeps_its_memory_until_it_has_ended
}

fn place(io: Io, name: &str) -> PathBuf {
    let name = format!("link-{name}-{io:?}-{}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn on<T: 'static, F: Future<Output = T> + 'static>(
    tuning: &Tuning,
    main: impl FnOnce(Runtime) -> F,
) -> T {
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 64 << 20, pin: None };
    run_with(&config, tuning, main).unwrap()
}

fn tuning(io: Io) -> Tuning {
    Tuning { io, ..Tuning::default() }
}

fn blocks(rt: &Runtime, byte: u8, count: usize) -> Slice {
    let mut b = rt.memory().alloc(count * ALIGN).unwrap();
    b.append(&vec![byte; count * ALIGN]);
    b.freeze()
}

/// Enters, submissions and completions.
fn cost(rt: &Runtime, then: (u64, Counters)) -> (u64, u64, u64) {
    let now = rt.counters();
    (
        rt.enters() - then.0,
        now.submissions - then.1.submissions,
        now.completions - then.1.completions,
    )
}

fn a_link_costs_a_core_one_turn(io: Io) {
    const ROUNDS: u64 = 200;
    let path = place(io, "cost");
    on(&tuning(io), move |rt| async move {
        let f = rt.disk().open(&path, ALL).await.unwrap();
        f.allocate(0, ROUNDS * ALIGN as u64).await.unwrap();
        let then = (rt.enters(), rt.counters());
        for i in 0..ROUNDS {
            f.write_at(i * ALIGN as u64, blocks(&rt, 1, 1)).await.unwrap();
            f.sync_data().await.unwrap();
        }
        let apart = cost(&rt, then);
        let then = (rt.enters(), rt.counters());
        for i in 0..ROUNDS {
            let linked = f.write_then_sync(i * ALIGN as u64, blocks(&rt, i as u8, 1)).await;
            assert_eq!(linked.unwrap(), Linked::Synced);
        }
        let linked = cost(&rt, then);
        let counted = rt.counters();
        assert_eq!(counted.writes.operations - then.1.writes.operations, ROUNDS);
        assert_eq!(counted.syncs - then.1.syncs, ROUNDS);
        let back = f.read_at(0, ROUNDS as usize * ALIGN).await.unwrap();
        let firsts = back.chunks(ALIGN).map(|b| b[0]);
        assert!(firsts.eq((0..ROUNDS).map(|i| i as u8)));
        println!(
            "{ROUNDS} writes with a sync, {io:?}: enters, submissions, completions apart {apart:?}, linked {linked:?}"
        );
        if io == Io::Uring {
            assert_eq!((apart.1, apart.2), (2 * ROUNDS, 2 * ROUNDS));
            assert_eq!((linked.1, linked.2), (2 * ROUNDS, ROUNDS));
            // A few more are entered for by signals or by what is over before anybody waits.
            assert!(linked.0 <= ROUNDS + ROUNDS / 10, "{linked:?}");
            assert!(apart.0 >= 2 * ROUNDS, "{apart:?}");
        }
        rt.disk().remove_file(&path).await.unwrap();
    });
}

fn many_links_overflow_neither_queue(io: Io) {
    const LINKS: u64 = 600;
    let path = place(io, "many");
    for entries in [1, 4, 8] {
        let path = path.clone();
        on(&Tuning { entries, ..tuning(io) }, move |rt| async move {
            let f = rt.disk().open(&path, Open { direct: false, ..ALL }).await.unwrap();
            let left = Rc::new(Cell::new(LINKS));
            for i in 0..LINKS {
                let (f, left, rt2) = (f.clone(), Rc::clone(&left), rt.clone());
                rt.spawn(async move {
                    // Single entries between the links, so that a queue has room for one when a link needs two.
                    if i % 3 == 0 {
                        f.read_at(0, 8).await.unwrap();
                    }
                    let data = Slice::from(i.to_le_bytes().to_vec());
                    assert_eq!(f.write_then_sync(i * 8, data).await.unwrap(), Linked::Synced);
                    left.set(left.get() - 1);
                    drop(rt2);
                });
            }
            while left.get() > 0 {
                rt.sleep(Duration::from_millis(1)).await;
            }
            let back = f.read_at(0, LINKS as usize * 8).await.unwrap();
            let numbers = back.chunks(8).map(|c| u64::from_le_bytes(c.try_into().unwrap()));
            assert!(numbers.eq(0..LINKS));
            rt.disk().remove_file(&path).await.unwrap();
        });
    }
}

fn what_a_write_cannot_do_no_sync_follows(io: Io) {
    let path = place(io, "refused");
    on(&tuning(io), move |rt| async move {
        let f = rt.disk().open(&path, ALL).await.unwrap();
        f.write_at(0, blocks(&rt, 1, 1)).await.unwrap();
        let how = Open { write: false, create: false, truncate: false, ..ALL };
        let only_read = rt.disk().open(&path, how).await.unwrap();
        let before = rt.counters();
        for _ in 0..20 {
            let refused = only_read.write_then_sync(0, blocks(&rt, 2, 1)).await;
            assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
        let after = rt.counters();
        assert_eq!((after.writes, after.syncs), (before.writes, before.syncs));
        if io == Io::Uring {
            // The writes told of themselves, and nothing of the syncs.
            assert_eq!(after.completions - before.completions, 20);
        }
        // And what comes next is not mistaken for what is over.
        assert_eq!(f.write_then_sync(0, blocks(&rt, 3, 1)).await.unwrap(), Linked::Synced);
        assert_eq!(f.read_at(0, ALIGN).await.unwrap()[0], 3);
        rt.disk().remove_file(&path).await.unwrap();
    });
}

/// Files of this process end at 1 GiB: a write that crosses that is short, and what is left of it fails.
fn a_short_write_is_not_taken_for_a_whole_one(io: Io) {
    const END: u64 = 1 << 30;
    let limit = libc::rlimit { rlim_cur: END, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a signal that is ignored, and a structure of ours. Both tests of this process set the same.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
    let path = place(io, "short");
    on(&tuning(io), move |rt| async move {
        let f = rt.disk().open(&path, ALL).await.unwrap();
        let before = rt.counters();
        let at = END - 2 * ALIGN as u64;
        let beyond = f.write_then_sync(at, blocks(&rt, 7, 5)).await;
        assert_eq!(beyond.unwrap_err().raw_os_error(), Some(libc::EFBIG));
        assert_eq!(f.len().unwrap(), END, "two blocks of five");
        let after = rt.counters();
        assert_eq!((after.writes, after.syncs), (before.writes, before.syncs));
        if io == Io::Uring {
            // The short write, and the rest that failed.
            assert_eq!(after.completions - before.completions, 2);
        }
        assert_eq!(f.write_then_sync(at, blocks(&rt, 8, 2)).await.unwrap(), Linked::Synced);
        rt.disk().remove_file(&path).await.unwrap();
    });
}

fn a_dropped_link_keeps_its_memory_until_it_has_ended(io: Io) {
    let path = place(io, "dropped");
    on(&tuning(io), move |rt| async move {
        let f = rt.disk().open(&path, ALL).await.unwrap();
        let before = rt.memory().used();
        for i in 0..50u64 {
            let mut link = pin!(f.write_then_sync(i * ALIGN as u64, blocks(&rt, i as u8, 1)));
            let polled = link.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending));
        }
        assert!(rt.memory().used() > before, "the kernel has them");
        while rt.memory().used() > before {
            rt.sleep(Duration::from_millis(1)).await;
        }
        let back = f.read_at(0, 50 * ALIGN).await.unwrap();
        assert!((0..50).all(|i| back[i * ALIGN..(i + 1) * ALIGN].iter().all(|b| *b == i as u8)));
        rt.disk().remove_file(&path).await.unwrap();
    });
}

async fn simulated(rt: &Runtime) -> File {
    let f = rt.disk().open(Path::new("/a"), ALL).await.unwrap();
    f.allocate(0, 64 * ALIGN as u64).await.unwrap();
    f.sync_data().await.unwrap();
    rt.disk().sync_dir(Path::new("/")).await.unwrap();
    f
}

/// Links in a row, some with a short write. Power goes after any effect: what was synced is there, what was broken may be gone,
/// and so may be what had been written when the sync behind it was still to come.
#[test]
fn what_a_link_has_synced_survives_a_cut_after_any_effect() {
    let config =
        SimConfig { short_writes_per_million: 200_000, keep_trace: true, ..SimConfig::default() };
    let (mut between, mut broken_lost, mut broken_seen) = (0, 0, 0);
    for cut in 1..=60 {
        for seed in 0..6 {
            let world = World::new(seed * 1000 + cut, config.clone());
            let node = world.add_node();
            let rt = world.core(node, CoreId(0));
            world.cut_after(node, cut);
            let answers: Rc<RefCell<Vec<(u8, Linked)>>> = Rc::default();
            let out = Rc::clone(&answers);
            let outcome = world.run(&rt, {
                let rt = rt.clone();
                async move {
                    let f = simulated(&rt).await;
                    for i in 1..=12u8 {
                        // Two short writes in a row are an error: the end of this run.
                        let at = u64::from(i) * ALIGN as u64;
                        match f.write_then_sync(at, blocks(&rt, i, 1)).await {
                            Ok(linked) => out.borrow_mut().push((i, linked)),
                            Err(_) => break,
                        }
                    }
                }
            });
            assert!(matches!(outcome, Outcome::Died | Outcome::Done(())));
            let image = world.disk_image(node);
            let whole = |i: u8| {
                let at = usize::from(i) * ALIGN;
                image.get(Path::new("/a")).is_some_and(|b| b[at..at + ALIGN] == [i; ALIGN])
            };
            let mut last_synced = 0;
            for (i, linked) in answers.borrow().iter() {
                if *linked == Linked::Synced {
                    last_synced = *i;
                    assert!(whole(*i), "cut {cut} seed {seed}: {i} was synced and is gone");
                }
            }
            if !outcome.is_died() {
                continue;
            }
            for (i, _) in
                answers.borrow().iter().filter(|(i, l)| *l == Linked::Broken && *i > last_synced)
            {
                broken_seen += 1;
                broken_lost += u32::from(!whole(*i));
            }
            // The last effect was the landing of a whole write, of which nobody has heard.
            let next = answers.borrow().last().map_or(1, |(i, _)| i + 1);
            let landed = world
                .last_effect(node)
                .ends_with(&format!(" {}+{ALIGN}", usize::from(next) * ALIGN))
                && world.last_effect(node).starts_with("landed");
            between += u32::from(landed && !whole(next));
        }
    }
    println!(
        "lost between write and sync: {between}; of {broken_seen} broken links {broken_lost} lost"
    );
    assert!(between > 5, "{between}");
    assert!(broken_lost > 5 && broken_lost < broken_seen, "{broken_lost} of {broken_seen}");
}

#[test]
fn a_write_that_fails_is_followed_by_no_sync_and_a_sync_that_fails_is_told() {
    for (op, syncs) in [(DiskOp::Write, 0), (DiskOp::Sync, 0)] {
        let world = World::new(7, SimConfig { keep_trace: true, ..SimConfig::default() });
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        world
            .run(&rt, {
                let rt = rt.clone();
                async move { drop(simulated(&rt).await) }
            })
            .expect_done();
        let synced =
            |world: &World| world.trace().iter().filter(|l| l.contains("synced /a")).count();
        let before = synced(&world);
        world.inject(
            node,
            Injection { op, path: "/a".into(), after: 0, times: 1, errno: libc::EIO },
        );
        let result = world
            .run(&rt, {
                let rt = rt.clone();
                async move {
                    let f = rt.disk().open(Path::new("/a"), Open { truncate: false, ..ALL }).await;
                    f.unwrap().write_then_sync(0, blocks(&rt, 1, 2)).await
                }
            })
            .expect_done();
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EIO), "{op:?}");
        assert_eq!(synced(&world) - before, syncs, "{op:?}");
    }
}
