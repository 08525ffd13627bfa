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

    /// Prints one line of a table for each figure.
    ///
    /// # Panics
    /// When one is not within its bound.
    pub fn hold(self) {
        let mut beyond = String::new();
        for Row { what, unit, most, measured } in &self.rows {
            let told: Vec<String> = measured.iter().map(|figure| format!("{figure:.3}")).collect();
            let told: Vec<&str> =
                told.iter().map(|t| t.trim_end_matches('0').trim_end_matches('.')).collect();
            let line =
                format!("| {} | {what} | ≤ {most:.1} {unit} | {} |", self.fault, told.join(" / "));
            println!("{line}");
            if measured.iter().any(|figure| figure > most) {
                let _ = writeln!(beyond, "{line}");
            }
        }
        assert!(beyond.is_empty(), "beyond its bound:\n{beyond}");
    }
}
