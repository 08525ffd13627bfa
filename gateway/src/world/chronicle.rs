//! Has each world written down before requests are judged by it, and the log told of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use policies::World;

use super::past::{IN_FORCE, Writer};
use crate::audit::{Audit, Event};
use crate::config::Config;

/// The log is told of new answers about revocations so often, at most: each line of the worlds is sealed to
/// the one before, so that one hash stands for all.
const ANSWERS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// The worlds of this process.
pub struct Chronicle {
    /// Held only while a world is replaced, never by a request.
    pen: Mutex<Pen>,
}

/// Whoever holds it may replace the world.
pub struct Pen {
    writer: Writer,
    audit: Arc<Audit>,
    told: Option<Instant>,
}

impl Chronicle {
    /// Writes the first world down.
    ///
    /// # Errors
    /// It cannot be: nothing may be judged by what nobody can look at later.
    pub fn begin(config: &Config, world: &Arc<World>, audit: Arc<Audit>) -> std::io::Result<Self> {
        let mut pen = Pen { writer: Writer::begin(config, world)?, audit, told: None };
        pen.try_write(world)?;
        Ok(Self { pen: Mutex::new(pen) })
    }

    /// One world is replaced after the other.
    pub fn hold(&self) -> MutexGuard<'_, Pen> {
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pen {
    /// From now on worlds are made by `config`.
    pub fn configured(&mut self, config: &Config) {
        self.writer.configured(config);
    }

    /// Writes a world down that comes into force now.
    pub fn write(&mut self, world: &Arc<World>) {
        // Better judged by the newest and not to be looked at later than judged by what is known to be old.
        if let Err(error) = self.try_write(world) {
            tracing::error!(%error, world = world.generation, "a world could not be written down; verdicts by it cannot be replayed");
        }
    }

    fn try_write(&mut self, world: &Arc<World>) -> std::io::Result<()> {
        let written = self.writer.write(world)?;
        let lately = self.told.is_some_and(|told| told.elapsed() < ANSWERS_TOLD_EVERY);
        if lately && !written.telling {
            return Ok(());
        }
        self.told = Some(Instant::now());
        let line = &written.line;
        let short = |name: &str| name.chars().take(12).collect::<String>();
        let detail = format!(
            "line {} of worlds/{}: configuration {}, anchors {}, register {} with {} lines of overrides",
            written.sequence + 1,
            self.writer.name().display(),
            short(&line.configuration),
            short(&line.anchors),
            short(&line.register),
            line.override_lines,
        );
        self.audit.event(Event {
            time: line.time,
            event: IN_FORCE,
            subject: Some(format!("{} {}", line.number, hex::encode(written.hash))),
            detail,
            by: Vec::new(),
        });
        Ok(())
    }
}
