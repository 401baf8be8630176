//! The produce/fetch core on glommio, beside the reactor and not behind the seam.
//!
//! It runs the same pure crates (`bench-core`, and through it record, log and wire) under the same client, and stands here so
//! that the choice of our own reactor can be measured again whenever glommio moves. Without the feature `glommio` the crate
//! is empty.
#![forbid(unsafe_code)]

#[cfg(feature = "glommio")]
mod bell;
#[cfg(feature = "glommio")]
mod cross;
#[cfg(feature = "glommio")]
mod serve;

#[cfg(feature = "glommio")]
pub use cross::cross;
#[cfg(feature = "glommio")]
pub use serve::serve;
