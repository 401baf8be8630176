//! Memory is bounded whatever clients send, and the bound does not stop honest ones.

use crate::client::{Client, Random};
use crate::echo::Kind;
use crate::scene::{assert_nothing_is_held, join, on_core, start, until};
use server::{Config, ConnectionLimits};
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// A frame of `size` bytes of which only a part is sent.
fn half(client: &mut Client, size: usize, sent: usize) {
    let mut bytes = i32::try_from(size).unwrap().to_be_bytes().to_vec();
    bytes.resize(4 + sent, 0);
    // Without room the server does not receive, so that not everything fits into the sockets.
    client.stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let _sent = client.stream.write_all(&bytes);
}

#[test]
fn half_sent_frames_cannot_take_everything() {
    on_core(|rt| async move {
        let config = Config {
            request_bytes_max: 10 * MIB,
            frame_bytes_max: 32 * MIB,
            slow_grace: Duration::from_millis(400),
            frame_time_max: Duration::from_secs(4),
            ..Config::default()
        };
        let limits = ConnectionLimits::new(1000, 1000);
        let (server, address, _) = start(&rt, config, limits).await;
        let thread = std::thread::spawn(move || {
            let mut attackers: Vec<_> = (0..40).map(|_| Client::connect(address)).collect();
            for attacker in &mut attackers {
                half(attacker, 10 * MIB, 200_000);
            }
            let mut random = Random(1);
            let mut good = Client::connect(address);
            for _ in 0..50 {
                // Spans chunks, so that it needs room.
                let request = good.request(Kind::Now, &random.bytes(30_000));
                let (a, b) = request.split_at(7000);
                good.send(a);
                std::thread::sleep(Duration::from_millis(1));
                good.send(b);
                assert_eq!(good.response(), Some(request));
            }
            // Waits for its turn, which comes when the slow ones have been thrown out.
            let large = good.request(Kind::Silent(0), &random.bytes(9 * MIB));
            good.send(&large);
            good.ping();
            attackers
        });
        let attackers = join(&rt, thread).await;
        let counters = server.counters();
        assert!(counters.frame_bytes_highest <= 40 * MIB, "{counters:?}");
        assert!(counters.frame_bytes_highest > 20 * MIB, "{counters:?}");
        assert!(counters.closed.get("frame-slow").is_some_and(|n| *n > 2), "{counters:?}");
        drop(attackers);
        server.drain(Duration::from_secs(10)).await;
        assert_nothing_is_held(&server.counters());
    });
}

#[test]
fn a_thousand_half_sent_small_frames_are_within_the_bound() {
    on_core(|rt| async move {
        let config = Config {
            request_bytes_max: MIB,
            frame_bytes_max: 8 * MIB,
            slow_grace: Duration::from_millis(300),
            frame_time_max: Duration::from_secs(2),
            ..Config::default()
        };
        let limits = ConnectionLimits::new(2000, 2000);
        let (server, address, _) = start(&rt, config, limits).await;
        let thread = std::thread::spawn(move || {
            let mut attackers: Vec<_> = (0..1000).map(|_| Client::connect(address)).collect();
            for attacker in &mut attackers {
                half(attacker, 40_000, 20_000);
            }
            let mut good = Client::connect(address);
            for _ in 0..20 {
                good.ping();
            }
            attackers
        });
        let attackers = join(&rt, thread).await;
        let counters = server.counters();
        assert!(counters.frame_bytes_highest <= 10 * MIB, "{counters:?}");
        drop(attackers);
        server.drain(Duration::from_secs(10)).await;
        assert_nothing_is_held(&server.counters());
    });
}

#[test]
fn parked_requests_do_not_keep_the_receive_buffers() {
    on_core(|rt| async move {
        let config = Config { in_place_bytes_min: 0, ..Config::default() };
        let limits = ConnectionLimits::new(1000, 1000);
        let (server, address, _) = start(&rt, config.clone(), limits).await;
        let thread = std::thread::spawn(move || {
            let mut parked: Vec<_> = (0..400).map(|_| Client::connect(address)).collect();
            for client in &mut parked {
                client.ask(Kind::Never, &[1; 200]);
            }
            let mut good = Client::connect(address);
            for _ in 0..100 {
                good.ping();
            }
            parked
        });
        let parked = join(&rt, thread).await;
        until(&rt, || server.counters().in_flight == 400).await;
        let counters = server.counters();
        assert!(counters.receive_buffers <= config.in_place_chunks_max, "{counters:?}");
        assert!(counters.receive_buffers > 40, "as many as may be: {counters:?}");
        drop(parked);
        until(&rt, || server.counters().open == 0).await;
        until(&rt, || server.counters().in_flight == 0).await;
        assert_nothing_is_held(&server.counters());
    });
}

#[test]
fn blocked_connections_do_not_keep_the_receive_buffers() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(1000, 1000);
        let (server, address, _) = start(&rt, Config::default(), limits).await;
        let thread = std::thread::spawn(move || {
            let mut blocked: Vec<_> = (0..200).map(|_| Client::connect(address)).collect();
            for client in &mut blocked {
                // Eight are started; the others wait in what was received.
                let requests: Vec<_> =
                    (0..50).map(|_| client.request(Kind::Never, &[1; 500])).collect();
                client.send(&requests.concat());
            }
            let mut good = Client::connect(address);
            for _ in 0..100 {
                good.ping();
            }
            blocked
        });
        let blocked = join(&rt, thread).await;
        until(&rt, || server.counters().in_flight == 1600).await;
        let counters = server.counters();
        assert!(counters.receive_buffers <= 48 + 1, "{counters:?}");
        drop(blocked);
        // They are not being received from: their end is seen when the server ends.
        server.drain(Duration::from_millis(1)).await;
        until(&rt, || server.counters().in_flight == 0).await;
        assert_nothing_is_held(&server.counters());
    });
}

/// What waits for the core's memory must not hold it, and whoever sends five bytes gets none of it.
#[test]
fn frames_take_nothing_of_the_core_s_memory() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(1000, 1000);
        let (server, address, _) = start(&rt, Config::default(), limits).await;
        let before = rt.memory().used();
        let thread = std::thread::spawn(move || {
            let mut attackers: Vec<_> = (0..30).map(|_| Client::connect(address)).collect();
            for attacker in &mut attackers {
                half(attacker, 4 * MIB, 1);
            }
            let mut good = Client::connect(address);
            let large = good.request(Kind::Never, &[7; 2 * MIB]);
            good.send(&large);
            (attackers, good)
        });
        let clients = join(&rt, thread).await;
        until(&rt, || server.counters().in_flight == 1).await;
        until(&rt, || server.counters().frame_bytes > 120 * MIB).await;
        assert_eq!(rt.memory().used(), before);
        drop(clients);
        until(&rt, || server.counters().open == 0).await;
        until(&rt, || server.counters().in_flight == 0).await;
        assert_nothing_is_held(&server.counters());
    });
}

/// Answers hold the log's memory: a client that does not read goes when there is none left, and not before.
#[test]
fn a_client_that_does_not_read_goes_when_the_core_s_memory_is_taken() {
    on_core(|rt| async move {
        let config = Config { slow_grace: Duration::from_millis(200), ..Config::default() };
        let limits = ConnectionLimits::new(1000, 1000);
        let (server, address, _) = start(&rt, config, limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut deaf = Client::connect(address);
            deaf.ask(Kind::Large(64 << 20), &[]);
            let mut good = Client::connect(address);
            good.ping();
            (deaf, good)
        });
        let (mut deaf, good) = join(&rt, thread).await;
        until(&rt, || server.counters().send_bytes > 0).await;
        rt.sleep(Duration::from_millis(600)).await;
        assert_eq!(server.counters().open, 2, "memory is not short");
        let taken = rt.memory().alloc_beyond(rt.memory().limit() / 16 * 15);
        until(&rt, || server.counters().open == 1).await;
        assert_eq!(server.counters().closed.get("reader-slow"), Some(&1));
        // What the kernel had taken of the answer is not kept for it: the connection is reset when its socket is closed.
        until(&rt, || limits.open() == 1).await;
        let thread = std::thread::spawn(move || deaf.stream.read_to_end(&mut Vec::new()));
        let end = join(&rt, thread).await;
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop((taken, good));
        server.drain(Duration::from_secs(10)).await;
        assert_nothing_is_held(&server.counters());
    });
}
