//! What verbs do group by group: one document for each group, which says what was found or done, and why it was not.

use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::several::{JsonError, Several};
use client::Client;
use serde::Serialize;

/// One group and what came of it.
#[derive(Serialize)]
struct Document<T> {
    group: String,
    #[serde(flatten)]
    found: T,
    #[serde(flatten)]
    error: Option<JsonError>,
}

/// Works on each group; `work` fills in what it finds, also where it fails in the end. Prints the documents as JSON, or what
/// `show` makes of the groups, their names first.
pub(super) fn each<T: Default + Serialize>(
    client: &mut Client,
    output: Output,
    groups: &[String],
    mut work: impl FnMut(&mut Client, &str, &mut T) -> Result<(), Box<Failure>>,
    show: impl FnOnce(Vec<(String, T)>) -> Result<(), Stop>,
) -> Result<Several, Stop> {
    let mut several = Several::default();
    let mut documents = Vec::new();
    for group in groups {
        let mut found = T::default();
        let error = match work(client, group, &mut found) {
            Ok(()) => {
                several.worked();
                None
            }
            Err(failure) => {
                several.failed(&failure);
                Some(JsonError::from(&*failure))
            }
        };
        documents.push(Document { group: group.clone(), found, error });
    }
    if output.json {
        output.json(&documents)?;
    } else {
        show(documents.into_iter().map(|d| (d.group, d.found)).collect())?;
    }
    Ok(several)
}
