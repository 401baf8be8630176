//! A record as one line of JSON. Bytes that are not UTF-8 stand as base64, under a name that says so.

use super::encoding::base64;
use crate::failure::Stop;
use crate::output::to_json;
use crate::time;
use client::FetchedRecord;
use record::TimestampType;
use serde::Serialize;
use serde_json::{Value, json};
use std::str::from_utf8;

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: Option<String>,
    timestamp_type: &'static str,
    leader_epoch: i32,
    #[serde(flatten)]
    key: Key<'a>,
    #[serde(flatten)]
    value: Val<'a>,
    headers: Vec<Value>,
}

#[derive(Serialize)]
enum Key<'a> {
    #[serde(rename = "key")]
    Text(Option<&'a str>),
    #[serde(rename = "key_base64")]
    Bytes(String),
}

#[derive(Serialize)]
enum Val<'a> {
    #[serde(rename = "value")]
    Text(Option<&'a str>),
    #[serde(rename = "value_base64")]
    Bytes(String),
}

/// Either text or the bytes, which are no text.
fn text(bytes: Option<&[u8]>) -> Result<Option<&str>, &[u8]> {
    bytes.map(|b| from_utf8(b).map_err(|_| b)).transpose()
}

/// Appends the record and a line end.
pub(crate) fn json_line(
    topic: &str,
    partition: i32,
    record: &FetchedRecord,
    out: &mut Vec<u8>,
) -> Result<(), Stop> {
    let line = Line {
        topic,
        partition,
        offset: record.offset.0,
        timestamp: time::rfc3339(record.timestamp),
        timestamp_type: match record.timestamp_type {
            TimestampType::CreateTime => "create_time",
            TimestampType::LogAppendTime => "log_append_time",
        },
        leader_epoch: record.leader_epoch.0,
        key: text(record.key.as_deref()).map_or_else(|b| Key::Bytes(base64(b)), Key::Text),
        value: text(record.value.as_deref()).map_or_else(|b| Val::Bytes(base64(b)), Val::Text),
        headers: headers(&record.headers),
    };
    out.extend_from_slice(to_json(&line)?.as_bytes());
    out.push(b'\n');
    Ok(())
}

/// Headers in their order; a key may occur twice.
pub(super) fn headers(headers: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<Value> {
    headers
        .iter()
        .map(|(key, value)| {
            let key = String::from_utf8_lossy(key);
            match text(value.as_deref()) {
                Ok(text) => json!({ "key": key, "value": text }),
                Err(bytes) => json!({ "key": key, "value_base64": base64(bytes) }),
            }
        })
        .collect()
}
