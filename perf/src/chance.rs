//! Whether two sets of repeats differ by more than chance.
//!
//! The rank-sum test of Mann and Whitney: of all ways to deal the repeats to two runs, how many let the second come out above
//! the first as often as it did? It asks nothing of the shape of the noise, and one wild repeat moves it by one rank at most.

/// A difference that chance alone makes in one of a hundred comparisons is taken for real.
const LEVEL: f64 = 0.01;

/// Above so many repeats of a run the normal approximation stands in for counting every deal.
const EXACT_MAX: usize = 20;

/// Whether every repeat's value is known to come from another distribution than the baseline's.
///
/// `None`: there are too few repeats to say anything (fewer than two of a run). With fewer than five of each, no deal is rare
/// enough for the test, and the spreads must not meet instead.
#[must_use]
pub fn differs(baseline: &[f64], run: &[f64]) -> Option<bool> {
    if baseline.len() < 2 || run.len() < 2 {
        return None;
    }
    if let Some(probability) = probability(baseline, run) {
        return Some(probability <= LEVEL);
    }
    let low = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(low(run) > high(baseline) || high(run) < low(baseline))
}

/// How probable a difference at least as clear as this one is where there is none, in the direction in which it is.
/// `None`: even the clearest difference would be too probable.
#[must_use]
pub fn probability(baseline: &[f64], run: &[f64]) -> Option<f64> {
    let (n, m) = (baseline.len(), run.len());
    // Equal values are no win for either: that makes the answer larger, never smaller.
    let wins = |a: &[f64], b: &[f64]| -> usize {
        a.iter().map(|a| b.iter().filter(|b| *b > a).count()).sum()
    };
    let most = wins(baseline, run).max(wins(run, baseline));
    if n.max(m) > EXACT_MAX {
        let pairs = n as f64 * m as f64;
        let deviation = (pairs * (n + m + 1) as f64 / 12.0).sqrt();
        return Some(upper_tail((most as f64 - pairs / 2.0 - 0.5) / deviation));
    }
    let deals = deals(n, m);
    let all: f64 = deals.iter().sum();
    let clearest = 1.0 / all;
    (clearest <= LEVEL).then(|| deals[most..].iter().sum::<f64>() / all)
}

/// How many deals of `n` and `m` repeats have 0, 1, 2, ... pairs in which the second is above.
fn deals(n: usize, m: usize) -> Vec<f64> {
    // The product of (1 - q^(m+i)) / (1 - q^i) for i up to n, as the coefficients of q.
    let size = n * m + 1;
    let mut counts = vec![0.0; size];
    counts[0] = 1.0;
    for i in 1..=n {
        for at in (m + i..size).rev() {
            counts[at] -= counts[at - m - i];
        }
        for at in i..size {
            counts[at] += counts[at - i];
        }
    }
    counts
}

/// The normal distribution's share above `z` (Abramowitz and Stegun 26.2.17, error below 1e-7).
fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = series.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

/// The middle value, of an even number the mean of the two.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn deals_are_counted_as_by_hand() {
        // Two and two: six deals.
        assert_eq!(deals(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        // Ten and ten: 184,756 in all.
        assert!((deals(10, 10).iter().sum::<f64>() - 184_756.0).abs() < 1e-6);
        assert!((deals(10, 10)[100] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_published_critical_values() {
        // Ten and ten, one-sided 1 %: the smaller count of wins is at most 19, so the larger is at least 81.
        let tail = |from: usize| deals(10, 10)[from..].iter().sum::<f64>() / 184_756.0;
        assert!(tail(81) <= 0.01 && tail(80) > 0.01);
        assert!((upper_tail(2.326_348) - 0.01).abs() < 1e-6);
        assert!((upper_tail(-1.0) - 0.841_344_7).abs() < 1e-6);
    }

    #[test]
    fn few_repeats_need_spreads_apart() {
        assert_eq!(differs(&[1.0], &[2.0, 3.0]), None);
        assert_eq!(differs(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), Some(true));
        assert_eq!(differs(&[1.0, 2.0, 4.0], &[3.0, 5.0, 6.0]), Some(false));
        assert_eq!(differs(&[5.0, 6.0], &[1.0, 2.0]), Some(true));
    }

    #[test]
    fn equal_values_are_no_difference() {
        assert_eq!(differs(&[7.0; 10], &[7.0; 10]), Some(false));
    }

    /// Ten repeats of a p99 around 10 ms with 15 % of noise, and now and then a repeat that something else has ruined.
    fn repeats(random: &mut Random, scale: f64) -> Vec<f64> {
        (0..10)
            .map(|_| {
                let noise: f64 = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
                let ruined = if random.unit() < 0.05 { 4.0 } else { 1.0 };
                1e7 * scale * (1.0 + 0.15 * noise).max(0.3) * ruined
            })
            .collect()
    }

    #[test]
    fn noise_passes_and_a_planted_regression_does_not() {
        let mut random = Random::new(11);
        let beyond = |base: &[f64], run: &[f64]| {
            let (a, b) = (median(base).unwrap(), median(run).unwrap());
            b > a * 1.1 && differs(base, run) == Some(true)
        };
        let (mut false_alarms, mut half, mut double) = (0, 0, 0);
        for _ in 0..2_000 {
            let base = repeats(&mut random, 1.0);
            false_alarms += usize::from(beyond(&base, &repeats(&mut random, 1.0)));
            half += usize::from(beyond(&base, &repeats(&mut random, 1.5)));
            double += usize::from(beyond(&base, &repeats(&mut random, 2.0)));
        }
        // One in a hundred at the level of the test, and one of the two directions is an alarm.
        assert!(false_alarms <= 30, "{false_alarms} of 2000");
        // Half as much again is three times the noise. Two ruined repeats of the baseline hide anything: of ten they are too many
        // to say that the rest is no chance.
        assert!(half >= 1_750, "{half} of 2000");
        assert!(double >= 1_850, "{double} of 2000");
    }
}
