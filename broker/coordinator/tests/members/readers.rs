//! OffsetFetch 9: whoever asks as a member of a consumer group must be one, of this epoch.

use super::policies::{classic_group, joins_as_classic};
use super::{Scene, join};
use coordinator::OffsetFetch;
use ringwood_coordinator as coordinator;
use wire::ErrorCode;

fn asks(scene: &Scene, member: Option<(&str, i32)>) -> Result<(), ErrorCode> {
    let request = OffsetFetch { group_id: "g", member, ..OffsetFetch::default() };
    scene.coordinator.check_offset_fetch(&request)
}

#[test]
fn only_a_member_of_this_epoch_reads_offsets_as_a_member() {
    let mut scene = Scene::new();
    // Of a group that does not exist there is nothing to hide.
    assert_eq!(asks(&scene, Some(("A", 1))), Ok(()));
    scene.joins(("A", None));
    let (epoch, _) = scene.goes_on(("A", None), 1, &[0, 1]);
    assert_eq!(asks(&scene, Some(("A", epoch))), Ok(()));
    assert_eq!(asks(&scene, None), Ok(()), "a tool is no member");
    let stale = Err(ErrorCode::STALE_MEMBER_EPOCH);
    for other in [epoch - 1, epoch + 1, -1] {
        assert_eq!(asks(&scene, Some(("A", other))), stale, "{other}");
    }
    let unknown = Err(ErrorCode::UNKNOWN_MEMBER_ID);
    for who in [("B", epoch), ("B", -1), ("", epoch), ("", -1)] {
        assert_eq!(asks(&scene, Some(who)), unknown, "{who:?}");
    }

    // One of the classic protocol has a generation, which has an error of its own.
    let (classic, generation) = joins_as_classic(&mut scene, "1").unwrap();
    assert_eq!(asks(&scene, Some((classic.as_str(), generation))), Ok(()));
    let illegal = Err(ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(asks(&scene, Some((classic.as_str(), generation - 1))), illegal);
}

#[test]
fn offsets_of_a_classic_group_are_read_by_everybody() {
    let mut scene = Scene::new();
    let (member, generation) = classic_group(&mut scene);
    for who in [(member.as_str(), generation), (member.as_str(), generation + 1), ("B", -1)] {
        assert_eq!(asks(&scene, Some(who)), Ok(()), "{who:?}");
    }
}

#[test]
fn whoever_has_left_reads_no_offsets_as_a_member() {
    let mut scene = Scene::new();
    scene.joins(("A", None));
    scene.joins(("B", None));
    let leave = coordinator::ConsumerGroupHeartbeat { member_epoch: -1, ..join(("A", None)) };
    assert_eq!(scene.beat(&leave).error_code, ErrorCode::NONE);
    assert_eq!(asks(&scene, Some(("A", 1))), Err(ErrorCode::UNKNOWN_MEMBER_ID));
}
