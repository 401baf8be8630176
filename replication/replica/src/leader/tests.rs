use super::*;
use proptest::prelude::*;

const B1: BrokerId = BrokerId(1);
const B2: BrokerId = BrokerId(2);
const B3: BrokerId = BrokerId(3);

fn at(n: i64) -> Offset {
    Offset(n)
}

fn start(in_sync: &[BrokerId], replication_factor: usize) -> LeaderStart {
    LeaderStart {
        me: B1,
        epoch: LeaderEpoch(4),
        ends: Ends::at(at(10)),
        high_watermark: at(10),
        acked_at: AckedAt::Durable,
        in_sync: in_sync.to_vec(),
        replication_factor,
        min_in_sync: 1,
    }
}

fn alone() -> Leader {
    Leader::new(start(&[B1], 1))
}

fn rose(leader: &mut Leader) -> Option<i64> {
    leader.poll_event().map(|Event::HighWatermark(o)| o.0)
}

#[test]
fn on_an_fsync_topic_only_the_flush_commits() {
    let mut leader = alone();
    leader.on_appended(at(15));
    assert_eq!(rose(&mut leader), None);
    leader.on_written(at(15));
    assert_eq!((rose(&mut leader), leader.acked_end()), (None, at(10)));
    leader.on_durable(at(15));
    assert_eq!((rose(&mut leader), leader.acked_end()), (Some(15), at(15)));
    assert_eq!(rose(&mut leader), None);
}

#[test]
fn on_a_written_topic_the_completed_write_commits() {
    let mut leader = Leader::new(LeaderStart { acked_at: AckedAt::Written, ..start(&[B1], 1) });
    leader.on_appended(at(15));
    leader.on_written(at(12));
    assert_eq!(rose(&mut leader), Some(12));
    leader.on_durable(at(15));
    assert_eq!(rose(&mut leader), Some(15), "what is flushed was written first");
}

#[test]
fn several_rises_are_told_once() {
    let mut leader = alone();
    leader.on_appended(at(20));
    leader.on_durable(at(12));
    leader.on_durable(at(17));
    assert_eq!((rose(&mut leader), rose(&mut leader)), (Some(17), None));
}

#[test]
fn a_late_completion_takes_nothing_back() {
    let mut leader = alone();
    leader.on_appended(at(20));
    leader.on_durable(at(20));
    leader.on_durable(at(12));
    leader.on_written(at(11));
    assert_eq!(leader.ends(), Ends::at(at(20)));
    assert_eq!(leader.high_watermark(), at(20));
}

#[test]
#[should_panic(expected = "appended only up to")]
fn more_cannot_be_durable_than_was_appended() {
    alone().on_durable(at(11));
}

#[test]
#[should_panic(expected = "not in sync")]
fn a_leader_is_in_sync() {
    let _ = Leader::new(start(&[B2], 2));
}

#[test]
fn a_recovered_log_is_committed_at_once() {
    let mut leader = Leader::new(LeaderStart { high_watermark: at(3), ..start(&[B1], 1) });
    assert_eq!(rose(&mut leader), Some(10));
    assert!(leader.knows_offsets());
}

#[test]
fn raising_durability_holds_the_high_watermark_until_the_flush_has_passed_it() {
    let mut leader = Leader::new(LeaderStart { acked_at: AckedAt::Written, ..start(&[B1], 1) });
    leader.on_appended(at(20));
    leader.on_written(at(18));
    assert_eq!(rose(&mut leader), Some(18));
    leader.on_config(AckedAt::Durable, 1);
    leader.on_durable(at(15));
    assert_eq!((rose(&mut leader), leader.high_watermark()), (None, at(18)));
    leader.on_durable(at(20));
    assert_eq!(rose(&mut leader), Some(20));
}

#[test]
fn one_replica_satisfies_any_minimum() {
    let mut leader = Leader::new(LeaderStart { min_in_sync: 2, ..start(&[B1], 1) });
    assert_eq!(leader.check_in_sync(), Ok(()));
    leader.on_appended(at(11));
    leader.on_durable(at(11));
    assert_eq!(rose(&mut leader), Some(11));
}

#[test]
fn too_few_in_sync_refuse_acks_all_and_hold_the_high_watermark() {
    let mut leader = Leader::new(LeaderStart { min_in_sync: 2, ..start(&[B1], 3) });
    let why = NotEnoughReplicas { in_sync: 1, needed: 2 };
    assert_eq!(leader.check_in_sync(), Err(why));
    leader.on_appended(at(11));
    leader.on_durable(at(11));
    assert_eq!((rose(&mut leader), leader.acked_end()), (None, at(11)), "acks=1 goes on");
    leader.on_follower(B2, Ends::at(at(11)));
    leader.on_replicas(vec![B1, B2], 3);
    assert_eq!((leader.check_in_sync(), rose(&mut leader)), (Ok(()), Some(11)));
}

#[test]
fn the_slowest_in_sync_replica_decides_and_a_silent_one_holds() {
    let mut leader = Leader::new(start(&[B1, B2, B3], 3));
    leader.on_appended(at(20));
    leader.on_durable(at(20));
    leader.on_follower(B2, Ends::at(at(15)));
    assert_eq!(rose(&mut leader), None, "B3 has not been heard");
    leader.on_follower(B3, Ends { appended: at(20), written: at(18), durable: at(12) });
    assert_eq!(rose(&mut leader), Some(12));
    leader.on_replicas(vec![B1, B2], 3);
    assert_eq!(rose(&mut leader), Some(15), "B3 left");
    leader.on_follower(B2, Ends::at(at(99)));
    assert_eq!(rose(&mut leader), Some(20), "no follower is ahead of the leader");
}

#[test]
fn a_new_leader_keeps_offsets_to_itself_until_its_past_is_committed() {
    let mut leader = Leader::new(LeaderStart { high_watermark: at(3), ..start(&[B1, B2], 2) });
    assert!(!leader.knows_offsets());
    leader.on_follower(B2, Ends::at(at(9)));
    assert!(!leader.knows_offsets());
    leader.on_follower(B2, Ends::at(at(10)));
    assert!(leader.knows_offsets());
}

#[derive(Clone, Debug)]
enum Step {
    Append(i64),
    Written(i64),
    Durable(i64),
    Follower(bool, i64, i64),
    InSync(bool, bool),
    Config(bool, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20i64).prop_map(Step::Append),
        (0..60i64).prop_map(Step::Written),
        (0..60i64).prop_map(Step::Durable),
        (any::<bool>(), 0..80i64, 0..80i64).prop_map(|(b, w, d)| Step::Follower(b, w, d)),
        (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Step::InSync(a, b)),
        (any::<bool>(), 0..4u32).prop_map(|(a, m)| Step::Config(a, m)),
    ]
}

proptest! {
    #[test]
    fn the_high_watermark_never_falls_and_never_outruns_the_in_sync_set(
        steps in proptest::collection::vec(step(), 0..80)
    ) {
        let mut leader = Leader::new(start(&[B1], 3));
        let mut in_sync = vec![B1];
        let mut known: BTreeMap<BrokerId, Ends> = BTreeMap::new();
        let (mut acked_at, mut min) = (AckedAt::Durable, 1u32);
        for step in steps {
            let before = leader.high_watermark();
            let end = leader.ends().appended;
            match step {
                Step::Append(n) => leader.on_appended(end + n),
                Step::Written(n) => leader.on_written(at(n).min(end)),
                Step::Durable(n) => leader.on_durable(at(n).min(end)),
                Step::Follower(second, w, d) => {
                    let broker = if second { B2 } else { B3 };
                    let ends = Ends { appended: at(w.max(d)), written: at(w.max(d)), durable: at(d) };
                    known.insert(broker, ends);
                    leader.on_follower(broker, ends);
                }
                Step::InSync(second, third) => {
                    in_sync = vec![B1];
                    if second { in_sync.push(B2); }
                    if third { in_sync.push(B3); }
                    leader.on_replicas(in_sync.clone(), 3);
                }
                Step::Config(written, m) => {
                    acked_at = if written { AckedAt::Written } else { AckedAt::Durable };
                    min = m;
                    leader.on_config(acked_at, min);
                }
            }
            let now = leader.high_watermark();
            prop_assert!(now >= before);
            prop_assert!(leader.ends().in_order());
            prop_assert!(now <= leader.ends().appended);
            if now > before {
                prop_assert!(in_sync.len() >= min.clamp(1, 3) as usize);
                prop_assert!(now <= leader.acked_end());
                for b in in_sync.iter().filter(|b| **b != B1) {
                    prop_assert!(known.get(b).is_some_and(|e| e.acked(acked_at) >= now));
                }
            }
        }
    }
}
