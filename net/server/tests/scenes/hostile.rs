//! Clients that mean harm: others are served meanwhile, and nothing stays behind.

use crate::client::{Client, Random};
use crate::echo::Kind;
use crate::scene::{assert_nothing_is_held, join, on_core, serve, start, until};
use server::{Config, ConnectionLimits};
use std::io::Write;
use std::time::Duration;

#[test]
fn garbage_closes_its_own_connection_only() {
    let ((), counters) = serve(Config::default(), |address| {
        let mut random = Random(3);
        let mut good = Client::connect(address);
        for i in 0..500 {
            let mut client = Client::connect(address);
            let len = 1 + random.below(3000);
            let mut bytes = random.bytes(len);
            if i % 2 == 0 {
                // A prefix that is believed, so that the handler sees garbage, too.
                bytes.splice(0..0, [0, 0, 0, 8]);
            }
            // The server may close while this is being written.
            let _sent = client.stream.write_all(&bytes);
            good.ping();
        }
        for request in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01", b"\xff\xff\xff\xff"]
        {
            let mut client = Client::connect(address);
            client.send(request);
            assert_eq!(client.response(), None);
        }
        good.ping();
    });
    assert!(counters.closed.get("garbage").is_some_and(|n| *n > 200), "{counters:?}");
    assert!(counters.closed.get("frame-negative").is_some_and(|n| *n > 100), "{counters:?}");
    assert!(counters.closed.get("frame-too-large").is_some_and(|n| *n > 100), "{counters:?}");
}

#[test]
fn ten_thousand_connects_and_resets_leave_nothing() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(600, 600);
        let (server, address, _) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut good = Client::connect(address);
            good.ping();
            for round in 0..10 {
                let mut clients: Vec<_> = (0..1000).map(|_| Client::connect(address)).collect();
                for (i, client) in clients.iter_mut().enumerate().filter(|(i, _)| i % 3 == 0) {
                    let kind = if i % 2 == 0 { Kind::Now } else { Kind::Never };
                    let request = client.request(kind, &[1; 100]);
                    // Refused ones are closed already.
                    let _sent = client.stream.write_all(&request);
                }
                clients.into_iter().for_each(|c| {
                    if round % 2 == 0 {
                        c.reset()
                    }
                });
                good.ping();
            }
            // Gone before they were accepted.
            for _ in 0..2000 {
                Client::connect(address).reset();
            }
            good.ping();
        });
        join(&rt, thread).await;
        until(&rt, || limits.open() == 0).await;
        let counters = server.counters();
        let seen = counters.accepted + counters.refused_total + counters.accept_errors;
        assert!(seen <= 12_001 && counters.refused_total > 0, "{counters:?}");
        assert_nothing_is_held(&counters);
    });
}

#[test]
fn a_client_that_never_reads_stops_itself_and_nobody_else() {
    on_core(|rt| async move {
        let config = Config {
            send_bytes_max: 4 << 20,
            idle_max: Some(Duration::from_secs(2)),
            ..Config::default()
        };
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, _) = start(&rt, config, limits).await;
        let thread = std::thread::spawn(move || {
            let mut deaf = Client::connect(address);
            for _ in 0..2000 {
                deaf.ask(Kind::Large(1 << 20), b"");
            }
            let mut good = Client::connect(address);
            for _ in 0..200 {
                good.ping();
            }
            let large = good.request(Kind::Large(3 << 20), b"");
            good.send(&large);
            assert_eq!(good.response().map(|r| r.len()), Some((3 << 20) + 4));
            deaf
        });
        // Eight answers may be made before anything is known about their size.
        let mut highest = 0;
        until(&rt, || {
            highest = highest.max(server.counters().send_bytes);
            thread.is_finished()
        })
        .await;
        let deaf = join(&rt, thread).await;
        assert!(highest > 1 << 20 && highest <= 8 << 20, "{highest}");
        until(&rt, || server.counters().closed.get("idle").is_some_and(|n| *n >= 1)).await;
        assert!(server.counters().requests < 300, "{:?}", server.counters());
        drop(deaf);
        server.drain(Duration::from_secs(10)).await;
        assert_nothing_is_held(&server.counters());
    });
}

#[test]
fn clients_that_do_not_read_go_when_too_many_answers_wait() {
    on_core(|rt| async move {
        let config = Config {
            send_bytes_total_max: 32 << 20,
            slow_grace: Duration::from_millis(200),
            ..Config::default()
        };
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, _) = start(&rt, config, limits).await;
        let thread = std::thread::spawn(move || {
            let mut good = Client::connect(address);
            let mut deaf: Vec<_> = (0..30).map(|_| Client::connect(address)).collect();
            for client in &mut deaf {
                client.ask(Kind::Large(10 << 20), b"");
            }
            good.ping();
            deaf
        });
        let deaf = join(&rt, thread).await;
        until(&rt, || server.counters().send_bytes <= 32 << 20).await;
        let counters = server.counters();
        assert!(counters.closed.get("reader-slow").is_some_and(|n| *n >= 20), "{counters:?}");
        drop(deaf);
        server.drain(Duration::from_secs(10)).await;
        assert_nothing_is_held(&server.counters());
    });
}
