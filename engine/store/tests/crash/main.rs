//! Crashes of the real store on a simulated disk, and what must be there afterwards.
//!
//! A seed makes a world: a ring and segments so small that they wrap and roll all the time, topics that wait for a flush and
//! topics that do not, clients that append, repeat, read, delete. Copies of the world are taken at moments that the seed
//! chooses; each is an image: power is cut, or the process is killed, and the store must come up from it with what the model
//! says. The model is separate code that knows only requests and answers.
//!
//! `cargo test` looks at a bounded number of images; `cargo xtask prove crash` at as many as are asked for.

mod autopsy;
mod batch;
mod clients;
mod damage;
mod life;
mod model;
#[cfg(feature = "planted")]
mod planted;
mod random;
mod settings;
mod tally;

use life::Explorer;
use settings::Settings;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
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
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            format!("a panic: {}", text.unwrap_or_default())
        }
    };
    Err(format!("seed {seed} ({about}): {what}"))
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let tally = Rc::new(Tally::default());
    let from: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let count: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let begun = std::time::Instant::now();
    for seed in from..from + count {
        if let Err(what) = try_seed(seed, &tally, IMAGES) {
            panic!("{what}");
        }
    }
    let images = tally.of("images");
    println!("{images} images, {:.1} a second", images as f64 / begun.elapsed().as_secs_f64());
    for (name, n) in tally.all() {
        println!("{n:>9} {name}");
    }
}
