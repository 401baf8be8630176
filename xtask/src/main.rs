//! The task runner for what people do every day: check, test, prove.
#![forbid(unsafe_code)]

mod broker;
mod check;
mod clients;
mod histograms;
mod http;
mod install;
mod program;
mod prometheus;
mod prove;
mod runtimes;
mod tally;
mod test;
mod tree;

use std::process::ExitCode;

/// Why a task could not go on, in words.
type Fault = Box<dyn std::error::Error>;

const USAGE: &str = "\
usage: cargo xtask check
       cargo xtask test [--install] [--no-groups] [--require all|SUITE,...] [--only SUITE,...]
       cargo xtask prove kill [--cycles N] [--cores N,...] [--io auto|uring|portable] [--durability fsync|written] [--release] [--throttled]
                              [--state FILE] [--seed N]
       cargo xtask prove powercut [--cuts N] [--cores N,...] [--io auto|uring|portable] [--release]
                                  [--state FILE] [--seed N]
       cargo xtask prove text [--bytes SIZE] [--from FILE|DIR]... [--release] [--state FILE]
       cargo xtask prove partitions [--count N] [--with-data N] [--release] [--state FILE]
       cargo xtask prove compaction [--updates N] [--keys N] [--dedupe BYTES] [--kills N] [--rounds N] [--seconds N] [--release] [--seed N] [--state FILE]
       cargo xtask prove crash [--images N] [--release] [--state FILE] [--seed N]
       cargo xtask prove figures [--rounds N] [--seconds N] [--cores N,...] [--memory SIZE]
                                 [--disks here,ext4,xfs] [--profile]
       cargo xtask prove compare [--rounds N] [--repeats N] [--delay TIME] [--fail-if CONDITION]...
       cargo xtask prove stages [--rounds N] [--seconds SHORT,LONG] [--rate R] [--with FILE] [--without FILE]
                                [--load produce|fetch|WORDS] [--io portable|uring] [--counter callgrind|perf]
       cargo xtask prove storms [--seeds N] [--members N] [--processors N] [--release] [--state FILE]
       cargo xtask prove ecosystem [--only PART,...] [--minutes N] [--kills N]
                                   [--clients NAME,...] [--together N] [--members N] [--crowd N] [--resume]
                                   [--seed N] [--state FILE]

check   formatting and lints
test    check, every test of the workspace, and the client suites:
        librdkafka (always), python, node, java, go, kcat (where their runtime is on PATH);
        promtool reads the metrics, alerts and queries, where it is on PATH
          --install  install what is missing first (Debian family, as root); cargo-deny only with --require all
          --no-groups the clients play no consumer groups (about two minutes less)
          --require  what is skipped is a failure: suites, and tests that need root or a program; `all` also runs the
                     broker with a slow stage and the lints of what is behind features
          --only     these suites only; `workspace`, `check`, `kill` and `powercut` are suites here, and `tools`: Kafka's
                     own tools beside their faces, without the clients of java
        RINGWOOD_TEST_BOOTSTRAP=HOST:PORT tests a running broker (the kill -9 part is left out then)
prove   kill: kill -9 under load, again and again, and count what must never happen; N cycles in all,
        those of earlier runs of the same sources among them
        powercut: power cuts under the same load, on a file system (FUSE, root) that loses, keeps or
        tears what was not flushed; with a disk that lies about flushes records must be lost
        text: real text through kcat with every codec, the broker killed meanwhile, read by franz-go; the
        same words again go on after what was cut off
        partitions: many of them; what an idle one costs, and how soon all serve after kill -9, against
        what the design allows
        compaction: a table of many updates, compacted under load and kill -9, has its last values;
        latency beside it with compaction and without
        crash: power cuts and kills on the simulated disk, and every planted bug found
        figures: what a durable broker takes, gives and costs, beside the bare device, and the latency of
        an acknowledgement also on ext4 and xfs on loop devices (root); what is not measured is told at the
        end, and is a failure where --disks names it; of a missed target what was measured beside it, and
        with --profile the symbols that took most (perf, or callgrind)
        compare: `ringwood perf compare --fail-if` shuts on delayed flushes, every time, and on noise never;
        for the median and for the p99, each counted by itself
        stages: what it costs to know where the time goes, in instructions of the broker per request
        (callgrind, or perf stat where the processor's counters can be read); no more than 1 %
        storms: rebalance storms of many members in the simulator, both protocols, on every processor
        ecosystem: Kafka's verifiable clients (verifiable, verifiable-consumer), where logs begin
        (retention), streams and connect, a group that rolls to the consumer protocol and back (migration), and groups of six
        clients in a storm of rebalances (storm),
        a few groups at a time, while the broker is killed with -9";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.iter().any(|word| matches!(*word, "-h" | "--help")) {
        return match tally::say(USAGE) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let outcome = match words.as_slice() {
        ["check"] => check::run(),
        ["test", options @ ..] => test::run(options),
        ["prove", "kill", options @ ..] => prove::kill(options),
        ["prove", "powercut", options @ ..] => prove::powercut(options),
        ["prove", "partitions", options @ ..] => prove::partitions(options),
        ["prove", "text", options @ ..] => prove::text(options),
        ["prove", "compaction", options @ ..] => prove::compaction(options),
        ["prove", "crash", options @ ..] => prove::crash(options),
        ["prove", "figures", options @ ..] => prove::figures(options),
        ["prove", "compare", options @ ..] => prove::compare(options),
        ["prove", "stages", options @ ..] => prove::stages(options),
        ["prove", "storms", options @ ..] => prove::storms(options),
        ["prove", "ecosystem", options @ ..] => prove::ecosystem::run(options),
        [] | ["help"] => {
            eprintln!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("xtask: {fault}");
            ExitCode::FAILURE
        }
    }
}
