//! Waiting for the first of several sockets.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::time::Instant;

/// Waits until one of `sockets` can be read without blocking, or until `deadline`. Returns the places of those that can.
pub(crate) fn readable<S: AsFd>(sockets: &[&S], deadline: Instant) -> std::io::Result<Vec<usize>> {
    let mut fds: Vec<_> = sockets.iter().map(|s| PollFd::new(*s, PollFlags::IN)).collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => {
                let ready = fds.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
                return Ok(ready.map(|(i, _)| i).collect());
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
