//! The regulator's statistics from the access log: what `policies::statistics` rules, read from files, kept
//! by the day, added up over gateways, and written for those who read them.
//!
//! The way of a figure: a line of the log ([`reading`]) → the day of a directory ([`gathering`]) → its roll-up
//! ([`rollup`], [`books`]) → the quarter of all directories ([`counting`], [`evidence`]) → [`figures`], which are
//! the JSON file → CSV ([`table`]) and
//! pages ([`page`]).

mod books;
mod calendar;
mod counting;
mod customer;
mod evidence;
mod figures;
mod gathering;
mod page;
mod quarterly;
mod reading;
mod rollup;
mod table;
mod verifying;

pub use books::{Books, BooksError};
pub use customer::CustomerFault;
pub use figures::{Figures, Report};
pub use gathering::GatheringError;
pub use page::write as write_page;
pub use quarterly::{Inquiry, InquiryError, Made, roll_up};
pub use rollup::{Rollup, RollupError};
pub use table::write as write_table;
pub use verifying::{Difference, report as verify_report, rollups as verify_rollups};
