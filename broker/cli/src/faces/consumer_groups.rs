//! `kafka-consumer-groups`.

mod describe;
mod plan;
mod reset;

use super::end::{Done, End, print, print_text};
use super::grammar::Words;
use super::groups::{self, Place};
use super::session;
use client::Client;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use wire::ErrorCode;

const ACTIONS: [&str; 5] = ["list", "describe", "delete", "reset-offsets", "delete-offsets"];

pub(super) fn run(line: &Words) -> Done {
    check(line)?;
    let mut client = connect(line)?;
    let done = if line.has("list") {
        list(&mut client, line)
    } else if line.has("describe") {
        describe::run(&mut client, line)
    } else if line.has("delete") {
        delete(&mut client, line)
    } else if line.has("reset-offsets") {
        reset::run(&mut client, line)
    } else {
        delete_offsets(&mut client, line)
    };
    done.map_err(|end| match end {
        End::Error(text) => End::Complaint(format!(
            "\nError: Executing consumer group command failed due to {text}"
        )),
        other => other,
    })
}

fn connect(line: &Words) -> Result<Client, End> {
    let mut properties = super::properties::Properties::of_file(line, "command-config")?;
    properties.check(&[])?;
    if let Some(ms) = line.number::<u64>("timeout")? {
        properties.set("default.api.timeout.ms", &ms.to_string());
    }
    session::connect(line, &properties, "kafka-consumer-groups")
}

fn check(line: &Words) -> Done {
    let actions = ACTIONS.iter().filter(|a| line.has(a)).count();
    if actions != 1 {
        return Err(End::Usage(
            "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex".into(),
        ));
    }
    line.required("bootstrap-server")?;
    let scoped = line.has("group") || line.has("all-groups");
    for action in ["describe", "delete", "reset-offsets"] {
        if line.has(action) && !scoped {
            return Err(End::Usage(format!(
                "Option [{action}] takes one of these options: [all-groups], [group]"
            )));
        }
    }
    let parts = ["members", "offsets", "state"];
    if line.has("describe") {
        if parts.iter().filter(|p| line.has(p)).count() > 1 {
            return Err(End::Usage(
                "Option [describe] takes at most one of these options: [members], [offsets], [state]".into(),
            ));
        }
        if line.value("state")?.is_some() {
            return Err(End::Usage("Option [describe] does not take a value for [state]".into()));
        }
    } else {
        for part in ["members", "offsets", "verbose"] {
            if line.has(part) {
                return Err(End::Usage(format!("Option {part} goes with [describe]")));
            }
        }
        if line.has("state") && !line.has("list") {
            return Err(End::Usage("Option state goes with [describe] or [list]".into()));
        }
    }
    if line.has("type") && !line.has("list") {
        return Err(End::Usage("Option type goes with [list]".into()));
    }
    if line.has("delete") && line.has("topic") {
        return Err(End::Usage(
            "The consumer does not support topic-specific offset deletion from a consumer group."
                .into(),
        ));
    }
    if line.has("delete-offsets") && !(line.has("group") && line.has("topic")) {
        return Err(End::Usage(
            "Option [delete-offsets] takes the following options: [group], [topic]".into(),
        ));
    }
    line.alone("group", &["all-groups"])?;
    Ok(())
}

/// The groups that are meant, in the order in which they were named.
fn meant(client: &mut Client, line: &Words) -> Result<Vec<String>, End> {
    if line.has("all-groups") {
        let all = groups::list(client, &[], &[])?;
        return Ok(all.into_iter().filter(is_consumer).map(|g| g.id).collect());
    }
    let mut named: Vec<String> = line.values("group").map(str::to_owned).collect();
    named.sort();
    named.dedup();
    Ok(named)
}

/// Groups of consumers, and those that only have offsets.
fn is_consumer(group: &groups::Listed) -> bool {
    matches!(group.protocol_type.as_str(), "consumer" | "")
}

fn list(client: &mut Client, line: &Words) -> Done {
    let words = |flag: &str, valid: &[&'static str]| -> Result<Vec<&'static str>, End> {
        let Some(text) = line.value(flag)?.filter(|t| !t.is_empty()) else { return Ok(Vec::new()) };
        text.split(',')
            .map(|word| {
                let plain = word.trim().replace('-', "");
                valid.iter().copied().find(|v| v.eq_ignore_ascii_case(&plain)).ok_or_else(|| {
                    End::Usage(format!(
                        "Invalid {flag} list '{text}'. Valid {flag}s are: {}",
                        valid.join(", ")
                    ))
                })
            })
            .collect()
    };
    let states = words(
        "state",
        &[
            "Stable",
            "Empty",
            "Dead",
            "PreparingRebalance",
            "CompletingRebalance",
            "Assigning",
            "Reconciling",
        ],
    )?;
    let types = words("type", &["Classic", "Consumer"])?;
    let found = groups::list(client, &states, &types)?;
    let found: Vec<_> = found.into_iter().filter(is_consumer).collect();
    let (with_type, with_state) = (line.has("type"), line.has("state"));
    if !with_type && !with_state {
        return found.iter().try_for_each(|g| print(&g.id));
    }
    let width = found.iter().map(|g| g.id.chars().count()).max().unwrap_or(0).max(15) + 10;
    let mut text = String::new();
    let mut row = |id: &str, kind: &str, state: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{id:width$}");
        if with_type {
            let _ = write!(text, " {kind:20}");
        }
        if with_state {
            let _ = write!(text, " {state:20}");
        }
        text.push('\n');
    };
    row("GROUP", "TYPE", "STATE");
    for g in &found {
        row(&g.id, &g.kind, &g.state);
    }
    print_text(&text)
}

fn delete(client: &mut Client, line: &Words) -> Done {
    let mut gone = Vec::new();
    let mut failed = Vec::new();
    for group in meant(client, line)? {
        match groups::delete(client, &group)? {
            ErrorCode::NONE => gone.push(group),
            code => failed.push((group, code)),
        }
    }
    let quoted: Vec<_> = gone.iter().map(|g| format!("'{g}'")).collect();
    if failed.is_empty() {
        return print(&format!(
            "Deletion of requested consumer groups ({}) was successful.",
            quoted.join(", ")
        ));
    }
    let mut text = String::from("\nError: Deletion of some consumer groups failed:\n");
    for (group, code) in &failed {
        let _ = writeln!(
            text,
            "* Group '{group}' could not be deleted due to: {}",
            groups::java(*code)
        );
    }
    if !gone.is_empty() {
        let _ = writeln!(
            text,
            "\nThese consumer groups were deleted successfully: {}",
            quoted.join(", ")
        );
    }
    print_text(&text)?;
    Err(End::Said)
}

/// What `--topic` names: a topic's partitions, all of them unless some are named behind a colon.
fn places(client: &mut Client, line: &Words) -> Result<Vec<Place>, End> {
    let mut places = Vec::new();
    for text in line.values("topic") {
        let Some((topic, partitions)) = text.split_once(':') else {
            let view = client.topic(text, false, Duration::from_millis(300))?;
            places.extend(view.partitions.iter().map(|p| (text.to_owned(), p.index)));
            continue;
        };
        for p in partitions.split(',') {
            let partition = p.parse().map_err(|_| {
                End::Usage(format!("Invalid partition '{p}' specified in topic arg '{text}'"))
            })?;
            places.push((topic.to_owned(), partition));
        }
    }
    places.sort();
    places.dedup();
    Ok(places)
}

fn delete_offsets(client: &mut Client, line: &Words) -> Done {
    let group = line.required("group")?;
    let places = places(client, line)?;
    let outcome = groups::delete_offsets(client, group, &places)?;
    let mut failed = false;
    let mut text = String::new();
    let rows: BTreeMap<Place, ErrorCode> = match outcome {
        Ok(rows) if rows.values().all(|c| *c == ErrorCode::NONE) => {
            let _ = writeln!(text, "Request succeeded for deleting offsets from group {group}.");
            rows
        }
        Ok(rows) => {
            failed = true;
            text.push_str(
                "\nError: Encountered some partition-level error, see the follow-up details.\n",
            );
            rows
        }
        Err(code) => {
            failed = true;
            let why = groups::java(code);
            // Without the class.
            let why = why.rsplit_once("Exception: ").map_or(why.as_str(), |(_, words)| words);
            let _ = writeln!(text, "\nError: {why}");
            places.into_iter().map(|p| (p, code)).collect()
        }
    };
    let width = rows.keys().map(|(topic, _)| topic.chars().count()).max().unwrap_or(0).max(15);
    let _ = write!(text, "\n{:width$} {:10} {:15}", "TOPIC", "PARTITION", "STATUS");
    for ((topic, partition), code) in rows {
        let status = match code {
            ErrorCode::NONE => "Successful".to_owned(),
            code => format!("Error: {}", groups::java(code)),
        };
        let _ = write!(text, "\n{topic:width$} {partition:<10} {status:15}");
    }
    text.push('\n');
    print_text(&text)?;
    if failed { Err(End::Said) } else { Ok(()) }
}
