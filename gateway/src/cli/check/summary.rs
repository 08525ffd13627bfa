//! What a sound configuration amounts to.

use jiff::Timestamp;
use policies::{Life, World};
use serde::Serialize;

use crate::config::{Config, StoreSettings, UpstreamAddress};

/// Also the JSON form: `octroi check --output json` prints it.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) sound: bool,
    pub(super) file: String,
    /// Loosenings and risks, in words.
    pub(super) warnings: Vec<String>,
    pub(super) listeners: Vec<(&'static str, String)>,
    pub(super) anchors: Vec<Anchor>,
    /// `fresh`, `tolerated` or `expired`.
    pub(super) register: &'static str,
    pub(super) rows: Vec<Rows>,
    pub(super) store: &'static str,
    /// The issuer, with the place of the bank.
    pub(super) authorization: Option<String>,
    pub(super) apis: Vec<Api>,
    /// When it is open, and to which paths.
    pub(super) fallback: Option<String>,
    pub(super) codetabs: Vec<Codetab>,
}

#[derive(Serialize)]
pub(super) struct Anchor {
    pub(super) subject: String,
    pub(super) not_after: Timestamp,
}

/// What became of the rows of a register.
#[derive(Serialize)]
pub(super) struct Rows {
    pub(super) source: &'static str,
    pub(super) read: usize,
    pub(super) file: String,
    pub(super) used: usize,
    pub(super) not_relevant: usize,
    pub(super) rejected: usize,
}

#[derive(Serialize)]
pub(super) struct Api {
    pub(super) name: String,
    pub(super) roles: String,
    /// `name path…` of each version; a retired one says so.
    pub(super) versions: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Codetab {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) hosts: Vec<String>,
    pub(super) upstream: String,
    pub(super) customer_interface: Option<String>,
}

impl Summary {
    pub(super) fn of(config: &Config, world: &World, now: Timestamp) -> Self {
        let listen = &config.listen;
        let anchors = world.anchors.iter();
        let rows = world.register.sources().iter().map(|source| Rows {
            source: source.origin.code(),
            file: source.file.clone(),
            read: source.account.read,
            used: source.account.used,
            not_relevant: source.account.not_relevant,
            rejected: source.account.rejected,
        });
        Self {
            sound: true,
            file: config.file.display().to_string(),
            warnings: config.warnings(),
            listeners: vec![
                ("tpp", listen.tpp.address.to_string()),
                ("psu", listen.psu.address.to_string()),
                ("admin", listen.admin.address.to_string()),
            ],
            anchors: anchors
                .map(|anchor| Anchor {
                    subject: anchor.subject().to_owned(),
                    not_after: anchor.not_after(),
                })
                .collect(),
            register: world.register.freshness(now).code(),
            rows: rows.collect(),
            store: match config.store {
                StoreSettings::Embedded { .. } => "embedded",
                StoreSettings::Redis { .. } => "redis",
            },
            authorization: config
                .authorization
                .as_ref()
                .map(|server| server.issuer.of("<codetab>")),
            apis: config.apis.iter().map(api).collect(),
            fallback: config.fallback.as_ref().map(|settings| fallback(&settings.policy)),
            codetabs: config.codetabs.iter().map(|settings| codetab(config, settings)).collect(),
        }
    }
}

fn api(api: &policies::Api) -> Api {
    let version = |version: &policies::ApiVersion| {
        let Life { introduced, deprecated, sunset, kept_alive, .. } = &version.life;
        let mut life = String::new();
        for (what, date) in
            [("introduced", introduced), ("deprecated", deprecated), ("ends", sunset)]
        {
            if let Some(date) = date {
                let comma = if life.is_empty() { "" } else { ", " };
                life.push_str(&format!("{comma}{what} {}", policies::on(*date)));
            }
        }
        if *kept_alive && sunset.is_some() {
            life.push_str(", kept alive");
        }
        let life = if life.is_empty() { life } else { format!(" ({life})") };
        format!("{}{life}: {}", version.name, version.paths.join(" "))
    };
    Api {
        name: api.name.clone(),
        roles: api.required_roles.to_string(),
        versions: api.versions.iter().map(version).collect(),
    }
}

fn codetab(config: &Config, settings: &crate::config::CodetabSettings) -> Codetab {
    let code = &settings.codetab.code;
    Codetab {
        code: code.clone(),
        name: settings.codetab.name.clone(),
        hosts: config.domains.iter().map(|domain| domain.host(code)).collect(),
        upstream: address(&settings.upstream),
        customer_interface: settings.customer_interface.as_ref().map(address),
    }
}

fn address(upstream: &crate::config::Upstream) -> String {
    match &upstream.address {
        UpstreamAddress::Sockets(addresses) => addresses.join(" "),
        UpstreamAddress::SandboxBank => "the sandbox bank".to_owned(),
    }
}

fn fallback(policy: &policies::Fallback) -> String {
    let when = match policy.when {
        policies::FallbackWhen::Always => "always",
        policies::FallbackWhen::Down => "while the dedicated interface is down",
    };
    format!("open {when} for {}: {}", policy.required_roles, policy.paths.join(" "))
}
