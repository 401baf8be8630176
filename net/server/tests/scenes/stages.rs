//! Where the time of a request went: every answer's stopwatch comes back once, and says where it stood still.

use crate::client::Client;
use crate::echo::{API_STUCK, API_STUCK_AFTER, Kind};
use crate::scene::{in_progress, join, on_core, start, until};
use ::stages::{Laps, Stage};
use server::{Config, ConnectionLimits};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

/// What a stage took, in milliseconds.
fn ms(laps: &Laps, stage: Stage) -> u64 {
    u64::from(laps.ticks(stage)) * ::stages::TICK_NANOS / 1_000_000
}

fn laps_of(clients: impl FnOnce(SocketAddr) + Send + 'static) -> Vec<Laps> {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(usize::MAX, usize::MAX);
        let (server, address, echo) = start(&rt, Config::default(), limits).await;
        join(&rt, std::thread::spawn(move || clients(address))).await;
        server.drain(Duration::from_secs(20)).await;
        echo.answered.take()
    })
}

#[test]
fn waiting_is_told_from_working() {
    let laps = laps_of(|address| {
        let mut client = Client::connect(address);
        let slow = client.request(Kind::After(80_000), b"slow");
        let behind = client.request(Kind::Now, b"behind");
        let (half, rest) = slow.split_at(7);
        client.send(half);
        sleep(Duration::from_millis(60));
        client.send(&[rest, &behind].concat());
        assert_eq!(client.response(), Some(slow.clone()));
        assert_eq!(client.response(), Some(behind));
    });
    let [slow, behind] = &laps[..] else { panic!("{laps:?}") };
    assert!(ms(slow, Stage::Receive) >= 55, "{slow:?}");
    assert!(ms(slow, Stage::Handle) >= 75, "{slow:?}");
    assert!(ms(behind, Stage::Receive) < 55, "it came with the second half: {behind:?}");
    assert_eq!(behind.longest(), Some(Stage::Order), "{behind:?}");
    assert!(ms(behind, Stage::Order) >= 75, "{behind:?}");
    for laps in &laps {
        let sum: u32 = laps.stages().map(|s| laps.ticks(s)).sum();
        assert_eq!(sum, laps.total());
    }
}

#[test]
fn every_request_is_told_once_with_or_without_an_answer() {
    let laps = laps_of(|address| {
        let mut client = Client::connect(address);
        for i in 0..100 {
            let kind = if i % 3 == 0 { Kind::Silent(100) } else { Kind::Now };
            client.ask(kind, b"");
        }
        for _ in 0..66 {
            client.response().unwrap();
        }
    });
    assert_eq!(laps.len(), 100);
    let answered = laps.iter().filter(|l| l.stages().any(|s| s == Stage::Send)).count();
    assert_eq!(answered, 66);
    assert!(laps.iter().all(|l| l.bytes() == 12));
}

#[test]
fn what_is_in_progress_is_told_and_what_is_parked_is_not() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, _) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.ask(Kind::Never, b"");
            client.ask(Kind::Stuck, b"1");
            client.ask(Kind::Stuck, b"22");
            client.ask(Kind::Now, b"is answered, and behind the others");
            client
        });
        let client = join(&rt, thread).await;
        until(&rt, || server.counters().requests == 4).await;
        let all = in_progress(&server);
        let told = all.longest.iter().map(|r| (r.times.bytes(), r.stage));
        let expected = [(13, Stage::Handle), (14, Stage::Handle), (46, Stage::Order)];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        assert!(all.longest.iter().all(|r| !r.client_gone && r.still <= r.age));
        let of = |still, most| {
            let stuck = server.in_progress(still, most, |_| ::stages::Kind::Other);
            (stuck.counts.values().sum::<usize>(), stuck.longest.len())
        };
        assert_eq!(of(Duration::ZERO, 1), (3, 1));
        assert_eq!(of(Duration::from_secs(3600), 10), (0, 0));
        client.reset();
        until(&rt, || limits.open() == 0).await;
        assert_eq!(in_progress(&server).counts.len(), 0);
    });
}

/// What a request has waited because it was asked to is no time in which it stood still.
#[test]
fn a_request_that_was_parked_is_told_from_its_wake_on() {
    const PARKED: u32 = 200;
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, _) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            client.ask(Kind::StuckAfter(PARKED), b"");
            client
        });
        let client = join(&rt, thread).await;
        until(&rt, || in_progress(&server).longest.iter().any(|r| r.stage == Stage::Read)).await;
        let stuck = in_progress(&server);
        let [told] = &stuck.longest[..] else { panic!("{} are told", stuck.longest.len()) };
        let parked = Duration::from_millis(PARKED.into());
        // However early a timer rings.
        assert!(told.age >= told.still + parked / 2, "{:?}", told.times);
        client.reset();
        until(&rt, || limits.open() == 0).await;
    });
}

/// Many that hang in one way do not hide another that hangs.
#[test]
fn each_kind_is_told_and_each_api_counted() {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(100, 100);
        let (server, address, _) = start(&rt, Config::default(), limits.clone()).await;
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            for _ in 0..6 {
                client.ask(Kind::Stuck, b"");
            }
            client.ask(Kind::StuckAfter(0), b"");
            client
        });
        let client = join(&rt, thread).await;
        until(&rt, || in_progress(&server).longest.iter().any(|r| r.stage == Stage::Read)).await;
        let kind = |api: u8| match api {
            API_STUCK => ::stages::Kind::Produce,
            _ => ::stages::Kind::Fetch,
        };
        let stuck = server.in_progress(Duration::ZERO, 2, kind);
        assert_eq!(stuck.counts, BTreeMap::from([(API_STUCK, 6), (API_STUCK_AFTER, 1)]));
        let told: Vec<u8> = stuck.longest.iter().map(|r| r.times.api()).collect();
        assert_eq!(told, [API_STUCK, API_STUCK, API_STUCK_AFTER]);
        client.reset();
        until(&rt, || limits.open() == 0).await;
    });
}
