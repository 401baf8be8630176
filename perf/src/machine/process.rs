//! What a local broker's process has used: CPU seconds and bytes, from `/proc`.

use std::{
    fs,
    net::{IpAddr, SocketAddr, UdpSocket},
};

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Usage {
    /// The process.
    pub pid: u32,
    /// CPU seconds of user code.
    pub user_seconds: f64,
    /// CPU seconds of the kernel on its behalf.
    pub system_seconds: f64,
    /// Bytes that it made the device write.
    pub written_bytes: u64,
    /// Bytes that it made the device read.
    pub read_bytes: u64,
    /// Memory that it holds now.
    pub resident_bytes: u64,
    /// Threads that it has now.
    pub threads: u64,
}

impl Usage {
    /// Reads the process's counters. `None`: no such process, or not ours to look at.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold blanks: fields are counted after it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let tick = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as u64;
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let counter = |name: &str| {
            io.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
        };
        Some(Self {
            pid,
            user_seconds: field(14)? as f64 / tick,
            system_seconds: field(15)? as f64 / tick,
            written_bytes: counter("write_bytes:"),
            read_bytes: counter("read_bytes:"),
            resident_bytes: field(24)? * page,
            threads: field(20)?,
        })
    }

    /// CPU seconds of both kinds.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }
}

/// What local broker processes used between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Used {
    /// Seconds between the readings.
    pub seconds: f64,
    /// CPU seconds of user code and kernel.
    pub cpu_seconds: f64,
    /// Bytes that the device was made to write.
    pub written_bytes: u64,
    /// Bytes that the device was made to read.
    pub read_bytes: u64,
    /// Memory held at the second reading.
    pub resident_bytes: u64,
}

impl Used {
    /// The difference of two readings, over the processes that are in both. `None`: there is none.
    #[must_use]
    pub fn between(before: &[Usage], after: &[Usage], seconds: f64) -> Option<Self> {
        let mut used = Self { seconds, ..Self::default() };
        let mut seen = false;
        for after in after {
            let Some(before) = before.iter().find(|before| before.pid == after.pid) else {
                continue;
            };
            seen = true;
            used.cpu_seconds += after.cpu_seconds() - before.cpu_seconds();
            used.written_bytes += after.written_bytes.saturating_sub(before.written_bytes);
            used.read_bytes += after.read_bytes.saturating_sub(before.read_bytes);
            used.resident_bytes += after.resident_bytes;
        }
        seen.then_some(used)
    }
}

/// The process on this machine that listens on this address. `None`: the address is another machine's, or nobody that we may
/// look at listens there.
#[must_use]
pub fn listening_on(address: SocketAddr) -> Option<u32> {
    if !is_local(address.ip()) {
        return None;
    }
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table
                .lines()
                .skip(1)
                .filter_map(|line| {
                    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
                    let port = u16::from_str_radix(columns.get(1)?.rsplit_once(':')?.1, 16).ok()?;
                    // State 0A is LISTEN.
                    (port == address.port() && *columns.get(3)? == "0A")
                        .then(|| columns.get(9).map(|inode| format!("socket:[{inode}]")))?
                })
                .collect::<Vec<_>>()
        })
        .collect();
    if inodes.is_empty() {
        return None;
    }
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let files = fs::read_dir(entry.path().join("fd")).ok()?;
        files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
            .then_some(pid)
    })
}

/// Whether the address is this machine's: a socket can be bound to it.
pub(crate) fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_of_our_own_is_found() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pid = listening_on(listener.local_addr().unwrap());
        assert_eq!(pid, Some(std::process::id()));
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_bytes > 0 && usage.threads > 0);
    }
}
