//! Numbers as pictures: tables and plots for the terminal, SVG, and pages that need nothing beside themselves.

mod axis;
mod heat;
mod html;
mod plot;
mod svg;
mod table;

use std::ops::RangeInclusive;

use crate::hgrm::Curve;

pub(crate) use heat::HeatMap;
pub(crate) use html::{
    comparison_page, facts, heading, html_table, page, paragraph, run_page, verbatim,
};
pub(crate) use plot::{percentile_plot, sparkline};
pub(crate) use svg::{decades_svg, percentile_svg};
pub(crate) use table::{Align, Cell, Table, put_markdown};

/// What a part of a line is that is drawn as if it were in doubt.
pub(crate) const WITHHELD: &str = "withheld, the generator may have moved it by more than a tenth";

/// A named line of (quantile, nanoseconds).
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// Between which quantiles the generator may have made it: see [`Curve::withheld`].
    pub(crate) withheld: Vec<RangeInclusive<f64>>,
}

impl Line {
    pub(crate) fn of(name: &str, curve: Curve) -> Self {
        Self { name: name.to_owned(), points: curve.points, withheld: curve.withheld }
    }

    /// The line in stretches that share their ends: whether it is withheld, and its points.
    fn stretches(&self) -> Vec<(bool, Vec<(f64, f64)>)> {
        let is_withheld = |points: &[(f64, f64)]| {
            points.iter().any(|(at, _)| self.withheld.iter().any(|span| span.contains(at)))
        };
        let mut stretches: Vec<(bool, Vec<(f64, f64)>)> = Vec::new();
        // A line of one point is a stretch too.
        for pair in self.points.windows(self.points.len().clamp(1, 2)) {
            let withheld = is_withheld(pair);
            match stretches.last_mut() {
                Some((same, points)) if *same == withheld => points.extend(&pair[1..]),
                Some(_) | None => stretches.push((withheld, pair.to_vec())),
            }
        }
        stretches
    }
}

#[cfg(test)]
mod tests;
