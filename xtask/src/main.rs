//! The task runner for what people do every day: check, test, prove.
fn main() {}
