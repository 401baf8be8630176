//! Where a measurement stands among those of its command: which of how many, what is measured, and how long all that is left will take.
//!
//! What is left is taken to go as fast as what is done. Steps are not of one length, so it is said in round numbers and not at once.

use std::time::{Duration, Instant};

/// A stretch of a command's work.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    began: Instant,
    words: String,
    /// The share of the work that lies before it, and before what comes behind it.
    from: f64,
    to: f64,
}

/// Before so much is done nothing is said of what is left.
const DONE_MIN: f64 = 0.02;
const TIME_MIN: Duration = Duration::from_secs(2);

impl Place {
    /// The step of this number, counted from 0, of so many. `began`: when the first of them did.
    pub(crate) fn step(began: Instant, number: usize, of: usize) -> Self {
        let of = of.max(1);
        let share = |number: usize| number as f64 / of as f64;
        let words = format!("{} of {of}", number + 1);
        Self { began, words, from: share(number), to: share(number + 1) }
    }

    /// The same, and what it is.
    pub(crate) fn named(mut self, what: &str) -> Self {
        self.words.push_str("  ");
        self.words.push_str(what);
        self
    }

    /// The part of this number, counted from 0, of so many of it.
    pub(crate) fn part(&self, number: usize, of: usize, what: &str) -> Self {
        let width = (self.to - self.from) / of.max(1) as f64;
        let from = self.from + width * number as f64;
        let part = Self { from, to: from + width, ..self.clone() };
        part.named(what)
    }

    /// The share of the command's work that is done with this share of the stretch, and what is said of it.
    pub(crate) fn told(&self, here: f64) -> (f64, String) {
        self.told_after(self.began.elapsed(), here)
    }

    fn told_after(&self, elapsed: Duration, here: f64) -> (f64, String) {
        let done = self.from + (self.to - self.from) * here.clamp(0.0, 1.0);
        let mut words = self.words.clone();
        if done >= DONE_MIN && elapsed >= TIME_MIN {
            let seconds = elapsed.as_secs_f64() * (1.0 - done).max(0.0) / done;
            words.push_str(&match seconds {
                90.0.. => format!("  about {:.0} min left", seconds / 60.0),
                _ => format!("  about {seconds:.0} s left"),
            });
        }
        (done, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_which_it_is_and_what_is_left() {
        let began = Instant::now();
        let step = Place::step(began, 2, 16).named("16 producers");
        let (done, words) = step.told_after(Duration::from_secs(60), 0.5);
        assert!((done - 2.5 / 16.0).abs() < 1e-9, "{done}");
        assert_eq!(words, "3 of 16  16 producers  about 5 min left");
        let last = Place::step(began, 15, 16);
        let told = |here| last.told_after(Duration::from_secs(300), here);
        assert_eq!(told(0.0).1, "16 of 16  about 20 s left");
        assert_eq!(told(7.0), (1.0, "16 of 16  about 0 s left".into()));
        // Too soon to tell, and nothing to do at all.
        assert_eq!(Place::step(began, 0, 16).told(0.1).1, "1 of 16");
        assert_eq!(Place::step(began, 0, 0).told(0.0), (0.0, "1 of 1".into()));
    }

    #[test]
    fn the_parts_of_a_step_fill_it() {
        let step = Place::step(Instant::now(), 1, 4).named("kafka page cache");
        let [first, last] = [0, 4].map(|number| step.part(number, 5, "a part"));
        assert!((first.from - 0.25).abs() < 1e-9 && (last.to - 0.5).abs() < 1e-9);
        assert!((first.to - 0.3).abs() < 1e-9, "{first:?}");
        assert_eq!(last.words, "2 of 4  kafka page cache  a part");
    }
}
