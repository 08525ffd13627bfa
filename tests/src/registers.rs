//! A sandbox whose registers a test changes, as an authority or an operator would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::client::{Answer, Connection};
use crate::gateway::{Gateway, HOST, path_text};
use crate::{eventually, run};

/// The record of `funds-co` in the EBA's register, by its SIREN.
pub const SIREN: &str = "999999901";

pub fn register(verb: &[&str], config: &Path) -> Output {
    run(&[&["register"], verb, &["--config", path_text(config)]].concat())
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// A sandbox with one open connection that is answered.
pub struct Scene {
    pub gateway: Gateway,
    pub token: String,
    pub eba: String,
}

impl Scene {
    pub fn open() -> Self {
        let gateway = Gateway::sandbox();
        let token = gateway.token("funds-co", "gilles", &[]);
        let eba = fs::read_to_string(gateway.place().file("register/eba.json")).unwrap();
        let scene = Self { gateway, token, eba };
        eventually("the first snapshot", || (scene.list()["snapshot"].is_string()).then_some(()));
        scene
    }

    pub fn config(&self) -> PathBuf {
        self.gateway.place().file("octroi.toml")
    }

    pub fn list(&self) -> Value {
        let output = register(&["list", "--output", "json"], &self.config());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    pub fn snapshot(&self) -> String {
        self.list()["snapshot"].as_str().unwrap_or_default().to_owned()
    }

    pub fn connect(&self) -> Connection {
        self.gateway.tpp("funds-co").connect(HOST).unwrap()
    }

    pub fn ask(&self, connection: &mut Connection) -> Answer {
        connection.exchange(&self.gateway.request(&self.token).octets()).unwrap()
    }

    #[track_caller]
    pub fn until(&self, connection: &mut Connection, code: Option<&str>) {
        eventually(&format!("{code:?}"), || {
            let answer = self.ask(connection);
            let found = (answer.status != 200).then(|| answer.code());
            (found.as_deref() == code).then_some(())
        });
    }

    /// Puts another EBA register in the place of the old one, as an operator would.
    pub fn publish(&self, octets: impl AsRef<[u8]>) {
        let file = self.gateway.place().file("register/eba.json");
        let new = self.gateway.place().file("register/eba.new");
        fs::write(&new, octets).unwrap();
        fs::rename(&new, &file).unwrap();
    }

    /// The register with the authorisation of these references ended.
    pub fn without(&self, references: &[&str]) -> String {
        let mut document: Value = serde_json::from_str(&self.eba).unwrap();
        for entity in document[1].as_array_mut().unwrap() {
            let properties = entity["Properties"].as_array_mut().unwrap();
            let matches = |property: &Value| {
                references.iter().any(|reference| property["ENT_NAT_REF_COD"] == **reference)
            };
            if properties.iter().any(matches) {
                for property in properties.iter_mut().filter(|one| one["ENT_AUT"].is_array()) {
                    property["ENT_AUT"].as_array_mut().unwrap().push("2026-11-01".into());
                }
            }
        }
        document.to_string()
    }

    pub fn counted(&self, series: &str) -> f64 {
        let metrics = self.gateway.metrics();
        let line = metrics.lines().find(|line| line.starts_with(series)).unwrap_or_default();
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or(-1.0)
    }

    pub fn failures(&self) -> f64 {
        self.counted("octroi_register_refreshes_total{outcome=\"failed\"}")
    }

    pub fn events(&self, event: &str) -> Vec<Value> {
        self.gateway
            .place()
            .events()
            .into_iter()
            .filter(|line| line["event.action"] == event)
            .collect()
    }
}
