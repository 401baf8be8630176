//! How many connections there may be, and how long they may do nothing.

use crate::client::Client;
use crate::echo::Kind;
use crate::scene::{join, on_core, serve, start, until};
use server::{Config, ConnectionLimits};
use std::time::Duration;

#[test]
fn connections_beyond_the_limits_are_closed_at_once_and_places_come_back() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(10, 8);
        let (server, address, _) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut inside: Vec<_> = (0..8).map(|_| Client::connect(address)).collect();
            inside.iter_mut().for_each(Client::ping);
            let mut outside = Client::connect(address);
            assert_eq!(outside.response(), None);
            inside
        });
        let inside = join(&rt, thread).await;
        assert_eq!(server.counters().refused_per_address, 1);
        limits.set(8, 100);
        let thread = std::thread::spawn(move || {
            let mut outside = Client::connect(address);
            assert_eq!(outside.response(), None);
            drop(inside);
        });
        join(&rt, thread).await;
        until(&rt, || limits.open() == 0).await;
        let thread = std::thread::spawn(move || Client::connect(address).ping());
        join(&rt, thread).await;
        let counters = server.counters();
        assert_eq!((counters.refused_total, counters.accepted), (1, 9));
    });
}

#[test]
fn an_idle_connection_goes_and_a_busy_one_stays() {
    let config = Config { idle_max: Some(Duration::from_millis(300)), ..Config::default() };
    let ((), counters) = serve(config, |address| {
        let mut silent = Client::connect(address);
        let mut half = Client::connect(address);
        half.send(&[0, 0]);
        let mut busy = Client::connect(address);
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(900) {
            busy.ping();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(silent.response(), None);
        assert_eq!(half.response(), None);
        busy.ping();
    });
    assert_eq!(counters.closed.get("idle"), Some(&2));
}

#[test]
fn the_handler_s_early_limit_holds_until_it_lifts_it() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(10, 10);
        let (server, address, echo) = start(&rt, Config::default(), limits).await;
        echo.early_limit.set(100);
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.ping();
            let large = client.ask(Kind::Now, &[1; 1000]);
            assert_eq!(client.response(), Some(large), "after the first request all is allowed");
            let mut client = Client::connect(address);
            client.ask(Kind::Now, &[1; 1000]);
            assert_eq!(client.response(), None);
        });
        join(&rt, thread).await;
        assert_eq!(server.counters().closed.get("frame-too-large"), Some(&1));
    });
}
