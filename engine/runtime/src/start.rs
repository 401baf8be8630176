//! The threads of a node: one for each core.

use crate::runtime::{Runtime, RuntimeConfig, Tuning, run_with};
use ids::CoreId;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::Once;
use std::thread::{self, JoinHandle};

/// Whether the threads stay on one processor each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// If there are more than two processors, and one for each core: on fewer, clients live on the same machine.
    #[default]
    Auto,
    /// Always; cores beyond the number of processors are not pinned.
    Always,
    /// Never.
    Never,
}

/// What a node's cores are started with.
#[derive(Clone, Debug)]
pub struct StartConfig {
    /// Budget for buffers of each core, in bytes.
    pub memory_limit: usize,
    /// Whether the threads stay on one processor each.
    pub pin: Pin,
    /// Everything else.
    pub tuning: Tuning,
}

/// The running cores of a node.
#[derive(Debug)]
pub struct Cores {
    threads: Vec<JoinHandle<io::Result<()>>>,
}

thread_local! {
    static IS_CORE: Cell<bool> = const { Cell::new(false) };
}

static ABORT_ON_PANIC: Once = Once::new();

/// Half a broker is the worst failure: a panic on a core stops the process, after it has been reported as usual.
fn abort_on_panic() {
    ABORT_ON_PANIC.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            report(info);
            if IS_CORE.get() {
                std::process::abort();
            }
        }));
    });
}

/// The processor for each of `cores` cores.
fn placement(pin: Pin, cores: usize) -> Vec<Option<usize>> {
    let processors: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|c| c.id).collect();
    let pinned = match pin {
        Pin::Auto => processors.len() > 2 && cores <= processors.len(),
        Pin::Always => true,
        Pin::Never => false,
    };
    (0..cores).map(|i| processors.get(i).copied().filter(|_| pinned)).collect()
}

/// Starts a thread for each of `mains`, which is core 0, 1, and so on, and runs its future there.
///
/// A panic on one of them aborts the process.
///
/// # Errors
/// A thread cannot be made. That a core cannot be is known from [`Cores::join`]; ask [`crate::probe`] before.
pub fn start<F, Fut>(config: &StartConfig, mains: Vec<F>) -> io::Result<Cores>
where
    F: FnOnce(Runtime) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    abort_on_panic();
    let places = placement(config.pin, mains.len());
    let mut threads = Vec::with_capacity(mains.len());
    for (i, (main, pin)) in mains.into_iter().zip(places).enumerate() {
        let core = CoreId(u16::try_from(i).map_err(|_| io::ErrorKind::InvalidInput)?);
        let one = RuntimeConfig { core, memory_limit: config.memory_limit, pin };
        let tuning = config.tuning.clone();
        let thread = thread::Builder::new().name(format!("core-{i}")).spawn(move || {
            IS_CORE.set(true);
            run_with(&one, &tuning, main)
        })?;
        threads.push(thread);
    }
    Ok(Cores { threads })
}

impl Cores {
    /// Waits until every core's future has resolved.
    ///
    /// # Errors
    /// The first core that could not be made.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for thread in self.threads {
            let ended = match thread.join() {
                Ok(ended) => ended,
                // Not reached while the hook is in place.
                Err(_) => Err(io::Error::other("a core panicked")),
            };
            result = result.and(ended);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_is_for_machines_with_room() {
        assert_eq!(placement(Pin::Never, 3), [None, None, None]);
        let always = placement(Pin::Always, 1);
        let processors = core_affinity::get_core_ids().unwrap_or_default();
        assert_eq!(always[0], processors.first().map(|c| c.id));
        if processors.len() <= 2 {
            assert_eq!(placement(Pin::Auto, 1), [None]);
        }
    }
}
