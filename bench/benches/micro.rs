//! Time per call of the functions in `src/micro.rs`, by criterion: `cargo bench -p ringwood-bench`.

use criterion::{Criterion, Throughput};
use ringwood_bench::micro::{cases, store_append};
use std::path::Path;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for mut case in cases().expect("the inputs can be made") {
        let (group, name) = case.name.split_once('/').unwrap_or((&case.name, "one"));
        let mut group = criterion.benchmark_group(group);
        if case.bytes > 0 {
            group.throughput(Throughput::Bytes(case.bytes as u64));
        }
        group.bench_function(name, |b| b.iter(&mut case.run));
        group.finish();
    }
    let mut group = criterion.benchmark_group("Store::append");
    for (name, bytes) in [("1 KiB in 1 record", 1 << 10), ("128 KiB in 1 record", 128 << 10)] {
        group.throughput(Throughput::Bytes(bytes as u64));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        group.bench_function(name, |b| {
            b.iter_custom(|n| store_append(directory, bytes, n).expect("the store takes it"));
        });
    }
    group.finish();
    criterion.final_summary();
}
