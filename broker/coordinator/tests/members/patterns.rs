//! Members that read what matches a pattern.

use super::{Scene, indexes, join};
use coordinator::ConsumerGroupHeartbeat;
use ids::TopicId;
use ringwood_coordinator as coordinator;
use wire::ErrorCode;

fn by_pattern<'a>(member_id: &'a str, pattern: &'a str) -> ConsumerGroupHeartbeat<'a> {
    ConsumerGroupHeartbeat {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(pattern),
        ..join((member_id, None))
    }
}

#[test]
fn patterns_that_cost_too_much_are_refused() {
    let mut scene = Scene::new();
    let long = "t".repeat(1_025);
    for pattern in
        [long.as_str(), "(?:[a-z0-9._-]{0,249}){100}", "(?:t{1000}){1000}", "(t", "t)|(u"]
    {
        let answer = scene.beat(&by_pattern("A", pattern));
        assert_eq!(answer.error_code, ErrorCode::INVALID_REGULAR_EXPRESSION, "{pattern}");
    }
    assert!(
        scene.coordinator.describe_consumer_group("g").is_none(),
        "a refused join leaves nothing"
    );
}

#[test]
fn patterns_of_every_day_are_accepted() {
    let mut scene = Scene::new();
    let listed: Vec<String> = (0..40).map(|i| format!("department.{i}.orders")).collect();
    let listed = listed.join("|") + "|t";
    let patterns =
        ["t", "t.*", "(?i)T", r"\w+", r"[\w.-]*t", r"\p{Greek}*t", ".{1,249}", listed.as_str()];
    for pattern in patterns {
        let answer = scene.beat(&by_pattern("A", pattern));
        assert_eq!(answer.error_code, ErrorCode::NONE, "{pattern}: {answer:?}");
        assert_eq!(indexes(&answer), Some(vec![0, 1]), "{pattern}");
    }
    for pattern in ["", "tt", "T", r"\d+", "^$"] {
        let answer = scene.beat(&by_pattern("A", pattern));
        assert_eq!(answer.error_code, ErrorCode::NONE, "{pattern}: {answer:?}");
        assert_eq!(indexes(&answer), Some(vec![]), "{pattern}");
    }
}

#[test]
fn a_group_has_a_hundred_patterns() {
    let mut scene = Scene::new();
    for n in 0..100 {
        let answer = scene.beat(&by_pattern(&format!("m{n}"), &format!("t|{n}")));
        assert_eq!(answer.error_code, ErrorCode::NONE);
    }
    let answer = scene.beat(&by_pattern("one more", "t|100"));
    assert_eq!(answer.error_code, ErrorCode::INVALID_REGULAR_EXPRESSION);
    // One that others have is no more, and who has one may have another instead.
    let answer = scene.beat(&by_pattern("one more", "t|7"));
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let answer = scene.beat(&by_pattern("m3", "t|100"));
    assert_eq!(answer.error_code, ErrorCode::NONE);
}

#[test]
fn a_pattern_follows_topics_that_come_and_go() {
    let mut scene = Scene::new();
    let other = |n: u8| TopicId([n; 16]);
    let answer = scene.beat(&by_pattern("A", "t|u.*"));
    let mut epoch = answer.member_epoch;
    let mut assigned = |scene: &mut Scene| {
        scene.coordinator.on_topics_changed();
        let answer = scene.beat(&ConsumerGroupHeartbeat {
            member_epoch: epoch,
            topic_partitions: Some(Vec::new()),
            ..by_pattern("A", "t|u.*")
        });
        assert_eq!(answer.error_code, ErrorCode::NONE, "{answer:?}");
        epoch = answer.member_epoch;
        let all = answer.assignment.unwrap();
        all.iter().map(|p| (p.topic.0[0], p.index.0)).collect::<Vec<_>>()
    };
    scene.topics.borrow_mut().set("u1", other(2), 1);
    scene.topics.borrow_mut().set("v", other(3), 1);
    assert_eq!(assigned(&mut scene), [(1, 0), (1, 1), (2, 0)]);
    // It grows; it is made anew; it is gone; it comes back.
    scene.topics.borrow_mut().set("u1", other(2), 2);
    assert_eq!(assigned(&mut scene), [(1, 0), (1, 1), (2, 0), (2, 1)]);
    scene.topics.borrow_mut().set("u1", other(4), 1);
    assert_eq!(assigned(&mut scene), [(1, 0), (1, 1), (4, 0)]);
    scene.topics.borrow_mut().remove("u1");
    assert_eq!(assigned(&mut scene), [(1, 0), (1, 1)]);
    scene.topics.borrow_mut().set("u1", other(5), 1);
    assert_eq!(assigned(&mut scene), [(1, 0), (1, 1), (5, 0)]);
}
