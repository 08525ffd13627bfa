//! Writes each world down before requests are judged by it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certs::{Anchors, Leaf, RevocationList, Revocations};
use policies::World;
use policies::register::{KeptAs, Snapshot};

use super::objects::{Objects, answer_name};
use super::{Line, WORLDS};
use crate::archive::Archive;
use crate::audit::chain::Chain;
use crate::clock;
use crate::config::Config;
use crate::register as registers;
use crate::register::{Directory, Downloads, Parts};

/// What a line adds to the one before it.
pub(in crate::world) struct Written {
    /// The line.
    pub(in crate::world) line: Line,
    /// Its place in the file.
    pub(in crate::world) sequence: u64,
    /// Its hash.
    pub(in crate::world) hash: [u8; 32],
    /// Something else than what is known of revocations is new.
    pub(in crate::world) telling: bool,
}

/// The file of this process.
pub(in crate::world) struct Writer {
    file: File,
    path: PathBuf,
    objects: Objects,
    chain: Chain,
    config: Config,
    /// The world of the last line.
    last: Option<(Arc<World>, Line, BTreeSet<String>)>,
}

impl Writer {
    /// Begins a file for a process whose first world is `first`.
    pub(in crate::world) fn begin(config: &Config, first: &World) -> io::Result<Self> {
        let directory = config.audit.directory.join(WORLDS);
        fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{}.jsonl", first.generation));
        let mut options = OpenOptions::new();
        let file = options.create_new(true).append(true).mode(0o640).open(&path)?;
        // Until this process ends, nobody takes it for one that is over.
        file.try_lock()?;
        let objects = Objects::beside(&config.audit.directory);
        let (chain, config) = (Chain::default(), config.clone());
        Ok(Self { file, path, objects, chain, config, last: None })
    }

    /// The name of the file.
    pub(in crate::world) fn name(&self) -> &Path {
        self.path.file_name().map(Path::new).unwrap_or(&self.path)
    }

    /// From now on worlds are made by `config`.
    pub(in crate::world) fn configured(&mut self, config: &Config) {
        self.config = config.clone();
    }

    /// Writes `world` down.
    pub(in crate::world) fn write(&mut self, world: &Arc<World>) -> io::Result<Written> {
        let answers = answers(&world.revocations);
        let before = self.last.as_ref();
        let same_anchors = before.filter(|(last, _, _)| Arc::ptr_eq(&last.anchors, &world.anchors));
        let (anchors, intermediates) = match same_anchors {
            Some((_, line, _)) => (line.anchors.clone(), line.intermediates.clone()),
            None => self.keep_anchors(&world.anchors)?,
        };
        let register = match world.register.kept() {
            Some(kept) => kept.clone(),
            None => return Err(io::Error::other("nobody knows what its register was read from")),
        };
        if before.is_none_or(|(_, line, _)| line.register != register.snapshot) {
            self.keep_register(&register)?;
        }
        if before.is_none_or(|(last, _, _)| !Arc::ptr_eq(&last.anchors, &world.anchors)) {
            self.keep_configured(&world.anchors)?;
        }
        let known = before.map(|(_, _, known)| known.clone()).unwrap_or_default();
        let line = Line {
            time: clock::now(),
            number: world.generation,
            configuration: hex::encode(self.config.text_sha256),
            judging: self.objects.keep(self.config.judging.as_bytes(), "toml")?,
            anchors,
            intermediates,
            register: register.snapshot,
            override_lines: register.override_lines,
            answers_added: answers.difference(&known).cloned().collect(),
            answers_dropped: known.difference(&answers).cloned().collect(),
        };
        let told = before.map(|(_, line, _)| essence(line));
        let telling = told.as_ref() != Some(&essence(&line));
        let mut bytes = serde_json::to_vec(&line).map_err(io::Error::other)?;
        let (sequence, mut chain) = (self.chain.next(), self.chain.clone());
        chain.seal(&mut bytes, 0);
        self.file.write_all(&bytes)?;
        self.chain = chain;
        self.last = Some((Arc::clone(world), line.clone(), answers));
        Ok(Written { line, sequence, hash: self.chain.hash(), telling })
    }

    fn keep_anchors(&self, anchors: &Anchors) -> io::Result<(String, Option<String>)> {
        let text = pem(anchors.iter().map(|anchor| anchor.certificate().as_ref()))?;
        let between = pem(anchors.intermediates().map(AsRef::as_ref))?;
        let between = (!between.is_empty()).then(|| self.objects.keep(&between, "pem"));
        Ok((self.objects.keep(&text, "pem")?, between.transpose()?))
    }

    /// A snapshot that no directory of registers keeps is kept here.
    fn keep_register(&self, kept: &KeptAs) -> io::Result<()> {
        let settings = &self.config.register;
        let downloads = settings.directory.as_deref().map(Downloads::below);
        let found = settings.directory.as_ref().is_some_and(|directory| {
            Directory::new(directory).archive().full_name(&kept.snapshot).is_ok()
        });
        let name = format!("{}.json", kept.snapshot);
        if found || self.objects.holds(&name) {
            return Ok(());
        }
        let parts = Parts::of(settings, |url| downloads.as_ref()?.find(url));
        let snapshot = parts.and_then(|parts| registers::build(&parts, &mut |_| {}, &|_| {}));
        let snapshot: Snapshot = snapshot.map_err(io::Error::other)?;
        if Archive::name_of(&snapshot).map_err(io::Error::other)? != kept.snapshot {
            return Err(io::Error::other("the register's files have changed since they were read"));
        }
        self.objects.write(&name, &serde_json::to_vec(&snapshot).map_err(io::Error::other)?)
    }

    /// The lists that the configuration names are published by nobody who is asked for them.
    fn keep_configured(&self, anchors: &Anchors) -> io::Result<()> {
        for (file, bytes) in &self.config.trust.crls {
            let issuers = anchors.iter().map(|anchor| anchor.certificate());
            let issuers = issuers.chain(anchors.intermediates());
            if let Ok(list) = RevocationList::read(file, bytes, issuers) {
                self.objects.keep_list(&list, bytes, None, clock::now())?;
            }
        }
        Ok(())
    }
}

/// What a change of is told in the log at once.
fn essence(line: &Line) -> [String; 6] {
    [
        line.configuration.clone(),
        line.judging.clone(),
        line.anchors.clone(),
        line.intermediates.clone().unwrap_or_default(),
        line.register.clone(),
        line.override_lines.to_string(),
    ]
}

fn answers(revocations: &Revocations) -> BTreeSet<String> {
    let lists = revocations.lists().map(|list| answer_name(list.fingerprint()));
    let answers = revocations.answers().map(|answer| answer_name(&answer.fingerprint));
    lists.chain(answers).collect()
}

fn pem<'a>(certificates: impl Iterator<Item = &'a Leaf>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for certificate in certificates {
        let certificate = openssl::x509::X509::from_der(certificate.der());
        text.extend(certificate.and_then(|certificate| certificate.to_pem())?);
    }
    Ok(text)
}
