//! Removes the worlds that judged no record of any log that is kept, and what they alone were made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::objects::Objects;
use super::{Line, WORLDS};
use crate::audit::Entry;
use crate::audit::shelf::{self, LogFile, read_line};
use crate::clock;

/// What was written lately is left: whoever wrote it may be about to name it.
const SETTLED: Duration = Duration::from_secs(24 * 3600);
/// A request may end so long after its world was replaced, by a clock that may differ from ours.
const LATE: SignedDuration = SignedDuration::from_hours(24);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Pruned {
    /// Files of processes.
    pub files: usize,
    /// What worlds are made of.
    pub objects: usize,
}

/// Removes from the worlds beside the log in `directory` what none of its files needs any more. Where there is
/// no log, nothing is removed.
///
/// # Errors
/// The file system's; a file that cannot be read. What was not looked at stays.
pub fn prune(directory: &Path) -> io::Result<Pruned> {
    let mut pruned = Pruned::default();
    let logs = shelf::files(directory)?;
    let Some(oldest) = logs.first() else { return Ok(pruned) };
    let day = oldest.day.to_zoned(TimeZone::UTC).map_err(io::Error::other)?;
    let since = day.timestamp() - LATE;

    let mut files = processes(&directory.join(WORLDS))?;
    let mut wanted = BTreeSet::new();
    for log in &logs {
        if let Some(world) = first_world(log)? {
            wanted.extend(files.range(..=world).next_back().map(|(first, _)| *first));
        }
    }
    let over: Vec<u64> = files.keys().filter(|first| !wanted.contains(first)).copied().collect();
    for first in over {
        let Some(path) = files.get(&first) else { continue };
        if is_settled(path)? && nobody_writes(path)? {
            fs::remove_file(path)?;
            files.remove(&first);
            pruned.files += 1;
        }
    }
    let mut needed = BTreeSet::new();
    for path in files.values() {
        add_needed(path, since, &mut needed)?;
    }
    let objects = Objects::beside(directory);
    // Nobody takes one for kept meanwhile.
    let Some(_held) = objects.hold()? else { return Ok(pruned) };
    for entry in fs::read_dir(objects.path(""))? {
        let entry = entry?;
        let is_needed = entry.file_name().to_str().is_some_and(|name| needed.contains(name));
        if !is_needed && is_settled(&entry.path())? {
            fs::remove_file(entry.path())?;
            pruned.objects += 1;
        }
    }
    Ok(pruned)
}

/// The file of each process by the number of its first world.
fn processes(worlds: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(worlds)? {
        let path = entry?.path();
        let first = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jsonl"));
        if let Some(first) = first.and_then(|first| first.parse().ok()) {
            files.insert(first, path);
        }
    }
    Ok(files)
}

/// A world of the process that wrote `log`: a file is one process's.
fn first_world(log: &LogFile) -> io::Result<Option<u64>> {
    let (mut lines, mut line) = (log.open()?, Vec::new());
    while read_line(&mut *lines, &mut line)? == shelf::Line::Whole {
        let Ok(entry) = Entry::read(&line) else { continue };
        let told = || {
            let subject = entry.subject.as_deref().filter(|_| entry.action == super::IN_FORCE)?;
            subject.split(' ').next()?.parse().ok()
        };
        if let Some(world) = entry.world.or_else(told) {
            return Ok(Some(world));
        }
    }
    Ok(None)
}

/// Adds what the worlds of a process were made of that were in force at `since` or later.
fn add_needed(path: &Path, since: Timestamp, needed: &mut BTreeSet<String>) -> io::Result<()> {
    let (mut lines, mut line) = (BufReader::new(File::open(path)?), Vec::new());
    let mut last: Option<(Line, BTreeSet<String>)> = None;
    while read_line(&mut lines, &mut line)? == shelf::Line::Whole {
        let next: Line = serde_json::from_slice(&line)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        let mut answers = BTreeSet::new();
        if let Some((line, known)) = last.take() {
            if next.time >= since {
                add(&line, &known, needed);
            }
            answers = known;
        }
        answers.extend(next.answers_added.iter().cloned());
        for dropped in &next.answers_dropped {
            answers.remove(dropped);
        }
        last = Some((next, answers));
    }
    if let Some((line, answers)) = last {
        add(&line, &answers, needed);
    }
    Ok(())
}

fn add(line: &Line, answers: &BTreeSet<String>, needed: &mut BTreeSet<String>) {
    needed.extend([line.judging.clone(), line.anchors.clone(), format!("{}.json", line.register)]);
    needed.extend(line.intermediates.clone());
    needed.extend(answers.iter().cloned());
}

fn is_settled(path: &Path) -> io::Result<bool> {
    let written = fs::metadata(path)?.modified()?;
    let age = SystemTime::from(clock::now()).duration_since(written);
    Ok(age.is_ok_and(|age| age >= SETTLED))
}

/// Its process holds it for as long as it lives.
fn nobody_writes(path: &Path) -> io::Result<bool> {
    Ok(File::open(path)?.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTHS: Duration = Duration::from_secs(60 * 24 * 3600);

    struct Scene(tempfile::TempDir);

    impl Scene {
        fn new() -> Self {
            let scene = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(scene.path("worlds/objects")).unwrap();
            scene
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str, age: Duration) {
            fs::write(self.path(name), text).unwrap();
            let file = File::open(self.path(name)).unwrap();
            file.set_modified(SystemTime::from(clock::now()) - age).unwrap();
        }

        fn object(&self, name: &str) {
            self.write(&format!("worlds/objects/{name}"), "{}", MONTHS);
        }

        /// Worlds of one process: when, what it is judged by, which answers are new and which are gone.
        fn process(&self, first: u64, worlds: &[(&str, &str, &[&str], &[&str])]) {
            let mut text = String::new();
            for (number, (time, judging, added, dropped)) in (first..).zip(worlds) {
                let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
                let line = Line {
                    time: time.parse().unwrap(),
                    number,
                    configuration: String::new(),
                    judging: (*judging).to_owned(),
                    anchors: "anchors.pem".to_owned(),
                    intermediates: None,
                    register: "register".to_owned(),
                    override_lines: 0,
                    answers_added: names(added),
                    answers_dropped: names(dropped),
                };
                text += &serde_json::to_string(&line).unwrap();
                text += "\n";
            }
            self.write(&format!("worlds/{first}.jsonl"), &text, MONTHS);
        }

        fn left(&self) -> Vec<String> {
            let names = ["worlds", "worlds/objects"].map(|directory| {
                let entries = fs::read_dir(self.path(directory)).unwrap();
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
            });
            let mut names: Vec<String> =
                names.into_iter().flatten().filter(|name| name != "objects").collect();
            names.sort();
            names
        }
    }

    fn history() -> Scene {
        let scene = Scene::new();
        for object in ["anchors.pem", "register.json", "old.toml", "early.toml", "late.toml"] {
            scene.object(object);
        }
        for object in ["ended.answer.json", "dropped.answer.json", "known.answer.json"] {
            scene.object(object);
        }
        scene.process(1000, &[("2026-01-01T00:00:00Z", "old.toml", &["ended.answer.json"], &[])]);
        scene.process(
            2000,
            &[
                (
                    "2026-02-01T00:00:00Z",
                    "early.toml",
                    &["dropped.answer.json", "known.answer.json"],
                    &[],
                ),
                ("2026-03-01T00:00:00Z", "late.toml", &[], &["dropped.answer.json"]),
                ("2026-05-01T00:00:00Z", "late.toml", &[], &[]),
            ],
        );
        scene
    }

    const LOG: &str = r#"{"@timestamp":"2026-05-01T10:00:00Z","event.action":"audit_opened"}
{"@timestamp":"2026-05-01T10:00:00Z","event.action":"request","octroi.world":2002}
"#;

    #[test]
    fn what_judged_no_record_that_is_kept_is_removed_and_nothing_else() {
        let scene = history();
        scene.write("access-2026-05-01.000007.jsonl", LOG, MONTHS);
        assert_eq!(prune(scene.0.path()).unwrap(), Pruned { files: 1, objects: 4 });
        let left = ["2000.jsonl", "anchors.pem", "known.answer.json", "late.toml", "register.json"];
        assert_eq!(scene.left(), left);
        assert_eq!(prune(scene.0.path()).unwrap(), Pruned::default());
    }

    #[test]
    fn what_an_event_alone_speaks_of_is_kept_and_so_is_all_where_there_is_no_log() {
        let scene = history();
        let all = scene.left();
        assert_eq!(prune(scene.0.path()).unwrap(), Pruned::default());
        assert_eq!(scene.left(), all);
        let event = r#"{"@timestamp":"2026-01-01T00:00:00Z","event.action":"world_in_force","octroi.subject":"1000 ab"}"#;
        scene.write("access-2026-01-01.000001.jsonl", &format!("{event}\n"), MONTHS);
        scene.write("access-2026-05-01.000007.jsonl", LOG, MONTHS);
        assert_eq!(prune(scene.0.path()).unwrap(), Pruned::default());
        assert_eq!(scene.left(), all);
    }

    #[test]
    fn what_a_process_still_writes_or_has_just_written_is_left() {
        let scene = history();
        scene.write("access-2026-05-01.000007.jsonl", LOG, MONTHS);
        let theirs = File::open(scene.path("worlds/1000.jsonl")).unwrap();
        theirs.try_lock().unwrap();
        scene.write("worlds/objects/fresh.toml", "", Duration::ZERO);
        assert_eq!(prune(scene.0.path()).unwrap(), Pruned { files: 0, objects: 2 });
        let left = scene.left();
        for name in ["1000.jsonl", "old.toml", "ended.answer.json", "fresh.toml"] {
            assert!(left.iter().any(|left| left == name), "{name} in {left:?}");
        }
        assert!(Objects::beside(scene.0.path()).holds("late.toml"));
        drop(theirs);
        assert_eq!(prune(scene.0.path()).unwrap(), Pruned { files: 1, objects: 2 });
    }

    #[test]
    fn an_object_that_is_kept_again_is_as_good_as_new() {
        let scene = history();
        scene.write("access-2026-05-01.000007.jsonl", LOG, MONTHS);
        Objects::beside(scene.0.path()).write("old.toml", b"{}").unwrap();
        assert_eq!(prune(scene.0.path()).unwrap(), Pruned { files: 1, objects: 3 });
        assert!(scene.left().contains(&"old.toml".to_owned()));
    }
}
