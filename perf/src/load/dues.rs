//! When the records of a batch were due.

/// Records due at equal gaps from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
}

/// The due times of a batch, in order. A batch of a constant rate is one segment; Poisson arrivals and keyed batches, whose
/// gaps differ, have a segment for each record.
#[derive(Clone, Debug, Default)]
pub(super) struct Dues {
    segments: Vec<Segment>,
    stage: usize,
    /// How much later than it should have been the batch was closed, by the generator's own fault, nanoseconds.
    late: u64,
}

impl Dues {
    /// Adds a record. `even`: it lies at the same distance as the others of its stage.
    pub(super) fn push(&mut self, at: u64, stage: usize, even: bool) {
        match self.segments.last_mut() {
            Some(segment) if (even && self.stage == stage) || segment.last == at => {
                // Equal times extend a segment only while all of it is equal, unless the gaps are even anyway.
                if even || segment.first == at {
                    segment.last = at;
                    segment.count += 1;
                    return;
                }
            }
            Some(_) | None => {}
        }
        self.stage = stage;
        self.segments.push(Segment { first: at, last: at, count: 1 });
    }

    pub(super) fn close_late(&mut self, nanos: u64) {
        self.late = nanos;
    }

    pub(super) fn late(&self) -> u64 {
        self.late
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.segments.first().map(|segment| segment.first)
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.segments.last().map(|segment| segment.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_records_are_one_segment_until_the_stage_ends() {
        let mut dues = Dues::default();
        for (at, stage) in [(10, 0), (20, 0), (30, 0), (40, 1), (45, 1)] {
            dues.push(at, stage, true);
        }
        let expected =
            [Segment { first: 10, last: 30, count: 3 }, Segment { first: 40, last: 45, count: 2 }];
        assert_eq!(dues.segments(), expected);
    }

    #[test]
    fn uneven_records_stand_alone_unless_equal() {
        let mut dues = Dues::default();
        for at in [10, 10, 17, 19] {
            dues.push(at, 0, false);
        }
        let counts: Vec<u64> = dues.segments().iter().map(|s| s.count).collect();
        assert_eq!(counts, [2, 1, 1]);
        assert_eq!((dues.first(), dues.last()), (Some(10), Some(19)));
    }
}
