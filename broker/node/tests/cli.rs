//! The command line as people and scripts see it: the built binary against a broker that is the same binary. Stdout, stderr and
//! exit codes are compared, the failing cases too.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod cli {
    mod broker;
    mod clusters;
    mod compaction;
    mod configs;
    mod consuming;
    mod doctor;
    mod faces;
    mod generating;
    mod group_configs;
    mod groups;
    mod kafka_configs;
    mod lags;
    mod latencies;
    mod live_groups;
    mod measuring;
    mod producing;
    mod rest;
    mod restarts;
    mod storage;
    mod topics;
}
