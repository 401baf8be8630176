//! Who waits for the log, and who for other members.
#![expect(clippy::unwrap_used, reason = "a broken test should stop here and say where")]

use coordinator::{
    Config, Coordinator, JoinGroup, JoinGroupResponse, Now, Outcome, SyncGroup, Ticket,
};
use ids::{Instant, Offset, Timestamp};
use ringwood_coordinator as coordinator;
use std::time::Duration;

fn parked<R: std::fmt::Debug>(outcome: Outcome<R>) -> Ticket {
    match outcome {
        Outcome::Parked(ticket) => ticket,
        Outcome::Ready(answer) => panic!("it does not wait: {answer:?}"),
    }
}

#[test]
fn a_member_waits_for_the_log_once_its_assignment_is_on_its_way() {
    let mut now = Now { instant: Instant(1_000_000_000), wall: Timestamp(1_000) };
    let mut coordinator = Coordinator::new(Config::default());
    coordinator.start(now);
    let metadata: &[u8] = b"";
    let join = JoinGroup {
        group_id: "g",
        client_id: "c",
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer",
        protocols: vec![("range", metadata)],
        ..JoinGroup::default()
    };
    let tickets = ["1", "2"].map(|fresh| parked(coordinator.join_group(&join, fresh, now)));
    assert_eq!(coordinator.held_up(), [], "they wait for each other");
    // The initial delay, which each member that comes draws out.
    while coordinator.next_deadline().is_some() {
        now.instant = now.instant + Duration::from_secs(3);
        coordinator.on_tick(now);
        if let Some(answer) = coordinator.poll_answer() {
            assert!(tickets.contains(&answer.ticket));
            let joined = [Some(answer), coordinator.poll_answer()]
                .map(|answer| JoinGroupResponse::try_from(answer.unwrap().response).ok().unwrap());
            return syncs(&mut coordinator, &joined, now);
        }
    }
    panic!("no generation begins");
}

fn sync<'a>(member: &'a JoinGroupResponse, assignments: Vec<(&'a str, &'a [u8])>) -> SyncGroup<'a> {
    SyncGroup {
        group_id: "g",
        generation_id: member.generation_id,
        member_id: &member.member_id,
        assignments,
        ..SyncGroup::default()
    }
}

fn syncs(coordinator: &mut Coordinator, joined: &[JoinGroupResponse], now: Now) {
    let (leaders, others): (Vec<_>, Vec<_>) =
        joined.iter().partition(|member| member.member_id == member.leader);
    let ([leader], [other]) = (&leaders[..], &others[..]) else { panic!("{joined:?}") };
    let first = parked(coordinator.sync_group(&sync(other, Vec::new()), now));
    assert_eq!(coordinator.held_up(), [], "it waits for the leader");
    let assignment: &[u8] = b"all of it";
    let all = joined.iter().map(|member| (member.member_id.as_str(), assignment)).collect();
    let second = parked(coordinator.sync_group(&sync(leader, all), now));
    let append = coordinator.poll_append().unwrap();
    let held = coordinator.held_up();
    assert!(held.iter().all(|(batch, _)| *batch == append.batch), "{held:?}");
    let mut tickets: Vec<Ticket> = held.iter().map(|(_, ticket)| *ticket).collect();
    tickets.sort_unstable();
    assert_eq!(tickets, [first, second]);
    coordinator.on_appended(append.batch, Offset(1));
    assert_eq!(coordinator.held_up().len(), 2);
    coordinator.on_committed(Offset(1), now);
    assert_eq!(coordinator.held_up(), []);
}
