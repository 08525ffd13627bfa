//! The authorization server's two callers: an application of a TPP, and the browser of its customer,
//! which keeps cookies, follows redirections and fills in forms, and never leaves the bank.

use std::collections::BTreeMap;

use url::form_urlencoded;

use crate::client::{Answer, Client};
use crate::gateway::{DOMAIN, Gateway};

pub const AUTHORIZE: &str = "/stet/psd2/oauth/authorize";
pub const TOKEN: &str = "/stet/psd2/oauth/token";
pub const PAR: &str = "/stet/psd2/oauth/par";
pub const REVOKE: &str = "/stet/psd2/oauth/revoke";
pub const INTROSPECT: &str = "/stet/psd2/oauth/introspect";
pub const SMS_CODE: &str = "12345678";
pub const GILLES: &str = "9999999904";
pub const LEA: &str = "9999999901";
/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const FORM: &str = "application/x-www-form-urlencoded";

/// One application of a TPP, at one bank of one gateway.
#[derive(Clone)]
pub struct App {
    pub client: Client,
    pub client_id: String,
    pub call_back: String,
    pub issuer: String,
    /// The bank's host, without a port.
    pub host: String,
    /// To the PSU listener, without a certificate.
    pub psu: Client,
}

/// A pair of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub access: String,
    pub refresh: String,
}

impl App {
    pub fn of(gateway: &Gateway, tpp: &str) -> Self {
        Self::at(gateway, tpp, "17515")
    }

    pub fn at(gateway: &Gateway, tpp: &str, codetab: &str) -> Self {
        let config = gateway.config();
        let issuer = config["authorization"]["issuer"].as_str().unwrap();
        let public = config["listen"]["psu"]["public_url"].as_str().unwrap();
        let client_id = match tpp {
            "funds-co" | "renewed" => "PSDFR-ACPR-99901",
            "multi-role" => "PSDDE-BAFIN-99999902",
            "account-info" => "PSDNL-DNB-R999903",
            "withdrawn" => "PSDIE-CBI-C999904",
            other => panic!("{other} has no application"),
        };
        Self {
            client: gateway.tpp(tpp),
            client_id: client_id.to_owned(),
            call_back: format!("{public}/callback"),
            issuer: issuer.replace("{codetab}", codetab),
            host: format!("www.{codetab}.{DOMAIN}"),
            psu: Client::new(gateway.addresses.psu, &gateway.server_ca(), None),
        }
    }

    /// A form, posted with the QWAC.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("POST", path, &[("Content-Type", FORM)], &form(fields))
    }

    /// Whatever a test wants to send with the QWAC.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let octets = request(method, &self.host, path, fields, body);
        self.client.connect(&self.host).unwrap().exchange(&octets).unwrap()
    }

    /// The parameters of an authorization request of cbpii, `more` added or, when empty, taken away.
    pub fn asked<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut pairs = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.call_back.as_str()),
            ("scope", "cbpii"),
        ]);
        pairs.extend(more.iter().copied());
        pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    pub fn authorize_path(&self, more: &[(&str, &str)]) -> String {
        format!("{AUTHORIZE}?{}", form(&self.asked(more)))
    }

    pub fn browser(&self) -> Browser {
        let host = self.issuer.trim_start_matches("https://").to_owned();
        Browser { client: self.psu.clone(), host, cookies: BTreeMap::new(), accept: None }
    }

    /// A browser at the first page of a visit.
    #[track_caller]
    pub fn visit(&self, more: &[(&str, &str)]) -> (Browser, Page) {
        let mut browser = self.browser();
        let page = browser.open(&self.authorize_path(more)).page();
        (browser, page)
    }

    /// A customer consents for all accounts; what comes to the call-back.
    #[track_caller]
    pub fn consent(&self, login: &str, more: &[(&str, &str)]) -> Landed {
        let (mut browser, page) = self.visit(more);
        browser.consent(page, login, None)
    }

    #[track_caller]
    pub fn code(&self, login: &str) -> String {
        self.consent(login, &[]).get("code").unwrap()
    }

    /// Fields of an exchange, `more` added or, when empty, taken away.
    pub fn exchange(&self, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.call_back.as_str()),
        ]);
        fields.extend(more.iter().copied());
        let fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        self.post(TOKEN, &fields)
    }

    #[track_caller]
    pub fn pair(&self, login: &str) -> Pair {
        Pair::of(&self.exchange(&self.code(login), &[]))
    }

    pub fn refresh(&self, refresh: &str) -> Answer {
        let grant = ("grant_type", "refresh_token");
        let client_id = ("client_id", self.client_id.as_str());
        self.post(TOKEN, &[grant, client_id, ("refresh_token", refresh)])
    }

    /// `active` of introspection.
    #[track_caller]
    pub fn is_active(&self, token: &str) -> bool {
        let answer = self.post(INTROSPECT, &[("token", token)]);
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()["active"].as_bool().unwrap()
    }
}

impl Pair {
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.json());
        let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

/// A browser of a customer.
#[derive(Clone)]
pub struct Browser {
    pub client: Client,
    /// What it says in `Host`.
    pub host: String,
    pub cookies: BTreeMap<String, String>,
    /// `Accept-Language`.
    pub accept: Option<String>,
}

/// Where redirections ended: at a page of the bank, or away from it.
#[derive(Clone, Debug)]
pub struct Landed {
    pub answer: Answer,
    /// The path of the page, or the URL elsewhere.
    pub at: String,
}

/// A page of the bank.
#[derive(Clone, Debug)]
pub struct Page {
    pub path: String,
    pub status: u16,
    pub html: String,
}

impl Browser {
    #[track_caller]
    pub fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let cookies = cookies.join("; ");
        let mut fields = Vec::new();
        fields.extend((!cookies.is_empty()).then_some(("Cookie", cookies.as_str())));
        fields.extend(body.map(|_| ("Content-Type", FORM)));
        fields.extend(self.accept.as_deref().map(|accept| ("Accept-Language", accept)));
        let octets = request(method, &self.host, path, &fields, body.unwrap_or_default());
        let name = self.host.split(':').next().unwrap();
        let answer = self.client.connect(name).unwrap().exchange(&octets).unwrap();
        for (_, line) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
            self.cookies.retain(|_, value| !value.is_empty());
        }
        answer
    }

    /// Opens a page, and follows where it leads within the bank.
    #[track_caller]
    pub fn open(&mut self, path: &str) -> Landed {
        let answer = self.send("GET", path, None);
        self.follow(path.to_owned(), answer)
    }

    #[track_caller]
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Landed {
        let answer = self.send("POST", path, Some(&form(fields)));
        self.follow(path.to_owned(), answer)
    }

    #[track_caller]
    fn follow(&mut self, mut at: String, mut answer: Answer) -> Landed {
        let own = format!("https://{}", self.host);
        while let Some(location) = answer.header("location").map(str::to_owned) {
            assert_eq!(answer.status, 303, "a redirection is 303 and nothing else");
            at = location.strip_prefix(&own).unwrap_or(&location).to_owned();
            if !at.starts_with('/') {
                break;
            }
            answer = self.send("GET", &at, None);
        }
        Landed { answer, at }
    }

    /// Presses a button of the page.
    #[track_caller]
    pub fn press(&mut self, page: &Page, step: &str, fields: &[(&str, &str)]) -> Landed {
        let (csrf, lang) = (page.value("csrf"), page.value("lang"));
        let mut sent = vec![("csrf", csrf.as_str()), ("lang", &lang), ("step", step)];
        sent.extend(fields);
        self.post(page.path.split('?').next().unwrap(), &sent)
    }

    /// From the first page to the list of accounts.
    #[track_caller]
    pub fn log_in(&mut self, page: &Page, login: &str) -> Page {
        let page = self.press(page, "login", &[("login", login)]).page();
        self.press(&page, "code", &[("code", SMS_CODE)]).page()
    }

    /// From the first page to the call-back; `accounts`: their numbers, none: all.
    #[track_caller]
    pub fn consent(&mut self, page: Page, login: &str, accounts: Option<&[&str]>) -> Landed {
        let page = self.log_in(&page, login);
        let boxes = page.html.matches("name=\"account\"").count();
        let all: Vec<String> = (0..boxes).map(|number| number.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let chosen: Vec<_> =
            accounts.unwrap_or(&all).iter().map(|number| ("account", *number)).collect();
        self.press(&page, "accept", &chosen)
    }
}

impl Landed {
    /// The page of the bank at which the browser is.
    #[track_caller]
    pub fn page(self) -> Page {
        let html = String::from_utf8(self.answer.body).unwrap();
        assert!(self.at.starts_with('/'), "left the bank for {}", self.at);
        Page { path: self.at, status: self.answer.status, html }
    }

    /// A parameter of the URL elsewhere, which stands there once at most.
    pub fn get(&self, name: &str) -> Option<String> {
        let (_, query) = self.at.split_once('?')?;
        let mut pairs = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
        let found = pairs.next().map(|(_, value)| value.into_owned());
        assert!(pairs.next().is_none(), "{name} stands twice in {}", self.at);
        found
    }
}

impl Page {
    /// The value of a hidden field.
    #[track_caller]
    pub fn value(&self, name: &str) -> String {
        let rest = self.html.split_once(&format!("name=\"{name}\" value=\""));
        let rest = rest.unwrap_or_else(|| panic!("no {name} in {}", self.html)).1;
        rest.split_once('"').unwrap().0.to_owned()
    }

    /// The one link out of a page that ends a visit.
    #[track_caller]
    pub fn link(&self) -> String {
        let rest = self.html.split_once("class=\"go\" href=\"");
        let rest = rest.unwrap_or_else(|| panic!("no link in {}", self.html)).1;
        let link = rest.split_once('"').unwrap().0;
        link.replace("&#38;", "&").replace("&amp;", "&")
    }
}

pub fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub fn request(
    method: &str,
    host: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{head}\r\n{body}").into_bytes()
}
