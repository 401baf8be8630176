use super::{verdict::FINDINGS_KEPT, *};

fn record(sequence: u64) -> Read {
    Read::Verified { intended: 0, origin: Origin { producer: 1, partition: 2, sequence } }
}

fn ledger(next: u64) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.of(1, 2).next = next;
    ledger
}

/// Of a reader who has read all that there is.
fn check(sequences: &[u64], ledger: &Ledger) -> Verdict {
    let end = sequences.len() as i64;
    short_of(sequences, ledger, Some(end)).verdict
}

/// Of a reader who has read these, while the log goes on to `end`.
fn short_of(sequences: &[u64], ledger: &Ledger, end: Option<i64>) -> Checked {
    let mut checker = Checker::new(2);
    for (offset, sequence) in sequences.iter().enumerate() {
        checker.on_record(offset as i64, record(*sequence));
    }
    checker.finish(ledger, Reach { position: sequences.len() as i64, end })
}

#[test]
fn all_in_order_is_clean() {
    let verdict = check(&[0, 1, 2, 3], &ledger(4));
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.received, 4);
}

#[test]
fn a_gap_and_a_missing_tail_are_lost() {
    let verdict = check(&[0, 1, 4, 5], &ledger(9));
    assert_eq!(verdict.lost, 5);
    assert_eq!(verdict.findings.len(), 2);
    assert!(verdict.findings[0].contains("records 2 to 3"), "{:?}", verdict.findings);
    assert!(verdict.findings[1].contains("records 6 to 8"), "{:?}", verdict.findings);
}

#[test]
fn a_partition_from_which_nothing_came_is_lost() {
    assert_eq!(check(&[], &ledger(3)).lost, 3);
}

#[test]
fn late_is_not_double() {
    let verdict = check(&[0, 2, 3, 1, 2, 4], &ledger(5));
    assert_eq!((verdict.lost, verdict.reordered, verdict.duplicates), (0, 1, 1));
    assert!(verdict.findings[1].contains("record 2 came again at offset 4"));
}

#[test]
fn an_unknown_outcome_may_be_there_or_not() {
    let mut ledger = ledger(10);
    ledger.of(1, 2).unknown.push(Stretch { first: 3, last: 6 });
    let verdict = check(&[0, 1, 2, 5, 7, 8, 9], &ledger);
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.unknown, 4);
    let verdict = check(&[0, 1, 7, 8, 9], &ledger);
    assert_eq!(verdict.lost, 1);
}

#[test]
fn altered_foreign_and_misplaced_records_are_named() {
    let mut checker = Checker::new(2);
    checker.on_record(7, Read::Corrupt);
    checker.on_record(8, Read::Foreign);
    let origin = Origin { producer: 1, partition: 3, sequence: 0 };
    checker.on_record(9, Read::Verified { intended: 0, origin });
    let reach = Reach { position: 10, end: Some(10) };
    let verdict = checker.finish(&Ledger::default(), reach).verdict;
    assert_eq!(verdict.corrupt, 3);
    assert!(verdict.findings[0].contains("offset 7"));
    assert!(verdict.findings[2].starts_with("misplaced"));
}

#[test]
fn what_nobody_sent_is_named() {
    assert_eq!(check(&[0, 1, 2], &ledger(2)).corrupt, 1);
    assert_eq!(check(&[0], &Ledger::default()).corrupt, 1);
}

#[test]
fn findings_are_bounded() {
    let every_other: Vec<u64> = (0..1000).map(|i| i * 2).collect();
    let verdict = check(&every_other, &ledger(1999));
    assert_eq!(verdict.lost, 999);
    assert_eq!(verdict.findings.len(), FINDINGS_KEPT);
}

#[test]
fn what_the_reader_had_not_come_to_is_no_loss() {
    // Four of ten were read, and the log has room for the other six.
    let verdict = short_of(&[0, 1, 2, 3], &ledger(10), Some(10)).verdict;
    assert_eq!((verdict.unread, verdict.lost), (6, 0), "{verdict}");
    assert!(verdict.is_clean());
    assert!(verdict.findings[0].contains("offsets 4 to 10 (6 records"), "{:?}", verdict.findings);
    assert!(verdict.to_string().ends_with(", 6 not read"), "{verdict}");
    // Nobody tells where the log ends: nothing is known of them.
    let verdict = short_of(&[0, 1, 2, 3], &ledger(10), None).verdict;
    assert_eq!((verdict.unread, verdict.lost), (6, 0), "{verdict}");
    assert!(!check(&[0, 1], &ledger(2)).to_string().contains("not read"));
}

#[test]
fn what_was_passed_and_what_the_log_ends_before_is_lost() {
    // A gap was passed; of the six behind, the log has room for four.
    let verdict = short_of(&[0, 1, 4, 5], &ledger(12), Some(8)).verdict;
    assert_eq!((verdict.unread, verdict.lost), (4, 4), "{verdict}");
    assert!(!verdict.is_clean());
    let named = &verdict.findings;
    assert!(named.iter().any(|f| f.contains("records 2 to 3")), "{named:?}");
    assert!(named.iter().any(|f| f.contains("ends at offset 8, 2 ack")), "{named:?}");
    // The last that was acknowledged stood before the place that was read next: all of it was passed, whatever else the log holds.
    let mut passed = ledger(10);
    passed.of(1, 2).end = Some(4);
    let verdict = short_of(&[0, 1, 2, 3], &passed, Some(100)).verdict;
    assert_eq!((verdict.unread, verdict.lost), (0, 6), "{verdict}");
    passed.of(1, 2).end = Some(5);
    let verdict = short_of(&[0, 1, 2, 3], &passed, Some(100)).verdict;
    assert_eq!((verdict.unread, verdict.lost), (6, 0), "{verdict}");
}

#[test]
fn what_an_earlier_repeat_left_open_is_late_and_nothing_else_of_it_is() {
    let mut first = ledger(10);
    first.of(1, 2).unknown.push(Stretch { first: 6, last: 9 });
    // 6 and 7 came, though their outcome was unknown.
    let open = short_of(&[0, 1, 2, 3, 4, 5, 6, 7], &first, Some(8)).open;
    assert_eq!(open, [(1, Stretch { first: 8, last: 9 })]);
    let mut earlier = Earlier::default();
    earlier.leave(77, 2, open);
    let earlier = Arc::new(earlier);
    let of = |run, partition, sequence| {
        let origin = Origin { producer: 1, partition, sequence };
        let mut checker = Checker::new(2).after(Arc::clone(&earlier));
        checker.on_record(0, Read::Another { run, origin });
        let reach = Reach { position: 1, end: Some(1) };
        let verdict = checker.finish(&Ledger::default(), reach).verdict;
        (verdict.late, verdict.corrupt)
    };
    assert_eq!((of(77, 2, 8), of(77, 2, 9)), ((1, 0), (1, 0)));
    // What had been received comes a second time, of a run that nobody knows, or in another partition: not as it should be.
    assert_eq!((of(77, 2, 7), of(78, 2, 8), of(77, 3, 8)), ((0, 1), (0, 1), (0, 1)));
}
