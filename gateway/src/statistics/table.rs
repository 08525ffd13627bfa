//! The CSV file: one row for each day, bank, API and version, and channel; semicolons, points, UTF-8.

use super::figures::{ApiFigures, Bank, COLUMNS, CustomerFigures, DayFigures, Figures, Report};

/// What a row is about; then come the figures.
const ABOUT: [&str; 6] = ["date", "codetab", "api", "version", "service", "channel"];
/// No API of its own: the interface as a whole.
const WHOLE: [&str; 3] = ["", "", ""];
/// `channel` of the dedicated interface.
const API: &str = "API";
/// `codetab` of all banks together.
const GROUP: &str = "group";

/// The whole file.
///
/// # Errors
/// None that can be helped: it is written to memory.
pub fn write(report: &Report) -> csv::Result<Vec<u8>> {
    let mut table = Table {
        writer: csv::WriterBuilder::new().delimiter(b';').from_writer(Vec::new()),
        quarter: &report.quarter,
    };
    table.writer.write_record(ABOUT.iter().chain(&COLUMNS))?;
    let group = &report.group;
    table.interface(GROUP, (&group.total, &group.days), &group.apis)?;
    for bank in &report.banks {
        table.interface(&bank.codetab, (&bank.total, &bank.days), &bank.apis)?;
        table.customers(bank)?;
    }
    let bytes = table.writer.into_inner();
    bytes.map_err(|error| csv::Error::from(std::io::Error::other(error.to_string())))
}

struct Table<'a> {
    writer: csv::Writer<Vec<u8>>,
    quarter: &'a str,
}

impl Table<'_> {
    /// The interface as a whole, then each API: first the quarter, then the days.
    fn interface(
        &mut self,
        codetab: &str,
        (total, days): (&Figures, &[DayFigures]),
        apis: &[ApiFigures],
    ) -> csv::Result<()> {
        self.row(self.quarter, codetab, WHOLE, total)?;
        for day in days {
            self.row(&day.date.to_string(), codetab, WHOLE, &day.figures)?;
        }
        for api in apis {
            let part = [api.api.as_str(), &api.version, &api.service];
            self.row(self.quarter, codetab, part, &api.total)?;
            for day in &api.days {
                self.row(&day.date.to_string(), codetab, part, &day.figures)?;
            }
        }
        Ok(())
    }

    fn customers(&mut self, bank: &Bank) -> csv::Result<()> {
        for customer in &bank.customer {
            let channel = (bank.codetab.as_str(), customer.channel.as_str());
            self.write(self.quarter, channel, WHOLE, &customer.total)?;
            for day in &customer.days {
                self.write(&day.date.to_string(), channel, WHOLE, &day.figures)?;
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        date: &str,
        codetab: &str,
        api: [&str; 3],
        figures: &Figures,
    ) -> csv::Result<()> {
        self.write(date, (codetab, API), api, &figures.told())
    }

    fn write(
        &mut self,
        date: &str,
        (codetab, channel): (&str, &str),
        [api, version, service]: [&str; 3],
        figures: &CustomerFigures,
    ) -> csv::Result<()> {
        self.writer.write_record([
            date,
            codetab,
            api,
            version,
            service,
            channel,
            &text(figures.uptime_pct),
            &text(figures.downtime_pct),
            &text(figures.downtime_s),
            &text(figures.avg_ms_pisp),
            &text(figures.avg_ms_aisp),
            &text(figures.avg_ms_cof),
            &text(figures.requests),
            &text(figures.errors),
            &text(figures.error_rate_pct),
        ])
    }
}

/// Empty, not 0, where nothing was measured.
fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
