//! Which part of the run counts.

use crate::schedule::Stage;

/// The measured stages of a trial, one after the other, on the run's clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    stages: Vec<Stage>,
}

impl Window {
    pub(super) fn new(stages: Vec<Stage>) -> Self {
        Self { stages }
    }

    /// The stage that a time lies in; `None` during warm-up and after the end.
    pub(super) fn stage_of(&self, at: u64) -> Option<usize> {
        match self.stages.as_slice() {
            [only] => (only.start <= at && at < only.end).then_some(0),
            stages => stages.iter().position(|stage| stage.start <= at && at < stage.end),
        }
    }

    pub(super) fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The first measured moment.
    pub(super) fn begin(&self) -> u64 {
        self.stages.first().map_or(u64::MAX, |stage| stage.start)
    }

    /// The moment after the last measured one.
    pub(super) fn end(&self) -> u64 {
        self.stages.last().map_or(0, |stage| stage.end)
    }

    /// How much of a stretch of time is measured.
    pub(super) fn overlap(&self, from: u64, to: u64) -> u64 {
        to.min(self.end()).saturating_sub(from.max(self.begin()))
    }
}
