//! Numbers as pictures: tables and plots for the terminal, SVG, and pages that need nothing beside themselves.

mod axis;
mod heat;
mod html;
mod plot;
mod svg;
mod table;

pub(crate) use heat::HeatMap;
pub(crate) use html::{
    comparison_page, facts, heading, html_table, page, paragraph, run_page, verbatim,
};
pub(crate) use plot::{percentile_plot, sparkline};
pub(crate) use svg::{decades_svg, percentile_svg};
pub(crate) use table::{Align, Cell, Table, put_markdown};

/// A named line of (quantile, nanoseconds).
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}
