//! The inputs of the fuzz target, each run once; and what proptest makes of bytes, edits and cuts.

use crate::any::{Outcome, attempt, start};
use crate::every::cases;
use crate::random::{Random, body};
use proptest::prelude::*;
use std::path::Path;

/// Inputs that were found or written down. One that once was a bug stays here for good.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its inputs")]
fn every_seed_of_the_fuzz_target_is_harmless() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/decode");
    let cases = cases();
    let (mut read, mut refused) = (0, 0);
    for entry in std::fs::read_dir(&folder).expect("the seeds") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let outcome = attempt(&cases, &std::fs::read(&path).expect("an input"));
        // The name says what must become of it.
        let expected = if name.starts_with("good-") { Outcome::Read } else { Outcome::Refused };
        assert_eq!(outcome, expected, "{name}");
        read += usize::from(outcome == Outcome::Read);
        refused += usize::from(outcome == Outcome::Refused);
    }
    assert!(read >= 8 && refused >= 8, "{read} read, {refused} refused: the seeds are not there");
}

#[test]
fn an_input_names_a_message_and_its_version() {
    let cases = cases();
    let case = cases.iter().find(|c| c.name == "ApiVersionsResponse").expect("it is there");
    let known = case.key.entry().versions;
    for version in known.min..=known.max {
        let sample = body(case.key, case.shape, version, &mut Random::new(5));
        let input = [&start(case, version)[..], &sample].concat();
        assert_eq!(attempt(&cases, &input), Outcome::Read, "version {version}");
        assert_eq!(attempt(&cases, &input[..input.len() - 1]), Outcome::Refused, "cut, {version}");
    }
    assert_eq!(attempt(&cases, &[]), Outcome::Nothing);
    assert_eq!(attempt(&cases, &[255, 0, 0]), Outcome::Nothing);
}

fn one_of_the_messages() -> impl Strategy<Value = usize> {
    0..cases().len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_any_message(nth in one_of_the_messages(), above in 0u8..32, bytes in prop::collection::vec(any_byte(), 0..300)) {
        let cases = cases();
        let case = &cases[nth];
        let [api, what] = start(case, case.key.entry().versions.min);
        attempt(&cases, &[&[api, what + above * 2], &bytes[..]].concat());
    }

    #[test]
    fn an_honest_message_edited_and_cut(nth in one_of_the_messages(), seed in any::<u64>(), version in any::<prop::sample::Index>(), edits in prop::collection::vec((any::<prop::sample::Index>(), any_byte()), 0..4), cut in prop::option::of(any::<prop::sample::Index>())) {
        let cases = cases();
        let case = &cases[nth];
        let known = case.key.entry().versions;
        let version = known.min + i16::try_from(version.index(usize::try_from(known.max - known.min + 1).unwrap())).unwrap();
        let mut sample = body(case.key, case.shape, version, &mut Random::new(seed));
        let honest = edits.is_empty() && cut.is_none();
        for (at, byte) in edits.iter().filter(|_| !sample.is_empty()).collect::<Vec<_>>() {
            let at = at.index(sample.len());
            sample[at] = *byte;
        }
        if let Some(cut) = cut {
            sample.truncate(cut.index(sample.len() + 1));
        }
        let outcome = attempt(&cases, &[&start(case, version)[..], &sample].concat());
        prop_assert!(!honest || outcome == Outcome::Read, "{} v{}", case.name, version);
    }
}

/// Lengths and counts are where decoders break: small and extreme bytes are as frequent as all others.
fn any_byte() -> impl Strategy<Value = u8> {
    prop_oneof![0u8..4, any::<u8>(), Just(0x7f), Just(0x80), Just(0xff)]
}
