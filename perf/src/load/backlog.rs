//! What is written before a run, for its consumers to catch up with. It is all there, or there is no run: the time to catch up with less
//! than was asked for says nothing.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::{
    batches::Batches,
    clock::Clock,
    links::Links,
    meter::{Meter, Report},
    plan::Plan,
    producer::{self, Produced, Producer, Shop, Source},
    target::{Leaders, Target},
    trial::shop,
    window::Window,
};
use crate::{failure::Failure, random::Random};

/// An hour is more than any backlog takes; the byte count ends it.
const LONGEST: u64 = 3_600_000_000_000;

/// Between two looks at the log's ends.
const PAUSE: Duration = Duration::from_millis(20);

/// Writes the backlog, as fast as the broker takes it, behind these offsets. Gives back where it ends in each partition.
pub(super) fn fill(
    plan: &Arc<Plan>,
    target: &Arc<Target>,
    leaders: &Leaders,
    clock: Clock,
    run: u32,
    from: &[i64],
) -> Result<Vec<i64>, Failure> {
    let mut producers = Vec::new();
    let until = clock.now() + LONGEST;
    let bytes_left = plan.backlog_bytes / u64::from(plan.producers.max(1));
    for producer in 0..plan.producers {
        let random = Random::stream(plan.seed, u64::from(producer));
        let batches = Batches::new(plan, producer, run, true, random)?;
        let links = Links::connect(target, leaders, plan.idempotent)?;
        producers.push(Producer::new(producer, Source::Max { until, bytes_left }, batches, links));
    }
    let (sender, _reports) = mpsc::channel::<Report>();
    let timeout = plan.timeout.as_nanos() as u64;
    let meter = Meter::new(0, Arc::new(Window::default()), sender, timeout);
    let patience = Some(plan.backlog_patience.as_nanos() as u64);
    let shop = Shop { patience, ..shop(plan, target, clock, meter, until) };
    let produced = producer::work(producers, shop);
    if produced.is_cut_off {
        let patience = plan.backlog_patience;
        return Err(Failure::Unreachable(format!(
            "no broker could be reached for {patience:?} while the backlog was written"
        )));
    }
    // What was not acknowledged may be there or not: it is not waited for. What was may show a moment later.
    let sure = produced.made.saturating_sub(produced.failed);
    let deadline = clock.now() + plan.drain.as_nanos() as u64;
    let mut ends = target.offsets(-1)?;
    while rise(from, &ends) < sure && clock.now() < deadline {
        thread::sleep(PAUSE);
        ends = target.offsets(-1)?;
    }
    is_whole(&produced, rise(from, &ends))?;
    Ok(ends)
}

/// By how much the log's ends have gone on.
fn rise(from: &[i64], ends: &[i64]) -> u64 {
    let rises = from.iter().zip(ends).map(|(from, end)| end.saturating_sub(*from));
    rises.map(|rise| u64::try_from(rise).unwrap_or(0)).sum()
}

fn is_whole(produced: &Produced, there: u64) -> Result<(), Failure> {
    let made = produced.made;
    if there >= made {
        return Ok(());
    }
    let fault = produced.fault.as_deref().unwrap_or("the log does not show the others");
    Err(Failure::Invalid(format!("the backlog has {there} of its {made} records: {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_what_the_log_has_and_not_what_was_made() {
        assert_eq!(rise(&[10, 0, 5], &[15, 7, 5]), 12);
        // A partition without an answer has none.
        assert_eq!(rise(&[10, 0], &[-1, 7]), 7);
        let fault = || Some("TOPIC_AUTHORIZATION_FAILED".to_owned());
        let produced = |fault| Produced { made: 100, failed: 10, fault, ..Produced::default() };
        let failure = is_whole(&produced(fault()), 90).unwrap_err();
        assert_eq!(failure.code(), 8);
        let text = failure.to_string();
        assert!(text.contains("has 90 of its 100 records: TOPIC_AUTHORIZATION_FAILED"), "{text}");
        assert!(is_whole(&produced(None), 99).is_err());
        // It was given up and is there all the same.
        assert_eq!(is_whole(&produced(fault()), 100), Ok(()));
    }
}
