//! A unit that runs a broker as a user of its own, shut off from what it does not need.

use crate::failure::{Done, Failure};
use crate::output;
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct SystemdArgs {
    /// The binary [default: this one]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// The configuration that `start` is given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &SystemdArgs) -> Done {
    let binary = match &args.binary {
        Some(path) => path.clone(),
        None => std::env::current_exe()
            .map_err(|e| Failure::file("cannot tell where this binary is", &e))?,
    };
    for path in [Some(&binary), args.config.as_ref()].into_iter().flatten() {
        if !path.is_absolute() {
            return Err(Failure::usage(
                format!("{} is not an absolute path", path.display()),
                "systemd wants one",
                "write it with a / in front",
            )
            .into());
        }
    }
    output::write(unit(&binary, args.config.as_deref()).as_bytes())
}

/// An argument as systemd reads it: in quotes, with its specifiers and variables as plain characters.
fn argument(path: &Path) -> String {
    let mut quoted = String::from('"');
    for c in path.display().to_string().chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn unit(binary: &Path, config: Option<&Path>) -> String {
    let mut start = format!("{} start", argument(binary));
    if let Some(config) = config {
        start.push_str(" --config ");
        start.push_str(&argument(config));
    }
    format!(
        "\
# Written by `ringwood generate systemd`. To install it:
#   ringwood generate systemd > /etc/systemd/system/ringwood.service
#   systemctl daemon-reload && systemctl enable --now ringwood
[Unit]
Description=Ringwood, a Kafka-compatible broker
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={start}
Restart=on-failure
RestartSec=1
# SIGTERM lets connections finish and flushes everything.
TimeoutStopSec=60

# A user of its own; the data is in /var/lib/ringwood, which `start` learns from STATE_DIRECTORY.
DynamicUser=yes
StateDirectory=ringwood
StateDirectoryMode=0750
UMask=0027

# Sockets and segments; registered buffers.
LimitNOFILE=1048576
LimitMEMLOCK=infinity
OOMScoreAdjust=-500

AmbientCapabilities=
CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service io_uring_setup io_uring_enter io_uring_register

[Install]
WantedBy=multi-user.target
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_as_systemd_reads_them() {
        let unit = unit(Path::new("/opt/a b/ring%wood"), Some(Path::new("/etc/r\"w.toml")));
        let start = unit.lines().find(|l| l.starts_with("ExecStart=")).unwrap();
        assert_eq!(start, r#"ExecStart="/opt/a b/ring%%wood" start --config "/etc/r\"w.toml""#);
    }
}
