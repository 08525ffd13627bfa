//! Trusted lists as data: lists are fetched, verified, and kept as snapshots, each named by its hash;
//! one of them is current.

mod import;
mod refresh;
mod snapshot;
mod store;
mod verify;

pub use import::{Import, ImportError, Imported, Source, Told};
pub use refresh::{OtherAnchors, Refresh};
pub use snapshot::{Change, ListedCa, ListedService, Snapshot, SnapshotError, SnapshotList};
pub use store::Store;
pub use verify::{VerifyError, verified};
