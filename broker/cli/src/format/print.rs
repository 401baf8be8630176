//! A record as its format says.

use super::{Encoding, Field, Piece};
use crate::time;
use client::FetchedRecord;
use std::io::Write;

/// Appends the record.
pub(crate) fn print(
    pieces: &[Piece],
    topic: &str,
    partition: i32,
    record: &FetchedRecord,
    out: &mut Vec<u8>,
) {
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            Piece::Field(field, encoding) => {
                print_field(*field, *encoding, topic, partition, record, out);
            }
        }
    }
}

fn print_field(
    field: Field,
    encoding: Encoding,
    topic: &str,
    partition: i32,
    record: &FetchedRecord,
    out: &mut Vec<u8>,
) {
    let length = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map_or(-1, |b| i64::try_from(b.len()).unwrap_or(i64::MAX))
    };
    match field {
        Field::Topic => out.extend_from_slice(topic.as_bytes()),
        Field::Key => encoding.write(record.key.as_deref(), out),
        Field::Value => encoding.write(record.value.as_deref(), out),
        Field::Headers if encoding == Encoding::Json => {
            let headers = super::json::headers(&record.headers);
            out.extend_from_slice(serde_json::Value::from(headers).to_string().as_bytes());
        }
        Field::Headers => headers(&record.headers, out),
        Field::Time => {
            let text = time::rfc3339(record.timestamp);
            out.extend_from_slice(text.as_deref().unwrap_or("-").as_bytes());
        }
        Field::Partition => number(partition.into(), out),
        Field::Offset => number(record.offset.0, out),
        Field::Millis => number(record.timestamp.0, out),
        Field::KeyLength => number(length(&record.key), out),
        Field::ValueLength => number(length(&record.value), out),
        Field::LeaderEpoch => number(record.leader_epoch.0.into(), out),
    }
}

fn number(n: i64, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, "{n}");
}

/// `a=1,b=2`; a header without a value has no equals sign.
fn headers(headers: &[(Vec<u8>, Option<Vec<u8>>)], out: &mut Vec<u8>) {
    for (i, (key, value)) in headers.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{json_line, parse};
    use super::*;
    use ids::{LeaderEpoch, Offset, Timestamp};
    use record::TimestampType;

    pub(crate) fn record() -> FetchedRecord {
        FetchedRecord {
            offset: Offset(42),
            timestamp: Timestamp(1_800_000_000_000),
            timestamp_type: TimestampType::CreateTime,
            leader_epoch: LeaderEpoch(7),
            key: Some(b"k".to_vec()),
            value: Some(b"v\xff".to_vec()),
            headers: vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None)],
        }
    }

    fn printed(format: &str, record: &FetchedRecord) -> Vec<u8> {
        let mut out = Vec::new();
        print(&parse(format).unwrap(), "t", 3, record, &mut out);
        out
    }

    #[test]
    fn every_field_is_printed() {
        let r = record();
        assert_eq!(printed("%t/%p@%o %e", &r), b"t/3@42 7");
        assert_eq!(printed("%k %v\n", &r), b"k v\xff\n");
        assert_eq!(printed("%s", &r), b"v\xff");
        assert_eq!(printed("%v{hex} %v{base64} %k{json}", &r), b"76ff dv8= \"k\"");
        assert_eq!(printed("%T %D", &r), b"1800000000000 2027-01-15T08:00:00.000Z");
        assert_eq!(printed("%K %S", &r), b"1 2");
        assert_eq!(printed("%h", &r), b"a=1,b");
        let json = br#"[{"key":"a","value":"1"},{"key":"b","value":null}]"#;
        assert_eq!(printed("%h{json}", &r), json);
    }

    #[test]
    fn null_is_not_empty() {
        let null = FetchedRecord { key: None, value: Some(Vec::new()), ..record() };
        assert_eq!(printed("[%k][%v] %K %S %k{json} %v{json}", &null), b"[][] -1 0 null \"\"");
        let no_time = FetchedRecord { timestamp: Timestamp::NONE, ..record() };
        assert_eq!(printed("%T %D", &no_time), b"-1 -");
    }

    #[test]
    fn json_keeps_its_fields_and_every_byte() {
        let mut out = Vec::new();
        json_line("t", 3, &record(), &mut out).unwrap();
        let text = concat!(
            r#"{"topic":"t","partition":3,"offset":42,"timestamp":"2027-01-15T08:00:00.000Z","#,
            r#""timestamp_type":"create_time","leader_epoch":7,"key":"k","value_base64":"dv8=","#,
            r#""headers":[{"key":"a","value":"1"},{"key":"b","value":null}]}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
