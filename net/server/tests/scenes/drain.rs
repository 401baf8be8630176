//! The end of a server.

use crate::client::Client;
use crate::echo::Kind;
use crate::scene::{assert_nothing_is_held, join, on_core, start, until};
use server::{Config, ConnectionLimits, Drained};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn draining_answers_what_is_in_progress_and_closes_everything() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, _) = start(&rt, Config::default(), limits).await;
        let thread = std::thread::spawn(move || {
            let mut idle = Client::connect(address);
            let mut half = Client::connect(address);
            let mut busy = Client::connect(address);
            idle.ping();
            half.ping();
            busy.ping();
            half.send(&[0, 0, 1]);
            let asked: Vec<_> =
                (0..5).map(|i| busy.ask(Kind::After(400_000 - i * 50_000), b"late")).collect();
            (idle, half, busy, asked)
        });
        let (mut idle, mut half, mut busy, asked) = join(&rt, thread).await;
        until(&rt, || server.counters().in_flight == 5).await;
        let thread = std::thread::spawn(move || {
            for request in asked {
                assert_eq!(busy.response(), Some(request));
            }
            assert_eq!((busy.response(), idle.response(), half.response()), (None, None, None));
            assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
        });
        let drained = server.drain(Duration::from_secs(20)).await;
        assert_eq!(drained, Drained { cut_off: 0, unfinished: 0 });
        join(&rt, thread).await;
        let counters = server.counters();
        assert_eq!(counters.closed.get("drained"), Some(&3));
        assert_nothing_is_held(&counters);
    });
}

#[test]
fn the_deadline_cuts_off_what_does_not_end() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, _) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.ask(Kind::Never, b"");
            client
        });
        let mut client = join(&rt, thread).await;
        until(&rt, || server.counters().in_flight == 1).await;
        let drained = server.drain(Duration::from_millis(100)).await;
        assert_eq!(drained, Drained { cut_off: 1, unfinished: 1 });
        let thread = std::thread::spawn(move || assert_eq!(client.response(), None));
        join(&rt, thread).await;
        until(&rt, || limits.open() == 0).await;
        assert_nothing_is_held(&server.counters());
    });
}

#[test]
fn a_server_without_connections_ends_at_once() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, ..) = start(&rt, Config::default(), limits).await;
        let drained = server.drain(Duration::from_secs(3600)).await;
        assert_eq!(drained, Drained { cut_off: 0, unfinished: 0 });
    });
}
