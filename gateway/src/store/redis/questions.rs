//! Questions about accounts in Redis: one script and one slot for each question, one for its answer.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use policies::probing::{History, QUESTIONS_KEPT_MAX, answer_line, question_line};
use redis::{Cmd, Value};

use super::link::{Fault, Link};
use super::scripts::{self, Program, Text};
use crate::store::questions::{Ask, Asked, Questions, Told, answer_name};

static ASK_TEXT: LazyLock<Text> = LazyLock::new(|| Text::new("", include_str!("ask.lua")));
static TOLD_TEXT: LazyLock<Text> = LazyLock::new(|| Text::new("", include_str!("told.lua")));

/// Each question and each answer is an event.
const EVENTS_MAX: usize = 2 * QUESTIONS_KEPT_MAX;

/// Asks what was asked before, of all gateways; while Redis is away, of this one alone.
pub(super) async fn ask(
    link: &Arc<Link>,
    own: &Questions,
    gateways: Option<NonZeroU32>,
    ask: &Ask<'_>,
) -> Asked {
    // Noted here as well: an outage must not begin with an empty memory.
    let remembered = own.ask(ask);
    let call = Call::new(ask, question_line(ask.question), None, &ASK_TEXT);
    match scripts::run(link, &call, link.deadline()).await {
        Ok(Value::BulkString(sealed)) => Asked::Answered(sealed),
        Ok(Value::Array(events)) => history(&events).unwrap_or_else(|| {
            tracing::error!("what was asked about an account cannot be read in Redis");
            Asked::Unreadable
        }),
        Ok(_) => {
            tracing::error!("the script of questions gave an answer of another shape");
            Asked::Unreadable
        }
        Err(fault @ Fault::Refused(_)) => {
            tracing::error!(%fault, "what was asked about an account cannot be read in Redis");
            Asked::Unreadable
        }
        Err(Fault::CircuitOpen | Fault::TimedOut | Fault::Away(_)) => {
            match (own.kept(ask), gateways) {
                (Some(sealed), _) => Asked::Answered(sealed),
                (None, Some(gateways)) => Asked::OwnMemory(remembered, gateways.get()),
                // What others were asked meanwhile is anybody's guess.
                (None, None) => Asked::Unreadable,
            }
        }
    }
}

/// Notes what became of a question. What Redis does not hear of it counts as never answered.
pub(super) async fn told(link: &Arc<Link>, own: &Questions, ask: &Ask<'_>, told: Told<'_>) {
    own.told(ask, told);
    let line = answer_line(&ask.question.id, &ask.question.content, told.answer);
    let call = Call::new(ask, line, told.kept, &TOLD_TEXT);
    if let Err(fault) = scripts::run(link, &call, link.deadline()).await {
        tracing::debug!(%fault, "Redis did not hear what a question about an account was answered");
    }
}

fn history(events: &[Value]) -> Option<Asked> {
    let lines: Option<Vec<&[u8]>> = events
        .iter()
        .map(|event| match event {
            Value::BulkString(line) => Some(line.as_slice()),
            _ => None,
        })
        .collect();
    History::read(lines?).ok().map(Asked::History)
}

struct Call<'a> {
    keys: [String; 2],
    line: String,
    window: Duration,
    kept: Option<(&'a [u8], Duration)>,
    text: &'static LazyLock<Text>,
}

impl<'a> Call<'a> {
    fn new(
        ask: &Ask<'_>,
        line: String,
        kept: Option<(&'a [u8], Duration)>,
        text: &'static LazyLock<Text>,
    ) -> Self {
        // The braces make one slot of it in a cluster.
        let history = format!("octroi:questions:{{{}}}", hex::encode(ask.history));
        let answer = format!("{history}:{}", answer_name(ask));
        Self { keys: [history, answer], line, window: ask.window, kept, text }
    }
}

impl Program for Call<'_> {
    /// A question that is noted twice is one amount that was asked twice, which says nothing.
    const REPEATABLE: bool = true;

    fn text(&self) -> &'static Text {
        self.text
    }

    fn keys(&self) -> Vec<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    fn arguments(&self, command: &mut Cmd) {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (sealed, lasting) = self.kept.unwrap_or_default();
        command.arg(&self.line).arg(EVENTS_MAX).arg(milliseconds(self.window));
        command.arg(sealed).arg(milliseconds(lasting));
    }
}
