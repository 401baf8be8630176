//! A simulated world as its users see it: one runtime for each core, cuts, kills, faults, and a network.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use ids::CoreId;
use ringwood_runtime::sim::{DiskOp, Injection, Outcome, SimConfig, World};
use ringwood_runtime::{File, Listen, Open, Runtime, Slice};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const ALL: Open = Open {
    read: true,
    write: true,
    create: true,
    create_new: false,
    truncate: false,
    direct: true,
};

fn block(rt: &Runtime, byte: u8, len: usize) -> Slice {
    let mut b = rt.memory().alloc(len).unwrap();
    b.spare_mut()[..len].fill(byte);
    b.advance(len);
    b.freeze()
}

async fn file(rt: &Runtime, path: &str) -> File {
    rt.disk().open(Path::new(path), ALL).await.unwrap()
}

/// Some work with writes in parallel, syncs, names and timers.
async fn busy(rt: Runtime) -> Vec<u8> {
    rt.disk().create_dir_all(Path::new("/data/log")).await.unwrap();
    let f = file(&rt, "/data/log/a").await;
    f.allocate(0, 64 << 10).await.unwrap();
    let left = Rc::new(Cell::new(8u8));
    for i in 0..8u8 {
        let (rt2, f, left) = (rt.clone(), f.clone(), Rc::clone(&left));
        rt.spawn(async move {
            f.write_at(u64::from(i) * 4096, block(&rt2, i, 4096)).await.unwrap();
            f.sync_data().await.unwrap();
            left.set(left.get() - 1);
        });
    }
    while left.get() > 0 {
        rt.sleep(Duration::from_micros(rt.random() % 500)).await;
    }
    rt.disk().sync_dir(Path::new("/data/log")).await.unwrap();
    rt.disk().sync_dir(Path::new("/data")).await.unwrap();
    rt.disk().sync_dir(Path::new("/")).await.unwrap();
    f.read_at(0, 8 * 4096).await.unwrap().to_vec()
}

fn busy_run(seed: u64) -> (u64, Vec<String>, Vec<u8>) {
    let world = World::new(seed, SimConfig { keep_trace: true, ..SimConfig::default() });
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let bytes = world.run(&rt, busy(rt.clone())).expect_done();
    (world.trace_hash(), world.trace(), bytes)
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let (hash, trace, bytes) = busy_run(7);
    assert_eq!(bytes, (0..8u8).flat_map(|i| [i; 4096]).collect::<Vec<u8>>());
    assert_eq!((hash, &trace), (busy_run(7).0, &busy_run(7).1));
    assert!(trace.len() > 20);
    assert_ne!(hash, busy_run(8).0);
}

#[test]
fn whatever_a_sync_has_answered_survives_a_cut_after_any_effect() {
    let effects = {
        let world = World::new(1, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        world.run(&rt, busy(rt.clone())).expect_done();
        world.effects(node)
    };
    assert!(effects > 25, "{effects}");
    let mut died = 0;
    for cut in 1..=effects {
        for seed in 0..5 {
            let world = World::new(seed * 1000 + cut, SimConfig::default());
            let node = world.add_node();
            let rt = world.core(node, CoreId(0));
            world.cut_after(node, cut);
            let synced: Rc<RefCell<Vec<u8>>> = Rc::default();
            let out = Rc::clone(&synced);
            let outcome = world.run(&rt, {
                let rt = rt.clone();
                async move {
                    let f = file(&rt, "/a").await;
                    rt.disk().sync_dir(Path::new("/")).await.unwrap();
                    for i in 1..=12u8 {
                        f.write_at(u64::from(i) * 512, block(&rt, i, 512)).await.unwrap();
                        f.sync_data().await.unwrap();
                        out.borrow_mut().push(i);
                    }
                }
            });
            died += u64::from(outcome.is_died());
            assert!(matches!(outcome, Outcome::Died | Outcome::Done(())));
            let image = world.disk_image(node);
            for i in synced.borrow().iter() {
                let bytes = &image[Path::new("/a")];
                let at = usize::from(*i) * 512;
                assert_eq!(bytes[at..at + 512], [*i; 512], "cut {cut} seed {seed}");
            }
        }
    }
    assert!(died > 100, "{died}");
}

#[test]
fn a_killed_process_keeps_the_lock_until_its_last_write_has_landed_or_vanished() {
    let (mut waited, mut landed, mut vanished) = (0, 0, 0);
    for seed in 0..60 {
        let world = World::new(seed, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        world.run(&rt, {
            let rt = rt.clone();
            async move {
                let lock = file(&rt, "/lock").await;
                assert!(lock.try_lock_exclusive().unwrap());
                let other = file(&rt, "/lock").await;
                assert!(!other.try_lock_exclusive().unwrap(), "another handle has it");
                let f = file(&rt, "/a").await;
                f.write_at(0, block(&rt, 1, 4096)).await.unwrap();
                rt.spawn({
                    let rt = rt.clone();
                    async move {
                        let _held = lock;
                        let _ = f.write_at(0, block(&rt, 2, 4096)).await;
                        std::future::pending::<()>().await;
                    }
                });
                rt.yield_now().await;
                rt.yield_now().await;
            }
        });
        let flying = world.writes_in_flight(node);
        world.kill(node);
        assert!(!world.is_alive(node));
        let rt = world.core(node, CoreId(0));
        let (waits, first) = world
            .run(&rt, {
                let rt = rt.clone();
                async move {
                    let lock = file(&rt, "/lock").await;
                    let mut waits = 0;
                    while !lock.try_lock_exclusive().unwrap() {
                        waits += 1;
                        rt.sleep(Duration::from_millis(5)).await;
                    }
                    let f = file(&rt, "/a").await;
                    let first = f.read_at(0, 4096).await.unwrap();
                    rt.sleep(Duration::from_secs(20)).await;
                    let later = f.read_at(0, 4096).await.unwrap();
                    assert_eq!(*first, *later, "nothing lands after the lock is granted");
                    drop(lock);
                    let again = file(&rt, "/lock").await;
                    assert!(again.try_lock_exclusive().unwrap(), "closing unlocks");
                    (waits, first[0])
                }
            })
            .expect_done();
        assert!(flying <= 1);
        waited += u32::from(waits > 0);
        landed += u32::from(first == 2);
        vanished += u32::from(first == 1);
    }
    assert!(waited > 10 && landed > 10 && vanished > 5, "{waited} {landed} {vanished}");
}

#[test]
fn a_fault_stops_the_process_and_is_remembered() {
    let world = World::new(3, SimConfig::default());
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let after = Rc::new(Cell::new(false));
    let outcome = world.run(&rt, {
        let (rt, after) = (rt.clone(), Rc::clone(&after));
        async move {
            let f = file(&rt, "/a").await;
            if let Err(e) = f.sync_data().await {
                rt.fault(format!("sync: {e}"));
            }
            after.set(true);
        }
    });
    assert_eq!(outcome, Outcome::Done(()));
    world.inject(
        node,
        Injection { op: DiskOp::Sync, path: "/a".into(), after: 0, times: 1, errno: libc::EIO },
    );
    after.set(false);
    let outcome = world.run(&rt, {
        let (rt, after) = (rt.clone(), Rc::clone(&after));
        async move {
            let f = file(&rt, "/a").await;
            if let Err(e) = f.sync_data().await {
                rt.fault(format!("sync: {e}"));
            }
            after.set(true);
        }
    });
    assert_eq!(outcome, Outcome::Died);
    assert!(!after.get() && !rt.is_alive());
    assert!(world.fault_of(node).unwrap().starts_with("sync: "));
}

#[test]
fn errors_short_writes_and_a_full_disk_are_reported() {
    let config = SimConfig {
        short_writes_per_million: 1_000_000,
        capacity: 64 << 10,
        ..SimConfig::default()
    };
    let world = World::new(3, config);
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    world
        .run(&rt, {
            let rt = rt.clone();
            async move {
                let f = file(&rt, "/a").await;
                // Every write is short: the continuation too, which is an error, except where one sector is left.
                let result = f.write_at(0, block(&rt, 1, 16 << 10)).await;
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WriteZero);
                f.write_at(0, block(&rt, 1, 1024)).await.unwrap();
                let full = f.allocate(0, 1 << 20).await.unwrap_err();
                assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
                assert!(rt.disk().space(Path::new("/")).unwrap().free < 64 << 10);
                // What was found before there was no more is given back.
                let free = rt.disk().space(Path::new("/")).unwrap().free;
                let more = f.allocate(4096, free + 4096).await.unwrap_err();
                assert_eq!(more.raw_os_error(), Some(libc::ENOSPC));
                assert_eq!(rt.disk().space(Path::new("/")).unwrap().free, free);
                assert!(free > 0 && f.len().unwrap() <= 4096, "{free} {}", f.len().unwrap());
                let bent = f.write_at(100, block(&rt, 1, 512)).await.unwrap_err();
                assert_eq!(bent.raw_os_error(), Some(libc::EINVAL), "direct and unaligned");
                let disk = rt.disk();
                let missing = disk.open(Path::new("/no"), Open { create: false, ..ALL });
                assert_eq!(missing.await.unwrap_err().kind(), io::ErrorKind::NotFound);
            }
        })
        .expect_done();
}

#[test]
fn a_dropped_future_leaves_its_write_on_its_way() {
    let world = World::new(3, SimConfig::default());
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    world
        .run(&rt, {
            let rt = rt.clone();
            async move {
                let f = file(&rt, "/a").await;
                {
                    let write = f.write_at(0, block(&rt, 9, 4096));
                    let mut write = Box::pin(write);
                    assert!(futures_poll(&mut write).is_none());
                }
                rt.sleep(Duration::from_millis(100)).await;
                assert_eq!(*f.read_at(0, 4096).await.unwrap(), [9; 4096]);
            }
        })
        .expect_done();
}

fn futures_poll<F: Future + Unpin>(f: &mut F) -> Option<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(f).poll(&mut cx) {
        std::task::Poll::Ready(v) => Some(v),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn waiting_for_nothing_is_seen() {
    let world = World::new(3, SimConfig::default());
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    assert_eq!(world.run(&rt, std::future::pending::<()>()), Outcome::Stuck);
}

fn at(node: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node + 1], port))
}

async fn echo(rt: Runtime, port: u16) {
    let mut door =
        rt.net().listen(SocketAddr::from(([0, 0, 0, 0], port)), Listen::default()).await.unwrap();
    while let Ok(stream) = door.accept().await {
        rt.spawn(async move {
            while let Ok(Some(bytes)) = stream.recv().await {
                if stream.send(vec![Slice::from(bytes.to_vec())]).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn ask(rt: &Runtime, to: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let stream = Rc::new(rt.net().connect(to).await?);
    let (tx, data) = (Rc::clone(&stream), bytes.to_vec());
    rt.spawn(async move {
        let _ = tx.send(vec![Slice::from(data)]).await;
    });
    let mut back = Vec::new();
    while back.len() < bytes.len() {
        match stream.recv().await? {
            Some(part) => back.extend_from_slice(&part),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(back)
}

#[test]
fn nodes_talk_through_partitions_and_learn_of_deaths() {
    for seed in 0..20 {
        let world = World::new(seed, SimConfig { window: 10_000, ..SimConfig::default() });
        let (a, b) = (world.add_node(), world.add_node());
        let (client, server) = (world.core(a, CoreId(0)), world.core(b, CoreId(0)));
        server.spawn(echo(server.clone(), 9092));
        world.run_for(Duration::from_millis(10));
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        let asked = |world: &World| {
            let (rt, bytes) = (client.clone(), bytes.clone());
            world.run(&client, async move { ask(&rt, at(1, 9092), &bytes).await }).expect_done()
        };
        assert_eq!(asked(&world).unwrap(), bytes, "seed {seed}");

        // A partition in the middle of a conversation delays it and loses nothing.
        let answer = Rc::new(RefCell::new(None));
        client.spawn({
            let (rt, bytes, answer) = (client.clone(), bytes.clone(), Rc::clone(&answer));
            async move { *answer.borrow_mut() = Some(ask(&rt, at(1, 9092), &bytes).await) }
        });
        world.run_for(Duration::from_millis(3));
        world.partition(a, b);
        world.run_for(Duration::from_secs(5));
        assert!(answer.borrow().is_none());
        world.heal(a, b);
        world.run_for(Duration::from_secs(60));
        assert_eq!(answer.borrow_mut().take().unwrap().unwrap(), bytes);

        // Nobody home, and a peer that is killed.
        let rt = client.clone();
        let refused = world
            .run(&client, async move { rt.net().connect(at(1, 1)).await.map(|_| ()) })
            .expect_done();
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let rt = client.clone();
        let ended = Rc::new(Cell::new(false));
        client.spawn({
            let ended = Rc::clone(&ended);
            async move {
                let s = rt.net().connect(at(1, 9092)).await.unwrap();
                ended.set(s.recv().await.is_err());
            }
        });
        world.run_for(Duration::from_millis(50));
        assert!(!ended.get());
        if seed % 2 == 0 {
            world.kill(b);
        } else {
            world.power_cut(b);
        }
        world.run_for(Duration::from_secs(15));
        assert!(ended.get(), "seed {seed}");
    }
}

/// An end comes behind all that was sent; an abort does not wait for it to be taken.
#[test]
fn an_aborted_connection_is_reset() {
    for (abort, seed) in (0..20).map(|seed| (seed % 2 == 0, seed)) {
        let world = World::new(seed, SimConfig::default());
        let (a, b) = (world.add_node(), world.add_node());
        let (client, server) = (world.core(a, CoreId(0)), world.core(b, CoreId(0)));
        let rt = server.clone();
        server.spawn(async move {
            let mut door = rt.net().listen(at(1, 9092), Listen::default()).await.unwrap();
            let stream = door.accept().await.unwrap();
            stream.send(vec![Slice::from_static(b"hello")]).await.unwrap();
            if abort {
                stream.abort();
            } else {
                stream.shutdown();
            }
            assert!(stream.send(vec![Slice::from_static(b"more")]).await.is_err());
            assert!(stream.recv().await.unwrap().is_none());
            drop(stream);
            // A listener that goes would be another end.
            rt.sleep(Duration::from_secs(1)).await;
        });
        world.run_for(Duration::from_millis(10));
        let rt = client.clone();
        let end = world.run(&client, async move {
            let stream = rt.net().connect(at(1, 9092)).await.unwrap();
            loop {
                match stream.recv().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(e) => break Some(e.kind()),
                }
            }
        });
        let expected = abort.then_some(io::ErrorKind::ConnectionReset);
        assert_eq!(end.expect_done(), expected, "seed {seed}");
    }
}
