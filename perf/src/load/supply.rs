//! How fast one thread makes records: what the harness could offer at most, were sending free.

use std::time::{Duration, Instant};

use super::{
    batches::{Batches, Closed},
    plan::Plan,
};
use crate::{failure::Failure, protocol::batch::seal, random::Random};

/// What one thread made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supply {
    pub(crate) records: u64,
    /// Of their batches.
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

impl Supply {
    /// Makes the plan's records for so long: stamped, in batches that are sealed, and thrown away.
    pub(crate) fn measure(plan: &Plan, length: Duration) -> Result<Self, Failure> {
        let mut batches = Batches::new(plan, 0, 1, true, Random::new(plan.seed))?;
        let (mut full, mut at) = (Vec::<Closed>::new(), 0);
        let mut supply = Self { records: 0, bytes: 0, seconds: 0.0 };
        let begin = Instant::now();
        while begin.elapsed() < length {
            while full.is_empty() {
                batches.push(at, 0, &mut full);
                at += 1_000;
            }
            for mut batch in full.drain(..) {
                seal(&mut batch.bytes, batch.count as i32, 0, 0, None);
                supply.records += u64::from(batch.count);
                supply.bytes += batch.bytes.len() as u64;
                batches.recycle(batch.bytes);
            }
        }
        supply.seconds = begin.elapsed().as_secs_f64();
        Ok(supply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{KeySpec, SizeSpec};

    #[test]
    fn records_are_made_with_keys_and_without() {
        for keys in [KeySpec::None, KeySpec::Random(1_000)] {
            let plan = Plan { keys, size: SizeSpec::Fixed(100), ..Plan::default() };
            let made = Supply::measure(&plan, Duration::from_millis(20)).unwrap();
            assert!(made.records > 0 && made.seconds >= 0.02, "{made:?}");
            // A value of 100 bytes, its key, and what the format has around them.
            let each = made.bytes as f64 / made.records as f64;
            assert!((100.0..130.0).contains(&each), "{made:?}");
        }
    }
}
