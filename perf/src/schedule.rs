//! When each record is due: the open loop.
//!
//! Record `i` of a stage is due at `start + i / rate`, whatever became of the records before it. The quotient is kept as whole
//! nanoseconds plus a remainder over the rate, so that the billionth record is due on the same nanosecond as a division would
//! say: nothing drifts. Several producers share one schedule: producer `p` of `n` takes the records `p, p+n, p+2n, ...`, and
//! their union is the schedule of one.
//!
//! Arrivals may instead be Poisson: exponential gaps with the same mean, drawn from the producer's own seeded stream.

use crate::random::Random;

/// How records are spread over time.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// Equal gaps.
    Constant,
    /// Exponential gaps: bursts, as independent clients make them.
    Poisson,
}

/// One stretch of constant offered rate. Times are nanoseconds on the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The first record's due time.
    pub start: u64,
    /// No record is due at or after this.
    pub end: u64,
    /// Records a second of all producers together.
    pub rate: u64,
}

/// Records that are due, in order, at equal distances of time up to a nanosecond of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The due time, nanoseconds on the run's clock.
    pub at: u64,
    /// Number of the stage it belongs to.
    pub stage: usize,
}

/// One producer's share of the schedule. Yields due times in order, without end of its own making: it ends with its last stage.
#[derive(Clone, Debug)]
pub struct Schedule {
    stages: Vec<Stage>,
    stage: usize,
    producer: u64,
    producers: u64,
    arrival: Pattern,
    next: Option<Due>,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// Due is `nanos + remainder/rate`; each record adds `step` and `step_remainder/rate`.
    Constant { nanos: u64, remainder: u64, step: u64, step_remainder: u64 },
    /// Due in nanoseconds since the stage began, with its fraction.
    Poisson { random: Random, nanos: f64 },
}

impl Schedule {
    /// The share of producer number `producer` of `producers` (at least 1) in these stages, which follow each other in time and
    /// have rates above 0. The random stream is used for Poisson arrivals only.
    #[must_use]
    pub fn new(
        stages: Vec<Stage>,
        arrival: Arrival,
        producer: u64,
        producers: u64,
        random: Random,
    ) -> Self {
        assert!(producer < producers, "producer {producer} of {producers}");
        assert!(stages.iter().all(|s| s.rate > 0), "a stage without a rate has no due times");
        let arrival = match arrival {
            Arrival::Constant => {
                Pattern::Constant { nanos: 0, remainder: 0, step: 0, step_remainder: 0 }
            }
            Arrival::Poisson => Pattern::Poisson { random, nanos: 0.0 },
        };
        let mut schedule = Self { stages, stage: 0, producer, producers, arrival, next: None };
        schedule.enter(0);
        schedule
    }

    /// The next record's due time, without taking it. `None`: the schedule is over.
    #[must_use]
    pub fn peek(&self) -> Option<Due> {
        self.next
    }

    /// When the record `ahead` places after the next one is due, if that lies in the same stage and arrivals are constant.
    /// Good for one wake-up a batch: the time at which a batch will be full is known beforehand.
    #[must_use]
    pub fn peek_ahead(&self, ahead: u64) -> Option<u64> {
        let next = self.next?;
        let stage = self.stages[self.stage];
        let Pattern::Constant { remainder, .. } = &self.arrival else { return None };
        let more = u128::from(ahead) * u128::from(self.producers) * 1_000_000_000;
        let at = u128::from(next.at) + (more + u128::from(*remainder)) / u128::from(stage.rate);
        u64::try_from(at).ok().filter(|at| *at < stage.end)
    }

    /// Takes the next record.
    pub fn take(&mut self) -> Option<Due> {
        let due = self.next?;
        self.advance();
        self.next = self.settle();
        Some(due)
    }

    fn enter(&mut self, stage: usize) {
        self.stage = stage;
        let Some(Stage { rate, .. }) = self.stages.get(stage).copied() else {
            self.next = None;
            return;
        };
        let first = u128::from(self.producer) * 1_000_000_000;
        let step = u128::from(self.producers) * 1_000_000_000;
        let wide = u128::from(rate);
        match &mut self.arrival {
            Pattern::Constant { nanos, remainder, step: s, step_remainder: r } => {
                (*nanos, *remainder) = ((first / wide) as u64, (first % wide) as u64);
                (*s, *r) = ((step / wide) as u64, (step % wide) as u64);
            }
            Pattern::Poisson { random, nanos } => {
                *nanos = random.exponential() * step as f64 / rate as f64;
            }
        }
        self.next = self.settle();
    }

    fn advance(&mut self) {
        let rate = self.stages[self.stage].rate;
        match &mut self.arrival {
            Pattern::Constant { nanos, remainder, step, step_remainder } => {
                *nanos += *step;
                *remainder += *step_remainder;
                if *remainder >= rate {
                    *remainder -= rate;
                    *nanos += 1;
                }
            }
            Pattern::Poisson { random, nanos } => {
                *nanos += random.exponential() * self.producers as f64 * 1e9 / rate as f64;
            }
        }
    }

    /// The due time that the pattern stands at, going on to the next stage when this one is over.
    fn settle(&mut self) -> Option<Due> {
        let stage = *self.stages.get(self.stage)?;
        let at = stage.start
            + match &self.arrival {
                Pattern::Constant { nanos, .. } => *nanos,
                Pattern::Poisson { nanos, .. } => *nanos as u64,
            };
        if at < stage.end {
            return Some(Due { at, stage: self.stage });
        }
        self.enter(self.stage + 1);
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn one(rate: u64, seconds: u64) -> Vec<Stage> {
        vec![Stage { start: 0, end: seconds * SECOND, rate }]
    }

    fn all(mut schedule: Schedule) -> Vec<u64> {
        std::iter::from_fn(|| schedule.take().map(|due| due.at)).collect()
    }

    #[test]
    fn nothing_drifts() {
        // 7 and 3 do not divide a second: a float or a rounded gap would wander off.
        for rate in [3, 7, 999_983] {
            let mut schedule = Schedule::new(one(rate, 5), Arrival::Constant, 0, 1, Random::new(0));
            for i in 0..rate * 5 {
                let exact = u128::from(i) * u128::from(SECOND) / u128::from(rate);
                assert_eq!(schedule.take().map(|d| u128::from(d.at)), Some(exact), "record {i}");
            }
            assert_eq!(schedule.take(), None);
        }
    }

    #[test]
    fn the_shares_of_the_producers_are_the_whole() {
        let whole = all(Schedule::new(one(1000, 2), Arrival::Constant, 0, 1, Random::new(0)));
        let mut shares: Vec<u64> = (0..3)
            .flat_map(|p| all(Schedule::new(one(1000, 2), Arrival::Constant, p, 3, Random::new(0))))
            .collect();
        shares.sort_unstable();
        assert_eq!(shares, whole);
    }

    #[test]
    fn looking_ahead_is_where_one_arrives() {
        let mut schedule = Schedule::new(one(7919, 3), Arrival::Constant, 1, 3, Random::new(0));
        for _ in 0..100 {
            schedule.take();
        }
        let seen = schedule.peek_ahead(1234).unwrap();
        for _ in 0..1234 {
            schedule.take();
        }
        assert_eq!(schedule.peek().map(|d| d.at), Some(seen));
        assert_eq!(schedule.peek_ahead(1_000_000), None);
    }

    #[test]
    fn a_ramp_has_its_rates() {
        let stages = vec![
            Stage { start: 5, end: 5 + SECOND, rate: 100 },
            Stage { start: 5 + SECOND, end: 5 + 2 * SECOND, rate: 400 },
        ];
        let mut schedule = Schedule::new(stages, Arrival::Constant, 0, 1, Random::new(0));
        let mut counts = [0; 2];
        let mut last = 0;
        while let Some(due) = schedule.take() {
            counts[due.stage] += 1;
            assert!(due.at >= last);
            last = due.at;
        }
        assert_eq!(counts, [100, 400]);
    }

    #[test]
    fn poisson_keeps_the_rate_and_repeats_with_its_seed() {
        let draw =
            |seed| all(Schedule::new(one(50_000, 4), Arrival::Poisson, 0, 1, Random::new(seed)));
        let times = draw(9);
        assert!((times.len() as f64 - 200_000.0).abs() < 2_000.0, "{}", times.len());
        assert_eq!(times, draw(9));
        assert_ne!(times, draw(10));
        // Exponential gaps: the standard deviation is the mean.
        let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let var = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((var.sqrt() / mean - 1.0).abs() < 0.05);
    }
}
