//! The programs of a proof: the broker, the load and the verifying client.

use std::fs::create_dir_all;
use std::process::Command;

use crate::{Fault, clients, program, tree};

/// Nobody who calls a proof by its name takes one that did not run for one that succeeded: what is missing here is a failure.
pub(super) fn must_be_possible(proof: &str, missing: Option<String>) -> Result<(), Fault> {
    match missing {
        Some(reason) => Err(format!("{proof} cannot run here: {reason}").into()),
        None => Ok(()),
    }
}

/// Builds the broker (optimized as users have it, if asked for), the load and the auditor.
pub(super) fn build(release: bool) -> Result<(), Fault> {
    let cargo = |words: &[&str]| -> Result<(), Fault> {
        let mut command = Command::new("cargo");
        command.args(words).current_dir(tree::root());
        let built = program::follow(&mut command, |_| {})?;
        if built { Ok(()) } else { Err("the build failed".into()) }
    };
    if release {
        cargo(&["build", "--package", "ringwood-clients-rdkafka"])?;
        cargo(&["build", "--release", "--package", "ringwood"])?;
    } else {
        cargo(&["build", "--package", "ringwood", "--package", "ringwood-clients-rdkafka"])?;
    }
    create_dir_all(tree::work())?;
    Ok(clients::prepare("go").map_err(|complaint| {
        format!("the verifying client (go) could not be built: {complaint}")
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_cannot_run_is_a_failure_that_says_what_is_missing() {
        let refused = must_be_possible("prove it", Some("no /dev/it".to_owned())).unwrap_err();
        assert_eq!(refused.to_string(), "prove it cannot run here: no /dev/it");
        assert!(must_be_possible("prove it", None).is_ok());
    }
}
