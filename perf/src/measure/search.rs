//! `--find-max`: the highest rate at which a condition holds.
//!
//! First how much goes at all, then by halves. What a probe says is one of four things, and only two of them are about the broker: that
//! the condition holds or does not, that the generator was too late to tell, or that there were too few records to tell. What
//! cannot be told bounds no broker. The rate that is found is then measured for as long as was asked, and held against the
//! condition once more.

use super::{Leftover, Scene, measure_and_leave};
use crate::{
    failure::Failure,
    latency::{Kind, Latencies},
    load::Plan,
    run::{Run, Verdict},
    spec::{Assertion, Bound, RateSpec, Subject, format_count},
    terminal,
};

/// How many rates are tried below the highest.
const PROBES: u32 = 7;

/// A probe must be acknowledged at this share of its rate at least.
const KEPT_UP: f64 = 0.98;

/// The search ends where no more than this share of the rate is left to look in.
const LEFT_MIN: f64 = 0.02;

/// What a measurement says of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Holds,
    DoesNot,
    /// The generator may have made what would tell.
    Generator,
    /// The sample does not carry what would tell: so many records, of so many that are needed.
    TooFew {
        records: u64,
        needed: u64,
    },
}

impl Answer {
    fn words(&self, condition: Assertion) -> String {
        match self {
            Self::Holds => format!("{condition} holds"),
            Self::DoesNot => format!("{condition} does not hold"),
            Self::Generator => format!("{condition} cannot be told: the generator was late"),
            Self::TooFew { records, needed } => {
                format!("{condition} cannot be told of {records} records: it takes {needed}")
            }
        }
    }
}

/// What a run at this rate says of the condition.
pub(super) fn answer(condition: Assertion, rate: f64, run: &Run, total: &Latencies) -> Answer {
    if run.verdict.is_invalid() {
        return Answer::Generator;
    }
    if run.rate() < rate * KEPT_UP {
        return Answer::DoesNot;
    }
    let records = total.of(Kind::Response).count();
    // The truth lies between these two.
    let (least, most) = match condition.subject {
        Subject::Latency(quantile) => {
            let needed = quantile.samples_needed();
            let Some(measured) = total.of(Kind::Response).at(quantile) else {
                return Answer::TooFew { records, needed };
            };
            let least = total.moved(Kind::Response, quantile).map_or(measured, |(_, least)| least);
            (least as f64, measured as f64)
        }
        Subject::Mean => match (total.mean(Kind::Response), total.of(Kind::Response).mean()) {
            (Some(mean), _) => (mean, mean),
            (None, Some(mean)) => (0.0, mean),
            (None, None) => return Answer::TooFew { records, needed: 1 },
        },
        Subject::Rate => (run.rate(), run.rate()),
    };
    match (condition.holds(least, None), condition.holds(most, None)) {
        (Some(true), Some(true)) => Answer::Holds,
        (Some(true), Some(false)) | (Some(false), Some(true)) => Answer::Generator,
        (Some(false) | None, _) | (_, None) => Answer::DoesNot,
    }
}

/// Searches for the highest rate at which the condition holds.
pub(super) fn find_max(
    plan: &Plan,
    scene: &Scene,
    condition: Assertion,
    left: &mut Vec<Leftover>,
) -> Result<u64, Failure> {
    if matches!(condition.bound, Bound::Percent(_)) || condition.subject == Subject::Rate {
        return Err(Failure::Usage("--find-max takes a latency and a time: 'p99.9<10ms'".into()));
    }
    let quiet = Scene { repeat: 1, quiet: true, out: None, ..scene.clone() };
    let (all, _) = measure_and_leave(&Plan { rate: RateSpec::Max, ..plan.clone() }, &quiet, left)?;
    terminal::note(&format!("without a bound on latency: {}/s", format_count(all.rate())));
    search(condition, all.rate(), all.verdict.is_invalid(), |rate| {
        let probe = Plan { rate: RateSpec::constant((rate as u64).max(1)), ..plan.clone() };
        let (run, recording) = measure_and_leave(&probe, &quiet, left)?;
        let answer = answer(condition, rate, &run, &recording.total());
        let verdict = match &run.verdict {
            Verdict::Valid => String::new(),
            other @ (Verdict::Saturated(_) | Verdict::Invalid(_)) => format!(" ({other})"),
        };
        terminal::note(&format!("{}/s: {}{verdict}", format_count(rate), answer.words(condition)));
        Ok(answer)
    })
}

/// `top`: what goes without a bound on latency; `is_client_s`: the generator was the bound there.
fn search(
    condition: Assertion,
    top: f64,
    is_client_s: bool,
    mut probe: impl FnMut(f64) -> Result<Answer, Failure>,
) -> Result<u64, Failure> {
    // Where it holds, and below which there is nothing to look for.
    let (mut found, mut low) = (0.0, 0.0);
    // Where it does not, and whether it was the generator that did not.
    let (mut high, mut is_client_s) = (top, is_client_s);
    let mut too_few = None;
    // The first probe is near the top, so that a loose condition ends soon.
    let mut rate = high * 0.9;
    for _ in 0..PROBES {
        let answer = probe(rate)?;
        match answer {
            Answer::Holds => (found, low) = (rate, rate),
            Answer::DoesNot => (high, is_client_s) = (rate, false),
            Answer::Generator => (high, is_client_s) = (rate, true),
            // Lower rates have fewer records still.
            Answer::TooFew { .. } => (low, too_few) = (rate, Some((rate, answer))),
        }
        if high - low < high * LEFT_MIN {
            break;
        }
        rate = f64::midpoint(low, high);
    }
    if is_client_s {
        let least = match found {
            0.0 => "of the broker nothing is known".to_owned(),
            found => format!("the broker carries at least {}/s", format_count(found)),
        };
        let high = format_count(high);
        return Err(Failure::Invalid(format!(
            "INVALID(generator): it was the bound at {high}/s; {least}"
        )));
    }
    if found > 0.0 {
        return Ok(found as u64);
    }
    Err(match too_few {
        Some((rate, answer)) => Failure::Invalid(format!(
            "at {}/s {}; let it measure for longer (--duration)",
            format_count(rate),
            answer.words(condition)
        )),
        None => Failure::Assertion(format!("{condition} holds at no rate that was tried")),
    })
}

/// Whether the rate that was found is one, after it was measured for as long as was asked.
pub(super) fn confirm(condition: Assertion, rate: f64, answer: &Answer) -> Result<(), Failure> {
    let words =
        format!("at {}/s, which was found, {}", format_count(rate), answer.words(condition));
    match answer {
        Answer::Holds => {
            terminal::note(&words);
            Ok(())
        }
        Answer::DoesNot => Err(Failure::Assertion(words)),
        Answer::Generator | Answer::TooFew { .. } => Err(Failure::Invalid(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Repeat, Stage};

    fn condition() -> Assertion {
        "p99<10ms".parse().unwrap()
    }

    /// A second at 1,000 records a second.
    fn run(acknowledged: u64, verdict: Verdict) -> Run {
        let stage = Stage { seconds: 1.0, acknowledged, ..Stage::default() };
        let repeats = vec![Repeat { stages: vec![stage], ..Repeat::default() }];
        Run { repeats, verdict, ..Run::default() }
    }

    /// Records of a broker that takes `service`, closed `late` by the generator.
    fn records(service: u64, late: u64, count: u64) -> Latencies {
        let mut all = Latencies::default();
        all.of_mut(Kind::Response).record_n(service + late, count);
        all.of_mut(Kind::Prompt).record_n(service, count);
        all
    }

    #[test]
    fn only_the_broker_s_own_latency_breaks_a_condition() {
        let of = |total: &Latencies| answer(condition(), 1e3, &run(1_000, Verdict::Valid), total);
        assert_eq!(of(&records(9_000_000, 0, 1_000)), Answer::Holds);
        assert_eq!(of(&records(11_000_000, 0, 1_000)), Answer::DoesNot);
        // Late by more than a tenth: it matters where the bound lies between what was measured and what the broker took at the least.
        assert_eq!(of(&records(6_000_000, 5_000_000, 1_000)), Answer::Generator);
        assert_eq!(of(&records(3_000_000, 5_000_000, 1_000)), Answer::Holds);
        assert_eq!(of(&records(11_000_000, 5_000_000, 1_000)), Answer::DoesNot);
        let few = Answer::TooFew { records: 999, needed: 1_000 };
        assert_eq!(of(&records(9_000_000, 0, 999)), few);
        let total = records(9_000_000, 0, 1_000);
        let of = |run: &Run| answer(condition(), 1e3, run, &total);
        assert_eq!(of(&run(1_000, Verdict::Invalid("late".into()))), Answer::Generator);
        assert_eq!(of(&run(970, Verdict::Valid)), Answer::DoesNot);
        let mean: Assertion = "mean<10ms".parse().unwrap();
        let of = |total: &Latencies| answer(mean, 1e3, &run(1_000, Verdict::Valid), total);
        assert_eq!(of(&records(6_000_000, 5_000_000, 1_000)), Answer::Generator);
        assert_eq!(of(&records(9_000_000, 0, 1_000)), Answer::Holds);
        assert_eq!(of(&Latencies::default()), Answer::TooFew { records: 0, needed: 1 });
    }

    /// What the search comes to where each rate has this answer: the rate, or exit code and words.
    fn found(top: f64, is_client_s: bool, of: impl Fn(f64) -> Answer) -> Result<u64, (u8, String)> {
        let result = search(condition(), top, is_client_s, |rate| Ok(of(rate)));
        result.map_err(|failure| (failure.code(), failure.to_string()))
    }

    #[test]
    fn a_rate_is_the_broker_s_only_where_the_broker_was_the_bound() {
        let below = |bound: f64, above: Answer| {
            move |rate: f64| if rate < bound { Answer::Holds } else { above.clone() }
        };
        let rate = found(100_000.0, false, below(40_000.0, Answer::DoesNot)).unwrap();
        assert!((38_000..40_000).contains(&rate), "{rate}");
        let (code, words) =
            found(100_000.0, false, below(40_000.0, Answer::Generator)).unwrap_err();
        assert_eq!(code, 8);
        assert!(words.contains("INVALID(generator)") && words.contains("at least 3"), "{words}");
        // Everything that the client can make holds: then it is no maximum of the broker's.
        assert_eq!(found(100_000.0, true, |_| Answer::Holds).unwrap_err().0, 8);
        assert!(found(100_000.0, false, |_| Answer::Holds).unwrap() > 96_000);
        // The client was the bound of the closed loop, and of nothing below it.
        assert!(found(100_000.0, true, below(40_000.0, Answer::DoesNot)).is_ok());
        assert_eq!(found(100_000.0, false, |_| Answer::DoesNot).unwrap_err().0, 3);
        let (code, words) = found(100_000.0, false, |_| Answer::Generator).unwrap_err();
        assert!(code == 8 && words.contains("nothing is known"), "{words}");
    }

    #[test]
    fn too_few_records_are_no_latency_of_the_broker_s() {
        let few = |rate: f64| Answer::TooFew { records: rate as u64, needed: 10_000 };
        let of = |few_below: f64, holds_below: f64| {
            move |rate: f64| match rate {
                rate if rate >= holds_below => Answer::DoesNot,
                rate if rate < few_below => few(rate),
                _ => Answer::Holds,
            }
        };
        // There is a rate that holds, above those that have too few records.
        let rate = found(100_000.0, false, of(60_000.0, 80_000.0)).unwrap();
        assert!((78_000..80_000).contains(&rate), "{rate}");
        let (code, words) = found(100_000.0, false, of(60_000.0, 50_000.0)).unwrap_err();
        assert!(code == 8 && words.contains("--duration"), "{words}");
    }

    #[test]
    fn what_does_not_hold_when_it_is_measured_in_full_is_no_maximum() {
        let code = |answer: Answer| {
            confirm(condition(), 4e4, &answer).map_or_else(|failure| failure.code(), |()| 0)
        };
        assert_eq!(code(Answer::Holds), 0);
        assert_eq!(code(Answer::DoesNot), 3);
        assert_eq!(code(Answer::Generator), 8);
        assert_eq!(code(Answer::TooFew { records: 1, needed: 2 }), 8);
    }
}
