//! Measured figures beside the bounds that they are accepted by, over several runs.

use std::fmt::Write;

/// How often a fault is made for its figures.
pub const RUNS: usize = 3;

/// The figures of one fault.
pub struct Bounds {
    fault: &'static str,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    unit: &'static str,
    most: f64,
    measured: Vec<f64>,
}

impl Bounds {
    pub fn of(fault: &'static str) -> Self {
        Self { fault, rows: Vec::new() }
    }

    /// Notes what a run measured, and how much it may be at most.
    pub fn at_most(&mut self, what: &str, most: f64, unit: &'static str, measured: f64) {
        match self.rows.iter_mut().find(|row| row.what == what) {
            // A bound that hangs on the run itself is shown as the strictest was.
            Some(row) => {
                row.most = row.most.min(most);
                row.measured.push(measured);
            }
            None => {
                let (what, measured) = (what.to_owned(), vec![measured]);
                self.rows.push(Row { what, unit, most, measured });
            }
        }
    }

    /// As [`Bounds::hold_all`], for one fault.
    pub fn hold(self) {
        Self::hold_all([self]);
    }

    /// Prints one line of a table for each figure.
    ///
    /// # Panics
    /// When one is not within its bound.
    pub fn hold_all(all: impl IntoIterator<Item = Self>) {
        let mut beyond = String::new();
        for Self { fault, rows } in all {
            for Row { what, unit, most, measured } in rows {
                let told = measured.iter().map(|figure| shown(*figure)).collect::<Vec<_>>();
                let bound = format!("≤ {} {unit}", shown(most));
                let line =
                    format!("| {fault} | {what} | {} | {} |", bound.trim_end(), told.join(" / "));
                println!("{line}");
                if measured.iter().any(|figure| *figure > most) {
                    let _ = writeln!(beyond, "{line}");
                }
            }
        }
        assert!(beyond.is_empty(), "beyond its bound:\n{beyond}");
    }
}

/// With three digits behind the point at most.
fn shown(figure: f64) -> String {
    let text = format!("{figure:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
