//! librdkafka, through the crate `rdkafka`, as a test client.
//!
//! ```text
//! ringwood-clients-rdkafka write|admin BOOTSTRAP RUN BASE
//! ringwood-clients-rdkafka read|group|committed BOOTSTRAP RUN BASE WRITER:STREAM,... ...
//! ringwood-clients-rdkafka create BOOTSTRAP TOPIC PARTITIONS [KEY=VALUE ...]
//! ringwood-clients-rdkafka load BOOTSTRAP TOPIC PARTITIONS PRODUCERS RATE
//! ringwood-clients-rdkafka table BOOTSTRAP TOPIC PARTITIONS FILE
//! ```
//!
//! The first five follow `CORPUS.md`; `create` serves clients that cannot create topics; `load` is the writing half of
//! `cargo xtask prove kill`, `table` the reading half of `cargo xtask prove compaction`.
#![forbid(unsafe_code)]

mod admin;
mod block_on;
mod group;
mod load;
mod member;
mod read;
mod report;
mod table;
mod write;

use report::{Fault, Report};

/// How this client is called in topic names.
const NAME: &str = "rdkafka";

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["write", bootstrap, run, base] => {
            checked(|report| write::all(bootstrap, run, base.parse()?, report))
        }
        ["admin", bootstrap, run, base] => {
            checked(|report| admin::all(bootstrap, run, base.parse()?, report))
        }
        ["read", bootstrap, run, base, writers @ ..] => {
            checked(|report| read::all(bootstrap, run, base.parse()?, writers, report))
        }
        ["group", bootstrap, run, base, writers @ ..] => {
            checked(|report| group::all(bootstrap, run, base.parse()?, writers, report))
        }
        ["committed", bootstrap, run, base, writers @ ..] => {
            checked(|report| group::committed(bootstrap, run, base.parse()?, writers, report))
        }
        ["create", bootstrap, topic, partitions, configs @ ..] => {
            let configs: Vec<(&str, &str)> =
                configs.iter().filter_map(|pair| pair.split_once('=')).collect();
            admin::Admin::open(bootstrap)?.create_large(topic, partitions.parse()?, &configs)
        }
        ["load", bootstrap, topic, partitions, producers, rate] => {
            load::run(bootstrap, topic, partitions.parse()?, producers.parse()?, rate.parse()?)
        }
        ["table", bootstrap, topic, partitions, file] => {
            table::read(bootstrap, topic, partitions.parse()?, file)
        }
        other => Err(format!("no such command: {other:?}").into()),
    }
}

fn checked(body: impl FnOnce(&mut Report) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut report = Report::default();
    report.attempt("corpus digest", || match corpus::digest() {
        corpus::DIGEST => Ok(()),
        other => Err(format!("{other:08x}").into()),
    })?;
    body(&mut report)?;
    report.end()
}
