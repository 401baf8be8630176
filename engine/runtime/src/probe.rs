//! What this kernel lets us do.

use crate::runtime::Tuning;
use crate::uring::Uring;
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
            write!(f, " (no io_uring: {})", why.cause())?;
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

/// Something that works less well than it could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What is so.
    pub what: String,
    /// What the operator can do about it.
    pub remedy: &'static str,
}

/// Fewer bytes of registered buffers than this are worth a word: what journal and segments have in flight on a busy core.
const FIXED_BYTES_GOOD: usize = 32 << 20;

impl Features {
    /// What works, but less well than it could.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if let Some(why) = self.why_not_uring.as_ref().filter(|w| **w != WhyNot::NotAsked) {
            let what = format!("io_uring is not used: {}", why.cause());
            notes.push(Note { what, remedy: why.remedy() });
        }
        if self.backend != "uring" {
            return notes;
        }
        if let Some(bytes) = self.fixed_bytes.filter(|bytes| *bytes < FIXED_BYTES_GOOD) {
            let what = format!(
                "at most {} KiB of each core's buffers can be registered, for so little memory may be locked: \
                 writes beyond that cost more",
                bytes / 1024
            );
            notes.push(Note { what, remedy: LOCK_MORE });
        }
        if !self.zero_copy_send {
            let what = "large sends are copied".to_owned();
            notes.push(Note { what, remedy: "Linux 6.1 or later, and zero copy not switched off" });
        }
        if !self.lock_outlives_writes {
            let what = "a killed broker's last writes may end after its lock".to_owned();
            notes.push(Note { what, remedy: "Linux 5.12 or later" });
        }
        notes
    }
}

/// Why io_uring cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// The kernel was built without it, or is older than 5.1.
    Absent {
        /// Its release.
        kernel: String,
    },
    /// Switched off: `kernel.io_uring_disabled` has this value; with 1 some may use it.
    SwitchedOff(u8),
    /// A seccomp filter refuses it, as the default profiles of containers do.
    Seccomp,
    /// Refused to this process by something else: a security module, most likely.
    Forbidden,
    /// The limit on locked memory is too low for a ring.
    LockedMemory {
        /// Bytes that may be locked.
        limit: usize,
    },
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

const LOCK_MORE: &str = "ulimit -l unlimited, LimitMEMLOCK=infinity in the systemd unit, or --ulimit memlock=-1 for the container";

impl WhyNot {
    /// What is so, without what to do about it.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Absent { kernel } => format!("Linux {kernel} has none"),
            Self::SwitchedOff(n) => format!("kernel.io_uring_disabled is {n}"),
            Self::Seccomp => "a seccomp filter refuses it to this process".to_owned(),
            Self::Forbidden => "the kernel refuses it to this process".to_owned(),
            Self::LockedMemory { limit } => {
                format!("only {} KiB of memory may be locked", limit / 1024)
            }
            Self::TooOld { missing, kernel } => format!("Linux {kernel} lacks {missing}"),
            Self::NotAsked => "another backend was chosen".to_owned(),
            Self::Other(what) => what.clone(),
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Absent { .. } | Self::TooOld { .. } => {
                "use Linux 6.1 or later, built with CONFIG_IO_URING"
            }
            Self::SwitchedOff(1) => {
                "sysctl kernel.io_uring_disabled=0, or make the broker's group kernel.io_uring_group"
            }
            Self::SwitchedOff(_) => "sysctl kernel.io_uring_disabled=0",
            Self::Seccomp => {
                "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile"
            }
            Self::Forbidden => "allow io_uring in the policy of SELinux or AppArmor",
            Self::LockedMemory { .. } => LOCK_MORE,
            Self::NotAsked => "choose auto or uring",
            Self::Other(_) => "look into the kernel's log",
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; try: {}", self.cause(), self.remedy())
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

/// Bytes that this thread may lock; `None` is no limit.
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

/// A line of what the kernel tells about this thread; filters and capabilities belong to threads.
fn status(name: &str) -> Option<String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Whether the thread has CAP_IPC_LOCK, bit 14 of its effective capabilities.
fn may_lock_everything() -> bool {
    status("CapEff")
        .and_then(|hex| u64::from_str_radix(&hex, 16).ok())
        .is_some_and(|caps| caps & (1 << 14) != 0)
}

/// What a refusal has to be seen with.
struct Circumstances {
    /// `kernel.io_uring_disabled`, where there is one.
    disabled: Option<u8>,
    /// A filter judges this thread's system calls.
    seccomp: bool,
    memlock: Option<usize>,
    kernel: String,
}

impl Circumstances {
    fn here() -> Self {
        Self {
            disabled: setting("/proc/sys/kernel/io_uring_disabled"),
            // 2: filtered.
            seccomp: status("Seccomp").is_some_and(|mode| mode == "2"),
            memlock: memlock_limit(),
            kernel: kernel(),
        }
    }

    /// Whether the kernel is so new that it has io_uring, unless it was built without.
    fn should_have_it(&self) -> bool {
        let mut numbers = self.kernel.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 1)
    }

    /// What a refusal means.
    fn explain(self, e: &io::Error) -> WhyNot {
        match (e.raw_os_error(), self.disabled) {
            (Some(libc::EPERM), Some(n @ 1..)) => WhyNot::SwitchedOff(n),
            // The answer of a filter is its author's choice.
            (Some(libc::EPERM | libc::EACCES), _) if self.seccomp => WhyNot::Seccomp,
            (Some(libc::ENOSYS), _) if self.seccomp && self.should_have_it() => WhyNot::Seccomp,
            (Some(libc::EPERM | libc::EACCES), _) => WhyNot::Forbidden,
            (Some(libc::ENOSYS), _) => WhyNot::Absent { kernel: self.kernel },
            (Some(libc::ENOMEM), _) if self.memlock.is_some() => {
                WhyNot::LockedMemory { limit: self.memlock.unwrap_or(0) }
            }
            (Some(libc::EINVAL), _) => {
                WhyNot::TooOld { missing: "deferred task work", kernel: self.kernel }
            }
            _ => WhyNot::Other(e.to_string()),
        }
    }
}

/// What a refusal to make a ring means here and now.
pub(crate) fn explain(e: &io::Error) -> WhyNot {
    Circumstances::here().explain(e)
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

/// Whether io_uring can be used by this thread, and what with; if not, why. It makes a ring as a core would.
///
/// # Errors
/// [`WhyNot`], in words for the operator.
pub fn probe() -> Result<Features, WhyNot> {
    let uring = Uring::new(&Tuning::default(), None)?;
    Ok(uring.features())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32, disabled: Option<u8>, seccomp: bool, memlock: Option<usize>) -> WhyNot {
        let kernel = "6.8.0-45-generic".to_owned();
        let circumstances = Circumstances { disabled, seccomp, memlock, kernel };
        circumstances.explain(&io::Error::from_raw_os_error(code))
    }

    #[test]
    fn every_refusal_has_its_own_reason() {
        assert_eq!(of(libc::EPERM, Some(2), false, None), WhyNot::SwitchedOff(2));
        assert_eq!(of(libc::EPERM, Some(1), true, None), WhyNot::SwitchedOff(1));
        assert_eq!(of(libc::EPERM, Some(0), true, None), WhyNot::Seccomp);
        assert_eq!(of(libc::EPERM, None, true, None), WhyNot::Seccomp);
        assert_eq!(of(libc::EACCES, Some(0), false, None), WhyNot::Forbidden);
        assert_eq!(of(libc::ENOSYS, Some(0), true, None), WhyNot::Seccomp);
        let limit = 64 << 10;
        assert_eq!(of(libc::ENOMEM, None, false, Some(limit)), WhyNot::LockedMemory { limit });
        assert!(matches!(of(libc::ENOMEM, None, false, None), WhyNot::Other(_)));
        assert!(matches!(of(libc::ENOSYS, None, false, None), WhyNot::Absent { .. }));
        assert!(matches!(of(libc::EINVAL, None, false, None), WhyNot::TooOld { .. }));
        assert!(matches!(of(libc::EMFILE, None, false, None), WhyNot::Other(_)));
    }

    #[test]
    fn a_filter_is_not_blamed_for_a_kernel_that_has_none() {
        let old = |kernel: &str| Circumstances {
            disabled: None,
            seccomp: true,
            memlock: None,
            kernel: kernel.to_owned(),
        };
        let absent = io::Error::from_raw_os_error(libc::ENOSYS);
        assert!(matches!(old("4.18.0-553.el8").explain(&absent), WhyNot::Absent { .. }));
        assert!(matches!(old("of unknown release").explain(&absent), WhyNot::Absent { .. }));
        assert_eq!(old("5.1").explain(&absent), WhyNot::Seccomp);
    }

    #[test]
    fn every_reason_has_a_remedy_of_its_own_kind() {
        let kernel = "5.10.0".to_owned();
        let too_old = WhyNot::TooOld { missing: "deferred task work", kernel };
        for (why, words) in [
            (WhyNot::SwitchedOff(2), "sysctl kernel.io_uring_disabled=0"),
            (WhyNot::SwitchedOff(1), "kernel.io_uring_group"),
            (WhyNot::Seccomp, "seccomp profile"),
            (WhyNot::Forbidden, "SELinux"),
            (WhyNot::LockedMemory { limit: 65536 }, "LimitMEMLOCK"),
            (too_old, "Linux 6.1"),
        ] {
            assert!(why.remedy().contains(words), "{why}");
            assert_eq!(why.to_string(), format!("{}; try: {}", why.cause(), why.remedy()));
        }
    }

    #[test]
    fn what_works_less_well_is_noted() {
        let good = Features {
            backend: "uring",
            why_not_uring: None,
            kernel: "6.8".to_owned(),
            zero_copy_send: true,
            fixed_bytes: None,
            lock_outlives_writes: true,
        };
        assert_eq!(good.notes(), []);
        let poor = Features { fixed_bytes: Some(4 << 20), zero_copy_send: false, ..good.clone() };
        let notes = poor.notes();
        assert_eq!(notes.len(), 2);
        assert!(notes[0].what.contains("4096 KiB") && notes[0].remedy.contains("ulimit -l"));
        let portable = Features {
            backend: "portable",
            why_not_uring: Some(WhyNot::Seccomp),
            fixed_bytes: Some(0),
            ..good.clone()
        };
        assert_eq!(portable.notes().len(), 1);
        assert!(portable.notes()[0].remedy.contains("io_uring_setup"));
        assert!(portable.to_string().contains("no io_uring: a seccomp filter"));
        let chosen = Features { why_not_uring: Some(WhyNot::NotAsked), ..portable };
        assert_eq!(chosen.notes(), []);
    }
}
