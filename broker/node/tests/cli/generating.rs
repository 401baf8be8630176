//! `ringwood generate`.

use super::broker::ringwood;
use std::fs;
use std::path::Path;

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = ringwood(&["generate", "completion", shell], b"").ok();
        for word in ["add-partitions", "key-delim", "read-committed"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn there_is_a_man_page_for_every_command() {
    assert!(ringwood(&["generate", "man"], b"").ok().contains(".TH ringwood 1"));
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("man-{}", std::process::id()));
    assert_eq!(ringwood(&["generate", "man", dir.to_str().unwrap()], b"").ok(), "");
    for page in ["ringwood", "ringwood-topic-create", "ringwood-consume", "ringwood-perf-run"] {
        let text = fs::read_to_string(dir.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    fs::remove_dir_all(&dir).unwrap();
    ringwood(&["generate", "man", "/dev/null/x"], b"").fails(1, &["/dev/null/x"]);
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let text = ringwood(&["generate", "grafana-dashboard"], b"").ok();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
    exist(&text, 30);
}

#[test]
fn the_alerts_ask_for_metrics_that_exist() {
    let text = ringwood(&["generate", "prometheus-rules", "--lag-seconds", "42"], b"").ok();
    assert!(text.contains("lag_seconds) > 42"), "{text}");
    exist(&text, 12);
}

/// Every metric that a text names is one that the broker tells.
fn exist(text: &str, at_least: usize) {
    // A test of the repository holds this list against the broker's own.
    let listed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let listed = fs::read_to_string(listed).unwrap();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let asked: Vec<_> = text.split(|c| !word(c)).filter(|w| w.starts_with("ringwood_")).collect();
    assert!(asked.len() >= at_least, "{}", asked.len());
    for name in asked {
        assert!(listed.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_unit_starts_this_binary() {
    let unit = ringwood(&["generate", "systemd", "--config", "/etc/ringwood.toml"], b"").ok();
    let start = unit.lines().find(|l| l.starts_with("ExecStart=")).unwrap();
    assert!(start.ends_with("/ringwood\" start --config \"/etc/ringwood.toml\""), "{start}");
    assert!(unit.contains("io_uring_setup"), "{unit}");
    ringwood(&["generate", "systemd", "--config", "here.toml"], b"").fails(2, &["here.toml"]);
}

#[test]
fn the_seccomp_profile_refuses_by_default_and_allows_io_uring() {
    let profile = ringwood(&["generate", "seccomp"], b"").ok();
    assert!(profile.contains(r#""defaultAction": "SCMP_ACT_ERRNO""#), "{profile}");
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register", "accept4", "fdatasync"] {
        assert!(profile.contains(&format!("\"{call}\"")), "{call}");
    }
    for call in ["ptrace", "mount", "bpf", "kexec_load", "init_module"] {
        assert!(!profile.contains(&format!("\"{call}\"")), "{call}");
    }
}
