//! What is said of a command that a signal ended: its report is made of what was finished, and says so first.

use crate::{failure::Failure, interrupt};

/// An end with a part of the work done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Early {
    signal: i32,
    done: usize,
    of: usize,
}

impl Early {
    /// Where the command is to end now, with so much of its work done. `None`: it goes on.
    pub(crate) fn now(done: usize, of: usize) -> Option<Self> {
        interrupt::signal().map(|signal| Self { signal, done, of })
    }

    /// Nothing was finished, and there is nothing to report.
    pub(crate) fn is_empty(self) -> bool {
        self.done == 0
    }

    /// `ended early after 7 of 20 turns, by SIGINT`. `what`: what is counted, in plural.
    pub(crate) fn words(self, what: &str) -> String {
        let Self { signal, done, of } = self;
        format!("ended early after {done} of {of} {what}, by {}", interrupt::name(signal))
    }

    /// What the shell is told.
    pub(crate) fn failure(self) -> Failure {
        Failure::Interrupted(self.signal)
    }
}

/// The elements of a report as JSON. Where it ended early each of them says so: there is no other place in a list.
pub(crate) fn json(
    elements: &impl serde::Serialize,
    early: Option<&str>,
) -> Result<String, serde_json::Error> {
    let Some(early) = early else { return serde_json::to_string_pretty(elements) };
    let mut value = serde_json::to_value(elements)?;
    for element in value.as_array_mut().into_iter().flatten() {
        if let Some(fields) = element.as_object_mut() {
            fields.insert("ended_early".to_owned(), early.into());
        }
    }
    serde_json::to_string_pretty(&value)
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::{SIGINT, SIGTERM};

    use super::*;

    #[test]
    fn a_report_of_a_part_says_of_how_much_it_is() {
        let early = Early { signal: SIGINT, done: 7, of: 20 };
        assert_eq!(early.words("turns"), "ended early after 7 of 20 turns, by SIGINT");
        assert_eq!((early.failure().code(), early.is_empty()), (130, false));
        let nothing = Early { signal: SIGTERM, done: 0, of: 3 };
        assert_eq!((nothing.failure().code(), nothing.is_empty()), (143, true));
    }

    #[test]
    fn every_element_of_a_part_says_so() {
        #[derive(serde::Serialize)]
        struct Point {
            rate: f64,
        }
        let points = [Point { rate: 1.5 }, Point { rate: 2.5 }];
        let of = |early| -> serde_json::Value {
            serde_json::from_str(&json(&points, early).unwrap()).unwrap()
        };
        assert_eq!(of(None), serde_json::json!([{ "rate": 1.5 }, { "rate": 2.5 }]));
        let said = "ended early";
        let expected = serde_json::json!([
            { "rate": 1.5, "ended_early": said },
            { "rate": 2.5, "ended_early": said },
        ]);
        assert_eq!(of(Some(said)), expected);
    }
}
