//! The repository, held against itself: who may use whom, and whether what the documents say is what the code does.
//!
//! Each check is a function from texts to complaints. One test hands it the repository and wants no complaint; others hand it
//! planted mistakes and want every one named, so that no check can rot into one that never fails.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "../serving/broker.rs"]
mod broker;
mod compat;
mod documents;
mod files;
mod floors;
mod formats;
mod packages;
mod table;
mod tree;

/// What a check found wrong, in words.
type Complaints = Vec<String>;

/// Fails with every complaint.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}

/// Passes if there is one complaint for each of `parts`, each with that part in it, and no other.
fn named(complaints: &[String], parts: &[&str]) {
    assert_eq!(complaints.len(), parts.len(), "{complaints:#?}");
    for part in parts {
        assert!(complaints.iter().any(|c| c.contains(part)), "{part} is not in {complaints:#?}");
    }
}
