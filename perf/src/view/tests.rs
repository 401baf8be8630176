//! Pictures and pages as others read them: by parsers for XML and HTML that know nothing of this crate.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Align, Cell, HeatMap, Line, Table, comparison_page, decades_svg, percentile_svg, run_page,
    svg::{heat_svg, time_svg},
};
use crate::{
    hlog::Interval,
    latency::{Kind, Latencies, SparseLatencies},
    run::{Broker, Recording, Repeat, Run, Stage, Summary},
};

/// A name of what a directory or a broker may be called, with all that a page must not take for its own, and what no XML may hold.
const NAME: &str =
    "a<b>&\"c\"'d']]>\u{1b}[31m\u{0}\u{b}\u{7f}\u{85}\u{fffe}\u{ffff}\r&amp;<script>é";

/// What is to be seen of it.
const SEEN: &str = "a<b>&\"c\"'d']]>�[31m�������&amp;<script>é";

const SCRIPT: &str = include_str!("well_formed.py");

fn latencies() -> Latencies {
    let mut all = Latencies::default();
    for kind in [Kind::Response, Kind::Prompt, Kind::Service, Kind::EndToEnd, Kind::PromptEndToEnd]
    {
        all.of_mut(kind).record_n(10_000_000, 9_000);
        all.of_mut(kind).record_n(40_000_000, 1_000);
    }
    all
}

fn run() -> (Run, Recording) {
    let name = || NAME.to_owned();
    let stage = Stage {
        target: Some(10_000.0),
        seconds: 2.0,
        acknowledged: 20_000,
        failed: 1,
        errors: [(name(), 1)].into(),
        latency: Summary::all(&latencies()),
        ..Stage::default()
    };
    let run = Run {
        name: name(),
        started: name(),
        arguments: vec!["perf".into(), name()],
        load: [(name(), name())].into(),
        broker: Broker {
            addresses: vec![name()],
            fingerprint: name(),
            settings: [(name(), name())].into(),
            ..Broker::default()
        },
        repeats: vec![Repeat { stages: vec![stage], ..Repeat::default() }],
        ended_early: Some(name()),
        ..Run::default()
    };
    let second = |number| Interval {
        start: Duration::from_secs(number),
        length: Duration::from_secs(1),
        latencies: SparseLatencies::from(&latencies()),
    };
    let timeline = ["second,acknowledged", "0,10000,9.8,10000", "1,10000,9.8,10000"];
    let recording = Recording {
        intervals: vec![second(0), second(1)],
        timeline: timeline.map(str::to_owned).into(),
        ..Recording::default()
    };
    (run, recording)
}

/// A picture of each kind, with data and with none.
fn pictures() -> Vec<String> {
    let line = |points: &[(f64, f64)]| Line {
        name: NAME.into(),
        points: points.to_vec(),
        withheld: vec![0.99..=0.999],
    };
    let many = line(&[(0.0, 0.0), (0.5, 1e6), (0.99, 2e6), (0.999, 9e6), (1.0, 3e7)]);
    let all = SparseLatencies::from(&latencies());
    let moments = [(0.0, &all), (5.0, &all)];
    let map = HeatMap::of_kind(&moments, Kind::Response, 100, 40).unwrap();
    let series = |points: &[(f64, f64)]| vec![(NAME.to_owned(), points.to_vec())];
    let label = |value: f64| format!("{value} {NAME}");
    vec![
        percentile_svg(NAME, &[many, line(&[(1.0, 1e6)])]),
        percentile_svg(NAME, &[]),
        heat_svg(NAME, &map),
        time_svg(NAME, &series(&[(0.0, 1e4), (1.0, 0.0)]), label),
        time_svg(NAME, &series(&[(3.0, 1e4)]), label),
        time_svg(NAME, &series(&[]), label),
        decades_svg(NAME, &series(&[(1.0, 5.0), (10_000.0, 1.0)]), label),
        decades_svg(NAME, &series(&[(100.0, 0.0)]), label),
        decades_svg(NAME, &[], label),
    ]
}

fn pages() -> [String; 2] {
    let (run, recording) = run();
    let mut table = Table::new([NAME], Align::Right);
    table.row(vec![Cell::plain(NAME)]);
    let line = Line { name: NAME.into(), points: vec![(0.5, 1e6)], ..Line::default() };
    let compared = comparison_page(NAME, &table, &[NAME.to_owned()], &[line]);
    [run_page(&run, &recording), compared]
}

#[test]
fn every_picture_is_xml_and_every_page_ends_its_elements_whatever_a_name_holds() {
    let (pictures, pages) = (pictures(), pages());
    let inside: usize = pages.iter().map(|page| page.matches("<svg ").count()).sum();
    // Percentiles, both heat maps and the rates of the run, and the percentiles of the comparison.
    assert_eq!(inside, 5);
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).stdin(Stdio::piped());
    let Ok(mut child) = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
        // Past the harness, which keeps to itself what a passed test prints.
        let line = b"SKIPPED perf/pictures: no python3, whose parsers are to judge them\n";
        std::io::stderr().write_all(line).unwrap();
        assert!(std::env::var_os("RINGWOOD_REQUIRE").is_none(), "this test is required");
        return;
    };
    let asked = serde_json::json!({ "pictures": pictures, "pages": pages, "said": SEEN });
    // A script that ends early closes the pipe; its words say why.
    drop(child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()));
    let judged = child.wait_with_output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    let counts = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert_eq!(counts.trim(), format!("{} {inside}", pictures.len()));
}
