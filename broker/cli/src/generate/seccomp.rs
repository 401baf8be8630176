//! A seccomp profile in the format of Docker, Podman and Kubernetes. Their default profiles refuse io_uring; this one allows it, and
//! refuses what neither the broker nor the container's start needs.

use crate::failure::Done;
use crate::output::{to_json, write};
use serde_json::json;

/// What a broker and the client commands call, by purpose. Names that an architecture does not have are passed over there.
const ALLOWED: &[(&str, &[&str])] = &[
    ("the reactor", &["io_uring_setup", "io_uring_enter", "io_uring_register", "eventfd2"]),
    (
        "files",
        &[
            "access",
            "close",
            "close_range",
            "copy_file_range",
            "dup",
            "dup2",
            "dup3",
            "faccessat",
            "faccessat2",
            "fallocate",
            "fcntl",
            "fdatasync",
            "flock",
            "fstat",
            "fstatfs",
            "fsync",
            "ftruncate",
            "getcwd",
            "getdents64",
            "ioctl",
            "lseek",
            "lstat",
            "mkdir",
            "mkdirat",
            "newfstatat",
            "open",
            "openat",
            "openat2",
            "pread64",
            "preadv",
            "preadv2",
            "pwrite64",
            "pwritev",
            "pwritev2",
            "read",
            "readlink",
            "readlinkat",
            "readv",
            "rename",
            "renameat",
            "renameat2",
            "rmdir",
            "sendfile",
            "splice",
            "stat",
            "statfs",
            "statx",
            "sync_file_range",
            "umask",
            "unlink",
            "unlinkat",
            "utimensat",
            "write",
            "writev",
        ],
    ),
    (
        "the network",
        &[
            "accept",
            "accept4",
            "bind",
            "connect",
            "getpeername",
            "getsockname",
            "getsockopt",
            "listen",
            "recvfrom",
            "recvmmsg",
            "recvmsg",
            "sendmmsg",
            "sendmsg",
            "sendto",
            "setsockopt",
            "shutdown",
            "socket",
            "socketpair",
        ],
    ),
    (
        "waiting and time",
        &[
            "clock_getres",
            "clock_gettime",
            "clock_nanosleep",
            "epoll_create1",
            "epoll_ctl",
            "epoll_pwait",
            "epoll_pwait2",
            "epoll_wait",
            "gettimeofday",
            "nanosleep",
            "pipe",
            "pipe2",
            "poll",
            "ppoll",
            "pselect6",
            "restart_syscall",
            "select",
            "timerfd_create",
            "timerfd_settime",
        ],
    ),
    (
        "memory",
        &[
            "brk",
            "madvise",
            "mincore",
            "mlock",
            "mlock2",
            "mmap",
            "mprotect",
            "mremap",
            "msync",
            "munlock",
            "munmap",
            "membarrier",
            "prlimit64",
            "getrlimit",
            "setrlimit",
        ],
    ),
    (
        "threads and signals",
        &[
            "clone",
            "clone3",
            "exit",
            "exit_group",
            "futex",
            "futex_waitv",
            "getcpu",
            "getpid",
            "getppid",
            "getrandom",
            "getrusage",
            "gettid",
            "get_robust_list",
            "kill",
            "rseq",
            "rt_sigaction",
            "rt_sigpending",
            "rt_sigprocmask",
            "rt_sigreturn",
            "rt_sigtimedwait",
            "sched_getaffinity",
            "sched_getparam",
            "sched_getscheduler",
            "sched_setaffinity",
            "sched_yield",
            "setpriority",
            "getpriority",
            "set_robust_list",
            "set_tid_address",
            "sigaltstack",
            "sysinfo",
            "tgkill",
            "times",
            "uname",
            "wait4",
            "waitid",
        ],
    ),
    (
        "the start of the container, between the filter and the program",
        &[
            "arch_prctl",
            "capget",
            "capset",
            "chdir",
            "execve",
            "fchdir",
            "fchmod",
            "fchown",
            "fchownat",
            "geteuid",
            "getegid",
            "getgid",
            "getgroups",
            "getuid",
            "prctl",
            "setgid",
            "setgroups",
            "setresgid",
            "setresuid",
            "setsid",
            "setuid",
        ],
    ),
];

/// ENOSYS: programs take another way where they have one.
const ENOSYS: u32 = 38;

pub(super) fn run() -> Done {
    let rules: Vec<_> = ALLOWED
        .iter()
        .map(|(purpose, names)| {
            json!({ "comment": purpose, "names": names, "action": "SCMP_ACT_ALLOW" })
        })
        .collect();
    let profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "archMap": [
            { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [] },
            { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": [] },
        ],
        "syscalls": rules,
    });
    // One rule a line would be unreadable; serde's pretty form is what such files look like.
    let text = serde_json::to_string_pretty(&profile).or_else(|_| to_json(&profile))?;
    write(format!("{text}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_call_is_named_once() {
        let mut seen = BTreeSet::new();
        for name in ALLOWED.iter().flat_map(|(_, names)| *names) {
            assert!(seen.insert(name), "{name}");
        }
    }
}
