//! One partition's log as a state machine: offsets, segments, indexes, producers, epochs, retention.
