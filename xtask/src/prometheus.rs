//! The pages of metrics, the alerts and the dashboard's queries, judged by Prometheus' own promtool.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::runtimes::PROMTOOL;
use crate::tally::{Tally, say};
use crate::{Fault, program, tree};

const LIMIT: Duration = Duration::from_secs(60);
/// Names that are kafka_exporter's and not ours to mend: promtool wants such an ending for histograms only.
const THEIRS: [&str; 2] = ["kafka_consumergroup_current_offset_sum", "kafka_consumergroup_lag_sum"];

/// Runs promtool, if it is here, over everything that Prometheus reads.
pub(crate) fn run(tally: &mut Tally) -> Result<(), Fault> {
    if !PROMTOOL.is_here() {
        tally.skipped.push(PROMTOOL.suite.to_owned());
        return say(&format!("SKIPPED {}: {}", PROMTOOL.suite, PROMTOOL.absence()));
    }
    let mut broker = Broker::fresh("promtool", 2)?;
    if let Err(fault) = broker.start() {
        return tally.check("promtool: the broker starts", Some(&fault.to_string()));
    }
    let ready = with_a_group(&broker);
    tally.check("promtool: a group with lag", ready.as_ref().err().map(String::as_str))?;
    let Ok(page) = ready else { return Ok(()) };
    let complaint = lint(&page, &[]).err();
    tally.check("promtool: /metrics", complaint.as_deref())?;
    let compat = broker.page("/metrics/compat").ok_or("no answer from /metrics/compat".to_owned());
    let complaint = compat.and_then(|page| {
        if page.contains("kafka_consumergroup_lag{") {
            lint(&page, &THEIRS)
        } else {
            Err("it has no lag of a group".into())
        }
    });
    tally.check("promtool: /metrics/compat", complaint.err().as_deref())?;
    let complaint = generated("prometheus-rules").and_then(|rules| check_rules("rules", &rules));
    tally.check("promtool: generate prometheus-rules", complaint.err().as_deref())?;
    let complaint = generated("grafana-dashboard")
        .and_then(|text| queries(&text))
        .and_then(|rules| check_rules("dashboard", &rules));
    tally.check("promtool: the queries of generate grafana-dashboard", complaint.err().as_deref())
}

fn ringwood(words: &[&str], input: &[u8]) -> Result<String, String> {
    let mut command = Command::new(tree::binary("ringwood"));
    command.args(words);
    let outcome = program::run(&mut command, Some(input.to_vec()), LIMIT);
    let outcome = outcome.map_err(|fault| fault.to_string())?;
    if outcome.status.success() {
        Ok(String::from_utf8_lossy(&outcome.out).into_owned())
    } else {
        Err(format!("{}: {}", program::line(&command), outcome.last_words()))
    }
}

/// Makes records, a group that has not read them all, and an error; the page that says so.
fn with_a_group(broker: &Broker) -> Result<String, String> {
    let at = broker.bootstrap();
    ringwood(&["topic", "create", "t", "-p", "4", "-b", &at], b"")?;
    ringwood(&["produce", "t", "-p", "0", "-b", &at], b"a\nb\nc\n")?;
    // A name that needs escapes.
    let group = "a \"group\" \\ of\npeople";
    let reset = ["group", "reset", group, "--topic", "t", "--to-offset", "1", "--execute"];
    ringwood(&[&reset[..], &["-b", &at]].concat(), b"")?;
    if ringwood(&["topic", "create", "t", "-b", &at], b"").is_ok() {
        return Err("a topic was made twice".into());
    }
    let deadline = Instant::now() + LIMIT;
    loop {
        let page = broker.page("/metrics").unwrap_or_default();
        let said = ["ringwood_kafka_consumer_group_lag{", "ringwood_kafka_request_errors_total{"];
        if said.iter().all(|name| page.contains(name)) {
            return Ok(page);
        }
        if Instant::now() > deadline {
            return Err(format!("the page does not say so:\n{page}"));
        }
        sleep(Duration::from_millis(200));
    }
}

fn promtool(words: &[&str], input: &[u8]) -> Result<program::Outcome, String> {
    let mut command = Command::new("promtool");
    command.args(words);
    program::run(&mut command, Some(input.to_vec()), LIMIT).map_err(|fault| fault.to_string())
}

/// `promtool check metrics`; what it says of `theirs` is let pass.
fn lint(page: &str, theirs: &[&str]) -> Result<(), String> {
    let outcome = promtool(&["check", "metrics"], page.as_bytes())?;
    let out = String::from_utf8_lossy(&outcome.out);
    let complaints = complaints(&format!("{out}\n{}", outcome.err), theirs);
    match complaints.as_str() {
        // It ended badly for what was let pass, or for nothing that it said.
        "" if outcome.status.success() || !theirs.is_empty() => Ok(()),
        "" => Err("promtool fails and says nothing".into()),
        complaints => Err(complaints.to_owned()),
    }
}

fn complaints(said: &str, theirs: &[&str]) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    lines.filter(|line| !theirs.contains(&first(line).as_str())).collect::<Vec<_>>().join("\n")
}

fn generated(what: &str) -> Result<String, String> {
    ringwood(&["generate", what], b"")
}

fn check_rules(name: &str, rules: &str) -> Result<(), String> {
    let file = tree::work().join(format!("promtool-{name}.yml"));
    fs::write(&file, rules).map_err(|e| format!("{}: {e}", file.display()))?;
    let path = file.to_string_lossy().into_owned();
    let outcome = promtool(&["check", "rules", &path], b"")?;
    let out = String::from_utf8_lossy(&outcome.out).into_owned();
    if outcome.status.success() && out.contains("rules found") {
        let found = out.lines().find(|line| line.contains("rules found")).unwrap_or_default();
        return say(&format!("promtool: {name}: {}", found.trim())).map_err(|e| e.to_string());
    }
    Err(format!("{out}{}", outcome.err))
}

/// Every query of a dashboard as a recording rule, with Grafana's variables filled in. JSON is YAML.
fn queries(dashboard: &str) -> Result<String, String> {
    let marks = dashboard.split("\"expr\": \"").skip(1);
    let mut rules = Vec::new();
    for (n, rest) in marks.enumerate() {
        let end = end_of_string(rest).ok_or("a query without an end")?;
        let query = rest[..end].replace("$__rate_interval", "1m").replace("$instance", ".*");
        rules.push(format!("{{\"record\": \"dashboard:query{n}\", \"expr\": \"{query}\"}}"));
    }
    if rules.len() < 10 {
        return Err(format!("{} queries only", rules.len()));
    }
    Ok(format!(
        "{{\"groups\": [{{\"name\": \"dashboard\", \"rules\": [\n{}\n]}}]}}\n",
        rules.join(",\n")
    ))
}

/// Where a JSON string ends.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_others_may_be_complained_of() {
        let said =
            "kafka_consumergroup_lag_sum should not have \"_sum\"\nringwood_x no help text\n";
        assert_eq!(complaints(said, &THEIRS), "ringwood_x no help text");
        assert_eq!(complaints(said, &[]).lines().count(), 2);
        let broken = "error while linting: text format parsing error in line 3";
        assert_eq!(complaints(broken, &THEIRS), broken);
    }

    #[test]
    fn queries_are_taken_out_with_their_escapes() {
        let one =
            r#""expr": "rate(x{instance=~\"$instance\"}[$__rate_interval])", "legendFormat": "y""#;
        let rules = queries(&one.repeat(10)).unwrap();
        assert!(rules.contains(r#""expr": "rate(x{instance=~\".*\"}[1m])"}"#), "{rules}");
        assert!(queries(one).is_err());
    }
}
