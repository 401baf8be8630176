//! Answers leave in request order, whatever happens in between, and every byte is right.

use crate::client::{Client, Random};
use crate::echo::Kind;
use crate::scene::{join, on_core, serve, start, until};
use server::{Config, ConnectionLimits};
use std::net::SocketAddr;
use std::time::Duration;

/// `connections` with `requests` each, pipelined; every answer is compared.
fn pipelined(address: SocketAddr, seed: u64, connections: usize, requests: usize) -> usize {
    let mut random = Random(seed);
    let mut clients: Vec<_> = (0..connections).map(|_| Client::connect(address)).collect();
    let mut expected: Vec<Vec<Vec<u8>>> = vec![Vec::new(); connections];
    let mut answers = 0;
    for _ in 0..requests / 20 {
        for (client, expected) in clients.iter_mut().zip(&mut expected) {
            let mut bytes = Vec::new();
            for _ in 0..20 {
                let kind = match random.below(4) {
                    0 => Kind::Now,
                    1 => Kind::Silent(u32::try_from(random.below(2000)).unwrap()),
                    _ => Kind::After(u32::try_from(random.below(3000)).unwrap()),
                };
                let len = random.below(700);
                let request = client.request(kind, &random.bytes(len));
                bytes.extend_from_slice(&request);
                if !matches!(kind, Kind::Silent(_)) {
                    expected.push(request);
                }
            }
            // In odd pieces, so that prefixes and frames are cut.
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(4000)));
                client.send(piece);
                rest = behind;
            }
        }
        for (client, expected) in clients.iter_mut().zip(&mut expected) {
            for request in expected.drain(..) {
                assert!(client.response().as_ref() == Some(&request), "another answer came");
                answers += 1;
            }
        }
    }
    answers
}

#[test]
fn two_hundred_connections_get_their_answers_in_order() {
    let (answers, counters) = serve(Config::default(), |address| {
        let threads: Vec<_> =
            (0..4).map(|t| std::thread::spawn(move || pipelined(address, t, 50, 100))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum::<usize>()
    });
    assert_eq!((counters.accepted, counters.requests), (200, 20_000));
    assert!(answers > 10_000);
    assert!(counters.requests_at_once > 3_000, "{counters:?}");
    assert!(counters.sends < counters.requests, "answers share sends: {counters:?}");
}

#[test]
fn large_frames_arrive_whole_among_small_ones() {
    let config = Config { in_place_bytes_min: 100, ..Config::default() };
    let ((), counters) = serve(config, |address| {
        let mut random = Random(7);
        let mut client = Client::connect(address);
        let sizes = [50_000, 3 << 20, 10, 200_000, 1 << 20, 5 << 20, 70_000, 3000, 900_000];
        for round in 0..3 {
            let mut requests = Vec::new();
            for size in sizes {
                let size = size + round * 13;
                let kind = if size % 2 == 0 { Kind::Now } else { Kind::After(500) };
                requests.push(client.request(kind, &random.bytes(size)));
            }
            let mut reader = client.reader();
            let wanted = requests.clone();
            let reading = std::thread::spawn(move || {
                for request in wanted {
                    assert!(reader.response() == Some(request), "another answer came");
                }
            });
            client.send(&requests.concat());
            reading.join().unwrap();
        }
    });
    assert_eq!(counters.requests, 27);
    assert!(counters.requests_in_place > 0);
    assert_eq!(counters.bytes_in, counters.bytes_out, "every byte came back");
}

#[test]
fn a_failed_acks_0_closes_after_the_answers_before_it() {
    let ((), counters) = serve(Config::default(), |address| {
        let mut client = Client::connect(address);
        let first = client.request(Kind::After(20_000), b"first");
        let second = client.request(Kind::Now, b"second");
        let close = client.request(Kind::Close, b"");
        let behind = client.request(Kind::Now, b"behind");
        client.send(&[first.clone(), second.clone(), close, behind].concat());
        assert_eq!(client.response(), Some(first));
        assert_eq!(client.response(), Some(second));
        assert_eq!(client.response(), None);
        let mut client = Client::connect(address);
        let last = client.ask(Kind::Last, b"refused");
        assert_eq!(client.response(), Some(last));
        assert_eq!(client.response(), None);
    });
    assert_eq!(counters.closed.get("asked"), Some(&2));
}

#[test]
fn a_throttled_client_has_its_answer_at_once_and_its_next_request_waits() {
    let ((), counters) = serve(Config::default(), |address| {
        let mut client = Client::connect(address);
        let begun = std::time::Instant::now();
        let requests = [client.request(Kind::Mute(300), b""), client.request(Kind::Now, b"next")];
        client.send(&requests[0]);
        assert_eq!(client.response().as_ref(), Some(&requests[0]));
        client.send(&requests[1]);
        assert_eq!(client.response().as_ref(), Some(&requests[1]));
        assert!(begun.elapsed().as_millis() >= 295, "it was not muted");
    });
    assert_eq!(counters.requests, 2);
}

/// `commitAsync` and `committed` in one write: what is asked second sees what was done first.
#[test]
fn what_settles_first_is_answered_before_the_next_request_begins() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(10, 10);
        let (server, address, echo) = start(&rt, Config::default(), limits).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            let first = client.request(Kind::First(100_000), b"commit");
            let second = client.request(Kind::After(200_000), b"committed");
            client.send(&[first.clone(), second.clone()].concat());
            assert_eq!(client.response(), Some(first));
            assert_eq!(client.response(), Some(second));
            // The end of a client is no reason to wait.
            let third = client.request(Kind::First(100_000), b"commit");
            let fourth = client.request(Kind::Now, b"committed");
            client.send(&[third, fourth].concat());
        });
        until(&rt, || echo.handled.borrow().len() == 2).await;
        assert_eq!(echo.finished.get(), 1, "the second began before the first was answered");
        join(&rt, thread).await;
        server.drain(Duration::from_secs(10)).await;
        crate::scene::assert_nothing_is_held(&server.counters());
    });
}
