//! Which log is meant, and how it is searched.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::audit::search::{Kept, Progress};
use crate::audit::shelf::{self, LogFile};
use crate::cli::Failure;
use crate::config::Config;

/// Which log.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Place {
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of the log
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Place {
    pub(super) fn directory(&self) -> Result<PathBuf, Failure> {
        match (&self.directory, &self.config) {
            (Some(directory), _) => Ok(directory.clone()),
            (None, Some(config)) => {
                Ok(Config::load(config).map_err(Failure::cannot)?.audit.directory)
            }
            (None, None) => Err(Failure::Usage("name --config or --directory".to_owned())),
        }
    }

    pub(super) fn files(&self) -> Result<Vec<LogFile>, Failure> {
        let directory = self.directory()?;
        let told = |error: io::Error| Failure::Cannot(format!("{}: {error}", directory.display()));
        let files = shelf::files(&directory).map_err(told)?;
        if files.is_empty() {
            let why = format!("no file of a log stands in {}", directory.display());
            return Err(Failure::Cannot(why));
        }
        Ok(files)
    }
}

/// Where indexes are kept.
#[derive(Debug, clap::Args)]
pub(super) struct Indexes {
    /// Where indexes of the log are kept between searches [default: octroi/audit in $XDG_CACHE_HOME or
    /// ~/.cache]
    #[arg(long, value_name = "DIR", env = "OCTROI_AUDIT_INDEXES")]
    indexes: Option<PathBuf>,
}

impl Indexes {
    pub(super) fn kept(&self) -> Option<Kept> {
        let cache = || {
            let named = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
            let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
            Some(named.map(PathBuf::from).or_else(home)?.join("octroi/audit"))
        };
        let directory = self.indexes.clone().or_else(cache)?;
        let kept = Kept::open(&directory);
        if kept.is_none() {
            eprintln!(
                "octroi: {} is no directory that only you can write: no index is kept",
                directory.display()
            );
        }
        kept
    }
}

/// A bar for what may take longer than two seconds, on a terminal only.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(bytes: u64, doing: &'static str) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(4)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(bytes), target).with_message(doing);
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }
}

impl Progress for Bar {
    fn more(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
