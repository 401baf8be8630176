//! What people write on the command line, parsed once into types.
//!
//! `200k/s`, `1KiB`, `100..2000`, `zipf:1.1:10000`, `p99.9<10ms`: each has a file and a type here; what does not parse is
//! refused with a sentence that says what would.

mod assertion;
mod keys;
mod quantile;
mod quantity;
mod rate;
mod size;

pub use assertion::{Assertion, Bound, Comparison, Subject};
pub use keys::KeySpec;
pub use quantile::{Quantile, quantiles};
pub use quantity::{bytes, duration, format_bytes, format_count, format_nanos};
pub use rate::RateSpec;
pub use size::SizeSpec;
