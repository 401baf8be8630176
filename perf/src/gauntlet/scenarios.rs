//! The nine situations: what is loaded, with which topics, beside whom, and what has to be seen.

use std::time::Duration;

use crate::{
    load::{Acks, Plan},
    spec::{KeySpec, RateSpec, SizeSpec},
};

pub(super) struct Scenario {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) plan: Plan,
    pub(super) topic_config: Vec<(String, String)>,
    /// Something else that loads the broker meanwhile.
    pub(super) neighbour: Option<Neighbour>,
    /// What has to be seen, or it was another situation.
    pub(super) signs: &'static [Sign],
}

/// What shows that a scenario was what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Records were taken from the front of the log.
    Retention,
    /// Records were left out by compaction.
    Compaction,
    /// The backlog lasted into the measurement.
    Backlog,
    /// Every group got most of what was written.
    Readers,
    /// The neighbour was held back by the broker, not by itself. By what the broker was is another question: the row has what its device
    /// took.
    Loud,
}

/// Another load on the broker. It begins before the measured one.
pub(super) struct Neighbour {
    pub(super) plan: Plan,
    /// It goes on beyond the end of the measurement; otherwise it ends within it, and its topic is deleted there.
    pub(super) stays: bool,
}

/// So much earlier a neighbour begins: a broker that meets so much load for the first time finds its memory in the first seconds,
/// and that is not what a neighbour costs.
pub(super) const LEAD: Duration = Duration::from_secs(5);

/// So much longer one that stays goes on: the measured load may begin late, for its topic is made under the noise and the broker's counters
/// are read before it.
const TAIL: Duration = Duration::from_secs(6);

/// So many times as long as the others is the long run: a minute, and its log passes the limit of 64 MiB (16 partitions of 4 MiB) every
/// three seconds.
const LONG: u32 = 5;

pub(super) fn scenarios(baseline: &Plan) -> Vec<Scenario> {
    let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let scene = |number, name, plan| Scenario {
        number,
        name,
        plan,
        topic_config: Vec::new(),
        neighbour: None,
        signs: &[],
    };
    let keyed = |name, partitions| {
        let keys = KeySpec::Random(1_000_000);
        let size = SizeSpec::Fixed(100);
        scene(3, name, Plan { partitions, keys, size, ..baseline.clone() })
    };
    let noise = Plan {
        rate: RateSpec::Max,
        producers: 2,
        acks: Acks::Leader,
        threads: 1,
        ..baseline.clone()
    };
    vec![
        scene(1, "16 producers", Plan { producers: 16, ..baseline.clone() }),
        scene(1, "50 producers", Plan { producers: 50, ..baseline.clone() }),
        Scenario {
            topic_config: set(&[("retention.bytes", "4194304"), ("segment.bytes", "1048576")]),
            signs: &[Sign::Retention],
            ..scene(
                2,
                "past the retention limit",
                Plan { duration: baseline.duration * LONG, ..baseline.clone() },
            )
        },
        keyed("small keyed batches, 1 partition", 1),
        keyed("small keyed batches, 100 partitions", 100),
        keyed("small keyed batches, 1,000 partitions", 1_000),
        keyed("small keyed batches, 10,000 partitions", 10_000),
        // What goes as fast as it goes has no due times, and so no latency to hold against the baseline's: its requests wait for each
        // other, and a stall of a second meets twenty of them. The measured load is an open loop beside it.
        Scenario {
            neighbour: Some(Neighbour {
                plan: Plan {
                    producers: baseline.producers,
                    duration: baseline.duration + LEAD + TAIL,
                    ..noise.clone()
                },
                stays: true,
            }),
            signs: &[Sign::Loud],
            ..scene(
                4,
                "acks=1 beside as fast as it goes",
                Plan { acks: Acks::Leader, ..baseline.clone() },
            )
        },
        Scenario {
            signs: &[Sign::Backlog],
            ..scene(5, "draining a backlog under load", draining(baseline))
        },
        Scenario {
            signs: &[Sign::Readers],
            ..scene(
                6,
                "eight readers of everything",
                Plan { consumers: 1, groups: 8, ..baseline.clone() },
            )
        },
        Scenario {
            topic_config: set(&[
                ("cleanup.policy", "compact,delete"),
                // Less than what compaction leaves of the keys of a partition: both have something to take.
                ("retention.bytes", "2097152"),
                ("segment.bytes", "1048576"),
                ("min.cleanable.dirty.ratio", "0.01"),
            ]),
            signs: &[Sign::Retention, Sign::Compaction],
            ..scene(
                7,
                "compaction and retention",
                Plan { keys: KeySpec::Zipf(1.1, 100_000), ..baseline.clone() },
            )
        },
        Scenario {
            neighbour: Some(Neighbour {
                plan: Plan { duration: baseline.duration + LEAD + TAIL, ..noise.clone() },
                stays: true,
            }),
            signs: &[Sign::Loud],
            ..scene(8, "a noisy neighbour", baseline.clone())
        },
        Scenario {
            neighbour: Some(Neighbour {
                plan: Plan { duration: LEAD + baseline.duration / 2, ..noise },
                stays: false,
            }),
            ..scene(9, "a large topic is deleted", baseline.clone())
        },
    ]
}

/// The backlog: more than a broker keeps in memory, so that its older part comes from the device.
const BACKLOG: u64 = 2 << 30;

/// Two consumers that need most of the measurement for a backlog. As fast as they can they would have read it before it begins.
fn draining(baseline: &Plan) -> Plan {
    const CONSUMERS: u32 = 2;
    let seconds = (baseline.warmup + baseline.duration.mul_f64(0.75)).as_secs_f64();
    let rate = match &baseline.rate {
        RateSpec::Stages(rates) => rates.iter().copied().max().unwrap_or(0),
        RateSpec::Max => 0,
    };
    let size = match baseline.size {
        SizeSpec::Fixed(size) | SizeSpec::Uniform(_, size) => size as f64,
        SizeSpec::File(_) => 0.0,
    };
    // What is written meanwhile is read too.
    let all = BACKLOG as f64 / seconds + rate as f64 * size;
    Plan {
        consumers: CONSUMERS,
        backlog_bytes: BACKLOG,
        read_bytes_per_second: Some((all / f64::from(CONSUMERS)) as u64),
        fetch_bytes: 1 << 20,
        ..baseline.clone()
    }
}
