//! Memory that is on loan elsewhere wakes a core that waits for it, however much is free.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "refusal/skip.rs"]
mod skip;

use ids::CoreId;
use ringwood_runtime::{Io, RuntimeConfig, Tuning, WhyNot, probe, run_with};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

fn a_loan_that_comes_home_wakes_who_waits_for_a_large_buffer(io: Io) {
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 1 << 20, pin: None };
    let tuning = Tuning { io, ..Tuning::default() };
    let came = run_with(&config, &tuning, |rt| async move {
        let mut half = rt.memory().alloc(512 << 10).unwrap();
        half.append(&[1; 4096]);
        let loan = rt.lend(half.freeze());
        let (go, begin) = mpsc::channel();
        let borrower = thread::spawn(move || {
            begin.recv().unwrap();
            // The core is asleep by now, or else finds the loan before it falls asleep.
            thread::sleep(Duration::from_millis(50));
            drop(loan);
        });
        // More than is free, though less than three quarters are taken.
        assert!(rt.memory().used() <= rt.memory().limit() / 4 * 3);
        go.send(()).unwrap();
        let mut room = pin!(rt.memory().wait_for(768 << 10));
        let mut patience = pin!(rt.sleep(Duration::from_secs(20)));
        let came = poll_fn(|cx| {
            if room.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            patience.as_mut().poll(cx).map(|()| false)
        })
        .await;
        borrower.join().unwrap();
        came
    });
    assert!(came.unwrap(), "it was woken by nothing but its timer");
}

#[test]
fn on_uring() {
    if skip::has_io_uring() {
        a_loan_that_comes_home_wakes_who_waits_for_a_large_buffer(Io::Uring);
    }
}

#[test]
fn on_portable() {
    a_loan_that_comes_home_wakes_who_waits_for_a_large_buffer(Io::Portable);
}
