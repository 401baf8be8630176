//! The harness itself: how many records one thread of it makes. A broker that takes more than that needs more of its threads.

use std::time::Duration;

use super::Bound;
use crate::{
    failure::Failure,
    load::{Plan, Supply},
    spec::{KeySpec, SizeSpec},
};

pub(super) fn measure(duration: Duration) -> Result<Vec<Bound>, Failure> {
    let of = |(name, keys): (&str, KeySpec)| {
        let plan = Plan { keys, size: SizeSpec::Fixed(100), ..Plan::default() };
        let made = Supply::measure(&plan, duration / 4)?;
        let throughput = Bound::throughput(
            format!("client: records of 100 B{name}, one thread, into sealed batches"),
            made.bytes as f64,
            made.seconds,
        );
        let per_second = Some(made.records as f64 / made.seconds.max(1e-9));
        Ok(Bound { per_second, ..throughput })
    };
    [("", KeySpec::None), (" with keys", KeySpec::Random(1_000_000))].map(of).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_a_second_stand_beside_their_bytes() {
        let bounds = measure(Duration::from_millis(80)).unwrap();
        assert_eq!(bounds.len(), 2);
        for Bound { name, bytes_per_second, per_second, .. } in bounds {
            let each = bytes_per_second.unwrap() / per_second.unwrap();
            assert!((100.0..130.0).contains(&each), "{name}: {each}");
        }
    }
}
