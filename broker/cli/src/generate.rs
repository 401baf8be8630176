//! `ringwood generate`: files that other programs want.

mod grafana;
mod prometheus_rules;
mod seccomp;
mod systemd;

use crate::failure::{Done, Failure};
use crate::output::{self, say};
use clap::Subcommand;
use std::path::{Path, PathBuf};

/// What is written.
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// A completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Man pages: all of them into a directory, or ringwood(1) to stdout
    Man {
        /// The directory
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// A systemd unit
    Systemd(systemd::SystemdArgs),
    /// A seccomp profile for containers, which allows io_uring and nothing that a broker does not need
    Seccomp,
    /// A dashboard for Grafana, over the metrics of /metrics
    GrafanaDashboard,
    /// Alerts for Prometheus, over the metrics of /metrics
    PrometheusRules(prometheus_rules::RulesArgs),
}

/// Writes it; the exit code. `command` is the whole command line.
#[must_use]
pub fn run(what: &Generate, command: clap::Command) -> u8 {
    crate::end(match what {
        Generate::Completion { shell } => completion(*shell, command),
        Generate::Man { dir: Some(dir) } => man_pages(dir, command),
        Generate::Man { dir: None } => man_page(command),
        Generate::Systemd(args) => systemd::run(args),
        Generate::Seccomp => seccomp::run(),
        Generate::GrafanaDashboard => grafana::run(),
        Generate::PrometheusRules(args) => prometheus_rules::run(args),
    })
}

fn completion(shell: clap_complete::Shell, mut command: clap::Command) -> Done {
    // Written as a whole: the generator panics when a reader goes away in the middle.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "ringwood", &mut script);
    output::write(&script)
}

fn man_page(command: clap::Command) -> Done {
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|e| Failure::file("cannot write the man page", &e))?;
    output::write(&page)
}

fn man_pages(dir: &Path, command: clap::Command) -> Done {
    let at = dir.display();
    let failed = |e| Failure::file(format!("cannot write man pages to {at}"), &e);
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(command, dir).map_err(failed)?;
    say(format_args!("man pages are in {at}: try `man {at}/ringwood.1`"));
    Ok(())
}
