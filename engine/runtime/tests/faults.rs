//! Faults on order strike where they should, on both backends, and nowhere else.
//!
//! The rules belong to the process, so the scenes here use paths and ports of their own and add their rules.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "refusal/skip.rs"]
mod skip;

use ids::CoreId;
use ringwood_runtime::faults::{self, Effect, Point, Rule};
use ringwood_runtime::sync::oneshot;
use ringwood_runtime::{
    ALIGN, Io, Linked, Listen, Open, Runtime, RuntimeConfig, Slice, Tuning, WhyNot, probe, run_with,
};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

const ALL: Open =
    Open { read: true, write: true, create: true, create_new: false, truncate: true, direct: true };

fn on<T: 'static, F: Future<Output = T> + 'static>(io: Io, main: impl FnOnce(Runtime) -> F) -> T {
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 64 << 20, pin: None };
    run_with(&config, &Tuning { io, ..Tuning::default() }, main).unwrap()
}

fn place(io: Io, name: &str) -> PathBuf {
    let name = format!("fault-{name}-{io:?}-{}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn rule(point: Point, path: &Path, after: u64, times: Option<u64>, effect: Effect) -> Rule {
    Rule { point, path: path.display().to_string(), after, times, effect }
}

fn block(rt: &Runtime, byte: u8, blocks: usize) -> Slice {
    let mut b = rt.memory().alloc(blocks * ALIGN).unwrap();
    b.append(&vec![byte; blocks * ALIGN]);
    b.freeze()
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|e| e.raw_os_error())
}

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
    an_error_strikes_after_so_many_and_so_often
    names_allocations_and_opening_fail_too
    a_short_write_is_continued_once
    a_link_meets_the_faults_of_both_and_breaks
    a_delay_delays_only_what_it_names
    connections_fail_and_dawdle
    a_name_that_blocks_in_the_kernel_holds_up_nobody_else
    removals_hold_up_no_open
}

fn an_error_strikes_after_so_many_and_so_often(io: Io) {
    let path = place(io, "error");
    on(io, move |rt| async move {
        let f = rt.disk().open(&path, ALL).await.unwrap();
        f.write_at(0, block(&rt, 9, 1)).await.unwrap();
        faults::add(rule(Point::Write, &path, 2, Some(2), Effect::Fail(libc::ENOSPC)));
        faults::add(rule(Point::Sync, &path, 0, None, Effect::Fail(libc::EIO)));
        let before = rt.counters().writes.operations;
        let mut results = Vec::new();
        for i in 0..6u64 {
            results.push(errno(f.write_at(i * ALIGN as u64, block(&rt, i as u8, 1)).await));
        }
        let full = Some(libc::ENOSPC);
        assert_eq!(results, [None, None, full, full, None, None]);
        assert_eq!(rt.counters().writes.operations - before, 4);
        for _ in 0..3 {
            assert_eq!(errno(f.sync_data().await), Some(libc::EIO));
        }
        // What failed was not carried out, and reads were not meant.
        let back = f.read_at(0, 6 * ALIGN).await.unwrap();
        let firsts: Vec<u8> = back.chunks(ALIGN).map(|b| b[0]).collect();
        assert_eq!(firsts, [0, 1, 0, 0, 4, 5]);
        rt.disk().remove_file(&path).await.unwrap();
    });
}

fn names_allocations_and_opening_fail_too(io: Io) {
    let dir = place(io, "names");
    on(io, move |rt| async move {
        let disk = rt.disk();
        disk.create_dir_all(&dir).await.unwrap();
        let path = dir.join("f");
        let f = disk.open(&path, ALL).await.unwrap();
        faults::add(rule(Point::Open, &path, 0, Some(1), Effect::Fail(libc::EMFILE)));
        // An allocation that is refused, the cut that gives back what it took, and a cut of its own.
        faults::add(rule(Point::Allocate, &path, 0, Some(3), Effect::Fail(libc::ENOSPC)));
        faults::add(rule(Point::Names, &path, 0, Some(2), Effect::Fail(libc::EROFS)));
        faults::add(rule(Point::Sync, &dir, 0, Some(1), Effect::Fail(libc::EIO)));
        assert_eq!(errno(disk.open(&path, ALL).await), Some(libc::EMFILE));
        assert_eq!(errno(f.allocate(0, 4096).await), Some(libc::ENOSPC));
        assert_eq!(errno(f.set_len(4096).await), Some(libc::ENOSPC));
        assert_eq!(f.len().unwrap(), 0);
        assert_eq!(errno(disk.rename(&path, &dir.join("g")).await), Some(libc::EROFS));
        assert_eq!(errno(disk.remove_file(&path).await), Some(libc::EROFS));
        assert_eq!(errno(disk.sync_dir(&dir).await), Some(libc::EIO));
        // Each is used up now.
        drop(disk.open(&path, ALL).await.unwrap());
        f.allocate(0, 4096).await.unwrap();
        disk.sync_dir(&dir).await.unwrap();
        disk.remove_file(&path).await.unwrap();
        disk.remove_dir(&dir).await.unwrap();
    });
}

fn a_short_write_is_continued_once(io: Io) {
    let path = place(io, "short");
    on(io, move |rt| async move {
        let f = rt.disk().open(&path, ALL).await.unwrap();
        let short = |after, times| {
            faults::add(rule(Point::Write, &path, after, times, Effect::Short(ALIGN)));
        };
        short(0, Some(1));
        f.write_at(0, block(&rt, 1, 3)).await.unwrap();
        short(0, Some(1));
        let parts = vec![block(&rt, 2, 2), block(&rt, 3, 2)];
        f.write_all_at(3 * ALIGN as u64, parts).await.unwrap();
        let back = f.read_at(0, 7 * ALIGN).await.unwrap();
        let firsts: Vec<u8> = back.chunks(ALIGN).map(|b| b[ALIGN - 1]).collect();
        assert_eq!(firsts, [1, 1, 1, 2, 2, 3, 3]);
        // A second short one is an error.
        short(0, None);
        let error = f.write_at(0, block(&rt, 4, 3)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        // Whole blocks that come one at a time are all read.
        faults::add(rule(Point::Read, &path, 0, None, Effect::Short(ALIGN)));
        assert_eq!(f.read_at(0, 7 * ALIGN).await.unwrap().len(), 7 * ALIGN);
        rt.disk().remove_file(&path).await.unwrap();
    });
}

fn a_link_meets_the_faults_of_both_and_breaks(io: Io) {
    let path = place(io, "link");
    on(io, move |rt| async move {
        let f = rt.disk().open(&path, ALL).await.unwrap();
        let link = |byte| f.write_then_sync(0, block(&rt, byte, 3));
        let order = |point, effect| faults::add(rule(point, &path, 0, Some(1), effect));
        assert_eq!(link(1).await.unwrap(), Linked::Synced);
        let syncs = rt.counters().syncs;
        order(Point::Write, Effect::Short(ALIGN));
        assert_eq!(link(2).await.unwrap(), Linked::Broken);
        assert_eq!(rt.counters().syncs, syncs, "nothing was synced");
        assert!(f.read_at(0, 3 * ALIGN).await.unwrap().iter().all(|b| *b == 2));
        order(Point::Write, Effect::Fail(libc::EIO));
        order(Point::Sync, Effect::Fail(libc::ENOSPC));
        assert_eq!(errno(link(3).await), Some(libc::EIO), "the sync has not met its fault");
        assert_eq!(errno(link(4).await), Some(libc::ENOSPC));
        assert_eq!(link(5).await.unwrap(), Linked::Synced);
        // A second short write is an error.
        faults::add(rule(Point::Write, &path, 0, Some(2), Effect::Short(ALIGN)));
        assert_eq!(link(6).await.unwrap_err().kind(), io::ErrorKind::WriteZero);
        rt.disk().remove_file(&path).await.unwrap();
    });
}

fn a_delay_delays_only_what_it_names(io: Io) {
    const DELAY: Duration = Duration::from_millis(300);
    let (slow, quick) = (place(io, "slow"), place(io, "quick"));
    on(io, move |rt| async move {
        let disk = rt.disk();
        let (s, q) = (disk.open(&slow, ALL).await.unwrap(), disk.open(&quick, ALL).await.unwrap());
        faults::add(rule(Point::Sync, &slow, 0, Some(1), Effect::Delay(DELAY)));
        let began = Instant::now();
        let (done, was) = oneshot();
        rt.spawn(async move {
            s.sync_data().await.unwrap();
            done.send(began.elapsed());
        });
        q.sync_data().await.unwrap();
        assert!(began.elapsed() < DELAY, "the core goes on meanwhile: {:?}", began.elapsed());
        assert!(was.await.unwrap() >= DELAY);
        disk.remove_file(&slow).await.unwrap();
        disk.remove_file(&quick).await.unwrap();
    });
}

fn connections_fail_and_dawdle(io: Io) {
    on(io, move |rt| async move {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut door = rt.net().listen(any, Listen::default()).await.unwrap();
        let addr = door.local_addr();
        let here = |point, after, effect| {
            faults::add(Rule { point, path: addr.to_string(), after, times: Some(1), effect });
        };
        here(Point::Connect, 0, Effect::Fail(libc::ETIMEDOUT));
        assert_eq!(errno(rt.net().connect(addr).await), Some(libc::ETIMEDOUT));
        here(Point::Accept, 0, Effect::Fail(libc::EMFILE));
        let client = rt.net().connect(addr).await.unwrap();
        assert_eq!(errno(door.accept().await), Some(libc::EMFILE));
        // The connection is still there.
        let server = door.accept().await.unwrap();
        here(Point::Send, 1, Effect::Fail(libc::EPIPE));
        here(Point::Receive, 0, Effect::Delay(Duration::from_millis(50)));
        server.send(vec![Slice::from_static(b"hello")]).await.unwrap();
        client.send(vec![Slice::from_static(b"one")]).await.unwrap();
        let again = client.send(vec![Slice::from_static(b"two")]).await;
        assert_eq!(errno(again), Some(libc::EPIPE));
        let began = Instant::now();
        assert_eq!(&client.recv().await.unwrap().unwrap()[..], b"hello");
        assert!(began.elapsed() >= Duration::from_millis(50));
        assert_eq!(&server.recv().await.unwrap().unwrap()[..], b"one");
    });
}

/// In a process of its own: the environment is read once, by the first core.
#[test]
fn the_environment_orders_faults_and_is_told_what_it_got_wrong() {
    const CHILD: &str = "RINGWOOD_TEST_CHILD";
    let test = "the_environment_orders_faults_and_is_told_what_it_got_wrong";
    if std::env::var_os(CHILD).is_some() {
        let path = place(Io::Auto, "environment");
        let config = RuntimeConfig { core: CoreId(0), memory_limit: 1 << 20, pin: None };
        let ran = run_with(&config, &Tuning::default(), |rt| async move {
            let f = rt.disk().open(&path, ALL).await.unwrap();
            let first = errno(f.sync_data().await);
            let second = errno(f.sync_data().await);
            rt.disk().remove_file(&path).await.unwrap();
            (first, second, faults::met())
        });
        match ran {
            Ok((first, second, met)) => println!("ran {first:?} {second:?} {met:?}"),
            Err(e) => println!("refused: {e}"),
        }
        return;
    }
    let with = |rules: &str| {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .env("RINGWOOD_FAULTS", rules)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&out.stderr);
        format!("{}\n{errors}", String::from_utf8_lossy(&out.stdout))
    };
    let text = with("sync,path=environment,after=1,error=EIO");
    assert!(text.contains("ran None Some(5) [1]"), "{text}");
    assert!(text.contains("warning: faults are injected"), "{text}");
    let text = with("sync,error=EWHAT");
    assert!(text.contains("refused: RINGWOOD_FAULTS: in the rule"), "{text}");
}

/// Every name takes a tenth of a second in its system call; meanwhile the core writes and syncs as ever.
fn a_name_that_blocks_in_the_kernel_holds_up_nobody_else(io: Io) {
    let dir = place(io, "blocks");
    on(io, move |rt| async move {
        let disk = rt.disk();
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let journal = disk.open(&place(io, "blocks-not"), ALL).await.unwrap();
        let rounds = Rc::new(Cell::new(0u64));
        let stop = Rc::new(Cell::new(false));
        {
            let (rt, rounds, stop) = (rt.clone(), Rc::clone(&rounds), Rc::clone(&stop));
            rt.clone().spawn(async move {
                while !stop.get() {
                    journal.write_at(0, block(&rt, 1, 1)).await.unwrap();
                    journal.sync_data().await.unwrap();
                    rounds.set(rounds.get() + 1);
                }
            });
        }
        let slow = Effect::Block(Duration::from_millis(100));
        faults::add(rule(Point::Open, &dir, 0, None, slow));
        faults::add(rule(Point::Names, &dir, 0, None, slow));
        let (a, b, sub) = (dir.join("a"), dir.join("b"), dir.join("x/y"));
        let mut meanwhile = Vec::new();
        let mut before = rounds.get();
        let mut lap = |what| {
            meanwhile.push((what, rounds.get() - before));
            before = rounds.get();
        };
        let f = disk.open(&a, ALL).await.unwrap();
        lap("open");
        f.write_at(0, block(&rt, 2, 1)).await.unwrap();
        disk.create_dir_all(&sub).await.unwrap();
        lap("create_dir_all");
        disk.rename(&a, &b).await.unwrap();
        lap("rename");
        assert!(disk.exists(&b).await.unwrap());
        lap("exists");
        assert_eq!(disk.len_of(&b).await.unwrap(), ALIGN as u64);
        lap("len_of");
        let names = disk.read_dir(&dir).await.unwrap();
        assert_eq!(names.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["b", "x"]);
        lap("read_dir");
        disk.sync_dir(&dir).await.unwrap();
        lap("sync_dir");
        disk.remove_file(&b).await.unwrap();
        lap("remove_file");
        disk.remove_dir(&sub).await.unwrap();
        lap("remove_dir");
        f.set_len(0).await.unwrap();
        // Four of them block all threads; a fifth waits for one, and the core for none.
        let at_once: Vec<PathBuf> = (0..5).map(|i| dir.join(format!("c{i}"))).collect();
        let mut ends = Vec::new();
        for path in at_once {
            let (ended, end) = oneshot();
            let disk = rt.disk();
            rt.spawn(async move { ended.send(disk.open(&path, ALL).await.map(|_| ())) });
            ends.push(end);
        }
        for end in ends {
            end.await.unwrap().unwrap();
        }
        lap("five at once");
        stop.set(true);
        // A core that waited for the call would have been round no more than once.
        assert!(meanwhile.iter().all(|(_, n)| *n >= 3), "{meanwhile:?}");
    });
}

/// Eight removals are in line, and each takes a while in its system call. A file that is opened then is there long before them:
/// what counts is who came first. With one line for all and four threads, five of the removals would have.
fn removals_hold_up_no_open(io: Io) {
    let dir = place(io, "removals");
    on(io, move |rt| async move {
        let disk = rt.disk();
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let slow = Effect::Block(Duration::from_millis(300));
        faults::add(rule(Point::Names, &dir, 0, Some(8), slow));
        let (begun, gone) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let mut ends = Vec::new();
        for i in 0..8 {
            let path = dir.join(format!("r{i}"));
            std::fs::write(&path, "x").unwrap();
            let (ended, end) = oneshot();
            let (disk, begun, gone) = (rt.disk(), Rc::clone(&begun), Rc::clone(&gone));
            rt.spawn(async move {
                begun.set(begun.get() + 1);
                disk.remove_file(&path).await.unwrap();
                gone.set(gone.get() + 1);
                ended.send(());
            });
            ends.push(end);
        }
        while begun.get() < 8 {
            rt.yield_now().await;
        }
        drop(disk.open(&dir.join("opened"), ALL).await.unwrap());
        assert!(gone.get() < 5, "{} of 8 removals came first", gone.get());
        for end in ends {
            end.await.unwrap();
        }
        disk.remove_file(&dir.join("opened")).await.unwrap();
        disk.remove_dir(&dir).await.unwrap();
    });
}
