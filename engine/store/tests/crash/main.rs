//! Crashes of the real store on a simulated disk, and what must be there afterwards.
//!
//! A seed makes a world: a ring and segments so small that they wrap and roll all the time, topics that wait for a flush and
//! topics that do not, clients that append, repeat, read, delete. Copies of the world are taken at moments that the seed
//! chooses; each is an image: power is cut, or the process is killed, and the store must come up from it with what the model
//! says. The model is separate code that knows only requests and answers.
//!
//! `cargo test` looks at a bounded number of images; `cargo xtask prove crash` at as many as are asked for.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod autopsy;
mod batch;
mod behind_a_pass;
mod clients;
mod compaction;
mod damage;
mod directed;
mod life;
mod model;
#[cfg(feature = "planted")]
mod planted;
mod random;
mod reading;
mod settings;
mod tally;

use life::Explorer;
use settings::Settings;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tally::Tally;

/// Images of one seed.
const IMAGES: u64 = 50;

/// All images of one seed; what was wrong, in words.
fn try_seed(seed: u64, tally: &Rc<Tally>, images: u64) -> Result<(), String> {
    let settings = Settings::draw(seed, images);
    let about = format!(
        "ring {} KiB, {} cores, {} topics, segments of {} KiB, {:?}",
        settings.store.ring_bytes >> 10,
        settings.cores,
        settings.topics.len(),
        settings.log.segment_bytes >> 10,
        settings.store.thresholds
    );
    let explorer = Explorer::new(settings, tally, images);
    let outcome = catch_unwind(AssertUnwindSafe(|| explorer.explore()));
    tally.one("seeds");
    let what = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(what)) => what,
        Err(panic) => words_of(&*panic),
    };
    Err(format!("seed {seed} ({about}): {what}"))
}

/// What a panic of the store, or of its clients here, has said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    format!("a panic: {}", text.unwrap_or_default())
}

/// What a stretch of seeds has shown.
struct Stretch {
    tally: BTreeMap<String, u64>,
    /// The seed after the last one.
    next_seed: u64,
    violation: Option<String>,
}

/// Tries seeds from `from` on, on all processors, until there were so many images or something is wrong.
fn stretch(from: u64, images: u64) -> Stretch {
    let look = std::env::var_os("RINGWOOD_CRASH_LOOK").is_some();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if look { 1 } else { threads };
    let (next, seen) = (AtomicU64::new(from), AtomicU64::new(0));
    let (tally, violation) = (Mutex::new(BTreeMap::new()), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while seen.load(Relaxed) < images && violation.lock().unwrap().is_none() {
                    let own = Rc::new(Tally::default());
                    let outcome = try_seed(next.fetch_add(1, Relaxed), &own, IMAGES);
                    seen.fetch_add(own.of("images"), Relaxed);
                    let mut all = tally.lock().unwrap();
                    for (name, n) in own.all() {
                        *all.entry(name).or_insert(0) += n;
                    }
                    if let Err(what) = outcome {
                        violation.lock().unwrap().get_or_insert(what);
                    }
                }
            });
        }
    });
    Stretch {
        tally: tally.into_inner().unwrap(),
        next_seed: next.into_inner(),
        violation: violation.into_inner().unwrap(),
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let found = stretch(1, 15_000);
    assert_eq!(found.violation, None);
    let images = found.tally["images"];
    assert!(images >= 15_000, "only {images} images");
    let here = |name: &&&str| !tally::BY_SCENES.contains(*name);
    let unseen: Vec<_> = tally::REQUIRED
        .iter()
        .filter(here)
        .filter(|name| !found.tally.contains_key(**name))
        .collect();
    assert!(unseen.is_empty(), "never seen: {unseen:?}");
}

/// For `cargo xtask prove crash`, and for a look at one seed: RINGWOOD_CRASH_SEED is the first, RINGWOOD_CRASH_IMAGES how many
/// images at least. What is counted goes to standard output, one name a line.
#[test]
#[ignore = "as long as it is asked to be"]
fn a_stretch_of_seeds() {
    let found = stretch(number("RINGWOOD_CRASH_SEED", 1), number("RINGWOOD_CRASH_IMAGES", 1));
    let required = tally::REQUIRED.iter().filter(|name| !found.tally.contains_key(**name));
    for name in required {
        println!("count 0 {name}");
    }
    for (name, n) in &found.tally {
        println!("count {n} {name}");
    }
    println!("next seed {}", found.next_seed);
    assert_eq!(found.violation, None);
}
