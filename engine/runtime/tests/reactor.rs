//! The reactor over the real kernel, on both backends: files, sockets, and what happens to operations that nobody waits for.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "refusal/skip.rs"]
mod skip;

use ids::CoreId;
use ringwood_runtime::{
    ALIGN, Io, Listen, Memory, Open, Runtime, RuntimeConfig, Slice, Stream, Tuning, WhyNot,
    ZeroCopy, probe, run_with,
};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

struct Scratch(PathBuf);

impl Scratch {
    fn new(io: Io, name: &str) -> Self {
        let name = format!("{name}-{io:?}-{}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ALL: Open = Open {
    read: true,
    write: true,
    create: true,
    create_new: false,
    truncate: false,
    direct: true,
};

fn tuning(io: Io) -> Tuning {
    Tuning { io, ..Tuning::default() }
}

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

fn on<T: 'static, F: Future<Output = T> + 'static>(
    tuning: &Tuning,
    main: impl FnOnce(Runtime) -> F,
) -> T {
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 256 << 20, pin: None };
    run_with(&config, tuning, main).unwrap()
}

fn filled(memory: &Memory, byte: u8, len: usize) -> Slice {
    let mut b = memory.alloc(len).unwrap();
    b.spare_mut()[..len].fill(byte);
    b.advance(len);
    b.freeze()
}

fn poll_once<F: Future>(f: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match f.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(v) => Some(v),
        Poll::Pending => None,
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A deterministic stream of bytes.
fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31 + seed * 7 + i / 251) % 256) as u8).collect()
}

on_both! {
    direct_writes_read_back_and_are_whole
    many_writes_at_once_overflow_neither_queue
    an_operation_keeps_its_memory_when_its_future_is_dropped
    the_end_of_a_core_waits_for_its_operations
    timers_fire_in_order
    an_idle_core_does_not_enter_the_kernel_again
    a_hundred_connections_get_their_bytes_back
    few_and_small_receive_buffers_lose_nothing
    zero_copy_sends_arrive_whole
    a_zero_copy_send_keeps_its_memory_until_the_notification
    connections_that_are_not_read_do_not_starve_the_others
    a_frame_is_received_straight_into_a_buffer_between_others
    a_dropped_receive_loses_no_bytes_and_a_dropped_stream_ends_the_connection
    an_aborted_connection_is_reset
    both_directions_of_a_connection_go_on_at_once
    a_busy_connection_leaves_room_for_timers_and_others
    a_connection_that_is_refused_says_so
    a_core_counts_what_it_does
    a_lock_is_held_by_every_core_and_released_by_the_file
}

#[test]
fn the_kernel_is_asked_what_it_can_do() {
    if !skip::has_io_uring() {
        return;
    }
    let features = probe().unwrap();
    assert_eq!(features.backend, "uring");
    assert!(features.lock_outlives_writes);
    assert!(features.to_string().starts_with("uring on Linux "));
}

fn direct_writes_read_back_and_are_whole(io: Io) {
    let dir = Scratch::new(io, "direct");
    let path = dir.0.join("f");
    on(&tuning(io), move |rt| async move {
        let disk = rt.disk();
        let f = disk.open(&path, ALL).await.unwrap();
        f.allocate(0, 8 << 20).await.unwrap();
        assert_eq!(f.len().unwrap(), 8 << 20);
        // Registered (1 MiB), ordinary (4 KiB), vectored: more parts than one system call takes.
        f.write_at(0, filled(rt.memory(), 1, 1 << 20)).await.unwrap();
        f.write_at(1 << 20, filled(rt.memory(), 2, ALIGN)).await.unwrap();
        let parts = (0..1500).map(|i| filled(rt.memory(), (i % 200) as u8, ALIGN)).collect();
        f.write_all_at(2 << 20, parts).await.unwrap();
        f.sync_data().await.unwrap();
        disk.sync_dir(path.parent().unwrap()).await.unwrap();
        if io == Io::Uring {
            assert!(rt.fixed_bytes() >= 1 << 20, "{}", rt.fixed_bytes());
        }
        let back = f.read_at(0, (1 << 20) + ALIGN).await.unwrap();
        assert!(back[..1 << 20].iter().all(|b| *b == 1));
        assert!(back[1 << 20..].iter().all(|b| *b == 2));
        let back = f.read_at(2 << 20, 1500 * ALIGN).await.unwrap();
        for (i, block) in back.chunks(ALIGN).enumerate() {
            assert!(block.iter().all(|b| *b == (i % 200) as u8), "block {i}");
        }
        // Short only at the end.
        assert_eq!(f.read_at((8 << 20) - 4096, 8192).await.unwrap().len(), 4096);
        assert_eq!(f.read_at(16 << 20, 4096).await.unwrap().len(), 0);
        f.set_len(100).await.unwrap();
        assert_eq!(disk.len_of(&path).await.unwrap(), 100);
        let new = Open { create_new: true, ..ALL };
        let twice = disk.open(&path, new).await.unwrap_err();
        assert_eq!(twice.kind(), std::io::ErrorKind::AlreadyExists);
        disk.rename(&path, &path.with_extension("x")).await.unwrap();
        assert!(!disk.exists(&path).await.unwrap());
        let names = disk.read_dir(path.parent().unwrap()).await.unwrap();
        assert_eq!(names.len(), 1);
        assert_eq!((names[0].name.as_str(), names[0].is_dir), ("f.x", false));
        disk.remove_file(&path.with_extension("x")).await.unwrap();
        assert_eq!(disk.read_dir(path.parent().unwrap()).await.unwrap(), []);
        let gone = disk.remove_file(&path.with_extension("x")).await.unwrap_err();
        assert_eq!(gone.kind(), std::io::ErrorKind::NotFound);
        assert!(disk.space(path.parent().unwrap()).unwrap().free > 0);
    });
}

fn many_writes_at_once_overflow_neither_queue(io: Io) {
    let dir = Scratch::new(io, "overflow");
    let path = dir.0.join("f");
    // 8 entries to submit, 64 to complete, 2,000 operations.
    let small = Tuning { entries: 8, ..tuning(io) };
    on(&small, move |rt| async move {
        let f = rt.disk().open(&path, Open { direct: false, ..ALL }).await.unwrap();
        let left = Rc::new(Cell::new(2000u32));
        for i in 0..2000u32 {
            let (f, left) = (f.clone(), Rc::clone(&left));
            rt.spawn(async move {
                let data = Slice::from(i.to_le_bytes().to_vec());
                f.write_at(u64::from(i) * 4, data).await.unwrap();
                left.set(left.get() - 1);
            });
        }
        while left.get() > 0 {
            rt.sleep(Duration::from_millis(1)).await;
        }
        let back = f.read_at(0, 8000).await.unwrap();
        let numbers = back.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap()));
        assert!(numbers.eq(0..2000));
    });
}

fn an_operation_keeps_its_memory_when_its_future_is_dropped(io: Io) {
    let dir = Scratch::new(io, "dropped");
    let path = dir.0.join("f");
    on(&tuning(io), move |rt| async move {
        let f = rt.disk().open(&path, ALL).await.unwrap();
        let before = rt.memory().used();
        for i in 0..200u64 {
            let data = filled(rt.memory(), i as u8, 4096);
            let mut write = pin!(f.write_at(i * 4096, data));
            assert!(poll_once(write.as_mut()).is_none());
            let mut read = pin!(f.read_at(0, 4096));
            assert!(poll_once(read.as_mut()).is_none());
        }
        assert!(rt.memory().used() > before, "the kernel has them");
        while rt.memory().used() > before {
            rt.sleep(Duration::from_millis(1)).await;
        }
        f.sync_data().await.unwrap();
        let back = f.read_at(0, 200 * 4096).await.unwrap();
        assert!((0..200).all(|i| back[i * 4096..(i + 1) * 4096].iter().all(|b| *b == i as u8)));
    });
}

fn the_end_of_a_core_waits_for_its_operations(io: Io) {
    let dir = Scratch::new(io, "end");
    let path = dir.0.join("f");
    let path2 = path.clone();
    on(&tuning(io), move |rt| async move {
        let f = rt.disk().open(&path2, ALL).await.unwrap();
        let data = filled(rt.memory(), 5, 1 << 20);
        rt.spawn(async move {
            f.write_at(0, data).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let client = rt.net().connect(door.local_addr()).await.unwrap();
        let server = door.accept().await.unwrap();
        rt.spawn(async move {
            let _ = (server.recv().await, client);
        });
        rt.yield_now().await;
        rt.yield_now().await;
    });
    assert_eq!(std::fs::read(path).unwrap(), vec![5; 1 << 20]);
}

fn timers_fire_in_order(io: Io) {
    on(&tuning(io), |rt| async move {
        let order: Rc<RefCell<Vec<u64>>> = Rc::default();
        for ms in [30u64, 10, 20, 10, 0] {
            let (rt2, order) = (rt.clone(), Rc::clone(&order));
            rt.spawn(async move {
                rt2.sleep(Duration::from_millis(ms)).await;
                order.borrow_mut().push(ms);
            });
        }
        drop(rt.sleep(Duration::from_secs(100)));
        rt.sleep(Duration::from_millis(60)).await;
        assert_eq!(*order.borrow(), [0, 10, 10, 20, 30]);
    });
}

fn an_idle_core_does_not_enter_the_kernel_again(io: Io) {
    on(&tuning(io), |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let here = rt.clone();
        rt.spawn(async move {
            let _ = door.accept().await;
            drop(here);
        });
        rt.sleep(Duration::from_millis(1)).await;
        let before = rt.enters();
        rt.sleep(Duration::from_millis(300)).await;
        assert!(rt.enters() - before <= 2, "{}", rt.enters() - before);
    });
}

async fn echo(rt: Runtime, stream: Stream) {
    let copy = |bytes: &[u8]| {
        let mut b = rt.memory().alloc_beyond(bytes.len());
        b.append(bytes);
        b.freeze()
    };
    while let Ok(Some(bytes)) = stream.recv().await {
        let back = copy(&bytes);
        drop(bytes);
        if stream.send(vec![back]).await.is_err() {
            return;
        }
    }
}

/// 100 connections send pieces of random sizes and read everything back; the clients are ordinary threads.
fn echo_with(tuning: &Tuning, connections: usize, per_connection: usize) {
    on(tuning, move |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let addr = door.local_addr();
        let clients: Vec<_> = (0..4)
            .map(|t| {
                std::thread::spawn(move || {
                    for c in (t..connections).step_by(4) {
                        let mut s = std::net::TcpStream::connect(addr).unwrap();
                        s.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                        let data = pattern(c, per_connection);
                        let mut reader = s.try_clone().unwrap();
                        let expected = data.clone();
                        let reading = std::thread::spawn(move || {
                            let mut back = vec![0; expected.len()];
                            reader.read_exact(&mut back).unwrap();
                            assert!(back == expected, "connection {c}");
                        });
                        let mut at = 0;
                        while at < data.len() {
                            let n = (1 + (at * 7919 + c * 104_729) % 200_000).min(data.len() - at);
                            s.write_all(&data[at..at + n]).unwrap();
                            at += n;
                        }
                        reading.join().unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..connections {
            let stream = door.accept().await.unwrap();
            assert!(stream.peer_addr().is_some());
            rt.spawn(echo(rt.clone(), stream));
        }
        while !clients.iter().all(std::thread::JoinHandle::is_finished) {
            rt.sleep(Duration::from_millis(2)).await;
        }
        for c in clients {
            c.join().unwrap();
        }
    });
}

fn a_hundred_connections_get_their_bytes_back(io: Io) {
    echo_with(&tuning(io), 100, 300_000);
}

fn few_and_small_receive_buffers_lose_nothing(io: Io) {
    let scarce = Tuning { receive_buffers: 4, receive_bytes: 4096, ..tuning(io) };
    echo_with(&scarce, 20, 400_000);
}

fn zero_copy_sends_arrive_whole(io: Io) {
    let zero = Tuning { zero_copy: ZeroCopy::Always, ..tuning(io) };
    echo_with(&zero, 20, 1_000_000);
}

fn a_zero_copy_send_keeps_its_memory_until_the_notification(io: Io) {
    let zero = Tuning { zero_copy: ZeroCopy::Always, ..tuning(io) };
    on(&zero, |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let client = rt.net().connect(door.local_addr()).await.unwrap();
        let server = door.accept().await.unwrap();
        let before = rt.memory().used();
        client.send(vec![filled(rt.memory(), 3, 256 << 10)]).await.unwrap();
        let mut got = 0;
        while got < 256 << 10 {
            let bytes = server.recv().await.unwrap().unwrap();
            assert!(bytes.iter().all(|b| *b == 3));
            got += bytes.len();
        }
        while rt.memory().used() > before {
            rt.sleep(Duration::from_millis(1)).await;
        }
    });
}

fn connections_that_are_not_read_do_not_starve_the_others(io: Io) {
    let scarce = Tuning { receive_buffers: 8, receive_bytes: 4096, ..tuning(io) };
    on(&scarce, |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let addr = door.local_addr();
        // Ten peers send, and are read once and then never again.
        let mut unread = Vec::new();
        let mut writers = Vec::new();
        for _ in 0..10 {
            let (go, wait) = std::sync::mpsc::channel::<()>();
            writers.push(std::thread::spawn(move || {
                let mut s = std::net::TcpStream::connect(addr).unwrap();
                wait.recv().unwrap();
                s.write_all(&[1; 60_000]).unwrap();
                s
            }));
            let stream = door.accept().await.unwrap();
            let mut recv = Box::pin(async move {
                let _ = stream.recv().await;
                stream
            });
            // Armed, but nobody comes for the bytes.
            assert!(poll_once(recv.as_mut()).is_none());
            go.send(()).unwrap();
            unread.push(recv);
        }
        rt.sleep(Duration::from_millis(50)).await;
        let client = rt.net().connect(addr).await.unwrap();
        let server = door.accept().await.unwrap();
        for i in 0..200u8 {
            client.send(vec![Slice::from(vec![i; 1000])]).await.unwrap();
            let mut got = 0;
            while got < 1000 {
                let bytes = server.recv().await.unwrap().unwrap();
                assert!(bytes.iter().all(|b| *b == i));
                got += bytes.len();
            }
        }
        // And what they sent is all there.
        for recv in unread {
            let stream = recv.await;
            let mut got = 0;
            while got < 30_000 {
                got += stream.recv().await.unwrap().unwrap().len();
            }
        }
        for w in writers {
            drop(w.join().unwrap());
        }
    });
}

fn a_frame_is_received_straight_into_a_buffer_between_others(io: Io) {
    on(&tuning(io), |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let client = Rc::new(rt.net().connect(door.local_addr()).await.unwrap());
        let server = door.accept().await.unwrap();
        let data = pattern(1, 3_000_000);
        rt.spawn({
            let (client, data) = (Rc::clone(&client), data.clone());
            async move { client.send(vec![Slice::from(data)]).await.unwrap() }
        });
        let mut at = 0;
        let mut frame = 0;
        while at < data.len() {
            // A little by ordinary receives, then a frame of some size straight into a buffer.
            let bytes = server.recv().await.unwrap().unwrap();
            assert_eq!(*bytes, data[at..at + bytes.len()]);
            at += bytes.len();
            frame += 77_777;
            let n = frame.min(data.len() - at);
            if n > 0 {
                let mut buffer = rt.memory().alloc(n).unwrap();
                assert!(server.recv_exact_into(&mut buffer, n).await.unwrap());
                assert!(buffer.filled() == &data[at..at + n]);
                at += n;
            }
        }
        client.shutdown();
        let mut buffer = rt.memory().alloc(10).unwrap();
        assert!(!server.recv_exact_into(&mut buffer, 10).await.unwrap());
        assert!(server.recv().await.unwrap().is_none());
    });
}

fn a_dropped_receive_loses_no_bytes_and_a_dropped_stream_ends_the_connection(io: Io) {
    on(&tuning(io), |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let client = rt.net().connect(door.local_addr()).await.unwrap();
        let server = door.accept().await.unwrap();
        for _ in 0..10 {
            let mut recv = pin!(server.recv());
            assert!(poll_once(recv.as_mut()).is_none());
        }
        client
            .send(vec![Slice::from_static(b"hello"), Slice::from_static(b" world")])
            .await
            .unwrap();
        let mut got = Vec::new();
        while got.len() < 11 {
            got.extend_from_slice(&server.recv().await.unwrap().unwrap()[..]);
        }
        assert_eq!(got, b"hello world");
        drop(server);
        assert!(client.recv().await.unwrap().is_none());
        // A connection that was waiting when its listener went is closed too.
        let waiting = rt.net().connect(door.local_addr()).await.unwrap();
        rt.sleep(Duration::from_millis(5)).await;
        drop(door);
        let end = waiting.recv().await;
        assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    });
}

/// The peer has not taken what it was sent, and does not get it any more.
fn an_aborted_connection_is_reset(io: Io) {
    on(&tuning(io), |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let client = rt.net().connect(door.local_addr()).await.unwrap();
        let server = Rc::new(door.accept().await.unwrap());
        let (sent, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        rt.spawn({
            let (server, sent, ended) = (Rc::clone(&server), Rc::clone(&sent), Rc::clone(&ended));
            let piece = filled(rt.memory(), 1, 256 << 10);
            async move {
                while server.send(vec![piece.clone()]).await.is_ok() {
                    sent.set(sent.get() + 1);
                }
                drop(server);
                ended.set(true);
            }
        });
        // Until the peer's window and the kernel's queue are full.
        let mut last = usize::MAX;
        while last != sent.get() {
            last = sent.get();
            rt.sleep(Duration::from_millis(50)).await;
        }
        server.abort();
        drop(server);
        while !ended.get() {
            rt.sleep(Duration::from_millis(1)).await;
        }
        let error = loop {
            match client.recv().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it got all, and an end"),
                Err(e) => break e,
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

fn both_directions_of_a_connection_go_on_at_once(io: Io) {
    const BYTES: usize = 8 << 20;
    on(&tuning(io), |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let addr = door.local_addr();
        // The peer trickles bytes in while it does not read, then reads all.
        let peer = std::thread::spawn(move || {
            let mut s = std::net::TcpStream::connect(addr).unwrap();
            for i in 0..20u8 {
                s.write_all(&[i]).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            let mut all = vec![0; BYTES];
            s.read_exact(&mut all).unwrap();
            assert!(all.iter().all(|b| *b == 9));
        });
        let stream = Rc::new(door.accept().await.unwrap());
        let sent = Rc::new(Cell::new(false));
        rt.spawn({
            let (stream, sent, data) =
                (Rc::clone(&stream), Rc::clone(&sent), filled(rt.memory(), 9, BYTES));
            async move {
                stream.send(vec![data]).await.unwrap();
                sent.set(true);
            }
        });
        let mut got = Vec::new();
        while got.len() < 20 {
            got.extend_from_slice(&stream.recv().await.unwrap().unwrap());
        }
        assert!(got.iter().copied().eq(0..20));
        assert!(!sent.get(), "8 MiB fit into no socket");
        assert!(stream.recv().await.unwrap().is_none());
        assert!(sent.get());
        peer.join().unwrap();
    });
}

fn a_busy_connection_leaves_room_for_timers_and_others(io: Io) {
    let small = Tuning { receive_bytes: 4096, ..tuning(io) };
    on(&small, |rt| async move {
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let addr = door.local_addr();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        // It always has more to read.
        let flood = std::thread::spawn({
            let stop = std::sync::Arc::clone(&stop);
            move || {
                let mut s = std::net::TcpStream::connect(addr).unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    s.write_all(&[1; 1 << 20]).unwrap();
                }
            }
        });
        let flooded = door.accept().await.unwrap();
        let read = Rc::new(Cell::new(0));
        rt.spawn({
            let read = Rc::clone(&read);
            async move {
                while let Some(bytes) = flooded.recv().await.unwrap() {
                    read.set(read.get() + bytes.len());
                }
            }
        });
        let client = rt.net().connect(addr).await.unwrap();
        let server = door.accept().await.unwrap();
        for _ in 0..20 {
            rt.sleep(Duration::from_millis(1)).await;
            client.send(vec![Slice::from_static(b"x")]).await.unwrap();
            assert_eq!(&server.recv().await.unwrap().unwrap()[..], b"x");
        }
        assert!(read.get() > 1 << 20, "{} bytes beside", read.get());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        while !flood.is_finished() {
            rt.sleep(Duration::from_millis(1)).await;
        }
        flood.join().unwrap();
    });
}

fn a_connection_that_is_refused_says_so(io: Io) {
    on(&tuning(io), |rt| async move {
        let free = {
            let door = rt.net().listen(any(), Listen::default()).await.unwrap();
            door.local_addr()
        };
        // The port is closed once the kernel has let go of it.
        rt.sleep(Duration::from_millis(20)).await;
        let refused = rt.net().connect(free).await.err().unwrap();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

fn a_core_counts_what_it_does(io: Io) {
    let dir = Scratch::new(io, "counts");
    let path = dir.0.join("f");
    on(&tuning(io), move |rt| async move {
        let at_first = rt.counters();
        assert_eq!((at_first.reads.operations, at_first.sends.bytes, at_first.syncs), (0, 0, 0));
        let f = rt.disk().open(&path, ALL).await.unwrap();
        let write = |byte| f.write_at(0, filled(rt.memory(), byte, 2 * ALIGN));
        write(1).await.unwrap();
        write(2).await.unwrap();
        let parts = vec![filled(rt.memory(), 3, ALIGN), filled(rt.memory(), 4, ALIGN)];
        f.write_all_at(8192, parts).await.unwrap();
        f.sync_data().await.unwrap();
        rt.disk().sync_dir(path.parent().unwrap()).await.unwrap();
        assert_eq!(f.read_at(4 * ALIGN as u64, ALIGN).await.unwrap().len(), 0);
        assert_eq!(f.read_at(0, ALIGN).await.unwrap().len(), ALIGN);
        // What fails is not counted.
        let how = Open { write: false, create: false, ..ALL };
        let only_read = rt.disk().open(&path, how).await.unwrap();
        assert!(only_read.write_at(0, filled(rt.memory(), 5, ALIGN)).await.is_err());
        let mut door = rt.net().listen(any(), Listen::default()).await.unwrap();
        let client = rt.net().connect(door.local_addr()).await.unwrap();
        let server = door.accept().await.unwrap();
        client.send(vec![Slice::from_static(b"hello"), Slice::from_static(b"!")]).await.unwrap();
        let mut buffer = rt.memory().alloc(4).unwrap();
        assert!(server.recv_exact_into(&mut buffer, 4).await.unwrap());
        assert_eq!(server.recv().await.unwrap().unwrap().len(), 2);
        drop(client);
        assert!(server.recv().await.unwrap().is_none());
        let c = rt.counters();
        let flow = |f: ringwood_runtime::Flow| (f.operations, f.bytes);
        assert_eq!(flow(c.writes), (3, 6 * ALIGN as u64));
        assert_eq!((flow(c.reads), c.syncs), ((2, ALIGN as u64), 2));
        assert_eq!((flow(c.sends), flow(c.receives)), ((1, 6), (2, 6)));
        assert!(c.wake_ups > 0 && c.turns >= c.wake_ups, "{c:?}");
        // Sleeping is not work; computing is.
        let before = rt.counters().busy;
        rt.sleep(Duration::from_millis(100)).await;
        let slept = rt.counters().busy - before;
        assert!(slept < Duration::from_millis(50), "{slept:?}");
        while rt.counters().busy - before < slept + Duration::from_millis(5) {
            std::hint::black_box(pattern(1, 1000));
        }
    });
}

fn a_lock_is_held_by_every_core_and_released_by_the_file(io: Io) {
    let dir = Scratch::new(io, "lock");
    let path = dir.0.join("lock");
    on(&tuning(io), move |rt| async move {
        let how = Open { direct: false, ..ALL };
        let disk = rt.disk();
        let lock = disk.open(&path, how).await.unwrap();
        let other = disk.open(&path, how).await.unwrap();
        assert!(lock.try_lock_exclusive().unwrap());
        assert!(lock.try_lock_exclusive().unwrap(), "ours already");
        assert!(!other.try_lock_exclusive().unwrap());
        // Another core holds on to it as well; the file still unlocks at once for all.
        let share = lock.share_lock().unwrap();
        let config = RuntimeConfig { core: CoreId(1), memory_limit: 1 << 20, pin: None };
        let second = std::thread::spawn(move || {
            run_with(&config, &tuning(io), |rt| async move { rt.hold_lock(&share).unwrap() })
                .unwrap()
        });
        assert!(second.join().unwrap());
        assert!(!other.try_lock_exclusive().unwrap());
        drop(lock);
        assert!(other.try_lock_exclusive().unwrap());
    });
}

/// A client sees member ids, which are such numbers: from them it must not know the next, which may name a ring.
#[test]
fn no_random_number_tells_the_next() {
    /// Undoes one step of splitmix64's output (Steele, Lea, Flood 2014).
    fn unshift(z: u64, by: u32) -> u64 {
        let mut x = z;
        for _ in 0..64 / by {
            x = z ^ (x >> by);
        }
        x
    }
    fn inverse(of: u64) -> u64 {
        // Newton's iteration: each step doubles the bits that are right.
        (0..6).fold(of, |x, _| x.wrapping_mul(2u64.wrapping_sub(of.wrapping_mul(x))))
    }
    fn mix(s: u64) -> u64 {
        let z = (s ^ (s >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn state(seen: u64) -> u64 {
        let z = unshift(seen, 31).wrapping_mul(inverse(0x94d0_49bb_1331_11eb));
        let z = unshift(z, 27).wrapping_mul(inverse(0xbf58_476d_1ce4_e5b9));
        unshift(z, 30)
    }
    assert_eq!(state(mix(12_345)), 12_345);
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 1 << 20, pin: None };
    run_with(&config, &tuning(Io::Portable), |rt| async move {
        let seen = rt.random();
        let next = rt.random();
        assert_ne!(next, mix(state(seen).wrapping_add(0x9e37_79b9_7f4a_7c15)));
        assert_ne!(seen, next);
    })
    .unwrap();
}
