//! What was asked about accounts, for the guard against searches for a balance: what both engines have
//! in common, and this process's own memory of it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use moka::ops::compute::Op;
use moka::sync::Cache;
use policies::probing::{Answer, History, Question};
use std::time::Duration;

use super::limits::{ANSWERS_KEPT_BYTES_MAX, QUESTIONS_IN_MEMORY_MAX};

/// One TPP and one account, as a keyed digest: whoever reads the store learns neither.
pub type HistoryName = [u8; 32];

/// A question that is about to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// By whom and about which account.
    pub history: &'a HistoryName,
    /// What.
    pub question: &'a Question,
    /// How long it counts.
    pub window: Duration,
}

/// What is known of the questions before.
#[derive(Debug, Clone)]
pub enum Asked {
    /// The very same question was answered a short while ago: the answer as it was kept.
    Answered(Vec<u8>),
    /// The questions before this one, which from now on is one of them.
    History(History),
    /// The same, by the memory of this process alone: it is one of so many that may have been asked.
    OwnMemory(History, u32),
    /// They cannot be read.
    Unreadable,
}

/// What became of a question.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Nothing, where its asker learned nothing: then it is forgotten.
    pub answer: Option<Answer>,
    /// The answer for whoever repeats the question, sealed, and for how long.
    pub kept: Option<(&'a [u8], Duration)>,
}

/// The name of a kept answer within its history.
pub(super) fn answer_name(ask: &Ask<'_>) -> String {
    format!("{}:{}", hex::encode(ask.question.id.0), hex::encode(ask.question.content.0))
}

/// This process's own memory: the whole truth where there is one process, and what is left of it while
/// Redis is away. Bounded: where there is no room, what was not used for longest is forgotten.
#[derive(Debug)]
pub(super) struct Questions {
    histories: Cache<HistoryName, Arc<History>>,
    answers: Cache<(HistoryName, [u8; 16]), KeptAnswer>,
}

#[derive(Debug, Clone)]
struct KeptAnswer {
    content: [u8; 16],
    sealed: Arc<[u8]>,
    until: Timestamp,
}

impl Questions {
    pub(super) fn new() -> Self {
        let weight = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            histories: Cache::builder()
                .weigher(move |_, history: &Arc<History>| weight(1 + history.questions().count()))
                .max_capacity(QUESTIONS_IN_MEMORY_MAX)
                .build(),
            answers: Cache::builder()
                .weigher(move |_, answer: &KeptAnswer| weight(128 + answer.sealed.len()))
                .max_capacity(ANSWERS_KEPT_BYTES_MAX)
                .build(),
        }
    }

    /// The answer that is kept for a repetition.
    pub(super) fn kept(&self, ask: &Ask<'_>) -> Option<Vec<u8>> {
        let name = (*ask.history, ask.question.id.0);
        let kept = self.answers.get(&name)?;
        let counts = kept.content == ask.question.content.0 && kept.until > ask.question.at;
        counts.then(|| kept.sealed.to_vec())
    }

    /// Notes the question and tells those before it.
    pub(super) fn ask(&self, ask: &Ask<'_>) -> History {
        let mut before = Arc::default();
        self.histories.entry(*ask.history).and_compute_with(|known| {
            before = known.map(moka::Entry::into_value).unwrap_or_default();
            let mut history = History::clone(&before);
            history.ask(ask.question.clone());
            Op::Put(Arc::new(history))
        });
        Arc::unwrap_or_clone(before)
    }

    /// Notes what became of it.
    pub(super) fn told(&self, ask: &Ask<'_>, told: Told<'_>) {
        let question = ask.question;
        self.histories.entry(*ask.history).and_compute_with(|known| {
            let Some(known) = known else { return Op::Nop };
            let mut history = History::clone(&known.into_value());
            history.answered(&question.id, &question.content, told.answer);
            Op::Put(Arc::new(history))
        });
        if let Some((sealed, lasting)) = told.kept {
            let lasting = SignedDuration::try_from(lasting).unwrap_or(SignedDuration::ZERO);
            let until = question.at.checked_add(lasting).unwrap_or(question.at);
            let content = question.content.0;
            let kept = KeptAnswer { content, sealed: sealed.into(), until };
            self.answers.insert((*ask.history, question.id.0), kept);
        }
    }
}
