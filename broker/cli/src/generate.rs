//! `ringwood generate`: files that other programs want.

use crate::failure::Done;
use crate::output;
use clap::Subcommand;

/// What is written.
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// A completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Writes it; the exit code. `command` is the whole command line.
#[must_use]
pub fn run(what: &Generate, command: clap::Command) -> u8 {
    crate::end(match what {
        Generate::Completion { shell } => completion(*shell, command),
    })
}

fn completion(shell: clap_complete::Shell, mut command: clap::Command) -> Done {
    // Written as a whole: the generator panics when a reader goes away in the middle.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "ringwood", &mut script);
    output::write(&script)
}
