//! This codec against the `kafka-protocol` crate: random messages there and back through both.

use crate::every::cases;
use crate::random::{Made, Random, body, value};
use wire::{API_TABLE, VersionRange};

const ROUNDS: u64 = 60;

/// What both codecs know.
fn common(a: VersionRange, b: VersionRange) -> std::ops::RangeInclusive<i16> {
    a.min.max(b.min)..=a.max.min(b.max)
}

#[test]
fn both_codecs_read_and_write_the_same_bytes() {
    let mut compared = 0;
    for case in cases() {
        for version in common(case.key.entry().versions, case.reference) {
            for seed in 0..ROUNDS {
                let mut random = Random::new(seed * 31 + 7);
                let sample = body(case.key, case.shape, version, &mut random);
                let at = format!("{} v{version} seed {seed}: {sample:02x?}", case.name);
                let theirs = (case.reference_again)(&sample, version)
                    .unwrap_or_else(|error| panic!("reference {error} in {at}"));
                let ours = (case.again)(&theirs, version)
                    .unwrap_or_else(|error| panic!("{error} in {at}"));
                assert_eq!(ours, theirs, "{at}");
                assert_eq!(ours, sample, "{at}");
                compared += 1;
            }
        }
    }
    // Both directions over a few hundred (api, version, request or response).
    assert!(compared > 300 * ROUNDS, "only {compared} messages were compared");
}

#[test]
fn versions_that_the_reference_lacks_still_survive_a_round_trip() {
    for case in cases() {
        let versions = case.key.entry().versions;
        for version in versions.min..=versions.max {
            let mut random = Random::new(u64::from(version.unsigned_abs()) + 99);
            for _ in 0..ROUNDS {
                let sample = body(case.key, case.shape, version, &mut random);
                let ours = (case.again)(&sample, version);
                assert_eq!(ours.as_ref(), Ok(&sample), "{} v{version}", case.name);
            }
        }
    }
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    for case in cases() {
        let versions = case.key.entry().versions;
        for version in versions.min..=versions.max {
            if !case.key.is_flexible(version) {
                continue;
            }
            let made = Made { unknown_tags: true, ..Made::new(case.key, version) };
            let mut sample = Vec::new();
            value(case.shape, made, false, false, &mut Random::new(5), &mut sample);
            let plain = (case.again)(&sample, version).expect("unknown tags are no error");
            assert!(plain.len() < sample.len(), "{} v{version}", case.name);
            assert_eq!((case.again)(&plain, version), Ok(plain), "{} v{version}", case.name);
        }
    }
}

#[test]
fn the_headers_versions_are_the_references() {
    for api in API_TABLE {
        let theirs =
            kafka_protocol::messages::ApiKey::try_from(api.key.code()).expect("a known key");
        for version in api.versions.min..=api.versions.max {
            let at = format!("{} v{version}", api.name);
            let key = api.key;
            assert_eq!(
                key.request_header_version(version),
                theirs.request_header_version(version),
                "{at}"
            );
            assert_eq!(
                key.response_header_version(version),
                theirs.response_header_version(version),
                "{at}"
            );
        }
    }
}

#[test]
fn defaults_differ_from_the_references_only_between_null_and_empty() {
    // Kafka's default for a nullable string or array is mostly the empty one; here it is `None`.
    let plain = |text: String| text.replace("Some(\"\")", "None").replace("Some([])", "None");
    let mut compared = 0;
    for case in cases() {
        for version in common(case.key.entry().versions, case.reference) {
            let at = format!("{} v{version}", case.name);
            let theirs = (case.reference_default)(version).expect("a default can be encoded");
            let theirs = (case.print)(&theirs, version).unwrap_or_else(|e| panic!("{e} in {at}"));
            let theirs = theirs.replace("Slice([])", "Null");
            assert_eq!(plain(theirs), plain((case.print_default)()), "{at}");
            compared += 1;
        }
    }
    assert!(compared > 300, "only {compared} defaults were compared");
}

#[test]
fn an_honest_message_of_many_small_elements_is_within_the_budget() {
    for case in cases() {
        let versions = case.key.entry().versions;
        for version in versions.min..=versions.max {
            let made = Made { many: Some(20_000), ..Made::new(case.key, version) };
            let mut sample = Vec::new();
            value(case.shape, made, false, false, &mut Random::new(1), &mut sample);
            let read = (case.decode)(&sample, version);
            assert_eq!(read, Ok(()), "{} v{version}, {} bytes", case.name, sample.len());
        }
    }
}
