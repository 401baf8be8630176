//! Tables of Markdown.

/// The rows of the first table in `text`, without head and rule; cells without the white space and back-ticks around them.
pub(crate) fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip_while(|l| !l.starts_with('|')).take_while(|l| l.starts_with('|'));
    lines
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
        })
        .collect()
}

#[test]
fn a_table_ends_where_its_lines_do() {
    let text = "words\n| a | b |\n|---|--:|\n| `x` | 1 |\n| y |  |\n\n| z | 2 |\n";
    assert_eq!(rows(text), vec![vec!["x", "1"], vec!["y", ""]]);
}
