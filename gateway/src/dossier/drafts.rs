//! The drafts: the notification to the authority and the note to customers, in French and English. What
//! only a person can know stands between « and », to be filled in. Once the reason has ended, the note that says so
//! takes the place of the notification.

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use policies::register::{Record, Snapshot};
use pulldown_cmark::{self as markdown, Options, Parser, html};
use serde::Serialize;

use super::case::{Case, Count};
use super::{DossierError, Folder};

/// In which language drafts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// French.
    Fr,
    /// English.
    En,
    /// Both.
    #[default]
    Both,
}

/// What one register says, as the dossier keeps it.
#[derive(Serialize)]
pub(super) struct Said<'a> {
    /// The name of the snapshot.
    snapshot: &'a str,
    /// Its files, with the instants of their publication.
    files: Vec<(String, String, Timestamp)>,
    /// The records about the organisation.
    records: Vec<&'a Record>,
}

/// What `snapshot` says of `organisation_id`.
pub(super) fn said<'a>(
    name: &'a str,
    snapshot: &'a Snapshot,
    organisation_id: &'a str,
) -> Said<'a> {
    let sources = snapshot.sources.iter();
    let files = sources.map(|file| (file.file.clone(), file.sha256.clone(), file.as_of));
    Said {
        snapshot: name,
        files: files.collect(),
        records: snapshot.about(organisation_id).collect(),
    }
}

#[derive(Template)]
#[template(path = "dossier/authority.fr.md", escape = "none")]
struct AuthorityFr<'a>(&'a Told<'a>);

#[derive(Template)]
#[template(path = "dossier/authority.en.md", escape = "none")]
struct AuthorityEn<'a>(&'a Told<'a>);

#[derive(Template)]
#[template(path = "dossier/customers.fr.md", escape = "none")]
struct CustomersFr<'a>(&'a Told<'a>);

#[derive(Template)]
#[template(path = "dossier/customers.en.md", escape = "none")]
struct CustomersEn<'a>(&'a Told<'a>);

#[derive(Template)]
#[template(path = "dossier/closing.fr.md", escape = "none")]
struct ClosingFr<'a>(&'a Told<'a>);

#[derive(Template)]
#[template(path = "dossier/closing.en.md", escape = "none")]
struct ClosingEn<'a>(&'a Told<'a>);

/// A draft for whoever reads it in a browser, or prints it.
#[derive(Template)]
#[template(path = "dossier/page.html")]
struct Page<'a> {
    language: &'a str,
    title: &'a str,
    body: &'a str,
}

/// What the drafts say, in one language.
struct Told<'a> {
    case: &'a Case,
    name: String,
    since: String,
    last_refused: String,
    last_allowed: Option<String>,
    ended: Option<String>,
    standing: String,
    reasons: Vec<(String, &'a str, u64)>,
    days: &'a [Count],
    made: String,
}

/// Writes the drafts into `folder`.
///
/// # Errors
/// The file system's.
pub(super) fn write(
    folder: &mut Folder,
    case: &Case,
    language: Language,
    made: Timestamp,
) -> Result<(), DossierError> {
    if language != Language::En {
        let told = Told::new(case, made, "« nom du prestataire »", french);
        match case.closes {
            Some(_) => add(folder, "closing", "fr", &ClosingFr(&told).render()?)?,
            None => add(folder, "notification", "fr", &AuthorityFr(&told).render()?)?,
        }
        add(folder, "customers", "fr", &CustomersFr(&told).render()?)?;
    }
    if language != Language::Fr {
        let told = Told::new(case, made, "« name of the provider »", english);
        match case.closes {
            Some(_) => add(folder, "closing", "en", &ClosingEn(&told).render()?)?,
            None => add(folder, "notification", "en", &AuthorityEn(&told).render()?)?,
        }
        add(folder, "customers", "en", &CustomersEn(&told).render()?)?;
    }
    Ok(())
}

/// The text, and beside it the same as a page.
fn add(folder: &mut Folder, name: &str, language: &str, text: &str) -> Result<(), DossierError> {
    folder.add(&format!("drafts/{name}.{language}.md"), text.as_bytes())?;
    // A name out of a register is a name, whatever marks it holds.
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| match event {
        markdown::Event::Html(words) | markdown::Event::InlineHtml(words) => {
            markdown::Event::Text(words)
        }
        other => other,
    });
    let mut body = String::new();
    html::push_html(&mut body, events);
    let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let page = Page { language, title, body: &body }.render()?;
    folder.add(&format!("drafts/{name}.{language}.html"), page.as_bytes())
}

impl<'a> Told<'a> {
    fn new(
        case: &'a Case,
        made: Timestamp,
        nameless: &'a str,
        words: fn(&str) -> &'static str,
    ) -> Self {
        let none = || "-".to_owned();
        let reasons = case.reasons().into_iter();
        Self {
            case,
            name: case.name.as_deref().map_or_else(|| nameless.to_owned(), plain),
            since: case.since.map_or_else(none, instant),
            last_refused: case.last_refused.map_or_else(none, instant),
            last_allowed: case.last_allowed.map(instant),
            ended: case.ended.map(instant),
            standing: case.standing.as_deref().map_or_else(none, plain),
            reasons: reasons.map(|(code, n)| (words(code).to_owned(), code, n)).collect(),
            days: &case.by_day,
            made: instant(made),
        }
    }

    /// Since when it is let pass again.
    fn ended(&self) -> &str {
        self.ended.as_deref().unwrap_or("-")
    }
}

/// As Markdown that says nothing but `text`: what a register calls somebody makes no link and no heading.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => plain.push(' '),
            _ => {
                if c.is_ascii_punctuation() && !".,:'-()/&".contains(c) {
                    plain.push('\\');
                }
                plain.push(c);
            }
        }
    }
    plain
}

fn instant(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The reasons that stand against a TPP, as an authority or a customer is told them: the sentences of the
/// table of reasons speak to the TPP.
fn english(code: &str) -> &'static str {
    match code {
        "certificate_revoked" => "the provider's qualified certificate was revoked by its issuer",
        "certificate_untrusted" => {
            "the certificate was issued by no recognised qualified trust service provider"
        }
        "role_missing" => "the certificate lacks the PSD2 role that this service asks for",
        "register_unknown" => "no official register lists this provider",
        "register_withdrawn" => "the registers say that the provider's authorisation was withdrawn",
        "register_undetermined" => "the registers do not allow the authorisation to be determined",
        "register_role_missing" => "the registers do not list the service that was asked for",
        "register_passport_missing" => {
            "the registers do not list this service for the country of the institution"
        }
        "tpp_suspended" => "the institution has suspended this provider's access",
        _ => "",
    }
}

/// The reasons that stand against a TPP, in French.
fn french(code: &str) -> &'static str {
    match code {
        "certificate_revoked" => {
            "le certificat qualifié du prestataire a été révoqué par son émetteur"
        }
        "certificate_untrusted" => {
            "le certificat n'a été émis par aucun prestataire de services de confiance qualifié reconnu"
        }
        "role_missing" => "le certificat ne porte pas le rôle DSP2 exigé pour ce service",
        "register_unknown" => "aucun registre officiel ne mentionne ce prestataire",
        "register_withdrawn" => "les registres indiquent que l'agrément du prestataire a pris fin",
        "register_undetermined" => "les registres ne permettent pas de déterminer l'agrément",
        "register_role_missing" => "les registres ne mentionnent pas le service exigé",
        "register_passport_missing" => {
            "les registres ne mentionnent pas ce service pour le pays de l'établissement"
        }
        "tpp_suspended" => "l'établissement a suspendu l'accès de ce prestataire",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::BLOCKING;
    use super::*;

    #[test]
    fn a_page_shows_marks_of_a_name_and_obeys_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(directory.path()).unwrap();
        let link = plain("[Bank](javascript:alert(2))\n# Head");
        let text = format!(
            "# A <b>title</b>\n\n- Name: Funds <script>alert(1)</script> {link}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
        );
        add(&mut folder, "one", "en", &text).unwrap();
        let page = std::fs::read_to_string(directory.path().join("drafts/one.en.html")).unwrap();
        assert!(page.contains("Funds &lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(page.contains("<title>A &#60;b&#62;title"), "{page}");
        assert!(page.contains("[Bank](javascript:alert(2)) # Head"), "{page}");
        assert!(!page.contains("href") && !page.contains("Head</h1>"), "{page}");
        assert!(page.contains("<td>1</td>") && page.contains("lang=\"en\""), "{page}");
    }

    #[test]
    fn every_reason_against_a_tpp_has_its_words_in_both_languages() {
        for reason in BLOCKING {
            assert!(!french(reason.code()).is_empty(), "{reason}");
            assert!(!english(reason.code()).is_empty(), "{reason}");
        }
    }
}
