//! A whole node in the simulator: cores, journals, metadata log, groups and the server, spoken to over the simulated network by
//! clients that know nothing of its inside. The node loses power and is killed at any moment, and starts again with another
//! number of cores; what was answered must be true afterwards.
//!
//! | file | what |
//! |---|---|
//! | `machine.rs` | the node: one start, all its cores |
//! | `caller.rs` | a connection as a client has it |
//! | `facts.rs` | what was answered, and what that forbids |
//! | `load.rs` | the clients: producers, an administrator, a group |
//! | `audit.rs` | reads everything back and compares |
//! | `full.rs` | a full disk, and a start on it |
//! | `members.rs` | members that wait for each other, and for a coordinator that reads its log |
//! | `sessions.rs` | fetch sessions: what has not moved, and what has |
//! | `committed.rs` | readers of committed data |
//! | `configs.rs` | many configurations that change at once |
//! | `idle.rs` | very many partitions of which hardly any has traffic |
//! | `shares.rs` | fetches over several cores |
//! | `turns.rs` | produces that are much work |
//!
//! A seed is a whole history: `RINGWOOD_SEED=17 cargo test -p ringwood simulation` plays one again, `RINGWOOD_SEEDS=1000` plays many.

mod audit;
mod caller;
mod committed;
mod configs;
mod facts;
mod full;
mod hostile;
mod idle;
mod load;
mod machine;
mod members;
mod sessions;
mod shares;
mod turns;

use crate::planted::{self, Planted};
use facts::Facts;
use machine::Machine;
use runtime::sim::{NodeId, SimConfig, World};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Starts of one history.
const LIVES: u64 = 6;
/// Histories of one test.
const SEEDS: u64 = 30;

/// What happened in a history, summed up over all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    power_cuts: u64,
    kills: u64,
    cut_in_recovery: u64,
    acknowledged: u64,
    duplicates: u64,
    producer_ids: u64,
    topics_made: u64,
    topics_deleted: u64,
    commits: u64,
    core_changes: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, o: Self) {
        self.power_cuts += o.power_cuts;
        self.kills += o.kills;
        self.cut_in_recovery += o.cut_in_recovery;
        self.acknowledged += o.acknowledged;
        self.duplicates += o.duplicates;
        self.producer_ids += o.producer_ids;
        self.topics_made += o.topics_made;
        self.topics_deleted += o.topics_deleted;
        self.commits += o.commits;
        self.core_changes += o.core_changes;
    }
}

/// One history. The first thing that must not be, if there was one.
fn play(seed: u64) -> (Result<(), String>, Tally) {
    let config = SimConfig { memory_limit: 64 << 20, ..SimConfig::default() };
    let world = World::new(seed, config);
    let (here, there) = (world.add_node(), world.add_node());
    let facts = Rc::new(RefCell::new(Facts::default()));
    let mut cores = 0;
    let mut result = Ok(());
    for life in 0..=LIVES {
        let before = cores;
        cores = [1, 2, 3][usize::try_from(world.random() % 3).unwrap_or(0)];
        facts.borrow_mut().tally.core_changes += u64::from(before != 0 && before != cores);
        let Some(machine) = start(&world, here, cores, life, &facts) else {
            result = Err("the node does not start again".to_owned());
            break;
        };
        result = one_life(&world, &machine, there, life, &facts);
        if result.is_err() {
            break;
        }
    }
    // Tasks hold their world, and the world its nodes: only a dead node lets go of its tasks.
    world.kill(here);
    world.kill(there);
    world.run_for(Duration::from_secs(1));
    let tally = facts.borrow().tally;
    (result, tally)
}

/// Starts the node; some starts are cut off at a random effect, and the next one begins from there.
fn start(
    world: &World,
    node: NodeId,
    cores: u16,
    life: u64,
    facts: &Rc<RefCell<Facts>>,
) -> Option<Machine> {
    for attempt in 0..4 {
        if life > 0 && attempt < 3 && world.random().is_multiple_of(4) {
            world.cut_after(node, world.random() % 40);
        }
        let machine = Machine::start(world, node, cores);
        match machine {
            Ok(machine) if world.is_alive(node) => {
                // A cut that opening did not reach must not come later.
                world.cut_after(node, u64::MAX >> 1);
                return Some(machine);
            }
            Ok(_) => facts.borrow_mut().tally.cut_in_recovery += 1,
            Err(_) if !world.is_alive(node) => facts.borrow_mut().tally.cut_in_recovery += 1,
            Err(why) => {
                facts.borrow_mut().accuse(why);
                return None;
            }
        }
    }
    None
}

fn one_life(
    world: &World,
    machine: &Machine,
    there: NodeId,
    life: u64,
    facts: &Rc<RefCell<Facts>>,
) -> Result<(), String> {
    let rt = world.core(there, ids::CoreId(0));
    if life > 0 {
        let (audit, facts) = (audit::all(rt.clone(), Rc::clone(facts)), Rc::clone(facts));
        let ended = world.run(&rt, audit);
        if !matches!(ended, runtime::sim::Outcome::Done(())) {
            return Err(format!("what was written is not read back: {ended:?}"));
        }
        if let Some(guilt) = facts.borrow_mut().guilt() {
            return Err(guilt);
        }
    }
    if life == LIVES {
        return Ok(());
    }
    load::begin(&rt, facts, world.random());
    world.run_for(Duration::from_micros(20_000 + world.random() % 400_000));
    if let Some(fault) = world.fault_of(machine.node) {
        return Err(format!("the node gave up: {fault}"));
    }
    if world.random().is_multiple_of(3) {
        facts.borrow_mut().tally.kills += 1;
        world.kill(machine.node);
    } else {
        facts.borrow_mut().tally.power_cuts += 1;
        world.power_cut(machine.node);
    }
    // The clients of this life end with their machine; what they sent and was not answered may or may not have happened.
    world.kill(there);
    facts.borrow_mut().forget_connections();
    facts.borrow_mut().guilt().map_or(Ok(()), Err)
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn what_was_answered_is_true_after_every_cut() {
    let seeds: Vec<u64> = match asked("RINGWOOD_SEED") {
        Some(seed) => vec![seed],
        None => (1..=asked("RINGWOOD_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let mut all = Tally::default();
    for seed in &seeds {
        let (result, tally) = play(*seed);
        assert_eq!(result, Ok(()), "seed {seed}");
        all += tally;
    }
    println!("{} histories: {all:?}", seeds.len());
    if seeds.len() >= 30 {
        let counts = [
            all.power_cuts,
            all.kills,
            all.cut_in_recovery,
            all.acknowledged,
            all.duplicates,
            all.producer_ids,
            all.topics_made,
            all.topics_deleted,
            all.commits,
            all.core_changes,
        ];
        assert!(counts.iter().all(|n| *n > 0), "something never happened: {all:?}");
    }
}

#[test]
fn a_seed_says_everything() {
    assert_eq!(play(3), play(3));
}

#[test]
fn bugs_of_the_node_are_found() {
    for bug in Planted::ALL {
        planted::plant(Some(bug));
        let mut images = 0;
        let found = (1..=400u64).find_map(|seed| {
            let (result, tally) = play(seed);
            images += tally.power_cuts + tally.kills + tally.cut_in_recovery;
            result.err().map(|why| (seed, why))
        });
        planted::plant(None);
        let Some((seed, why)) = found else { panic!("{bug:?} is not found in 400 histories") };
        // As `cargo xtask prove crash` reads it.
        println!("planted {bug:?} seed {seed} images {images}: {why}");
    }
}
