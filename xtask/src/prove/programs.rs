//! The programs of a proof: the broker, the load and the verifying client.

use std::fs::create_dir_all;
use std::process::Command;

use crate::{Fault, clients, program, tree};

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
