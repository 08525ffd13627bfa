//! A real Prometheus that scrapes what a test runs, every second.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::get;
use crate::eventually;
use crate::gateway::free;

pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Prometheus {
    /// Scrapes `targets` as the job "octroi", with the rules of `folder`.
    pub fn start(targets: &[SocketAddr], folder: &Path) -> Self {
        let (dir, address) = (tempfile::tempdir().unwrap(), free());
        for file in ["rules.yml", "alerts.yml"] {
            fs::copy(folder.join(file), dir.path().join(file)).unwrap();
        }
        let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
             rule_files: [rules.yml, alerts.yml]\n\
             scrape_configs:\n  - job_name: octroi\n    static_configs: [{{ targets: [{}] }}]\n",
            targets.join(", ")
        );
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus is missing: run `.ci/deps test`, or install Prometheus");
        let mut prometheus = Self { child, address, dir };
        eventually("Prometheus is ready", || {
            if let Some(status) = prometheus.child.try_wait().unwrap() {
                panic!("prometheus ended with {status}: {}", prometheus.log());
            }
            TcpStream::connect(prometheus.address).ok()?;
            (get(prometheus.address, "/-/ready").status == 200).then_some(())
        });
        prometheus
    }

    /// What an expression gives now, or why it gives nothing.
    pub fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        let answer = self.ask("/api/v1/query", &[("query", expr)]);
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        Ok(answer["data"]["result"].as_array().unwrap().clone())
    }

    /// The exemplars of the last minutes.
    pub fn exemplars(&self, expr: &str) -> Vec<Value> {
        let now = jiff::Timestamp::now().as_second();
        let (start, end) = ((now - 300).to_string(), (now + 1).to_string());
        let of = [("query", expr), ("start", &start), ("end", &end)];
        let answer = self.ask("/api/v1/query_exemplars", &of);
        let series = answer["data"].as_array().unwrap().iter();
        series.flat_map(|series| series["exemplars"].as_array().unwrap().clone()).collect()
    }

    /// Every target, as it was last scraped.
    pub fn targets(&self) -> Vec<Value> {
        let answer = self.ask("/api/v1/targets", &[]);
        answer["data"]["activeTargets"].as_array().unwrap().clone()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn ask(&self, path: &str, of: &[(&str, &str)]) -> Value {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(of).finish();
        // HTTP/1.0, for an answer in one piece.
        let mut socket = TcpStream::connect(self.address).unwrap();
        write!(socket, "GET {path}?{query} HTTP/1.0\r\nHost: prometheus\r\n\r\n").unwrap();
        let mut octets = Vec::new();
        socket.read_to_end(&mut octets).unwrap();
        let body = octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        serde_json::from_slice(&octets[body..]).unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
