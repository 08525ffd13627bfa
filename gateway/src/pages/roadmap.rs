//! The roadmap for everybody: `/roadmap` in French and English, `/roadmap.json` for programs. The same page
//! is what `octroi roadmap --output html` writes.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LANGUAGE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use policies::{LifeStage, World};

use super::language::Language;
use super::visit::{language, parameter};
use crate::clock;
use crate::roadmap::{Roadmap, Row};

/// How long a browser or a portal may keep it.
const KEPT: &str = "public, max-age=300";

/// Gives the world that requests are judged by now.
pub type Worlds = Arc<dyn Fn() -> Arc<World> + Send + Sync>;

pub(super) fn routes(world: Worlds) -> Router {
    Router::new().route("/roadmap", get(page)).route("/roadmap.json", get(json)).with_state(world)
}

async fn page(
    State(world): State<Worlds>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(&headers, parameter(query.as_deref(), "lang").as_deref());
    let roadmap = Roadmap::of(&world().routes, clock::now());
    let Ok(html) = html(&roadmap, language, "") else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers =
        [(CACHE_CONTROL, KEPT), (VARY, "Accept-Language"), (CONTENT_LANGUAGE, language.code())];
    (headers, Html(html)).into_response()
}

async fn json(State(world): State<Worlds>) -> Response {
    let roadmap = Roadmap::of(&world().routes, clock::now());
    ([(CACHE_CONTROL, KEPT)], Json(roadmap)).into_response()
}

/// The page; its links begin with `base`, which is empty where the PSU listener serves it.
///
/// # Errors
/// The template's; cannot happen for these values.
pub fn html(roadmap: &Roadmap, language: Language, base: &str) -> askama::Result<String> {
    let mut apis: Vec<Section<'_>> = Vec::new();
    for row in &roadmap.versions {
        match apis.last_mut().filter(|section| section.api == row.api) {
            Some(section) => section.rows.push(row),
            None => apis.push(Section { api: &row.api, rows: vec![row] }),
        }
    }
    let said = Said::of(language);
    Page { language, said, base, apis, as_of: roadmap.as_of }.render()
}

/// The versions of one API.
struct Section<'a> {
    api: &'a str,
    rows: Vec<&'a Row>,
}

#[derive(Template)]
#[template(path = "roadmap.html")]
struct Page<'a> {
    language: Language,
    said: &'static Said,
    base: &'a str,
    apis: Vec<Section<'a>>,
    as_of: Timestamp,
}

impl Page<'_> {
    /// An instant in words; the day alone where it is the first instant of one, in UTC.
    fn on(&self, instant: &Timestamp) -> String {
        let zoned = instant.to_zoned(TimeZone::UTC);
        let day = self.language.date(zoned.date());
        let time = zoned.time();
        match time == Time::midnight() {
            true => day,
            false => format!("{day}, {:02}:{:02}\u{a0}UTC", time.hour(), time.minute()),
        }
    }

    fn stage(&self, stage: &LifeStage) -> &'static str {
        match stage {
            LifeStage::Planned => self.said.planned,
            LifeStage::Active => self.said.active,
            LifeStage::Deprecated => self.said.deprecated,
            LifeStage::BrownOut { .. } => self.said.brown_out,
            LifeStage::KeptAlive => self.said.kept_alive,
            LifeStage::Retired { .. } => self.said.retired,
        }
    }
}

/// What the page says in one language.
struct Said {
    title: &'static str,
    lead: &'static str,
    as_of: &'static str,
    planned: &'static str,
    active: &'static str,
    deprecated: &'static str,
    brown_out: &'static str,
    kept_alive: &'static str,
    retired: &'static str,
    begins: &'static str,
    announced: &'static str,
    deprecated_from: &'static str,
    ends: &'static str,
    successor: &'static str,
    brown_outs: &'static str,
    brown_outs_are: &'static str,
    until: &'static str,
    emergency: &'static str,
    documentation: &'static str,
    paths: &'static str,
    for_programs: &'static str,
    other_language: &'static str,
}

impl Said {
    const fn of(language: Language) -> &'static Self {
        match language {
            Language::French => &Self::FRENCH,
            Language::English => &Self::ENGLISH,
        }
    }

    const FRENCH: Self = Self {
        title: "Feuille de route des API",
        lead: "Les versions de chaque API, leur état et ce qui vient. La fin d’une version est publiée \
               au moins trois mois à l’avance (règlement délégué (UE) 2018/389, article 30, \
               paragraphe 4). Les jours commencent à minuit UTC.",
        as_of: "État au",
        planned: "à venir",
        active: "en service",
        deprecated: "dépréciée",
        brown_out: "coupure d’essai en cours",
        kept_alive: "terminée, encore servie",
        retired: "terminée",
        begins: "Ouverture",
        announced: "Fin annoncée le",
        deprecated_from: "Dépréciée à partir du",
        ends: "Fin",
        successor: "À remplacer par",
        brown_outs: "Coupures d’essai",
        brown_outs_are: "Pendant ce temps la version répond comme après sa fin (410).",
        until: "au",
        emergency: "Fin sans le préavis de trois mois",
        documentation: "Documentation",
        paths: "Chemins",
        for_programs: "La même chose pour les programmes\u{a0}:",
        other_language: "English",
    };

    const ENGLISH: Self = Self {
        title: "API roadmap",
        lead: "The versions of each API, where each stands, and what comes. The end of a version is \
               published at least three months before (Commission Delegated Regulation (EU) 2018/389, \
               article 30(4)). Days begin at midnight UTC.",
        as_of: "As of",
        planned: "planned",
        active: "in service",
        deprecated: "deprecated",
        brown_out: "brown-out under way",
        kept_alive: "ended, still served",
        retired: "ended",
        begins: "Begins",
        announced: "End announced on",
        deprecated_from: "Deprecated from",
        ends: "Ends",
        successor: "Move to",
        brown_outs: "Brown-outs",
        brown_outs_are: "In this time the version answers as it will after its end (410).",
        until: "to",
        emergency: "Ends without the notice of three months",
        documentation: "Documentation",
        paths: "Paths",
        for_programs: "The same for programs:",
        other_language: "Français",
    };
}
