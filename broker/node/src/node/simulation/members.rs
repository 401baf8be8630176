//! Members of classic groups: what they hold while they wait for each other, and what a coordinator says that reads its log.

use super::caller::Caller;
use super::full::Scene;
use super::load::find_coordinator;
use super::machine::Machine;
use crate::broker::Broker;
use crate::groups::partition_of;
use cluster::name::CONSUMER_OFFSETS;
use coordinator::Config;
use ids::{CoreId, PartitionId};
use runtime::Runtime;
use runtime::sim::{SimConfig, World};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use wire::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use wire::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use wire::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use wire::{Encoder, ErrorCode, Message, Reader, Request, ResponseHeader};

fn scene(seed: u64, cores: u16) -> (Scene, Machine) {
    let world = World::new(seed, SimConfig { memory_limit: 64 << 20, ..SimConfig::default() });
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let machine = Machine::start(&scene.world, scene.here, cores).expect("a start");
    let rt = scene.world.core(scene.there, CoreId(0));
    scene.ask(async move |caller| find_coordinator(&rt, caller).await);
    (scene, machine)
}

fn end(scene: &Scene) {
    assert_eq!(scene.world.fault_of(scene.here), None);
    scene.world.kill(scene.here);
    scene.world.kill(scene.there);
    scene.world.run_for(Duration::from_secs(1));
}

/// Requests larger than what counts as small.
const JOIN_BYTES: usize = 80 << 10;
const SYNC_BYTES: usize = 200 << 10;
/// How long a leader thinks.
const THINKING: Duration = Duration::from_secs(5);

/// How many members have come how far.
#[derive(Default)]
struct Told {
    joined: Cell<usize>,
    synced: Cell<usize>,
}

/// A member that says much, and as a follower sends as much with its SyncGroup, for nobody.
async fn take_part(rt: &Runtime, group_id: &str, told: &Told) -> Option<()> {
    let mut caller = Caller::connect(rt).await?;
    let said = vec![b'x'; JOIN_BYTES];
    let protocol = JoinGroupRequestProtocol { name: "p", metadata: &said };
    let request = JoinGroupRequest {
        group_id,
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "connect",
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    };
    let body = caller.call(3, &request).await?;
    let joined = JoinGroupResponse::decode(&body, 3).expect("an answer");
    assert_eq!(joined.error_code, ErrorCode::NONE);
    told.joined.set(told.joined.get() + 1);
    let large = vec![b'x'; SYNC_BYTES];
    let mut assignments =
        vec![SyncGroupRequestAssignment { member_id: "nobody", assignment: &large }];
    if joined.leader == joined.member_id {
        rt.sleep(THINKING).await;
        assignments.clear();
    }
    let request = SyncGroupRequest {
        group_id,
        generation_id: joined.generation_id,
        member_id: joined.member_id,
        assignments,
        ..SyncGroupRequest::default()
    };
    let body = caller.call(3, &request).await?;
    let synced = SyncGroupResponse::decode(&body, 3).expect("an answer");
    assert_eq!(synced.error_code, ErrorCode::NONE);
    told.synced.set(told.synced.get() + 1);
    Some(())
}

#[test]
fn who_waits_for_other_members_holds_no_request() {
    let (scene, machine) = scene(11, 2);
    let rt = scene.world.core(scene.there, CoreId(0));
    let told = Rc::new(Told::default());
    // Their coordinators are on both cores, and so are the connections.
    let members = (0..16).map(|n| format!("g{}", n / 2));
    for group in members {
        let (rt, told) = (rt.clone(), Rc::clone(&told));
        let it = rt.clone();
        it.spawn(async move {
            take_part(&rt, &group, &told).await.expect("the node hung up");
        });
    }
    let far = || (told.joined.get(), told.synced.get());
    // An empty group waits for three seconds for its second member, and for three more since it came.
    scene.world.run_for(Duration::from_secs(1));
    let (held, most) = machine.frame_bytes();
    assert!(most >= JOIN_BYTES, "{most}: no request has come");
    assert_eq!((held, far()), (0, (0, 0)), "all of them wait in JoinGroup");
    scene.world.run_for(Duration::from_secs(7));
    let (held, most) = machine.frame_bytes();
    assert!(most >= SYNC_BYTES, "{most}: no assignment has come");
    assert_eq!((held, far()), (0, (16, 0)), "the followers wait in SyncGroup");
    scene.world.run_for(Duration::from_secs(10));
    assert_eq!((machine.frame_bytes().0, far()), (0, (16, 16)));
    end(&scene);
    drop(machine);
}

const GROUP: &str = "g";

/// What the core of a broker answers to a request, without a pause.
async fn answer<'a, R: Request<'a>>(broker: &Rc<Broker>, version: i16, request: &R) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.request(1, Some("inside"), version, request).expect("a request");
    let answer = crate::api::answer_inside(broker, &encoder.into_bytes()[4..]).await;
    let answer = answer.expect("an answer");
    let mut reader = Reader::new(&answer[4..]);
    ResponseHeader::decode(&mut reader, R::KEY.response_header_version(version)).expect("a header");
    reader.rest().to_vec()
}

/// SyncGroup, Heartbeat and JoinGroup of a member that nobody knows: their errors, in this order.
async fn ask_as_a_member(broker: &Rc<Broker>) -> [ErrorCode; 3] {
    let member_id = "somebody";
    let sync =
        SyncGroupRequest { group_id: GROUP, generation_id: 1, member_id, ..Default::default() };
    let body = answer(broker, 3, &sync).await;
    let synced = SyncGroupResponse::decode(&body, 3).expect("an answer").error_code;
    let beat =
        HeartbeatRequest { group_id: GROUP, generation_id: 1, member_id, ..Default::default() };
    let body = answer(broker, 3, &beat).await;
    let beaten = HeartbeatResponse::decode(&body, 3).expect("an answer").error_code;
    let join = JoinGroupRequest {
        group_id: GROUP,
        member_id,
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer",
        ..JoinGroupRequest::default()
    };
    let body = answer(broker, 3, &join).await;
    let joined = JoinGroupResponse::decode(&body, 3).expect("an answer").error_code;
    [synced, beaten, joined]
}

#[test]
fn a_coordinator_that_reads_its_log_sends_nobody_away() {
    let (scene, machine) = scene(12, 1);
    let (broker, topic) = machine.leader_of(CONSUMER_OFFSETS).expect("a topic for groups");
    let index = partition_of(GROUP, broker.groups.partitions().len());
    let rt = broker.rt.clone();
    let asked = Rc::clone(&broker);
    let codes = scene.world.run(&rt, async move {
        // It begins anew, as after a start; what reads the log has had no turn yet.
        asked.groups.forget(topic);
        asked.groups.lead(PartitionId { topic, index }, Config::default());
        ask_as_a_member(&asked).await
    });
    let loading = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    assert_eq!(
        codes.expect_done(),
        [ErrorCode::REBALANCE_IN_PROGRESS, ErrorCode::NONE, loading],
        "only who joins comes again"
    );
    scene.world.run_for(Duration::from_secs(1));
    let codes = scene.world.run(&rt, async move { ask_as_a_member(&broker).await });
    assert_eq!(codes.expect_done(), [ErrorCode::UNKNOWN_MEMBER_ID; 3]);
    end(&scene);
    drop(machine);
}
