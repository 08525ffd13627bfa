//! A wall clock that can be set while a process runs, by libfaketime (Debian: `faketime`). The steady
//! clock stays as it is.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The wall clock of the processes that are started under it.
pub struct FalseClock {
    library: PathBuf,
    dir: TempDir,
}

impl FalseClock {
    /// `None` where the library is not installed.
    pub fn new() -> Option<Self> {
        let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let mut places: Vec<PathBuf> = places.map(|entry| entry.path()).collect();
        places.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
        let library = places.into_iter().map(|place| place.join(LIBRARY)).find(|l| l.exists())?;
        let clock = Self { library, dir: tempfile::tempdir().unwrap() };
        clock.set(0);
        Some(clock)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }

    /// Sets it so many seconds ahead of the true one. Processes notice within a second.
    pub fn set(&self, seconds: i64) {
        let next = self.dir.path().join("next");
        fs::write(&next, format!("{seconds:+}\n")).unwrap();
        // Never half of it.
        fs::rename(next, self.file()).unwrap();
    }

    /// What a process is started under.
    pub fn command(&self) -> Vec<String> {
        let say = |name: &str, value: &Path| format!("{name}={}", value.display());
        vec![
            "env".to_owned(),
            say("LD_PRELOAD", &self.library),
            say("FAKETIME_TIMESTAMP_FILE", &self.file()),
            "FAKETIME_CACHE_DURATION=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ]
    }
}
