//! What the control thread remembers of the cores. Its pages are phrased on other threads, which look at it one at a time.

use super::pulse::{Beat, Busy, Gauges, Kept, Slow};
use stages::History;
use std::collections::{BTreeMap, VecDeque};

/// How long the worst requests are remembered, in milliseconds.
const WORST_MS: u64 = 60_000;

/// One core's last second.
#[derive(Clone, Default)]
pub(crate) struct Now {
    pub(crate) gauges: Gauges,
    pub(crate) before: Gauges,
    pub(crate) busy: Vec<Busy>,
}

impl Now {
    /// What kept the core from its work.
    pub(crate) fn kept(&self) -> Kept {
        let waited_nanos = self.gauges.waited_nanos.saturating_sub(self.before.waited_nanos);
        Kept { waited_nanos, turn_nanos: self.gauges.turn_nanos }
    }
}

/// The node's memory of its cores. Lives on the control thread from its start to its end.
#[derive(Default)]
pub(crate) struct Observed {
    pub(crate) history: History,
    pub(crate) cores: BTreeMap<u16, Now>,
    pub(crate) ended_ms: u64,
    pub(crate) length_ms: u64,
    slow: VecDeque<(u64, Vec<Slow>)>,
}

impl Observed {
    /// Takes a second of the cores.
    pub(crate) fn take(&mut self, beat: Beat) {
        (self.ended_ms, self.length_ms) = (beat.ended_ms, beat.length_ms);
        let (mut series, mut slow) = (Vec::new(), Vec::new());
        for pulse in beat.pulses {
            series.push((pulse.core, pulse.series));
            // Of its first second nothing is known but its end.
            let first = Now { gauges: pulse.gauges, ..Now::default() };
            let now = self.cores.entry(pulse.core).or_insert(first);
            now.before = std::mem::replace(&mut now.gauges, pulse.gauges);
            now.busy = pulse.busy;
            let kept = now.kept();
            slow.extend(pulse.slow.into_iter().map(|s| Slow { kept, ..s }));
        }
        self.history.push(beat.ended_ms, beat.length_ms, series);
        self.slow.push_back((beat.ended_ms, slow));
        let begin = beat.ended_ms.saturating_sub(WORST_MS);
        while self.slow.front().is_some_and(|(ended, _)| *ended < begin) {
            self.slow.pop_front();
        }
    }

    /// The worst requests of the last minute, of one API or of all, the worst first.
    pub(crate) fn worst(&self, api: Option<&str>, most: usize) -> Vec<Slow> {
        let all = self.slow.iter().flat_map(|(_, slow)| slow);
        let mut worst: Vec<&Slow> =
            all.filter(|s| api.is_none_or(|api| s.api.eq_ignore_ascii_case(api))).collect();
        worst.sort_by_key(|s| std::cmp::Reverse(s.times.total()));
        worst.truncate(most);
        worst.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::pulse::Pulse;
    use super::*;
    use ids::Instant;
    use stages::{Laps, Stage};

    fn slow(api: &'static str, ticks: u64) -> Slow {
        let mut laps = Laps::begin(Instant(0));
        laps.lap_at(Stage::Flush, Instant(ticks * 64));
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let times = laps.times().unwrap();
        Slow { api, core: 0, ended_ms: 0, times, peer, partition: None, kept: Kept::default() }
    }

    fn beat(ended_ms: u64, slow: Vec<Slow>, requests: u64) -> Beat {
        let gauges = Gauges { requests, ..Gauges::default() };
        let pulse = Pulse { core: 0, series: Vec::new(), slow, busy: Vec::new(), gauges };
        Beat { ended_ms, length_ms: 1000, pulses: vec![pulse] }
    }

    #[test]
    fn the_worst_of_the_last_minute_stay_and_no_older_ones() {
        let mut observed = Observed::default();
        observed.take(beat(1_000, vec![slow("Produce", 900)], 5));
        observed.take(beat(30_000, vec![slow("Produce", 100), slow("Fetch", 300)], 9));
        observed.take(beat(61_000, vec![slow("Produce", 200)], 10));
        let total = |observed: &Observed, api, most| -> Vec<u32> {
            observed.worst(api, most).iter().map(|s| s.times.total()).collect()
        };
        assert_eq!(total(&observed, None, 9), [900, 300, 200, 100]);
        assert_eq!(total(&observed, Some("produce"), 2), [900, 200]);
        observed.take(beat(61_001, Vec::new(), 12));
        assert_eq!(total(&observed, None, 9), [300, 200, 100]);
        let now = &observed.cores[&0];
        assert_eq!((now.before.requests, now.gauges.requests), (10, 12));
    }
}
