//! What a core does where io_uring is refused, or its memory may not be locked, and what an idle core costs.
//!
//! Each scene runs in a process of its own, because it changes what the process may do, or counts what it does. Where io_uring is
//! refused from the start, the scenes that take it away have nothing to take.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "refusal/filter.rs"]
mod filter;
#[path = "refusal/skip.rs"]
mod skip;

use filter::refuse;
use ids::CoreId;
use ringwood_runtime::{
    Features, Io, Listen, Mailboxes, Open, Runtime, RuntimeConfig, Slice, Tuning, WhyNot, probe,
    run_with,
};
use std::io;
use std::process::{Command, Output};
use std::time::Duration;

const CHILD: &str = "RINGWOOD_TEST_CHILD";

/// Runs `scene` in a fresh process that runs nothing else.
fn alone(test: &str, scene: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        scene();
        return;
    }
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{test} alone: {}\n{text}\n{errors}", out.status);
    // A name that matches nothing succeeds as well.
    assert!(text.contains("1 passed"), "{test} alone:\n{text}");
}

fn on<T: 'static, F: Future<Output = T> + 'static>(
    tuning: &Tuning,
    main: impl FnOnce(Runtime) -> F,
) -> io::Result<T> {
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 64 << 20, pin: None };
    run_with(&config, tuning, main)
}

fn with(io: Io) -> Tuning {
    Tuning { io, ..Tuning::default() }
}

/// A file is written, flushed and read back; bytes go through a connection.
async fn work(rt: Runtime) -> Features {
    let name = format!("refused-{}", std::process::id());
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let how = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
    let file = rt.disk().open(&path, how).await.unwrap();
    assert!(file.try_lock_exclusive().unwrap());
    let mut block = rt.memory().alloc(1 << 20).unwrap();
    block.append(&vec![7; 1 << 20]);
    file.write_at(0, block.freeze()).await.unwrap();
    file.sync_data().await.unwrap();
    let back = file.read_at(0, 1 << 20).await.unwrap();
    assert!(back.len() == 1 << 20 && back.iter().all(|b| *b == 7));
    rt.disk().remove_file(&path).await.unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let mut door = rt.net().listen(any, Listen::default()).await.unwrap();
    let client = rt.net().connect(door.local_addr()).await.unwrap();
    let server = door.accept().await.unwrap();
    client.send(vec![Slice::from_static(b"hello")]).await.unwrap();
    assert_eq!(&server.recv().await.unwrap().unwrap()[..], b"hello");
    rt.features()
}

fn a_refusal_is(errno: i32) {
    assert_eq!(on(&with(Io::Auto), work).unwrap().backend, "uring", "before it is refused");
    refuse(libc::SYS_io_uring_setup, errno);
    let features = on(&with(Io::Auto), work).unwrap();
    assert_eq!(features.backend, "portable");
    assert_eq!(features.why_not_uring, Some(WhyNot::Seccomp));
    assert!(features.lock_outlives_writes);
    let words = features.to_string();
    assert!(words.starts_with("portable on Linux ") && words.contains("seccomp"), "{words}");
    // Who insists is told why not, and what to do.
    let error = on(&with(Io::Uring), work).unwrap_err().to_string();
    assert!(error.contains("a seccomp filter refuses it") && error.contains("try: "), "{error}");
    assert_eq!(probe(), Err(WhyNot::Seccomp));
}

#[test]
fn portable_serves_where_a_filter_refuses_io_uring() {
    if !skip::has_io_uring() {
        return;
    }
    alone("portable_serves_where_a_filter_refuses_io_uring", || a_refusal_is(libc::EPERM));
}

#[test]
fn portable_serves_where_a_filter_denies_that_io_uring_exists() {
    if !skip::has_io_uring() {
        return;
    }
    let test = "portable_serves_where_a_filter_denies_that_io_uring_exists";
    alone(test, || a_refusal_is(libc::ENOSYS));
}

/// Some of these tests once more, below a filter, as in a container.
fn below_a_filter(tests: [&'static str; 2], required: bool) -> Output {
    // On a thread of its own, with which the filter ends.
    let run = std::thread::spawn(move || {
        refuse(libc::SYS_io_uring_setup, libc::EPERM);
        let mut command = Command::new(std::env::current_exe().unwrap());
        // Each test has a thread of its own then, which has its name.
        command.args(["--exact", "--test-threads=2"]).args(tests).env_remove("RINGWOOD_REQUIRE");
        if required {
            command.env("RINGWOOD_REQUIRE", "1");
        }
        command.output().unwrap()
    });
    run.join().unwrap()
}

#[test]
fn what_needs_io_uring_is_skipped_where_it_is_refused_and_fails_if_nothing_may_be_skipped() {
    let tests =
        ["an_idle_node_with_rings_sleeps", "portable_serves_where_a_filter_refuses_io_uring"];
    let skipped = below_a_filter(tests, false);
    let (out, err) =
        (String::from_utf8_lossy(&skipped.stdout), String::from_utf8_lossy(&skipped.stderr));
    assert!(skipped.status.success() && out.contains("2 passed"), "{out}\n{err}");
    // The filter is the reason, unless io_uring is switched off as well.
    let why = std::thread::spawn(|| {
        refuse(libc::SYS_io_uring_setup, libc::EPERM);
        probe().unwrap_err().to_string()
    });
    let why = why.join().unwrap();
    for test in tests {
        let line =
            err.lines().find(|l| l.starts_with(&format!("SKIPPED runtime/{test}: "))).unwrap();
        assert!(line.ends_with(&why), "{line}");
    }
    let required = below_a_filter(tests, true);
    let out = String::from_utf8_lossy(&required.stdout);
    assert!(!required.status.success() && out.contains("2 failed"), "{out}");
}

#[test]
fn a_ring_whose_kernel_refuses_a_registration_is_not_half_used() {
    if !skip::has_io_uring() {
        return;
    }
    // Some profiles allow two of the three calls.
    alone("a_ring_whose_kernel_refuses_a_registration_is_not_half_used", || {
        refuse(libc::SYS_io_uring_register, libc::EPERM);
        let features = on(&with(Io::Auto), work).unwrap();
        assert_eq!(features.backend, "portable");
        assert_eq!(features.why_not_uring, Some(WhyNot::Seccomp));
    });
}

/// From now on, this thread may lock so many bytes.
fn may_lock(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: plain system calls.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit), 0);
        // Root may lock what it likes, so this thread becomes somebody else, whom nobody else is.
        if libc::geteuid() == 0 {
            let id = 60_000 + libc::getpid() % 5000;
            assert_eq!(libc::syscall(libc::SYS_setresuid, id, id, id), 0);
        }
    }
}

#[test]
fn a_core_works_with_little_locked_memory_and_says_so() {
    if !skip::has_io_uring() {
        return;
    }
    alone("a_core_works_with_little_locked_memory_and_says_so", || {
        may_lock(1 << 20);
        let (features, fixed) = on(&with(Io::Uring), |rt| async move {
            let blocks: Vec<_> = (0..20).map(|_| rt.memory().alloc(64 << 10).unwrap()).collect();
            let fixed = rt.fixed_bytes();
            drop(blocks);
            (rt.features(), fixed)
        })
        .unwrap();
        assert_eq!(features.backend, "uring");
        // At most half of what may be locked.
        assert!((64 << 10..=512 << 10).contains(&fixed), "{fixed}");
        let notes = features.notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].what.contains("memory may be locked"), "{}", notes[0].what);
        assert!(notes[0].remedy.contains("ulimit -l"), "{}", notes[0].remedy);
    });
}

#[test]
fn portable_serves_where_no_memory_may_be_locked_for_a_ring() {
    if !skip::has_io_uring() {
        return;
    }
    alone("portable_serves_where_no_memory_may_be_locked_for_a_ring", || {
        may_lock(0);
        match on(&with(Io::Auto), |rt| async move { rt.features() }).unwrap() {
            // Not every kernel counts a ring as locked memory.
            Features { backend: "uring", fixed_bytes, .. } => assert_eq!(fixed_bytes, Some(0)),
            features => {
                let why = WhyNot::LockedMemory { limit: 0 };
                assert_eq!((features.backend, features.why_not_uring), ("portable", Some(why)));
                let error = on(&with(Io::Uring), work).unwrap_err().to_string();
                assert!(error.contains("only 0 KiB of memory may be locked; try: "), "{error}");
            }
        }
    });
}

/// How often the threads of this process have gone to sleep or were made to.
fn switches() -> u64 {
    let mut all = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for line in status.lines().filter(|l| l.contains("voluntary_ctxt_switches")) {
            all += line.rsplit_once('\t').unwrap().1.parse::<u64>().unwrap();
        }
    }
    all
}

/// Two cores with a mailbox, a listener, an idle connection and, in portable, file threads: in half a second nothing happens.
fn an_idle_node_sleeps(io: Io) {
    let boxes = Mailboxes::new(2, 0).unwrap();
    let tuning = Tuning { mailboxes: Some(boxes.clone()), ..with(io) };
    let mut seats = boxes.open::<u32>(ringwood_runtime::Capacity::default()).into_iter();
    let (first, second) = (seats.next().unwrap(), seats.next().unwrap());
    let other = std::thread::spawn({
        let tuning = tuning.clone();
        move || {
            let config = RuntimeConfig { core: CoreId(1), memory_limit: 1 << 20, pin: None };
            run_with(&config, &tuning, |rt| async move {
                let mail = rt.mailbox(second);
                assert_eq!(mail.recv().await, (CoreId(0), 5));
            })
        }
    });
    on(&tuning, |rt| async move {
        let mail = rt.mailbox(first);
        work(rt.clone()).await;
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let mut door = rt.net().listen(any, Listen::default()).await.unwrap();
        let client = rt.net().connect(door.local_addr()).await.unwrap();
        let server = door.accept().await.unwrap();
        rt.spawn(async move {
            let _ = server.recv().await;
        });
        rt.sleep(Duration::from_millis(50)).await;
        let (enters, before) = (rt.enters(), switches());
        rt.sleep(Duration::from_millis(500)).await;
        let (enters, switches) = (rt.enters() - enters, switches() - before);
        assert!(enters <= 2, "entered the kernel {enters} times");
        // The sleep itself is one; reading the counters may be a few more.
        assert!(switches <= 8, "{switches} context switches of an idle node in 500 ms");
        // And it is asleep, not dead.
        mail.send(CoreId(1), ringwood_runtime::Class::Data, 5).await;
        drop(client);
    })
    .unwrap();
    other.join().unwrap().unwrap();
}

#[test]
fn an_idle_node_with_rings_sleeps() {
    if !skip::has_io_uring() {
        return;
    }
    alone("an_idle_node_with_rings_sleeps", || an_idle_node_sleeps(Io::Uring));
}

#[test]
fn an_idle_node_with_pollers_sleeps() {
    alone("an_idle_node_with_pollers_sleeps", || an_idle_node_sleeps(Io::Portable));
}
