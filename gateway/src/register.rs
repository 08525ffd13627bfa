//! Registers as data: files are read into snapshots, each named by its hash; a gate holds one that
//! would refuse too many; one of them is current, and what people decide stands above it.

mod directory;
mod fetch;
mod gate;
mod metrics;
mod refresh;
mod sources;

pub use directory::{Directory, DirectoryError, Held, Taken};
pub use fetch::{DownloadError, Downloads, Progress};
pub use gate::{Hold, Impact, Known, LostTpp, Usable};
pub use refresh::{Refresh, Tell};
pub use sources::{ImportError, Parts, build, stamps};
