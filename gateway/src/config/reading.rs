//! The reading of one configuration: the files that it names, and what was found wrong on the way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use openssl::sha::sha256;

use super::key::{Key, Lines};
use super::problem::{Problem, quoted, without_passwords};
use super::secret::Secret;
use super::wire::DurationText;

/// What one pass over a configuration knows and has found so far.
pub(super) struct Reading<'a> {
    file: &'a Path,
    lines: Lines,
    from_environment: BTreeMap<Key, &'static str>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    files: Vec<NamedFile>,
}

/// A file that the configuration names.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    /// By which key.
    pub(super) key: String,
    pub(super) path: PathBuf,
    /// Another one stands for another content.
    pub(super) version: String,
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a Path, lines: Lines) -> Self {
        let (problems, warnings, files) = (Vec::new(), Vec::new(), Vec::new());
        Self { file, lines, from_environment: BTreeMap::new(), problems, warnings, files }
    }

    /// Remembers that a key was set by a variable, not by the file.
    pub(super) fn comes_from_environment(&mut self, key: Key, variable: &'static str) {
        self.from_environment.insert(key, variable);
    }

    pub(super) fn refuse(&mut self, key: &Key, what: impl Into<String>, mend: impl Into<String>) {
        let mut problem = Problem {
            file: self.file.to_owned(),
            line: self.lines.line(key),
            column: None,
            key: without_passwords(key.as_str()),
            what: without_passwords(&what.into()),
            mend: mend.into(),
        };
        if let Some(variable) = self.from_environment.get(key) {
            problem.line = None;
            problem.what.push_str(&format!(" (set by {variable})"));
        }
        self.problems.push(problem);
    }

    pub(super) fn refuse_at(&mut self, (line, column): (usize, usize), what: &str, mend: &str) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: Some(line),
            column: Some(column),
            key: String::new(),
            what: without_passwords(what),
            mend: mend.to_owned(),
        });
    }

    /// Notes something that is allowed, and that the operator should know at every start.
    pub(super) fn warn(&mut self, key: &Key, what: impl AsRef<str>) {
        self.warnings.push(without_passwords(&format!("{key}: {}", what.as_ref())));
    }

    /// Whether a value stood there that was already refused.
    pub(super) fn has_refused(&self, key: &Key) -> bool {
        self.problems.iter().any(|problem| problem.key == without_passwords(key.as_str()))
    }

    pub(super) fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// The files that were named so far.
    pub(super) fn named_files(&mut self) -> Vec<NamedFile> {
        std::mem::take(&mut self.files)
    }

    /// Remembers a file that is read elsewhere by what the file system says of it.
    pub(super) fn names(&mut self, key: &Key, path: &Path) {
        let stamp = path.metadata().ok().map(|meta| (meta.len(), meta.modified().ok()));
        let (key, path, version) = (key.to_string(), path.to_owned(), format!("{stamp:?}"));
        self.files.push(NamedFile { key, path, version });
    }

    /// The problems in the order of the file, and the warnings.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<String>) {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        (self.problems, self.warnings)
    }

    /// A path of the file: relative ones start at the directory of the configuration.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(text)
    }

    /// The bytes of a file that the configuration names; never empty, never more than `bytes_max`.
    pub(super) fn file(&mut self, key: &Key, text: &str, bytes_max: u64) -> Option<Vec<u8>> {
        let path = self.path(text);
        let (what, mend) = match read_bounded(&path, bytes_max) {
            Ok(bytes) if bytes.is_empty() => ("is empty".to_owned(), "fill it".to_owned()),
            Ok(bytes) if bytes.len() as u64 > bytes_max => (
                format!("is larger than {bytes_max} bytes"),
                "check that it is the file that was meant".to_owned(),
            ),
            Ok(bytes) => {
                let version = hex::encode(sha256(&bytes));
                self.files.push(NamedFile { key: key.to_string(), path, version });
                return Some(bytes);
            }
            Err(error) => (
                format!("cannot be read: {error}"),
                "correct the path, or let the gateway's user read the file".to_owned(),
            ),
        };
        self.refuse(key, format!("{} {what}", path.display()), mend);
        None
    }

    /// A file that holds a secret. Others being able to read it is worth a warning.
    pub(super) fn secret_file(&mut self, key: &Key, text: &str, bytes_max: u64) -> Option<Secret> {
        let bytes = Secret::new(self.file(key, text, bytes_max)?);
        let path = self.path(text);
        if is_readable_by_others(&path) {
            let path = path.display();
            self.warn(key, format!("{path} is readable by others than its owner: chmod 600 it"));
        }
        Some(bytes)
    }

    /// A duration of more than zero.
    pub(super) fn duration(&mut self, key: &Key, text: &DurationText) -> Option<Duration> {
        let parsed = text.0.parse::<SignedDuration>().ok();
        let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
        match parsed {
            Some(duration) if !duration.is_zero() => return Some(duration),
            Some(_) => self.refuse(
                key,
                format!("is {}: no time at all", quoted(&text.0)),
                "write a duration of more than zero, for example \"10s\"",
            ),
            None => self.refuse(
                key,
                format!("is {}: not a duration", quoted(&text.0)),
                "write a number and a unit (ms, s, m, h), for example \"10s\" or \"24h\"",
            ),
        }
        None
    }
}

/// At most one byte more than `bytes_max`, so that the caller can tell.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    const GROUP_AND_OTHERS_READ: u32 = 0o044;
    path.metadata().is_ok_and(|meta| meta.permissions().mode() & GROUP_AND_OTHERS_READ != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}
