//! A core knows when it was kept from its work: by a turn that took long, and by others on its processor.

use ids::CoreId;
use ringwood_runtime::{RuntimeConfig, Tuning, run_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The processor's time of this thread.
fn spin(for_so_long: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < for_so_long {
        std::hint::spin_loop();
    }
}

#[test]
fn a_turn_that_blocks_the_core_is_seen() {
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 1 << 20, pin: None };
    let (delays, longest, again) = run_with(&config, &Tuning::default(), |rt| async move {
        rt.yield_now().await;
        thread::sleep(Duration::from_millis(30));
        rt.yield_now().await;
        rt.sleep(Duration::from_millis(1)).await;
        (rt.delays(), rt.take_longest_turn(), rt.take_longest_turn())
    })
    .unwrap();
    assert!(delays.long_turns >= 1 && delays.long_turns_took >= Duration::from_millis(30));
    assert!(longest >= Duration::from_millis(30), "{longest:?}");
    assert!(again < longest, "it is told once");
}

/// The core and another thread share one processor and both want all of it: what the one has, the other waits for.
#[test]
fn a_core_that_shares_its_processor_knows_that_it_waited() {
    let Some(processor) = core_affinity::get_core_ids().and_then(|ids| ids.first().copied()) else {
        return;
    };
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let other = thread::spawn(move || {
        core_affinity::set_for_current(processor);
        while !told.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 1 << 20, pin: Some(processor.id) };
    let waited = run_with(&config, &Tuning::default(), |rt| async move {
        let before = rt.delays().waited?;
        let begun = Instant::now();
        // Until it has waited: on a busy machine that may be sooner or later, and it always comes.
        while begun.elapsed() < Duration::from_secs(20) {
            spin(Duration::from_millis(10));
            rt.yield_now().await;
            let waited = rt.delays().waited? - before;
            if waited >= Duration::from_millis(20) {
                return Some(waited);
            }
        }
        Some(Duration::ZERO)
    })
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    other.join().unwrap();
    // A kernel without these statistics says nothing.
    assert!(waited.is_none_or(|w| w >= Duration::from_millis(20)), "{waited:?}");
}
