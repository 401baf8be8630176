//! One core's tallies, and the worst requests since they were last taken.

use crate::tally::Tally;
use crate::{Laps, Series, Times};
use ids::Instant;
use std::net::SocketAddr;

/// Requests that are remembered in full in each interval, of each kind.
const WORST: usize = 4;

/// What the worst requests are told apart by: a slow fetch must not hide a slow produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Produce.
    Produce,
    /// Fetch.
    Fetch,
    /// All others.
    Other,
}

/// A request that was among the worst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worst {
    /// Its time.
    pub times: Times,
    /// Whose it was.
    pub peer: SocketAddr,
    /// When its answer had left.
    pub ended: Instant,
}

/// What came together on a core since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// By API and stage.
    pub series: Vec<Series>,
    /// In no order.
    pub worst: Vec<Worst>,
}

#[derive(Debug, Default)]
struct Slowest {
    /// Only a request that took longer than this gets in: zero until there are enough.
    floor: u32,
    requests: Vec<Worst>,
}

impl Slowest {
    #[cold]
    fn offer(&mut self, worst: Worst) {
        if self.requests.len() < WORST {
            self.requests.push(worst);
        } else if let Some(least) = self.requests.iter_mut().min_by_key(|w| w.times.total()) {
            *least = worst;
        }
        if self.requests.len() == WORST {
            self.floor = self.requests.iter().map(|w| w.times.total()).min().unwrap_or(0);
        }
    }

    fn take(&mut self, into: &mut Vec<Worst>) {
        self.floor = 0;
        into.append(&mut self.requests);
    }
}

/// One core's record of its requests.
#[derive(Debug)]
pub struct Recorder {
    /// By API; made at its first request.
    tallies: Vec<(Kind, Option<Box<Tally>>)>,
    slowest: [Slowest; 3],
}

impl Recorder {
    /// For APIs of these kinds.
    #[must_use]
    pub fn new(apis: impl IntoIterator<Item = Kind>) -> Self {
        let tallies = apis.into_iter().map(|kind| (kind, None)).collect();
        let slowest = || Slowest { floor: 0, requests: Vec::with_capacity(WORST) };
        Self { tallies, slowest: [slowest(), slowest(), slowest()] }
    }

    /// Takes the laps of a request that was answered.
    #[inline]
    pub fn record(&mut self, laps: &Laps, peer: &SocketAddr, ended: Instant) {
        let Some(times) = laps.sheet() else { return };
        let Some((kind, tally)) = self.tallies.get_mut(usize::from(times.api())) else { return };
        let total = tally.get_or_insert_default().record(times);
        let slowest = &mut self.slowest[*kind as usize];
        if total > slowest.floor {
            slowest.offer(Worst { times: times.clone(), peer: *peer, ended });
        }
    }

    /// Takes everything out.
    pub fn drain(&mut self) -> Interval {
        let mut interval = Interval::default();
        for (api, (_, tally)) in (0..).zip(&mut self.tallies) {
            let stages = tally.iter_mut().flat_map(|t| t.drain());
            interval.series.extend(stages.map(|(stage, counts)| (api, stage, counts)));
        }
        for slowest in &mut self.slowest {
            slowest.take(&mut interval.worst);
            slowest.requests.reserve(WORST);
        }
        interval
    }
}

#[cfg(all(test, not(feature = "compiled-out")))]
mod tests {
    use super::*;
    use crate::Stage;

    fn request(api: u8, ticks: u64) -> Laps {
        let mut laps = Laps::begin(Instant(0));
        laps.is_for(api);
        laps.lap_at(Stage::Decode, Instant(64));
        laps.lap_at(Stage::Flush, Instant(64 * ticks));
        laps
    }

    fn peer() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 5))
    }

    #[test]
    fn the_worst_of_each_kind_stay() {
        let mut recorder = Recorder::new([Kind::Produce, Kind::Fetch]);
        for ticks in [10, 3, 50, 7, 40, 2, 60] {
            recorder.record(&request(0, ticks), &peer(), Instant(1));
        }
        recorder.record(&request(1, 5), &peer(), Instant(1));
        let mut worst: Vec<(u8, u32)> =
            recorder.drain().worst.iter().map(|w| (w.times.api(), w.times.total())).collect();
        worst.sort_unstable();
        assert_eq!(worst, [(0, 10), (0, 40), (0, 50), (0, 60), (1, 5)]);
        assert!(recorder.drain().worst.is_empty());
        recorder.record(&request(0, 1), &peer(), Instant(1));
        assert_eq!(recorder.drain().worst.len(), 1, "a new interval begins at the bottom");
    }

    #[test]
    fn a_stage_has_the_count_of_its_requests() {
        let mut recorder = Recorder::new([Kind::Other]);
        for ticks in 1..=100 {
            recorder.record(&request(0, ticks), &peer(), Instant(1));
        }
        let interval = recorder.drain();
        let counts: Vec<(Stage, u32)> = interval
            .series
            .iter()
            .map(|(_, stage, c)| (*stage, c.buckets.iter().map(|(_, n)| n).sum()))
            .collect();
        assert_eq!(counts, [(Stage::Decode, 100), (Stage::Flush, 100), (Stage::Total, 100)]);
        assert!(recorder.drain().series.is_empty());
    }

    #[test]
    fn an_api_that_is_not_known_is_not_counted() {
        let mut recorder = Recorder::new([Kind::Other]);
        recorder.record(&request(9, 5), &peer(), Instant(1));
        assert!(recorder.drain().series.is_empty());
    }
}
