//! CreatePartitions.

use super::*;

fn grow(
    controller: &mut Controller,
    name: &str,
    count: i32,
    assignments: Option<&[&[i32]]>,
) -> i16 {
    let assignments =
        assignments.map(|a| a.iter().map(|r| r.iter().copied().map(BrokerId).collect()).collect());
    let topics = vec![MorePartitions { name: name.into(), count, assignments }];
    let decision = controller.create_partitions(&CreatePartitions { topics, validate_only: false });
    code(&decision.response[0].result)
}

#[test]
fn partitions_are_added_but_never_taken() {
    let mut controller = cluster(3, "");
    create(&mut controller, vec![sized("a", 4, 2)]);
    let before = controller.image().topic_named("a").unwrap().clone();
    assert_eq!(grow(&mut controller, "nope", 9, None), 3);
    for count in [4, 3, 0, -1] {
        assert_eq!(grow(&mut controller, "a", count, None), 37, "{count}");
    }
    assert_eq!(grow(&mut controller, "a", 10_005, None), 44);
    assert_eq!(grow(&mut controller, "a", 6, None), 0);
    let topic = controller.image().topic_named("a").unwrap();
    assert_eq!((topic.partitions.len(), &topic.partitions[..4]), (6, &before.partitions[..]));
    assert!(topic.partitions.iter().all(|p| p.replicas.len() == 2));
}

#[test]
fn added_partitions_can_be_assigned() {
    let mut controller = cluster(3, "");
    create(&mut controller, vec![sized("a", 1, 2)]);
    for (count, assignments, expected) in [
        (2, &[][..], 39),
        (3, &[&[1, 2][..]][..], 39),
        (2, &[&[1][..]][..], 39),
        (2, &[&[1, 9][..]][..], 39),
        (2, &[&[1, 1][..]][..], 39),
        (2, &[&[3, 2][..]][..], 0),
    ] {
        assert_eq!(
            grow(&mut controller, "a", count, Some(assignments)),
            expected,
            "{assignments:?}"
        );
    }
    let topic = controller.image().topic_named("a").unwrap();
    assert_eq!(topic.partitions[1].leader, BrokerId(3));
}

#[test]
fn growth_can_be_only_checked_and_a_name_is_taken_once() {
    let mut controller = one();
    create(&mut controller, vec![new("a")]);
    let more = |name: &str| MorePartitions { name: name.into(), count: 3, assignments: None };
    let check = CreatePartitions { topics: vec![more("a")], validate_only: true };
    let decision = controller.create_partitions(&check);
    assert_eq!((decision.records.len(), code(&decision.response[0].result)), (0, 0));
    assert_eq!(controller.image().partition_count(), 1);
    let twice = CreatePartitions { topics: vec![more("a"), more("a")], validate_only: false };
    let decision = controller.create_partitions(&twice);
    assert_eq!((decision.response.len(), code(&decision.response[0].result)), (1, 42));
}
