//! How fast one function or one core is.
//!
//! ```text
//!  edition, edition/   the same produce/fetch core on our reactor, on epoll, and (feature `glommio`) on glommio
//!  server              a server as a child process: started, asked what it has used, stopped
//!  load, load/         the one client for all of them
//!  comparison          which server meets which load, A B A B; table prints it
//!  cross               round trips between two cores
//!  writes              what a write costs, from registered and from ordinary buffers
//!  micro, instructions functions alone: nanoseconds by criterion, instructions by callgrind
//! ```
//! What each number means is in `README.md` beside this.
#![forbid(unsafe_code)]

pub mod command;
pub mod comparison;
pub mod cross;
pub mod edition;
pub mod instructions;
pub mod load;
pub mod machine;
pub mod micro;
pub mod server;
pub mod syscalls;
pub mod table;
pub mod writes;
