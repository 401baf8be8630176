//! Where things live: which core owns a partition, and which brokers hold its replicas.
//!
//! A partition's core is a jump consistent hash (Lamping and Veach, 2014) of its id over the number of cores. It needs no
//! table, gives the same core index on every broker with the same number of cores, so that replication never crosses
//! cores, and when the number of cores goes from n to n+1 moves only 1/(n+1) of the partitions. The hash is part of the
//! storage format: golden values below must never change.

use ids::{BrokerId, CoreId, PartitionId, TopicId};

/// The core that owns a partition on a node with `cores` data cores. The metadata log is always on core 0.
///
/// # Panics
/// If `cores` is zero: a node without data cores cannot have started.
#[must_use]
pub fn core_of(partition: PartitionId, cores: u16) -> CoreId {
    assert!(cores > 0, "a node has at least one data core");
    if partition.topic == TopicId::METADATA {
        return CoreId(0);
    }
    CoreId(jump(key_of(partition), cores))
}

/// 64 bits of the 20 bytes of a partition id. Topic ids are random already, but indexes are small and dense, so each
/// word goes through a full mix.
fn key_of(partition: PartitionId) -> u64 {
    let id = u128::from_be_bytes(partition.topic.0);
    let high = (id >> 64) as u64;
    let low = (id & u128::from(u64::MAX)) as u64;
    let index = u64::from(partition.index.0.cast_unsigned());
    mix(mix(mix(high) ^ low) ^ index)
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The jump consistent hash: bucket of `key` among `buckets`, in integers only so that every machine agrees.
fn jump(mut key: u64, buckets: u16) -> u16 {
    let buckets = u64::from(buckets);
    let mut bucket = 0u64;
    let mut next = 0u64;
    while next < buckets {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // floor((bucket + 1) * 2^31 / ((key >> 33) + 1)): the quotient is at most 2^16 * 2^31, so nothing overflows.
        next = ((bucket + 1) << 31) / ((key >> 33) + 1);
    }
    u16::try_from(bucket).expect("a bucket is below a u16")
}

/// Replicas of partitions `first..first + count`, each a list of `factor` different brokers whose first is the preferred
/// leader.
///
/// Striped: partition p leads on broker (start + p) and its followers are the next ones, the distance growing by one each
/// time the leaders have gone round, so that a broker's followers are spread over all others. `start` lets the caller
/// vary where topics begin. Returns an empty list if there are fewer brokers than `factor`, or `factor` is zero.
#[must_use]
pub fn stripe(
    brokers: &[BrokerId],
    first: u32,
    count: u32,
    factor: usize,
    start: u32,
) -> Vec<Vec<BrokerId>> {
    let n = brokers.len();
    if factor == 0 || factor > n {
        return Vec::new();
    }
    let place = |p: u32| {
        let turn = p as usize + start as usize;
        let leader = turn % n;
        let mut replicas = Vec::with_capacity(factor);
        replicas.push(brokers[leader]);
        if n > 1 {
            // 0..n-1 shifts, each a rotation of the other n-1 brokers: all followers differ from the leader and each other.
            let shift = (turn / n) % (n - 1);
            replicas
                .extend((0..factor - 1).map(|f| brokers[(leader + 1 + (shift + f) % (n - 1)) % n]));
        }
        replicas
    };
    (first..first.saturating_add(count)).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::PartitionIndex;

    fn partition(topic: u8, index: i32) -> PartitionId {
        PartitionId { topic: TopicId([topic; 16]), index: PartitionIndex(index) }
    }

    #[test]
    fn golden_values_never_change() {
        let cores: Vec<u16> = (0..16).map(|i| core_of(partition(7, i), 16).0).collect();
        assert_eq!(cores, GOLDEN_16);
        let cores: Vec<u16> = (0..16).map(|i| core_of(partition(200, i), 3).0).collect();
        assert_eq!(cores, GOLDEN_3);
    }
    const GOLDEN_16: [u16; 16] = [8, 14, 8, 0, 9, 9, 7, 3, 12, 9, 9, 9, 4, 4, 8, 1];
    const GOLDEN_3: [u16; 16] = [1, 2, 2, 2, 2, 0, 2, 1, 2, 2, 2, 2, 1, 2, 2, 1];

    #[test]
    fn the_metadata_log_is_on_core_0() {
        for cores in 1..100 {
            let id = PartitionId { topic: TopicId::METADATA, index: PartitionIndex(0) };
            assert_eq!(core_of(id, cores), CoreId(0));
        }
    }

    #[test]
    fn cores_get_even_shares_and_growth_moves_few() {
        let all: Vec<_> = (0..100).flat_map(|t| (0..100).map(move |i| partition(t, i))).collect();
        for cores in [2u16, 7, 16, 64] {
            let mut load = vec![0usize; usize::from(cores)];
            let mut moved = 0usize;
            for &p in &all {
                let core = core_of(p, cores);
                load[core.index()] += 1;
                let grown = core_of(p, cores + 1);
                if grown != core {
                    assert_eq!(grown.0, cores, "a partition moves only to the new core");
                    moved += 1;
                }
            }
            let fair = all.len() / usize::from(cores);
            assert!(load.iter().all(|l| *l > fair / 2 && *l < fair * 2), "{cores}: {load:?}");
            assert!(moved < 2 * all.len() / usize::from(cores + 1), "{cores}: {moved}");
        }
    }

    #[test]
    fn stripes_spread_leaders_and_followers() {
        let brokers: Vec<_> = (1..=4).map(BrokerId).collect();
        let placed = stripe(&brokers, 0, 24, 3, 0);
        let mut pairs = std::collections::BTreeMap::new();
        for replicas in &placed {
            assert_eq!(replicas.len(), 3);
            let set: std::collections::BTreeSet<_> = replicas.iter().collect();
            assert_eq!(set.len(), 3, "{replicas:?}");
            *pairs.entry((replicas[0], replicas[1])).or_insert(0) += 1;
        }
        // 24 partitions over 12 (leader, first follower) pairs.
        assert_eq!(pairs.len(), 12);
        assert!(pairs.values().all(|n| *n == 2));
        assert_eq!(
            stripe(&brokers, 8, 2, 3, 0),
            placed[8..10],
            "growth goes on where creation ended"
        );
    }

    #[test]
    fn one_broker_holds_everything_and_too_few_brokers_hold_nothing() {
        assert_eq!(stripe(&[BrokerId(5)], 0, 2, 1, 9), vec![vec![BrokerId(5)]; 2]);
        assert!(stripe(&[BrokerId(5)], 0, 2, 2, 0).is_empty());
        assert!(stripe(&[], 0, 2, 0, 0).is_empty());
    }
}
