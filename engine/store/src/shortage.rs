//! What a store does without when memory or descriptors are short: tails that can be read from files, and time.

use crate::partition::{Evicted, Mercy};
use crate::reserve::is_out_of_files;
use crate::store::Inner;
use runtime::{File, Open};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long whoever found no descriptor waits before the next try.
pub(crate) const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(200);
/// So many chunks that answers hold are passed over before it is taken that most are held: whoever appends pays for the search.
const HELD_IN_A_ROW: usize = 32;

impl Inner {
    /// Gives memory back that can be read from files, oldest first, until a quarter of the budget is free. What answers still
    /// hold would not come back by this: it stays for the next reader, as long as `bytes` more fit all the same. Where they do
    /// not, it is dropped too: then its memory is there, and rings for those who wait, when the last answer has left.
    pub(crate) fn evict(&self, bytes: usize) {
        let memory = self.rt.memory();
        let goal = memory.limit() / 4 * 3;
        let mut held = 0;
        while memory.used() > goal && held < HELD_IN_A_ROW {
            match self.evict_next(Mercy::WhatIsHeld) {
                None => return,
                Some(Evicted::Held) => held += 1,
                Some(Evicted::Last | Evicted::More) => held = 0,
            }
        }
        while memory.used() + bytes > memory.limit() && self.evict_next(Mercy::None).is_some() {}
    }

    /// Lets the first in line give up a chunk; `None` if there is nobody.
    fn evict_next(&self, mercy: Mercy) -> Option<Evicted> {
        let first = self.evictable.borrow_mut().pop_front()?;
        let Some(p) = first.upgrade() else { return Some(Evicted::Last) };
        let evicted = p.borrow_mut().evict(mercy);
        if evicted != Evicted::Last {
            self.evictable.borrow_mut().push_back(first);
        }
        Some(evicted)
    }

    /// Once in a while: it is refused a few times a second until somebody closes.
    pub(crate) fn tell_out_of_files(&self, e: &io::Error) {
        let now = self.rt.now();
        if self.out_of_files.get().is_none_or(|last| now.since(last) >= Duration::from_secs(10)) {
            self.out_of_files.set(Some(now));
            runtime::tell!(
                "the store waits for a file descriptor: {e}; raise the limit (ulimit -n), or close connections"
            );
        }
    }

    /// Opens a file for work that can wait: while there is no descriptor it does, until the store stops.
    pub(crate) async fn open_in_time(&self, path: &Path, how: Open) -> io::Result<File> {
        loop {
            match self.rt.disk().open(path, how).await {
                Err(e) if is_out_of_files(&e) && !self.stopping.get() => {
                    self.tell_out_of_files(&e);
                    self.rt.sleep(OUT_OF_FILES_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// Makes a directory's names durable. Waits while there is no descriptor for it.
    pub(crate) async fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        loop {
            match self.rt.disk().sync_dir(dir).await {
                Err(e) if is_out_of_files(&e) => {
                    self.tell_out_of_files(&e);
                    self.rt.sleep(OUT_OF_FILES_PAUSE).await;
                }
                result => return result,
            }
        }
    }
}
