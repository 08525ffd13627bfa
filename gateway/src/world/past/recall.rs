//! Makes a world again from what was written down of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use certs::{Anchors, Revocations};
use jiff::{SignedDuration, Timestamp};
use policies::register::{RegisterPolicy, Snapshot};
use policies::{Register, Seals, World, WorldParts};

use super::objects::{Objects, Read};
use super::{Line, WORLDS};
use crate::audit::chain::Chain;
use crate::config::{Judging, TppPaths};
use crate::register::Directory;

/// Worlds that are held at once.
const WORLDS_HELD: usize = 32;

/// Why a world cannot be made again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PastError {
    /// The directory, or a file of it.
    #[error("{file}: {why}", file = file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// No line is about it.
    #[error(
        "world {0} was not written down: the process was killed before, or the file was removed"
    )]
    Unknown(u64),
    /// Its parts do not make a world.
    #[error("world {number}: {why}")]
    Unfit {
        /// Which.
        number: u64,
        /// Why.
        why: String,
    },
}

/// A world of before.
#[derive(Clone)]
pub struct Recalled {
    /// What was written down of it.
    pub line: Line,
    /// The file that says so.
    pub file: PathBuf,
    /// The world.
    pub world: Arc<World>,
    judging: Arc<Judging>,
}

impl Recalled {
    /// The paths of the authorization server, where there was one.
    #[must_use]
    pub fn offices(&self) -> Option<&TppPaths> {
        self.judging.offices.as_ref()
    }
}

/// All worlds that were written down beside a log.
pub struct Past {
    objects: Objects,
    register: Option<PathBuf>,
    /// By their numbers: the line, its file, and what was known about revocations.
    lines: Lines,
    made: Mutex<Made>,
}

/// A world, and what it was configured by.
type Again = (Arc<World>, Arc<Judging>);

/// Parts that many worlds share.
#[derive(Default)]
struct Made {
    /// The last few: records come in the order of time.
    worlds: VecDeque<(u64, Result<Again, PastError>)>,
    anchors: HashMap<(String, Option<String>), Arc<Anchors>>,
    registers: HashMap<(String, String, usize), Arc<Register>>,
    judging: HashMap<String, Arc<Judging>>,
    answers: HashMap<(String, String), Read>,
}

impl Past {
    /// What stands beside the log in `directory`; snapshots are looked for in `register`, too.
    ///
    /// # Errors
    /// A file that cannot be read, or was changed. No file at all is no error.
    pub fn open(directory: &Path, register: Option<&Path>) -> Result<Self, PastError> {
        let worlds = directory.join(WORLDS);
        let objects = Objects::beside(directory);
        let mut lines = BTreeMap::new();
        let entries = match std::fs::read_dir(&worlds) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&worlds, &error)),
            Ok(entries) => Some(entries),
        };
        for entry in entries.into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                read(&path, &mut lines)?;
            }
        }
        let register = register.map(Path::to_owned);
        Ok(Self { objects, register, lines, made: Mutex::default() })
    }

    /// The newest world that was in force at `at`.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Option<u64> {
        let lines = self.lines.values().map(|kept| &kept.line);
        let before = lines.filter(|line| line.time <= at);
        before.max_by_key(|line| (line.time, line.number)).map(|line| line.number)
    }

    /// What was written down of world `number`.
    #[must_use]
    pub fn line(&self, number: u64) -> Option<&Line> {
        self.lines.get(&number).map(|kept| &kept.line)
    }

    /// The hash of that line, which stands for all lines before it in its file.
    #[must_use]
    pub fn hash(&self, number: u64) -> Option<String> {
        self.lines.get(&number).map(|kept| hex::encode(kept.hash))
    }

    /// World `number`, made again.
    ///
    /// # Errors
    /// It was not written down, or what it is made of is not there any more.
    pub fn recall(&self, number: u64) -> Result<Recalled, PastError> {
        let kept = self.lines.get(&number).ok_or(PastError::Unknown(number))?;
        let Kept { line, file, answers, .. } = kept;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let known = made.worlds.iter().find(|(known, _)| *known == number);
        let (world, judging) = match known {
            Some((_, world)) => world.clone(),
            None => {
                let world = self.make(line, answers, &mut made);
                let world = world.map_err(|why| PastError::Unfit { number, why });
                if made.worlds.len() == WORLDS_HELD {
                    made.worlds.pop_front();
                }
                made.worlds.push_back((number, world.clone()));
                world
            }
        }?;
        let (line, file) = (line.clone(), file.to_path_buf());
        Ok(Recalled { line, file, world, judging })
    }

    /// The register of world `number`, as it was read.
    ///
    /// # Errors
    /// Its snapshot is not there any more.
    pub fn snapshot(&self, name: &str) -> Result<Snapshot, String> {
        if let Some(directory) = &self.register
            && let Ok(snapshot) = Directory::new(directory).archive().read(name)
        {
            return Ok(snapshot);
        }
        let bytes = self.objects.read(&format!("{name}.json"));
        let bytes = bytes.map_err(|error| {
            format!("snapshot {name} of the registers is not kept any more: {error}")
        })?;
        serde_json::from_slice(&bytes).map_err(|error| format!("snapshot {name}: {error}"))
    }

    fn make(
        &self,
        line: &Line,
        answers: &BTreeSet<String>,
        made: &mut Made,
    ) -> Result<Again, String> {
        let judging = self.judging(&line.judging, made)?;
        let anchors = self.anchors(line, made)?;
        let register = self.register(line, judging.register, made)?;
        let grace = SignedDuration::try_from(judging.tolerated_for).unwrap_or_default();
        let mut revocations = Revocations::empty().tolerating(grace);
        for name in answers {
            let key = (name.clone(), line.anchors.clone());
            let read = match made.answers.get(&key) {
                Some(read) => read.clone(),
                None => {
                    let read = self.objects.answer(name, &anchors);
                    let read = read.map_err(|error| format!("answer {name}: {error}"))?;
                    made.answers.insert(key, read.clone());
                    read
                }
            };
            match read {
                Read::List(list) => revocations.add_list(list),
                Read::Status(answer) => revocations.add_answer(answer),
            };
        }
        let parts = WorldParts {
            routes: judging.routes().map_err(|error| error.to_string())?,
            register,
            anchors,
            revocations,
            seals: Seals::default(),
            profile: judging.profile,
            revocation_unchecked: judging.revocation_unchecked,
            observed: judging.observed,
            generation: line.number,
        };
        let world = World::build(parts).map_err(|error| error.to_string())?;
        Ok((Arc::new(world), judging))
    }

    fn judging(&self, name: &str, made: &mut Made) -> Result<Arc<Judging>, String> {
        if let Some(judging) = made.judging.get(name) {
            return Ok(Arc::clone(judging));
        }
        let text = self.objects.read(name).map_err(|error| format!("object {name}: {error}"))?;
        let judging = Judging::read(&String::from_utf8_lossy(&text), &self.objects.path(name));
        let judging = Arc::new(judging.map_err(|error| error.to_string())?);
        made.judging.insert(name.to_owned(), Arc::clone(&judging));
        Ok(judging)
    }

    fn anchors(&self, line: &Line, made: &mut Made) -> Result<Arc<Anchors>, String> {
        let key = (line.anchors.clone(), line.intermediates.clone());
        if let Some(anchors) = made.anchors.get(&key) {
            return Ok(Arc::clone(anchors));
        }
        let object =
            |name: &str| self.objects.read(name).map_err(|error| format!("object {name}: {error}"));
        let mut anchors = Anchors::from_pem(&[(&line.anchors, &object(&line.anchors)?)])
            .map_err(|error| error.to_string())?;
        if let Some(name) = &line.intermediates {
            let added = anchors.add_intermediates(&[(name, &object(name)?)]);
            added.map_err(|error| error.to_string())?;
        }
        let anchors = Arc::new(anchors);
        made.anchors.insert(key, Arc::clone(&anchors));
        Ok(anchors)
    }

    fn register(
        &self,
        line: &Line,
        policy: RegisterPolicy,
        made: &mut Made,
    ) -> Result<Arc<Register>, String> {
        let key = (line.register.clone(), line.judging.clone(), line.override_lines);
        if let Some(register) = made.registers.get(&key) {
            return Ok(Arc::clone(register));
        }
        let overrides = match &self.register {
            Some(directory) if line.override_lines > 0 => {
                let read = Directory::new(directory).first_overrides(line.override_lines);
                let (overrides, lines) = read.map_err(|error| error.to_string())?;
                if lines < line.override_lines {
                    return Err("lines of overrides.jsonl are missing".to_owned());
                }
                overrides
            }
            None if line.override_lines > 0 => {
                return Err("the overrides of the registers are not at hand".to_owned());
            }
            _ => Vec::new(),
        };
        let snapshot = self.snapshot(&line.register)?;
        let register = Register::of(&snapshot, overrides.into_iter().collect(), policy);
        let register = Arc::new(register.map_err(|error| error.to_string())?);
        made.registers.insert(key, Arc::clone(&register));
        Ok(register)
    }
}

type Lines = BTreeMap<u64, Kept>;

/// A line, and what is known with it.
struct Kept {
    line: Line,
    hash: [u8; 32],
    file: Arc<PathBuf>,
    answers: Arc<BTreeSet<String>>,
}

/// The lines of one process. A last line without its end is a write that was cut short.
fn read(path: &Path, lines: &mut Lines) -> Result<(), PastError> {
    let text = std::fs::read(path).map_err(|error| failed(path, &error))?;
    let file = Arc::new(path.to_owned());
    let mut chain = Chain::default();
    let mut known = Arc::new(BTreeSet::new());
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = text.get(..whole).unwrap_or_default();
    for (place, bytes) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let wrong = |why: String| failed(path, &format!("line {place}: {why}"));
        chain.check(bytes).map_err(|fault| wrong(fault.to_string()))?;
        let line: Line = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if !line.answers_added.is_empty() || !line.answers_dropped.is_empty() {
            let mut changed = BTreeSet::clone(&known);
            changed.extend(line.answers_added.iter().cloned());
            for dropped in &line.answers_dropped {
                changed.remove(dropped);
            }
            known = Arc::new(changed);
        }
        let (file, answers) = (Arc::clone(&file), Arc::clone(&known));
        lines.insert(line.number, Kept { hash: chain.hash(), line, file, answers });
    }
    Ok(())
}

fn failed(file: &Path, why: &impl ToString) -> PastError {
    PastError::File { file: file.to_owned(), why: why.to_string() }
}
