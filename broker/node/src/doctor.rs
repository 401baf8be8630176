//! `ringwood doctor`: what this machine needs, what it has, and what to do about the difference.

use crate::config::NodeConfig;
use crate::say::exit;
use runtime::Io;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

enum Finding {
    Good(String),
    Fair { what: String, remedy: String },
    Bad { what: String, remedy: String },
}

fn fair(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding::Fair { what: what.into(), remedy: remedy.into() }
}

fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding::Bad { what: what.into(), remedy: remedy.into() }
}

/// Prints every prerequisite; fails if a broker could not start.
pub(crate) fn run(config: &NodeConfig) -> ExitCode {
    let findings = [
        ("kernel", kernel()),
        ("io_uring", io_uring(config.io)),
        ("locked memory", locked_memory()),
        ("open files", open_files()),
        ("data directory", data_directory(&config.data)),
        ("direct I/O", direct_io(&config.data)),
        ("free space", free_space(config)),
        ("Kafka port", port(&config.listen.to_string())),
        ("admin port", port(&config.admin.to_string())),
    ];
    let mut failed = false;
    let mut text = String::new();
    for (name, finding) in findings {
        match finding {
            Finding::Good(what) => text.push_str(&format!("ok    {name}: {what}\n")),
            Finding::Fair { what, remedy } => {
                text.push_str(&format!("warn  {name}: {what}\n      try: {remedy}\n"));
            }
            Finding::Bad { what, remedy } => {
                failed = true;
                text.push_str(&format!("FAIL  {name}: {what}\n      try: {remedy}\n"));
            }
        }
    }
    // A reader that has gone away has seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if failed { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS }
}

/// The first kernel with everything that the reactor asks for (deferred task work, receive buffer rings).
const KERNEL_MIN: (u32, u32) = (6, 1);

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= KERNEL_MIN {
        Finding::Good(format!("Linux {release}"))
    } else {
        let (major, minor) = KERNEL_MIN;
        bad(format!("Linux {release}"), format!("use Linux {major}.{minor} or newer"))
    }
}

fn io_uring(io: Io) -> Finding {
    match runtime::probe() {
        Ok(_) => Finding::Good("allowed".into()),
        // The other backend keeps the same promises, with more CPU.
        Err(why) if io != Io::Uring => {
            fair(format!("not used: {}; the portable backend serves", why.cause()), why.remedy())
        }
        Err(why) => bad(format!("refused: {}", why.cause()), why.remedy()),
    }
}

fn limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut l = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a structure of ours.
    unsafe { libc::getrlimit(resource, &raw mut l) };
    l.rlim_cur
}

fn locked_memory() -> Finding {
    let bytes = limit(libc::RLIMIT_MEMLOCK);
    // SAFETY: plain system call.
    let root = unsafe { libc::geteuid() } == 0;
    if root || bytes >= 64 << 20 {
        Finding::Good("enough".into())
    } else {
        fair(format!("{} KiB", bytes / 1024), "ulimit -l unlimited, or LimitMEMLOCK=infinity")
    }
}

fn open_files() -> Finding {
    let files = limit(libc::RLIMIT_NOFILE);
    if files >= 65_536 {
        Finding::Good(files.to_string())
    } else {
        fair(files.to_string(), "ulimit -n 65536, or LimitNOFILE=65536")
    }
}

/// The nearest directory above that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|p| p.is_dir()).unwrap_or(Path::new("/"))
}

fn data_directory(path: &Path) -> Finding {
    let at = existing(path);
    let probe = at.join(format!(".ringwood-doctor-{}", std::process::id()));
    match fs::write(&probe, b"probe") {
        Ok(()) => {
            let _ = fs::remove_file(&probe);
            Finding::Good(path.display().to_string())
        }
        Err(e) => bad(
            format!("{} cannot be written: {e}", at.display()),
            "name another with --data, or change its owner",
        ),
    }
}

fn direct_io(path: &Path) -> Finding {
    use std::os::unix::fs::OpenOptionsExt;
    let probe = existing(path).join(format!(".ringwood-doctor-{}.direct", std::process::id()));
    let opened = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT)
        .open(&probe);
    let _ = fs::remove_file(&probe);
    match opened {
        Ok(_) => Finding::Good("yes".into()),
        Err(e) => fair(
            format!("no: {e}; the page cache is used instead"),
            "use a file system with direct I/O, such as ext4 or xfs",
        ),
    }
}

/// Below its reserve a broker takes no writes.
fn free_space(config: &NodeConfig) -> Finding {
    let at = existing(&config.data);
    match rustix::fs::statvfs(at) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let reserve = config.reserve_of(found.f_blocks.saturating_mul(found.f_frsize));
            let what = format!("{} MiB, of which {} MiB are kept", free >> 20, reserve >> 20);
            if free > reserve {
                Finding::Good(what)
            } else {
                fair(
                    format!("{what}: writes are refused"),
                    "make room, or say how much is to be kept with --reserve",
                )
            }
        }
        Err(e) => fair(format!("not known: {e}"), "see the cause"),
    }
}

fn port(address: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::Good(address.to_owned()),
        Err(e) => bad(format!("{address}: {e}"), "choose another, or stop what listens there"),
    }
}
