//! What this kernel lets us do.

use io_uring::{IoUring, Probe, opcode};
use std::fmt;
use std::io;

/// What a core runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// `uring`, `portable` or `sim`.
    pub backend: &'static str,
    /// Why it is not `uring`.
    pub why_not_uring: Option<WhyNot>,
    /// Release of the kernel.
    pub kernel: String,
    /// Sends of 16 KiB and more to other machines are not copied.
    pub zero_copy_send: bool,
    /// Bytes of buffers that may be registered with the kernel; `None` is no limit.
    pub fixed_bytes: Option<usize>,
    /// The lock of the data directory is held until the last write of a dead process has ended.
    pub lock_outlives_writes: bool,
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on Linux {}", self.backend, self.kernel)?;
        if let Some(why) = &self.why_not_uring {
            write!(f, " (no io_uring: {why})")?;
        }
        if self.backend == "uring" {
            match self.fixed_bytes {
                Some(0) => {
                    f.write_str(", no registered buffers: too little memory may be locked")?
                }
                Some(bytes) => write!(f, ", {} KiB of registered buffers", bytes / 1024)?,
                None => f.write_str(", registered buffers")?,
            }
            if !self.zero_copy_send {
                f.write_str(", no zero-copy send")?;
            }
        }
        Ok(())
    }
}

/// Why io_uring cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// The kernel was built without it, or is older than 5.1.
    Absent,
    /// Switched off for everyone: `kernel.io_uring_disabled` has this value.
    SwitchedOff(u8),
    /// Refused to this process: by a container's profile, most likely.
    Forbidden,
    /// The limit on locked memory is too low for a ring.
    LockedMemory,
    /// The kernel lacks something that we need.
    TooOld {
        /// What.
        missing: &'static str,
        /// Its release.
        kernel: String,
    },
    /// Chosen so.
    NotAsked,
    /// Something else.
    Other(String),
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("this kernel has none; 6.1 or later is needed"),
            Self::SwitchedOff(n) => {
                write!(f, "kernel.io_uring_disabled is {n}; try: sysctl kernel.io_uring_disabled=0")
            }
            Self::Forbidden => f.write_str(
                "refused to this process, as container profiles do; try a seccomp profile that allows \
                 io_uring_setup, io_uring_enter and io_uring_register",
            ),
            Self::LockedMemory => {
                f.write_str("too little memory may be locked; try: ulimit -l 65536")
            }
            Self::TooOld { missing, kernel } => {
                write!(f, "Linux {kernel} lacks {missing}; 6.1 or later is needed")
            }
            Self::NotAsked => f.write_str("another backend was chosen"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for WhyNot {}

/// Release of the running kernel.
pub(crate) fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "of unknown release".to_owned(), |s| s.trim().to_owned())
}

fn setting(name: &str) -> Option<u8> {
    std::fs::read_to_string(name).ok()?.trim().parse().ok()
}

/// Bytes that this process may lock; `None` is no limit.
pub(crate) fn memlock_limit() -> Option<usize> {
    if may_lock_everything() {
        return None;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a structure of ours.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return Some(0);
    }
    if limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    Some(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// Whether the process has CAP_IPC_LOCK, bit 14 of its effective capabilities.
fn may_lock_everything() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|caps| caps & (1 << 14) != 0)
}

/// What a refusal to make a ring means.
pub(crate) fn explain(e: &io::Error) -> WhyNot {
    match e.raw_os_error() {
        Some(libc::ENOSYS) => WhyNot::Absent,
        Some(libc::EPERM | libc::EACCES) => match setting("/proc/sys/kernel/io_uring_disabled") {
            Some(n) if n > 0 => WhyNot::SwitchedOff(n),
            Some(_) | None => WhyNot::Forbidden,
        },
        Some(libc::ENOMEM) => WhyNot::LockedMemory,
        Some(libc::EINVAL) => WhyNot::TooOld { missing: "deferred task work", kernel: kernel() },
        Some(_) | None => WhyNot::Other(e.to_string()),
    }
}

/// The ring's flags, everywhere the same: one thread submits, completions are worked off when that thread asks for them.
pub(crate) fn ring(entries: u32) -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_coop_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(entries.saturating_mul(8))
        .build(entries)
}

/// What a ring's kernel knows.
pub(crate) struct Known {
    pub(crate) zero_copy_send: bool,
    pub(crate) msg_ring: bool,
}

/// Asks a ring what it knows.
pub(crate) fn ask(ring: &IoUring) -> Result<Known, WhyNot> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|e| explain(&e))?;
    let needed: [(u8, &'static str); 9] = [
        (opcode::Read::CODE, "IORING_OP_READ"),
        (opcode::Write::CODE, "IORING_OP_WRITE"),
        (opcode::Writev::CODE, "IORING_OP_WRITEV"),
        (opcode::Fsync::CODE, "IORING_OP_FSYNC"),
        (opcode::Fallocate::CODE, "IORING_OP_FALLOCATE"),
        (opcode::Recv::CODE, "IORING_OP_RECV"),
        (opcode::SendMsg::CODE, "IORING_OP_SENDMSG"),
        (opcode::Accept::CODE, "IORING_OP_ACCEPT"),
        (opcode::AsyncCancel::CODE, "IORING_OP_ASYNC_CANCEL"),
    ];
    for (code, missing) in needed {
        if !probe.is_supported(code) {
            return Err(WhyNot::TooOld { missing, kernel: kernel() });
        }
    }
    Ok(Known {
        zero_copy_send: probe.is_supported(opcode::SendMsgZc::CODE),
        msg_ring: probe.is_supported(opcode::MsgRingData::CODE),
    })
}

/// Whether io_uring can be used, and what with; if not, why.
///
/// # Errors
/// [`WhyNot`], in words for the operator.
pub fn probe() -> Result<Features, WhyNot> {
    let ring = ring(8).map_err(|e| explain(&e))?;
    let known = ask(&ring)?;
    // Multishot receive came in 6.0, deferred task work, which the ring above has, in 6.1.
    Ok(Features {
        backend: "uring",
        why_not_uring: None,
        kernel: kernel(),
        zero_copy_send: known.zero_copy_send,
        fixed_bytes: memlock_limit(),
        lock_outlives_writes: ring.submitter().register_files_sparse(1).is_ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_a_reason_that_helps() {
        let of = |code| explain(&io::Error::from_raw_os_error(code));
        assert_eq!(of(libc::ENOSYS), WhyNot::Absent);
        assert_eq!(of(libc::ENOMEM), WhyNot::LockedMemory);
        assert!(matches!(of(libc::EPERM), WhyNot::Forbidden | WhyNot::SwitchedOff(_)));
        assert!(WhyNot::Forbidden.to_string().contains("seccomp"));
        assert!(matches!(of(libc::EIO), WhyNot::Other(_)));
    }
}
