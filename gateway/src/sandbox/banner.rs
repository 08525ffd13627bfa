//! What a newcomer sees when the sandbox is ready: where it is, who lives in it, and lines to copy
//! that work as they stand.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use url::form_urlencoded;

use super::DOMAIN;
use super::clients::CALLBACK_PATH;
use super::persona::{ACCOUNTS, Persona, SMS_CODE};
use super::ready::Ready;
use super::tpp::Tpp;

/// An amount between the balances of the personas.
const REQUEST: &str = r#"{"paymentCoverageRequestId":"MyCoverage123456","instructedAmount":{"currency":"EUR","amount":"100"},"accountId":{"iban":"FR7617515000920440878790811"}}"#;
/// The newest version of the API in the configuration of the sandbox.
const PATH: &str = "/stet/psd2/v1.6.2/funds-confirmations";

/// The text that `octroi sandbox` prints once every listener answers.
#[derive(Debug)]
pub struct Banner<'a> {
    pub(super) ready: Ready,
    /// Absolute.
    pub(super) dir: &'a Path,
    /// The running binary: it need not be on the `PATH`.
    pub(super) program: &'a Path,
}

impl Banner<'_> {
    /// The host of the personas' bank, with the port of the TPP listener.
    fn host(&self) -> String {
        format!("www.{}.{DOMAIN}:{}", Persona::Gilles.codetab(), self.ready.tpp.port())
    }

    fn file(&self, name: &str) -> String {
        word(&self.dir.join(name)).into_owned()
    }

    fn token_line(&self) -> String {
        let (program, dir) = (word(self.program), word(self.dir));
        let persona = Persona::Gilles;
        format!("TOKEN=$({program} sandbox token --dir {dir} --tpp funds-co --persona {persona})")
    }

    /// Where a customer begins who is sent by a TPP.
    fn authorize_link(&self) -> String {
        let psu = self.ready.psu.port();
        let host = format!("www.{}.{DOMAIN}:{psu}", Persona::Gilles.codetab());
        let call_back = format!("https://localhost:{psu}{CALLBACK_PATH}");
        let client = Tpp::ALL.iter().find(|tpp| tpp.name == "funds-co");
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", client.map_or("", |tpp| tpp.organisation_id))
            .append_pair("redirect_uri", &call_back)
            .append_pair("scope", "cbpii")
            .append_pair("state", "af0ifjsldkj")
            .finish();
        format!("https://{host}/stet/psd2/oauth/authorize?{query}")
    }

    fn fallback_line(&self) -> String {
        let (ca, host) = (self.file("server-ca.pem"), self.host());
        let (certificate, key) =
            (self.file("tpp/account-info/qwac.pem"), self.file("tpp/account-info/qwac.key"));
        format!(
            "curl --cacert {ca} \\\n  --cert {certificate} --key {key} \\\n  \
             -H 'fallback: 1' https://{host}/login"
        )
    }

    fn curl_line(&self, version: &str, tpp: &str) -> String {
        let (ca, host) = (self.file("server-ca.pem"), self.host());
        let certificate = self.file(&format!("tpp/{tpp}/qwac.pem"));
        let key = self.file(&format!("tpp/{tpp}/qwac.key"));
        format!(
            "curl {version} --cacert {ca} \\\n  --cert {certificate} --key {key} \\\n  \
             -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n  \
             -d '{REQUEST}' \\\n  -w '\\nHTTP/%{{http_version}} %{{http_code}}\\n' \\\n  \
             https://{host}{PATH}"
        )
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ready { psu, admin, pid, .. } = &self.ready;
        writeln!(
            f,
            "octroi sandbox is ready: TPP https://{}  PSU https://localhost:{}  admin http://{admin}",
            self.host(),
            psu.port(),
        )?;
        writeln!(f, "It keeps everything in {}.", self.dir.display())?;
        writeln!(f, "To stop it: Ctrl-C here, or kill {pid}.\n")?;
        writeln!(f, "{}\n", personas())?;
        writeln!(f, "The SMS code of everybody is {SMS_CODE}.\n")?;
        writeln!(
            f,
            "Be a customer: open this in a browser, which must trust {} or be told to go on.\n\n{}\n",
            self.file("server-ca.pem"),
            self.authorize_link(),
        )?;
        writeln!(f, "Are the funds there? In another terminal:\n")?;
        writeln!(f, "{}\n", self.token_line())?;
        writeln!(f, "{}\n", self.curl_line("--http1.1", "funds-co"))?;
        writeln!(f, "The same over HTTP/2:\n\n{}\n", self.curl_line("--http2", "funds-co"))?;
        writeln!(
            f,
            "A TPP without the role for it is refused, and told why:\n\n{}\n",
            self.curl_line("--http1.1", "account-info")
        )?;
        writeln!(
            f,
            "Any TPP may come to the bank's own site, without a token (RTS art. 33):\n\n{}",
            self.fallback_line()
        )
    }
}

fn personas() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["persona", "holder", "segment", "login", "codetab", "IBAN", "balance EUR"]);
    for account in ACCOUNTS {
        table.add_row([
            account.persona.key(),
            account.holder,
            account.segment,
            account.login,
            account.codetab,
            account.iban,
            &account.balance.to_string(),
        ]);
    }
    if let Some(balance) = table.column_mut(6) {
        balance.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A path as one word of a POSIX shell.
fn word(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Addresses;

    fn banner(dir: &str, program: &str) -> String {
        let [tpp, psu, admin] = [40443, 40444, 49443].map(|port| ([127, 0, 0, 1], port).into());
        let ready = Ready::new(Addresses { tpp, psu, admin });
        Banner { ready, dir: Path::new(dir), program: Path::new(program) }.to_string()
    }

    #[test]
    fn every_line_to_copy_names_real_ports_files_and_the_running_program() {
        let text = banner("/srv/sandbox", "/opt/octroi");
        for line in [
            "TOKEN=$(/opt/octroi sandbox token --dir /srv/sandbox --tpp funds-co --persona gilles)",
            "curl --http1.1 --cacert /srv/sandbox/server-ca.pem \\",
            "curl --http2 --cacert /srv/sandbox/server-ca.pem \\",
            "  --cert /srv/sandbox/tpp/funds-co/qwac.pem --key /srv/sandbox/tpp/funds-co/qwac.key \\",
            "  --cert /srv/sandbox/tpp/account-info/qwac.pem --key /srv/sandbox/tpp/account-info/qwac.key \\",
            "  https://www.17515.sandbox.api.localhost:40443/stet/psd2/v1.6.2/funds-confirmations",
            "  -w '\\nHTTP/%{http_version} %{http_code}\\n' \\",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_personas_stand_in_the_banner_with_their_balances() {
        let text = banner("/srv/sandbox", "/opt/octroi");
        for account in ACCOUNTS {
            let line = text.lines().find(|line| line.contains(account.iban)).unwrap();
            let words = [account.holder, account.login, &account.balance.to_string()];
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
        }
        assert!(text.contains(SMS_CODE));
    }

    #[test]
    fn a_path_stays_one_word_of_the_shell() {
        for (path, expected) in [
            ("/srv/sandbox", "/srv/sandbox"),
            ("/home/a b", "'/home/a b'"),
            ("/it's", r"'/it'\''s'"),
            ("/$(rm)", "'/$(rm)'"),
            ("", "''"),
        ] {
            assert_eq!(word(Path::new(path)), expected);
        }
    }
}
