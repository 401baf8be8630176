//! `ringwood tools`: links by whose names the binary is Kafka's tools.

use super::FACES;
use crate::exit;
use crate::failure::{Done, Failure};
use crate::output::say;
use clap::{Args, Subcommand};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Be Kafka's command-line tools.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct ToolsArgs {
    #[command(subcommand)]
    command: ToolsCommand,
}

#[derive(Debug, Subcommand)]
enum ToolsCommand {
    /// Put kafka-topics, kafka-console-consumer and the others into a directory, as links to this binary
    Install {
        /// The directory; it is made if it is not there
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Name them as Kafka's scripts are named: kafka-topics.sh
        #[arg(long)]
        sh: bool,
    },
}

pub(crate) fn run(args: &ToolsArgs) -> Done {
    let ToolsCommand::Install { directory, sh } = &args.command;
    let binary = std::env::current_exe()
        .map_err(|e| Failure::file("cannot find out where this binary is", &e))?;
    fs::create_dir_all(directory).map_err(|e| {
        Failure::file(format!("cannot make the directory {}", directory.display()), &e)
    })?;
    for face in FACES {
        let ending = if *sh { ".sh" } else { "" };
        link(&binary, &directory.join(format!("{}{ending}", face.name)))?;
    }
    say(format_args!("{} tools in {}", FACES.len(), directory.display()));
    Ok(())
}

/// A link to the binary. Another link in its place is replaced; a file is somebody's, and stays.
fn link(binary: &Path, at: &Path) -> Result<(), Failure> {
    let failed = |e: &std::io::Error| Failure::file(format!("cannot make {}", at.display()), e);
    match fs::symlink_metadata(at) {
        Ok(there) if there.file_type().is_symlink() => {
            fs::remove_file(at).map_err(|e| failed(&e))?;
        }
        Ok(_) => {
            return Err(Failure {
                area: "tools",
                what: format!("{} is there already", at.display()),
                cause: "it is a file and not a link: it may be the original".into(),
                remedy: "choose another directory, or move it away".into(),
                code: exit::NOT_FOUND_OR_EXISTS,
            });
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(failed(&e)),
    }
    symlink(binary, at).map_err(|e| failed(&e))
}
