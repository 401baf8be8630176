//! How long a program has said nothing, and what it said last.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long is listened, at most, before the next look at the clock.
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// So many looks within the bound, at least.
const LOOKS: u32 = 10;
/// The last lines that are kept, for a complaint, and the most characters of each.
const LINES: usize = 15;
const CHARACTERS: usize = 400;
/// The most bytes of a line; what is longer loses its end.
const LINE_BYTES: usize = 64 << 10;

/// The time since something was heard, as far as anybody listened.
pub(super) struct Silence {
    bound: Duration,
    lasted: Duration,
    looked: Instant,
}

impl Silence {
    pub(super) fn new(bound: Duration, now: Instant) -> Silence {
        Silence { bound, lasted: Duration::ZERO, looked: now }
    }

    /// How long to listen before the next look.
    pub(super) fn pause(&self) -> Duration {
        (self.bound / LOOKS).min(PAUSE_MOST)
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.lasted = Duration::ZERO;
        self.looked = now;
    }

    /// Adds the time since the last look; true if the bound is passed. No look counts for more than two pauses: a run that is
    /// stopped (Ctrl-Z), with all that it has started, listens to nobody meanwhile.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.looked);
        self.lasted += passed.min(self.pause() * 2);
        self.looked = now;
        self.lasted > self.bound
    }
}

/// Makes lines of what comes in pieces.
#[derive(Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Adds a piece; each line that it ends goes to `each`.
    pub(super) fn add(&mut self, piece: &[u8], mut each: impl FnMut(&str)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n");
            let more = text.unwrap_or(part);
            let room = LINE_BYTES.saturating_sub(self.begun.len());
            self.begun.extend_from_slice(&more[..more.len().min(room)]);
            if text.is_some() {
                each(self.text().trim_end_matches('\r'));
                self.begun.clear();
            }
        }
    }

    /// What has no end yet goes to `each`, if there is any.
    pub(super) fn end(&mut self, each: impl FnOnce(&str)) {
        if !self.begun.is_empty() {
            each(&self.text());
            self.begun.clear();
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.begun).into_owned()
    }
}

/// The last lines that a program said.
#[derive(Default)]
pub(super) struct Last {
    lines: VecDeque<String>,
}

impl Last {
    pub(super) fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.chars().take(CHARACTERS).collect());
    }

    /// All of them, each on a line of its own that is set in.
    pub(super) fn words(&self) -> String {
        self.lines.iter().map(|line| format!("\n    {line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(900);

    /// Looks every second, so many times; how many looks it took until the bound was passed.
    fn looks(silence: &mut Silence, from: Instant, seconds: u64) -> Option<u64> {
        (1..=seconds).find(|second| silence.look(from + Duration::from_secs(*second)))
    }

    #[test]
    fn the_bound_is_passed_when_nothing_was_heard_for_longer() {
        let begun = Instant::now();
        let mut silence = Silence::new(BOUND, begun);
        assert_eq!(silence.pause(), Duration::from_secs(1));
        assert_eq!(looks(&mut silence, begun, 900), None);
        assert!(silence.look(begun + Duration::from_millis(900_001)));
    }

    #[test]
    fn whatever_is_heard_begins_it_anew() {
        let begun = Instant::now();
        let mut silence = Silence::new(BOUND, begun);
        assert_eq!(looks(&mut silence, begun, 899), None);
        let spoken = begun + Duration::from_secs(899);
        silence.heard(spoken);
        assert_eq!(looks(&mut silence, spoken, 2_000), Some(901));
    }

    #[test]
    fn a_run_that_was_stopped_has_heard_no_silence() {
        let begun = Instant::now();
        let mut silence = Silence::new(BOUND, begun);
        let next_day = begun + Duration::from_secs(86_400);
        assert!(!silence.look(next_day));
        // Two seconds of that day count.
        assert_eq!(looks(&mut silence, next_day, 2_000), Some(899));
    }

    #[test]
    fn a_short_bound_is_looked_at_often_enough() {
        let silence = Silence::new(Duration::from_millis(200), Instant::now());
        assert_eq!(silence.pause(), Duration::from_millis(20));
    }

    #[test]
    fn lines_come_out_of_pieces_wherever_these_are_cut() {
        let text = "test one ... ok\r\n\n\u{e4}rger\nrest";
        for size in 1..text.len() {
            let (mut lines, mut all) = (Lines::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                lines.add(piece, |line| all.push(line.to_owned()));
            }
            assert_eq!(all, ["test one ... ok", "", "\u{e4}rger"], "pieces of {size}");
            lines.end(|line| all.push(line.to_owned()));
            assert_eq!(all.last().map(String::as_str), Some("rest"));
            lines.end(|line| panic!("once is enough: {line}"));
        }
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_than_its_memory() {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for _ in 0..100 {
            lines.add(&[b'x'; 4 << 10], |line| all.push(line.len()));
        }
        lines.add(b"y\nz\n", |line| all.push(line.len()));
        assert_eq!(all, [LINE_BYTES, 1]);
    }

    #[test]
    fn the_last_lines_are_kept_and_no_others() {
        let mut last = Last::default();
        for n in 0..100 {
            last.push(&format!("line {n}"));
            last.push(" ");
        }
        last.push(&"x".repeat(10_000));
        let words = last.words();
        assert!(words.starts_with("\n    line 86\n    line 87\n"), "{words}");
        assert_eq!(words.lines().count(), 1 + LINES);
        assert_eq!(words.lines().last().map(str::len), Some(4 + CHARACTERS));
    }
}
