//! The binary `ringwood`.
fn main() {}
