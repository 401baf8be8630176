//! The median of the turns that have a value, and of how many these are: of one lucky turn it is no median of five.

use super::Turn;
use crate::{chance::median, latency::Told, run::Verdict, spec::format_nanos};

/// A median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Middle {
    pub(super) value: f64,
    /// So many turns have a value ...
    pub(super) of: usize,
    /// ... of so many that were played.
    pub(super) played: usize,
}

impl Middle {
    /// `None`: no turn has a value.
    pub(super) fn of(
        played: u32,
        turns: &[Turn],
        value: impl Fn(&Turn) -> Option<f64>,
    ) -> Option<Self> {
        let values: Vec<f64> = turns.iter().filter_map(value).collect();
        Some(Self { value: median(&values)?, of: values.len(), played: played as usize })
    }

    /// The value, and of how many turns it is where it is of fewer than all.
    pub(super) fn show(self, value: impl FnOnce(f64) -> String) -> String {
        let Self { of, played, .. } = self;
        let of = if of < played { format!(", {of} of {played}") } else { String::new() };
        format!("{}{of}", value(self.value))
    }
}

/// Which of the two open loops, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// At the rate of all.
    Calm,
    /// At half of what the turn carried.
    Half,
    /// The same from the sending of the request on.
    HalfService,
}

impl Part {
    pub(super) fn verdict(self, turn: &Turn) -> &Verdict {
        match self {
            Self::Calm => &turn.calm,
            Self::Half | Self::HalfService => &turn.half,
        }
    }

    /// What is told at this place of the percentiles.
    fn told(self, turn: &Turn, place: usize) -> Told {
        let all = match self {
            Self::Calm => &turn.latency,
            Self::Half => &turn.half_latency,
            Self::HalfService => &turn.half_service,
        };
        all.get(place).copied().unwrap_or(Told::TooFew)
    }

    /// The median of the turns in which the broker kept up.
    pub(super) fn kept_up(self, played: u32, turns: &[Turn], place: usize) -> Option<Middle> {
        self.of(played, turns, place, |verdict| *verdict == Verdict::Valid)
    }

    /// The same with those in which it was overloaded.
    pub(super) fn overloaded_too(
        self,
        played: u32,
        turns: &[Turn],
        place: usize,
    ) -> Option<Middle> {
        self.of(played, turns, place, |verdict| !verdict.is_invalid())
    }

    fn of(
        self,
        played: u32,
        turns: &[Turn],
        place: usize,
        counts: fn(&Verdict) -> bool,
    ) -> Option<Middle> {
        Middle::of(played, turns, |turn| {
            let nanos = self.told(turn, place).nanos()?;
            counts(self.verdict(turn)).then_some(nanos as f64)
        })
    }

    /// What a table has at this place: the median of the turns in which the broker kept up; where it did in none, what it had as an
    /// overloaded one, and where there is nothing, why.
    pub(super) fn cell(self, played: u32, turns: &[Turn], place: usize) -> String {
        let nanos = |nanos: f64| format_nanos(nanos as u64);
        if let Some(middle) = self.kept_up(played, turns, place) {
            return middle.show(nanos);
        }
        if let Some(middle) = self.overloaded_too(played, turns, place) {
            return middle.show(|value| format!("SATURATED {}", nanos(value)));
        }
        let moved = turns.iter().any(|turn| self.told(turn, place) == Told::Moved);
        if moved { Told::Moved } else { Told::TooFew }.to_string()
    }
}
