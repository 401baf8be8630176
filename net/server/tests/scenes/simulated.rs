//! The same server on the simulated network: bytes come in random pieces at random times, connections break, and every seed
//! can be run again.

use crate::client::Random;
use crate::echo::{Echo, Kind};
use crate::scene::assert_nothing_is_held;
use ids::CoreId;
use runtime::sim::{SimConfig, World};
use runtime::{Listen, Runtime, Slice, Stream};
use server::{Config, ConnectionLimits, Server};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const REQUESTS: u32 = 40;

fn config() -> Config {
    // Little of everything, so that each bound is met.
    Config {
        request_bytes_max: 300_000,
        requests_in_flight_max: 16,
        request_bytes_in_flight_max: 200_000,
        send_bytes_max: 300_000,
        frame_bytes_max: 1 << 20,
        in_place_chunks_max: 3,
        in_place_bytes_min: 200,
        ..Config::default()
    }
}

fn request(random: &mut Random, number: u32) -> (Vec<u8>, bool) {
    let kind = match random.below(6) {
        0 | 1 => Kind::Now,
        2 => Kind::Silent(u32::try_from(random.below(5000)).unwrap()),
        _ => Kind::After(u32::try_from(random.below(20_000)).unwrap()),
    };
    let len = match random.below(10) {
        0 => random.below(250_000),
        1 | 2 => random.below(20_000),
        _ => random.below(500),
    };
    let (code, n) = kind.to_wire();
    let mut bytes = i32::try_from(12 + len).unwrap().to_be_bytes().to_vec();
    bytes.extend([number, code, n].into_iter().flat_map(u32::to_be_bytes));
    bytes.extend(random.bytes(len));
    (bytes, !matches!(kind, Kind::Silent(_)))
}

/// Sends everything and compares every answer; how many came before the connection broke.
async fn converse(rt: Runtime, address: SocketAddr, seed: u64) -> usize {
    let mut random = Random(seed);
    let requests: Vec<_> = (0..REQUESTS).map(|n| request(&mut random, n)).collect();
    let Ok(stream) = rt.net().connect(address).await else { return 0 };
    let stream = Rc::new(stream);
    let (writing, bytes) = (Rc::clone(&stream), requests.iter().flat_map(|r| r.0.clone()));
    let bytes = Slice::from(bytes.collect::<Vec<u8>>());
    let (pause, clock) = (random.next(), rt.clone());
    rt.spawn(async move {
        let mut random = Random(pause);
        let mut at = 0;
        while at < bytes.len() {
            let to = bytes.len().min(at + 1 + random.below(60_000));
            if writing.send(vec![bytes.slice(at..to)]).await.is_err() {
                return;
            }
            at = to;
            if random.below(3) == 0 {
                clock.sleep(Duration::from_micros(random.next() % 3000)).await;
            }
        }
    });
    compare(&stream, requests.into_iter().filter(|r| r.1).map(|r| r.0)).await
}

async fn compare(stream: &Stream, expected: impl Iterator<Item = Vec<u8>>) -> usize {
    let mut got: Vec<u8> = Vec::new();
    for (n, request) in expected.enumerate() {
        while got.len() < request.len() {
            match stream.recv().await {
                Ok(Some(bytes)) => got.extend_from_slice(&bytes),
                Ok(None) | Err(_) => return n,
            }
        }
        assert!(got.get(..request.len()) == Some(&request[..]), "another answer came");
        got.drain(..request.len());
    }
    usize::MAX
}

/// One world: a server, a node with ten clients, and perhaps a network that breaks all connections once. The trace's hash,
/// and how many conversations went through.
fn run(seed: u64, breaks: bool) -> (u64, usize) {
    let world = World::new(seed, SimConfig::default());
    let (here, there) = (world.add_node(), world.add_node());
    let (rt, other) = (world.core(here, CoreId(0)), world.core(there, CoreId(0)));
    let address: SocketAddr = "10.0.0.1:9092".parse().unwrap();
    let limits = ConnectionLimits::new(100, 100);
    let server = Server::new(&rt, Rc::new(Echo::new(&rt)), config(), limits.clone());
    let listening = server.clone();
    let bound = world.run(&rt, async move { listening.listen(address, Listen::default()).await });
    assert_eq!(bound.expect_done().unwrap(), address);
    let (ended, whole) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    for _ in 0..10 {
        let (ended, whole, client) = (Rc::clone(&ended), Rc::clone(&whole), other.clone());
        let seed = world.random();
        other.spawn(async move {
            let answers = converse(client, address, seed).await;
            whole.set(whole.get() + usize::from(answers == usize::MAX));
            ended.set(ended.get() + 1);
        });
    }
    if breaks {
        world.run_for(Duration::from_micros(world.random() % 60_000));
        world.reset_connections(here, there);
    }
    assert!(world.run_until(|| ended.get() == 10), "a conversation does not end");
    let draining = server.clone();
    let drained =
        world.run(&rt, async move { draining.drain(Duration::from_secs(30)).await }).expect_done();
    assert_eq!((drained.cut_off, drained.unfinished), (0, 0), "seed {seed}");
    assert!(world.run_until(|| limits.open() == 0), "a connection stays, seed {seed}");
    let counters = server.counters();
    assert_nothing_is_held(&counters);
    assert!(counters.frame_bytes_highest <= 5 << 18, "seed {seed}: {counters:?}");
    (world.trace_hash(), whole.get())
}

#[test]
fn whatever_the_network_does_answers_come_in_order() {
    for seed in 0..40 {
        let (_, whole) = run(seed, false);
        assert_eq!(whole, 10, "seed {seed}");
    }
}

#[test]
fn broken_connections_leave_nothing() {
    let whole: usize = (1000..1040).map(|seed| run(seed, true).1).sum();
    assert!(whole < 400, "no connection was broken in the middle");
}

#[test]
fn a_seed_says_everything() {
    assert_eq!(run(7, true), run(7, true));
    assert_ne!(run(7, true).0, run(8, true).0);
}
