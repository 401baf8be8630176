//! The program that the runner starts: it is there, and says what it does not understand.

use std::process::Command;

#[test]
fn what_is_not_understood_is_said_and_is_no_success() {
    for words in [&[][..], &["fly"][..]] {
        let output = Command::new(env!("CARGO_BIN_EXE_ringwood-clients-rdkafka"))
            .args(words)
            .output()
            .expect("the program starts");
        assert!(!output.status.success(), "{words:?} succeeded");
        assert!(!output.stderr.is_empty(), "{words:?} failed without a word");
    }
}
