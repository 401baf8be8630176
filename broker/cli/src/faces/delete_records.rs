//! `kafka-delete-records`.

use super::end::{Done, End, print, words};
use super::grammar::Words;
use super::properties::read_bounded;
use super::session;
use client::{ClientError, Refusal};
use ids::Offset;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The largest JSON file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Plan {
    #[serde(default = "version_1")]
    version: i64,
    partitions: Vec<Point>,
}

fn version_1() -> i64 {
    1
}

#[derive(Deserialize)]
struct Point {
    topic: String,
    partition: i32,
    offset: i64,
}

type Points = BTreeMap<String, BTreeMap<i32, Offset>>;

pub(super) fn run(line: &Words) -> Done {
    line.required("bootstrap-server")?;
    let path = line.required("offset-json-file")?;
    let points = read(&read_bounded(path, FILE_BYTES_MAX)?)?;
    let mut client = session::admin(line, "kafka-delete-records")?;
    print("Executing records delete operation")?;
    print("Records delete operation completed:")?;
    let mut failed = false;
    for (topic, points) in points {
        let below: Vec<_> = points.into_iter().collect();
        let results = client.delete_records(&topic, &below).unwrap_or_else(|e| {
            // One partition without a leader, or a topic that is not there, speaks for all of them.
            let refusal = match e {
                ClientError::Refused(refusal) => refusal,
                other => Refusal {
                    what: topic.clone(),
                    code: other.code().unwrap_or(wire::ErrorCode::UNKNOWN_SERVER_ERROR),
                    message: Some(words(&other)),
                },
            };
            below.iter().map(|(p, _)| (*p, Err(refusal.clone()))).collect()
        });
        for (partition, result) in results {
            match result {
                Ok(start) => {
                    print(&format!("partition: {topic}-{partition}\tlow_watermark: {}", start.0))?;
                }
                Err(refusal) => {
                    failed = true;
                    let why = words(&ClientError::Refused(refusal));
                    print(&format!("partition: {topic}-{partition}\terror: {why}"))?;
                }
            }
        }
    }
    // The original ends well all the same; records that were to go and did not are a failure here.
    if failed { Err(End::Said) } else { Ok(()) }
}

fn read(text: &str) -> Result<Points, End> {
    let plan: Plan = serde_json::from_str(text)
        .map_err(|e| End::Error(format!("The input string is not a valid JSON: {e}")))?;
    if plan.version != 1 {
        return Err(End::Error(format!("Not supported version field value {}", plan.version)));
    }
    let mut points = Points::new();
    let mut twice = Vec::new();
    for p in plan.partitions {
        let name = format!("{}-{}", p.topic, p.partition);
        let of_topic = points.entry(p.topic).or_default();
        if of_topic.insert(p.partition, Offset(p.offset)).is_some() {
            twice.push(name);
        }
    }
    if !twice.is_empty() {
        return Err(End::Error(format!(
            "Offset json file contains duplicate topic partitions: {}",
            twice.join(",")
        )));
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_each_partition_once() {
        let good = read(r#"{"partitions":[{"topic":"t","partition":1,"offset":7}],"version":1}"#);
        assert_eq!(good.unwrap()["t"][&1], Offset(7));
        let end = |text: &str| match read(text).unwrap_err() {
            End::Error(text) => text,
            other => panic!("{other:?}"),
        };
        let one = r#"{"topic":"t","partition":1,"offset":7}"#;
        assert!(end(&format!(r#"{{"partitions":[{one},{one}]}}"#)).ends_with("t-1"));
        assert!(end(r#"{"partitions":[],"version":2}"#).contains('2'));
        assert!(end("nonsense").contains("not a valid JSON"));
    }
}
