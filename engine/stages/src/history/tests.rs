//! What is packed comes back, sums are sums, and the hour is bounded.

use super::*;

fn counts(buckets: &[(u16, u32)]) -> Counts {
    Counts { buckets: buckets.to_vec(), sum: 900, longest: 70_000 }
}

#[test]
fn a_second_is_the_sum_of_its_cores() {
    let mut history = History::default();
    let core = |core: u16, n| (core, vec![(3, Stage::Flush, counts(&[(5, n), (1700, 300)]))]);
    history.push(1000, 1000, vec![core(0, 1), core(1, 2)]);
    let last = history.last(9);
    let series: Vec<Series> = last[0].series().collect();
    let expected = Counts { buckets: vec![(5, 3), (1700, 600)], sum: 1800, longest: 70_000 };
    assert_eq!(series, [(3, Stage::Flush, expected)]);
    assert_eq!((last[0].ended_ms, last[0].length_ms), (1000, 1000));
}

#[test]
fn sums_are_kept_of_each_core_and_of_all() {
    let mut history = History::default();
    for second in 0..3 {
        let total =
            |n| vec![(0, Stage::Total, counts(&[(5, n)])), (1, Stage::Read, counts(&[(9, 1)]))];
        history.push(second * 1000, 1000, vec![(0, total(10)), (1, total(20))]);
    }
    let count = |sums: &BTreeMap<(u8, Stage), Histogram>| sums[&(0, Stage::Total)].count();
    assert_eq!(count(&history.since_start(None)), 90);
    assert_eq!(count(&history.since_start(Some(1))), 60);
    assert_eq!(count(&sum(&history.last(2))), 60);
    assert_eq!(history.recent(1, 0).count(), 60);
    assert_eq!(history.recent(1, 1).count(), 0, "only whole requests");
    assert!(history.since_start(Some(7)).is_empty());
}

#[test]
fn recent_is_ten_intervals() {
    let mut history = History::default();
    for second in 0..25 {
        history.push(second, 1, vec![(0, vec![(0, Stage::Total, counts(&[(5, 1)]))])]);
    }
    assert_eq!(history.recent(0, 0).count(), 10);
}

#[test]
fn an_hour_is_the_most_and_bytes_are_bounded() {
    let mut history = History::default();
    for second in 0..SECONDS_MAX as u64 + 50 {
        history.push(second, 1, Vec::new());
    }
    let kept = history.last(usize::MAX);
    assert_eq!((kept.len(), kept[0].ended_ms), (SECONDS_MAX, 50));
    let wide: Vec<(u16, u32)> = (0..1700).map(|b| (b, u32::MAX)).collect();
    let everything: Vec<Series> =
        (0..30).flat_map(|api| Stage::ALL.map(|stage| (api, stage, counts(&wide)))).collect();
    for second in 0..20 {
        history.push(10_000 + second, 1, vec![(0, everything.clone())]);
    }
    assert!(history.bytes <= BYTES_MAX, "{}", history.bytes);
    assert_eq!(history.bytes, history.seconds.iter().map(|s| s.packed.len()).sum::<usize>());
    assert!(history.last(usize::MAX).len() < 20);
}

#[test]
fn an_hour_of_a_busy_broker_fits() {
    // Two APIs with eleven stages each, the durations of each over 100 buckets (one and a half doublings), thousands in a bucket.
    let spread: Vec<(u16, u32)> = (500..600).map(|bucket| (bucket, 3_000)).collect();
    let stages = &Stage::ALL[Stage::COUNT - 11..];
    let busy: Vec<Series> = (0..2)
        .flat_map(|api| stages.iter().map(move |stage| (api, *stage)))
        .map(|(api, stage)| (api, stage, counts(&spread)))
        .collect();
    let mut history = History::default();
    for second in 0..SECONDS_MAX as u64 {
        history.push(second * 1000, 1000, vec![(0, busy.clone())]);
    }
    assert_eq!(history.last(usize::MAX).len(), SECONDS_MAX, "{} bytes", history.bytes);
    // It is no small hour: with half as many bytes more the oldest seconds would go.
    assert!(history.bytes * 3 / 2 > BYTES_MAX, "{} bytes", history.bytes);
}

#[test]
fn bytes_that_end_early_end_the_series() {
    let second = |packed: &[u8]| Second { ended_ms: 0, length_ms: 0, packed: packed.into() };
    assert_eq!(second(&[]).series().count(), 0);
    assert_eq!(second(&[1, 2, 3]).series().count(), 0);
    assert_eq!(second(&[1, 99, 0, 0, 0]).series().count(), 0);
    assert_eq!(second(&[1, 2, 0, 0, 0]).series().count(), 1);
}
