//! The CSV file: one row for each day, bank, API and version, and channel; semicolons, points, UTF-8.

use super::figures::{ApiFigures, Bank, CustomerFigures, Figures, Report};

const HEADER: [&str; 15] = [
    "date",
    "codetab",
    "api",
    "version",
    "service",
    "channel",
    "uptime_pct",
    "downtime_pct",
    "downtime_s",
    "avg_ms_pisp",
    "avg_ms_aisp",
    "avg_ms_cof",
    "requests",
    "errors",
    "error_rate_pct",
];
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
    table.writer.write_record(HEADER)?;
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
        (total, days): (&Figures, &[super::figures::DayFigures]),
        apis: &[ApiFigures],
    ) -> csv::Result<()> {
        let whole = ["", "", ""];
        self.row(self.quarter, codetab, whole, total)?;
        for day in days {
            self.row(&day.date.to_string(), codetab, whole, &day.figures)?;
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

    fn row(
        &mut self,
        date: &str,
        codetab: &str,
        [api, version, service]: [&str; 3],
        figures: &Figures,
    ) -> csv::Result<()> {
        let measured = figures.requests > 0;
        let count = |count: u64| measured.then_some(count);
        self.writer.write_record([
            date,
            codetab,
            api,
            version,
            service,
            API,
            &text(figures.uptime_pct),
            &text(figures.downtime_pct),
            &text(figures.downtime_s),
            &text(figures.avg_ms_pisp),
            &text(figures.avg_ms_aisp),
            &text(figures.avg_ms_cof),
            &text(count(figures.requests)),
            &text(count(figures.failed + figures.unanswered)),
            &text(figures.error_rate_pct),
        ])
    }

    fn customers(&mut self, bank: &Bank) -> csv::Result<()> {
        for customer in &bank.customer {
            let channel = &customer.channel;
            self.customer(self.quarter, &bank.codetab, channel, &customer.total)?;
            for day in &customer.days {
                self.customer(&day.date.to_string(), &bank.codetab, channel, &day.figures)?;
            }
        }
        Ok(())
    }

    fn customer(
        &mut self,
        date: &str,
        codetab: &str,
        channel: &str,
        figures: &CustomerFigures,
    ) -> csv::Result<()> {
        self.writer.write_record([
            date,
            codetab,
            "",
            "",
            "",
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
