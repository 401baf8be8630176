//! Clients that go before they are answered.

use crate::client::Client;
use crate::echo::Kind;
use crate::scene::{assert_nothing_is_held, in_progress, join, on_core, start, until};
use ::stages::{Laps, Stage};
use server::{CloseReason, Config, ConnectionLimits};
use std::time::Duration;

#[test]
fn a_parked_request_is_dropped_with_its_client() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, echo) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let clients: Vec<_> = (0..20)
                .map(|_| {
                    let mut client = Client::connect(address);
                    client.ping();
                    client.ask(Kind::Never, &[7; 10_000]);
                    client
                })
                .collect();
            clients
        });
        let clients = join(&rt, thread).await;
        until(&rt, || server.counters().in_flight == 20).await;
        let counters = server.counters();
        assert!(counters.frame_bytes + counters.receive_buffers > 0, "requests are held");
        drop(clients);
        until(&rt, || limits.open() == 0).await;
        let counters = server.counters();
        assert_eq!(counters.requests_dropped, 20);
        assert_nothing_is_held(&counters);
        assert_eq!(*echo.ended.borrow(), vec![CloseReason::PeerClosed; 20]);
    });
}

#[test]
fn what_changes_something_runs_to_its_end_and_counts_until_then() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, echo) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.ping();
            client.ask(Kind::After(300_000), b"");
            client.ask(Kind::Silent(300_000), b"");
            client
        });
        let client = join(&rt, thread).await;
        until(&rt, || server.counters().in_flight == 2).await;
        client.reset();
        until(&rt, || server.counters().open == 0).await;
        assert_eq!((echo.finished.get(), server.counters().in_flight), (1, 2));
        assert_eq!(limits.open(), 1, "its place is taken while its requests run");
        let going = in_progress(&server).longest;
        assert_eq!(going.iter().map(|r| r.client_gone).collect::<Vec<_>>(), [true; 2]);
        until(&rt, || limits.open() == 0).await;
        assert_eq!(echo.finished.get(), 3);
        assert_eq!(in_progress(&server).counts.len(), 0);
        assert_nothing_is_held(&server.counters());
    });
}

/// What took longest is what clients give up on: it must not be missing where one looks for the longest.
#[test]
fn a_request_is_told_though_its_client_has_given_up() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, echo) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.ping();
            // So long that it is not over before the client has gone, however busy the machine is.
            client.ask(Kind::After(3_000_000), b"");
            client.ask(Kind::Now, b"behind it");
            client
        });
        let client = join(&rt, thread).await;
        until(&rt, || echo.finished.get() >= 2).await;
        client.reset();
        until(&rt, || server.counters().open == 0).await;
        let order = |laps: &Laps| laps.stages().any(|stage| stage == Stage::Order);
        let told = |laps: &Laps| (laps.is_unread(), order(laps));
        let answered: Vec<_> = echo.answered.borrow().iter().map(told).collect();
        assert_eq!(answered, [(false, true), (true, true)], "the ping, and what waited in order");
        until(&rt, || limits.open() == 0).await;
        let answered = echo.answered.borrow();
        let [_, _, given_up] = &answered[..] else { panic!("{answered:?}") };
        assert_eq!(told(given_up), (true, false));
        assert_eq!(given_up.longest(), Some(Stage::Handle));
        assert_nothing_is_held(&server.counters());
    });
}

/// What is read for a client that loses its patience took as long as it took.
#[test]
fn a_request_that_is_dropped_is_told_unless_it_was_parked() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, echo) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.ping();
            client.ask(Kind::Never, b"parked");
            client.ask(Kind::Stuck, b"worked on");
            client
        });
        let client = join(&rt, thread).await;
        until(&rt, || server.counters().in_flight == 2).await;
        client.reset();
        until(&rt, || limits.open() == 0).await;
        assert_eq!(server.counters().requests_dropped, 2);
        let answered = echo.answered.borrow();
        let [_, dropped] = &answered[..] else { panic!("{answered:?}") };
        assert!(dropped.is_unread());
        assert_eq!((dropped.bytes(), dropped.longest()), (21, Some(Stage::Handle)));
        assert_nothing_is_held(&server.counters());
    });
}

/// More than the kernel takes for a client that reads nothing.
#[test]
fn an_answer_that_cannot_be_sent_is_told_once() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, echo) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.ask(Kind::Large(32 << 20), b"");
            client
        });
        let client = join(&rt, thread).await;
        until(&rt, || server.counters().send_bytes > 0).await;
        client.reset();
        until(&rt, || limits.open() == 0).await;
        let answered = echo.answered.borrow();
        assert_eq!(answered.iter().map(Laps::is_unread).collect::<Vec<_>>(), [true]);
        assert_nothing_is_held(&server.counters());
    });
}

#[test]
fn a_client_that_sends_acks_0_and_goes_has_everything_done() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, echo) = start(&rt, Config::default(), limits).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            for _ in 0..500 {
                client.ask(Kind::Silent(100), &[1; 500]);
            }
        });
        join(&rt, thread).await;
        until(&rt, || echo.finished.get() == 500).await;
        let drained = server.drain(Duration::from_secs(10)).await;
        assert_eq!((drained.cut_off, drained.unfinished), (0, 0));
        assert_nothing_is_held(&server.counters());
    });
}
