//! Trusted lists as data: lists are fetched, verified, and kept as snapshots, each named by its hash;
//! one of them is current.

mod import;
mod refresh;
mod snapshot;
mod verify;

pub use import::{Import, ImportError, Imported, Source, Told};
pub use refresh::{OtherAnchors, Refresh};
pub use snapshot::{Change, ListedCa, ListedService, Snapshot, SnapshotList};
pub use verify::{VerifyError, verified};

/// A directory of snapshots of trusted lists.
pub type Store = crate::archive::Archive<Snapshot>;
