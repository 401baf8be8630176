//! File descriptors: how many this process may have, and how many of them connections may take.
//!
//! A store that cannot open a segment cannot take a checkpoint, so connections never take the last ones.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors of a core that connections leave alone: segments that are written (512) and read (256), ring, manifests, rest log.
const CORE: usize = 800;
/// Those of the process: the control thread's connections (256), the lock, event descriptors.
const PROCESS: usize = 400;
/// Below this limit the operator is told how few connections there may be.
const FEW: usize = 16_384;

/// Raises the soft limit to the hard one, which asks for no privilege; the limit from now on.
pub(super) fn raise() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let mut raised = limit;
        raised.current = limit.maximum;
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    // None is no limit.
    limit.current.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// Connections that there may be with so many descriptors, whatever `max.connections` says: what the cores leave, or half of
/// all where that is not much.
pub(super) fn connections_max(descriptors: usize, cores: u16) -> usize {
    let kept = CORE.saturating_mul(usize::from(cores)).saturating_add(PROCESS);
    (descriptors / 2).max(descriptors.saturating_sub(kept))
}

/// Tells who runs into the limit early what to do about it.
pub(super) fn tell(descriptors: usize, connections: usize) {
    if descriptors < FEW {
        runtime::tell!(
            "{descriptors} descriptors: at most {connections} connections are taken; raise the limit with ulimit -n or LimitNOFILE"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_what_the_store_needs() {
        assert_eq!(connections_max(1024, 1), 512);
        assert_eq!(connections_max(65_536, 4), 65_536 - 4 * 800 - 400);
        assert_eq!(connections_max(65_536, 256), 32_768);
        assert!(connections_max(usize::MAX, 16) > 1 << 40);
    }

    #[test]
    fn the_limit_is_as_high_as_it_may_be() {
        let raised = raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(raised, raise());
    }
}
