//! The balance-oracle guard on the line: what was asked about the account before is fetched and
//! judged by `policies`, and the adapter's yes or no is noted as it passes.

mod sealed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use pingora::http::ResponseHeader;
use policies::probing::{
    Action, Answer, ContentDigest, History, Question, RequestIdDigest, Rule, Suspicion, judge,
    retry_after,
};
use policies::{FundsRequest, GuardMode, Placeable, QuestionsFact, Refusal};
use serde::Deserialize;

use super::Gateway;
use super::context::Context;
use crate::audit::{People, Probing, Pseudonyms};
use crate::authorization;
use crate::config::BalanceGuardSettings;
use crate::store::{Ask, Asked, HistoryName, Store, Told};
use crate::traces::Waited;

/// A longer answer is neither understood nor kept.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// When the question was answered for the first time (RFC 3339).
const ANSWERED_BEFORE: HeaderName = HeaderName::from_static("octroi-answered-before");

/// A question that is on its way to the adapter and back.
pub(super) struct Guarded {
    history: HistoryName,
    question: Question,
    answer: Awaited,
    /// What was asked before, while nobody waits for it.
    asking: Option<Asking>,
}

/// The store's answer, for whoever needs it first; nothing where it never came.
type Asking = Shared<BoxFuture<'static, Option<Asked>>>;

/// How much of its answer has passed.
enum Awaited {
    /// Nothing.
    Head,
    /// So much of the body of a 200.
    Body(BytesMut),
    /// What it says, and it was noted.
    Noted,
    /// It does not say.
    Unknown,
}

impl Guarded {
    fn ask<'a>(&'a self, settings: &BalanceGuardSettings) -> Ask<'a> {
        Ask { history: &self.history, question: &self.question, window: settings.rule.window }
    }
}

/// What becomes of a question that is not refused.
pub(super) enum Guard {
    /// It goes on.
    Passes(Placeable),
    /// It was answered before.
    Answers(authorization::Answer),
}

/// Judges a request by the questions before it. Where the guard is off, or the API is another
/// one, it passes untouched.
///
/// # Errors
/// `balance_probing`, `state_unavailable`: only where the guard is enforced.
pub(super) async fn guarded(
    gateway: &Gateway,
    ctx: &mut Context,
    placeable: Placeable,
) -> Result<Guard, Refusal> {
    let view = Arc::clone(&ctx.view);
    let (Some(settings), Some(request)) = (&view.settings.balance_guard, placeable.funds_request())
    else {
        return Ok(Guard::Passes(placeable));
    };
    let pseudonyms = gateway.audit.pseudonyms();
    let guarded = question(pseudonyms, &placeable, request, ctx.now);
    let people = people(&placeable, request);

    if settings.mode == GuardMode::Observe {
        // It has no consequence, so the adapter is asked at the same time.
        let asking = begin(&gateway.store, &guarded, settings.rule.window);
        ctx.guarded = Some(Guarded { asking: Some(asking), ..guarded });
        return Ok(Guard::Passes(placeable));
    }
    let asked_at = Instant::now();
    let asked = gateway.store.question(&guarded.ask(settings)).await;
    ctx.waited(Waited::Store, asked_at);

    if let (Asked::Answered(sealed), GuardMode::Enforce) = (&asked, settings.mode)
        && let Some((at, body)) =
            sealed::open(pseudonyms, &guarded.history, &guarded.question.content, sealed)
    {
        // Nothing goes to the adapter.
        drop(placeable.with_questions(QuestionsFact::Quiet, settings.mode, &mut ctx.trail)?);
        ctx.answered_before = Some(at);
        ctx.people = Some(people);
        return Ok(Guard::Answers(repeated(at, body)));
    }
    let fact = fact(&asked, &guarded.question, settings);
    let suspicion = raised(gateway, ctx, fact, settings.mode);
    match placeable.with_questions(fact, settings.mode, &mut ctx.trail) {
        Ok(placeable) => {
            if suspicion.is_some_and(|suspicion| suspicion.action == Action::Slow) {
                tokio::time::sleep(settings.slow_by).await;
            }
            ctx.guarded = Some(guarded);
            Ok(Guard::Passes(placeable))
        }
        Err(refusal) => {
            // Its asker learns nothing by it, so it is none of the questions.
            let told = Told { answer: None, kept: None };
            gateway.store.told(&guarded.ask(settings), told).await;
            ctx.people = Some(people);
            Err(refusal)
        }
    }
}

/// Asks beside the request.
fn begin(store: &Arc<dyn Store>, guarded: &Guarded, window: Duration) -> Asking {
    let (store, history, question) = (Arc::clone(store), guarded.history, guarded.question.clone());
    let asking = tokio::spawn(async move {
        store.question(&Ask { history: &history, question: &question, window }).await
    });
    asking.map(Result::ok).boxed().shared()
}

/// Counts what was found, and keeps it for the record.
fn raised(
    gateway: &Gateway,
    ctx: &mut Context,
    fact: QuestionsFact,
    mode: GuardMode,
) -> Option<Suspicion> {
    let suspicion = match fact {
        QuestionsFact::Raised { suspicion, .. } => Some(suspicion),
        QuestionsFact::Quiet | QuestionsFact::Unreadable => None,
    };
    if let Some(suspicion) = suspicion {
        gateway.metrics.balance_probing(suspicion);
        ctx.probing = Some(Probing::new(suspicion, mode == GuardMode::Enforce));
    }
    if fact == QuestionsFact::Unreadable {
        gateway.metrics.balance_guard_blind.inc();
    }
    suspicion
}

/// The question in digests under the audit key: whoever reads the store learns no account from it, and
/// finds none by trying.
fn question(
    pseudonyms: &Pseudonyms,
    placeable: &Placeable,
    request: &FundsRequest,
    at: Timestamp,
) -> Guarded {
    let organisation_id = placeable.organisation_id().as_str();
    let history = pseudonyms.of(&format!("questions\n{organisation_id}\n{}", request.iban()));
    let half = |kind: &str, digest: &[u8; 32]| {
        let whole = pseudonyms.of(&format!("{kind}\n{}", hex::encode(digest)));
        let mut half = [0; 16];
        half.copy_from_slice(&whole[..16]);
        half
    };
    let question = Question {
        at,
        amount: request.amount(),
        id: RequestIdDigest(half("question id", request.id_digest())),
        content: ContentDigest(half("question", request.content_digest())),
        answer: None,
    };
    Guarded { history, question, answer: Awaited::Head, asking: None }
}

fn people(placeable: &Placeable, request: &FundsRequest) -> People {
    People { psu: placeable.psu().map(str::to_owned), iban: Some(request.iban().to_owned()) }
}

fn fact(asked: &Asked, question: &Question, settings: &BalanceGuardSettings) -> QuestionsFact {
    let by = |history: &History, rule: &Rule| match judge(history, question, rule) {
        None => QuestionsFact::Quiet,
        Some(suspicion) => {
            let retry_after = retry_after(history, question, rule);
            QuestionsFact::Raised { suspicion, retry_after }
        }
    };
    match asked {
        Asked::History(history) => by(history, &settings.rule),
        Asked::OwnMemory(history, shares) if settings.mode == GuardMode::Enforce => {
            by(history, &settings.rule.shared_by(usize::try_from(*shares).unwrap_or(usize::MAX)))
        }
        Asked::OwnMemory(history, _) => by(history, &settings.rule),
        // An answer that is not given again: the bank is asked once more, which teaches nobody anything.
        Asked::Answered(_) => QuestionsFact::Quiet,
        Asked::Unreadable => QuestionsFact::Unreadable,
    }
}

/// What the bank said before.
fn repeated(at: Timestamp, body: Vec<u8>) -> authorization::Answer {
    let mut answer = authorization::Answer::of_json(200, body.into());
    if let Ok(at) = HeaderValue::from_str(&at.to_string()) {
        answer.headers.push((ANSWERED_BEFORE, at));
    }
    answer
}

/// The adapter's answer begins.
pub(super) fn head(ctx: &mut Context, response: &ResponseHeader) {
    if let Some(guarded) = &mut ctx.guarded
        && response.status == http::StatusCode::OK
        && ctx.refusal.is_none()
    {
        guarded.answer = Awaited::Body(BytesMut::new());
    }
}

/// A part of its body passes. It is understood as soon as it is whole, before the TPP can have read it:
/// whoever cuts the connection then has been answered all the same.
pub(super) fn body(gateway: &Arc<Gateway>, ctx: &mut Context, chunk: &[u8]) {
    let Some(guarded) = &mut ctx.guarded else { return };
    let Awaited::Body(body) = &mut guarded.answer else { return };
    if body.len() + chunk.len() > ANSWER_BYTES_MAX {
        guarded.answer = Awaited::Unknown;
        return;
    }
    body.extend_from_slice(chunk);
    if !body.trim_ascii_end().ends_with(b"}") {
        return;
    }
    let Ok(Confirmation { result }) = serde_json::from_slice(body) else { return };
    let answer = Some(if result { Answer::Yes } else { Answer::No });
    let body = body.split().freeze();
    guarded.answer = Awaited::Noted;
    let (history, question) = (guarded.history, guarded.question.clone());
    let (gateway, asking) = (Arc::clone(gateway), guarded.asking.clone());
    let view = Arc::clone(&ctx.view);
    tokio::spawn(async move {
        if let Some(asking) = asking {
            // The answer belongs to a question that stands there already.
            asking.await;
        }
        let Some(settings) = &view.settings.balance_guard else { return };
        let kept = (settings.mode == GuardMode::Enforce)
            .then(|| {
                let pseudonyms = gateway.audit.pseudonyms();
                sealed::seal(pseudonyms, &history, &question.content, question.at, &body)
            })
            .flatten();
        let kept = kept.as_deref().map(|sealed| (sealed, settings.idempotent_for));
        let ask = Ask { history: &history, question: &question, window: settings.rule.window };
        gateway.store.told(&ask, Told { answer, kept }).await;
    });
}

/// What was asked before is waited for, where nobody has yet: it belongs into the record, and the head of the
/// answer is the last place where there is time before that is closed. The question has been on its way since
/// before the adapter was asked, so it holds an answer up only where the adapter was the faster of the two, and
/// for no longer than the store's own time limit.
pub(super) async fn known(gateway: &Gateway, ctx: &mut Context) {
    let view = Arc::clone(&ctx.view);
    let Some(settings) = &view.settings.balance_guard else { return };
    let asking = ctx.guarded.as_mut().and_then(|guarded| guarded.asking.take());
    let Some(asking) = asking else { return };
    let asked_at = Instant::now();
    let asked = asking.await.unwrap_or(Asked::Unreadable);
    ctx.waited(Waited::Store, asked_at);
    let Some(guarded) = &ctx.guarded else { return };
    let fact = fact(&asked, &guarded.question, settings);
    raised(gateway, ctx, fact, settings.mode);
    // A trail ends with the check that failed.
    if ctx.trail.failed().is_none() {
        policies::observe(fact, &mut ctx.trail);
    }
}

/// The request is over. A question whose answer never began taught its asker nothing.
pub(super) async fn over(gateway: &Gateway, ctx: &mut Context) {
    known(gateway, ctx).await;
    let view = Arc::clone(&ctx.view);
    let (Some(guarded), Some(settings)) = (ctx.guarded.take(), &view.settings.balance_guard) else {
        return;
    };
    if matches!(guarded.answer, Awaited::Head) {
        let told = Told { answer: None, kept: None };
        gateway.store.told(&guarded.ask(settings), told).await;
    }
}

/// STET's FundsConfirmationResource, as far as it matters here.
#[derive(Deserialize)]
struct Confirmation {
    result: bool,
}
