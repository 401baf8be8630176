//! What the flags and properties of `kafka-console-consumer` ask for.

use super::formatter::Formatter;
use crate::faces::end::{End, print};
use crate::faces::grammar::Words;
use crate::faces::names::Names;
use crate::faces::properties::{Properties, load};
use client::{FetchConfig, Isolation, OnOutOfRange};
use ids::Offset;
use std::time::{Duration, SystemTime};

/// Properties of a consumer that mean something here.
const KNOWN: &[&str] = &[
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "enable.auto.commit",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "group.id",
    "isolation.level",
    "max.partition.fetch.bytes",
];

/// Where a partition is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    First,
    Last,
    At(Offset),
}

#[derive(Debug)]
pub(super) enum What {
    Topic(String),
    Matching(Names),
    Partition { topic: String, partition: i32, from: From },
}

pub(super) struct Options {
    pub(super) what: What,
    pub(super) group: String,
    /// Where a group without an offset begins.
    pub(super) reset: OnOutOfRange,
    pub(super) commit_every: Option<Duration>,
    pub(super) isolation: Isolation,
    pub(super) count: Option<u64>,
    pub(super) idle: Option<Duration>,
    pub(super) formatter: Formatter,
    pub(super) skip_errors: bool,
    pub(super) fetch: FetchConfig,
    pub(super) properties: Properties,
}

impl Options {
    pub(super) fn read(line: &Words) -> Result<Self, End> {
        let what = what(line)?;
        line.required("bootstrap-server")?;
        let properties = properties(line)?;
        let (group, named) = group(line, &properties)?;
        if named && matches!(what, What::Partition { .. }) {
            let both = "Options group and partition cannot be specified together.";
            return Err(End::Usage(both.into()));
        }
        let commits = properties.is_true("enable.auto.commit").unwrap_or(named);
        let every = properties.millis("auto.commit.interval.ms")?.unwrap_or(Duration::from_secs(5));
        let isolation = line.value("isolation-level")?.or(properties.get("isolation.level"));
        let standard = FetchConfig::default();
        let count: Option<i64> = line.number("max-messages")?;
        let idle: Option<i64> = line.number("timeout-ms")?;
        Ok(Self {
            what,
            group,
            reset: reset(line, &properties)?,
            commit_every: commits.then_some(every),
            isolation: match isolation.unwrap_or("read_uncommitted") {
                "read_uncommitted" => Isolation::ReadUncommitted,
                "read_committed" => Isolation::ReadCommitted,
                other => {
                    return Err(End::Error(format!(
                        "Invalid value {other} for configuration isolation.level: String must be one of: read_committed, read_uncommitted"
                    )));
                }
            },
            // Kafka's -1 is no limit.
            count: count.and_then(|n| u64::try_from(n).ok()),
            idle: idle.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
            formatter: Formatter::read(line)?,
            skip_errors: line.has("skip-message-on-error"),
            fetch: FetchConfig {
                min_bytes: properties.number("fetch.min.bytes")?.unwrap_or(standard.min_bytes),
                max_bytes: properties.number("fetch.max.bytes")?.unwrap_or(standard.max_bytes),
                partition_bytes_max: properties
                    .number("max.partition.fetch.bytes")?
                    .unwrap_or(standard.partition_bytes_max),
                ..standard
            },
            properties,
        })
    }
}

fn what(line: &Words) -> Result<What, End> {
    let topic = line.value("topic")?;
    let what = match (topic, line.value("include")?) {
        (Some(topic), None) => What::Topic(topic.to_owned()),
        (None, Some(pattern)) => What::Matching(Names::pattern(pattern)?),
        (None, None) | (Some(_), Some(_)) => {
            return Err(End::Usage(
                "Exactly one of the following arguments is required: [topic], [include]".into(),
            ));
        }
    };
    let Some(partition) = line.number("partition")? else {
        if line.has("offset") {
            let missing = "The partition is required when offset is specified.";
            return Err(End::Usage(missing.into()));
        }
        return Ok(what);
    };
    let What::Topic(topic) = what else {
        let missing = "The topic is required when partition is specified.";
        return Err(End::Usage(missing.into()));
    };
    let first = line.has("from-beginning");
    let from = match line.value("offset")? {
        Some(_) if first => {
            let both = "Options from-beginning and offset cannot be specified together.";
            return Err(End::Usage(both.into()));
        }
        None if first => From::First,
        None => From::Last,
        Some(text) => match text.to_ascii_lowercase().as_str() {
            "earliest" => From::First,
            "latest" => From::Last,
            _ => match text.parse() {
                Ok(n) if n >= 0 => From::At(Offset(n)),
                Ok(_) | Err(_) => {
                    return Err(End::Usage(format!(
                        "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
                    )));
                }
            },
        },
    };
    Ok(What::Partition { topic, partition, from })
}

fn together(line: &Words, old: &str, new: &str) -> Result<(), End> {
    if line.has(old) && line.has(new) {
        return Err(End::Usage(format!(
            "Options --{old} and --{new} cannot be specified together."
        )));
    }
    if line.has(old) {
        print(&format!(
            "Option --{old} is deprecated and will be removed in a future version. Use --{new} instead."
        ))?;
    }
    Ok(())
}

fn properties(line: &Words) -> Result<Properties, End> {
    together(line, "consumer-property", "command-property")?;
    together(line, "consumer.config", "command-config")?;
    let path = line.value("consumer.config")?.or(line.value("command-config")?);
    let mut properties = path.map_or_else(|| Ok(Properties::default()), load)?;
    properties.add_pairs(line, "consumer-property");
    properties.add_pairs(line, "command-property");
    properties.check(KNOWN)?;
    Ok(properties)
}

/// The group, and whether somebody named it.
fn group(line: &Words, properties: &Properties) -> Result<(String, bool), End> {
    match (line.value("group")?, properties.get("group.id")) {
        (Some(a), Some(b)) if a != b => Err(End::Usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: '{a}', '{b}'"
        ))),
        (Some(group), _) | (None, Some(group)) => Ok((group.to_owned(), true)),
        (None, None) => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let nanos = since.unwrap_or_default().subsec_nanos();
            // Two that start in the same moment have different numbers all the same.
            let number = (u64::from(nanos) ^ u64::from(std::process::id()) * 7919) % 100_000;
            Ok((format!("console-consumer-{number}"), false))
        }
    }
}

fn reset(line: &Words, properties: &Properties) -> Result<OnOutOfRange, End> {
    let first = line.has("from-beginning");
    match properties.get("auto.offset.reset") {
        Some(other) if first && other != "earliest" => Err(End::Error(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={other}', please remove one option"
        ))),
        Some("earliest") => Ok(OnOutOfRange::Earliest),
        Some("latest") => Ok(OnOutOfRange::Latest),
        Some("none") => Ok(OnOutOfRange::Fail),
        Some(other) => {
            Err(End::Error(format!("not supported by ringwood: auto.offset.reset={other}")))
        }
        None if first => Ok(OnOutOfRange::Earliest),
        None => Ok(OnOutOfRange::Latest),
    }
}
