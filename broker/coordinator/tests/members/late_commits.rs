//! Offsets that a member commits before it hears of its new epoch (KIP-1251).

use super::Scene;
use wire::ErrorCode;

#[test]
fn a_member_that_has_not_heard_of_its_epoch_commits_what_it_still_has() {
    let mut scene = Scene::new();
    let (before, _) = scene.joins(("A", None));
    scene.joins(("B", None));
    let (_, kept) = scene.goes_on(("A", None), before, &[0, 1]);
    let kept = kept.unwrap();
    // What it has to give up it still has.
    assert_eq!(scene.commits("A", before, &[0, 1]), [ErrorCode::NONE; 2]);
    let (epoch, _) = scene.goes_on(("A", None), before, &kept);
    assert!(epoch > before);
    let gone = 1 - kept[0];
    // The answer is on its way, and so is the commit.
    let code = ErrorCode::STALE_MEMBER_EPOCH;
    assert_eq!(scene.commits("A", before, &[kept[0], gone]), [ErrorCode::NONE, code]);
    assert_eq!(scene.commits("A", epoch, &[kept[0]]), [ErrorCode::NONE]);
    assert_eq!(scene.commits("A", before - 1, &[kept[0]]), [code], "two epochs are too many");
    assert_eq!(scene.commits("A", epoch + 1, &[kept[0]]), [code]);
    assert_eq!(scene.commits("C", before, &[kept[0]]), [ErrorCode::UNKNOWN_MEMBER_ID]);
}
