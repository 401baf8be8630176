//! `kafka-log-dirs`.

use super::end::{Done, End, print};
use super::grammar::Words;
use super::session;
use client::To;
use ids::BrokerId;
use serde::Serialize;
use std::collections::BTreeSet;
use wire::ErrorCode;
use wire::api::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};

#[derive(Serialize)]
struct Document {
    brokers: Vec<Broker>,
    version: i32,
}

#[derive(Serialize)]
struct Broker {
    broker: i32,
    #[serde(rename = "logDirs")]
    log_dirs: Vec<LogDir>,
}

#[derive(Serialize)]
struct LogDir {
    partitions: Vec<Partition>,
    error: Option<String>,
    #[serde(rename = "logDir")]
    log_dir: String,
}

#[derive(Serialize)]
struct Partition {
    partition: String,
    size: i64,
    #[serde(rename = "offsetLag")]
    offset_lag: i64,
    #[serde(rename = "isFuture")]
    is_future: bool,
}

pub(super) fn run(line: &Words) -> Done {
    line.required("bootstrap-server")?;
    if !line.has("describe") {
        return Err(End::Usage("Missing required argument \"[describe]\"".into()));
    }
    let topics: BTreeSet<_> = items(line.value("topic-list")?).map(str::to_owned).collect();
    let asked: BTreeSet<i32> = items(line.value("broker-list")?)
        .map(|id| id.parse().map_err(|_| End::Error(format!("{id} is no broker's id"))))
        .collect::<Result<_, End>>()?;
    let mut client = session::admin(line, "log-dirs-tool")?;
    let known: BTreeSet<i32> = client.metadata().brokers.keys().copied().collect();
    let list = |ids: &BTreeSet<i32>| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let missing: BTreeSet<_> = asked.difference(&known).copied().collect();
    if !missing.is_empty() {
        return Err(End::Error(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            list(&missing),
            list(&known)
        )));
    }
    let brokers = if asked.is_empty() { known } else { asked };
    print("Querying brokers for log directories information")?;
    let mut document = Document { brokers: Vec::new(), version: 1 };
    for id in &brokers {
        let request = DescribeLogDirsRequest { topics: None };
        let reply = client.call(To::Broker(BrokerId(*id)), i16::MAX, &request)?;
        let response: DescribeLogDirsResponse<'_> = reply.decode().map_err(End::malformed)?;
        if response.error_code != ErrorCode::NONE {
            return Err(End::Error(response.error_code.to_string()));
        }
        document.brokers.push(broker(*id, &response, &topics));
    }
    print(&format!("Received log directory information from brokers {}", list(&brokers)))?;
    let text = crate::output::to_json(&document)?;
    print(&text)
}

fn items(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').filter(|item| !item.is_empty())
}

fn broker(id: i32, response: &DescribeLogDirsResponse<'_>, topics: &BTreeSet<String>) -> Broker {
    let log_dirs = response
        .results
        .iter()
        .map(|dir| LogDir {
            partitions: dir
                .topics
                .iter()
                .filter(|t| topics.is_empty() || topics.contains(t.name))
                .flat_map(|t| t.partitions.iter().map(|p| (t.name, p)))
                .map(|(name, p)| Partition {
                    partition: format!("{name}-{}", p.partition_index),
                    size: p.partition_size,
                    offset_lag: p.offset_lag,
                    is_future: p.is_future_key,
                })
                .collect(),
            error: (dir.error_code != ErrorCode::NONE).then(|| dir.error_code.name().to_owned()),
            log_dir: dir.log_dir.to_owned(),
        })
        .collect();
    Broker { broker: id, log_dirs }
}
