//! What could not be measured here. It is told at the end, where it is read; what was asked for by its name is a failure.

#[derive(Default)]
pub(super) struct Gaps(Vec<Gap>);

struct Gap {
    what: String,
    why: String,
    named: bool,
}

impl Gaps {
    /// `what` was not measured; `named`: it was asked for by its name.
    pub(super) fn add(&mut self, what: &str, why: &str, named: bool) {
        self.0.push(Gap { what: what.to_owned(), why: why.to_owned(), named });
    }

    /// One line each, for the end of the text; none if all was measured.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(|gap| format!("not measured: {}: {}", gap.what, gap.why)).collect()
    }

    /// What was asked for by its name.
    pub(super) fn failures(&self) -> Vec<String> {
        let named = self.0.iter().filter(|gap| gap.named);
        named
            .map(|gap| format!("{} was asked for and not measured: {}", gap.what, gap.why))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gap_is_told_and_one_that_was_named_is_a_failure() {
        let mut gaps = Gaps::default();
        assert!(gaps.lines().is_empty() && gaps.failures().is_empty());
        gaps.add("copies", "no valgrind", false);
        assert_eq!(gaps.failures(), [""; 0]);
        gaps.add("latency on xfs", "no mkfs.xfs", true);
        assert_eq!(
            gaps.lines(),
            ["not measured: copies: no valgrind", "not measured: latency on xfs: no mkfs.xfs"]
        );
        assert_eq!(gaps.failures(), ["latency on xfs was asked for and not measured: no mkfs.xfs"]);
    }
}
