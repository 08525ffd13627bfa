//! Chromium without a screen, driven as a person would: it looks for things on the page, clicks and
//! types. Over the DevTools protocol on a pair of pipes; the page's own scripts, had it any, are off.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually;

/// A phone of 390 by 844.
const PHONE: (u32, u32) = (390, 844);

/// A window of one page. Dropping it ends the browser.
pub struct Chromium {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    asked: u64,
    _dir: TempDir,
}

impl Chromium {
    /// A fresh browser that knows nobody and takes any certificate.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pipes = ["to", "from"].map(|name| dir.path().join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        let profile = format!("--user-data-dir={}", dir.path().join("profile").display());
        // The protocol is spoken over the descriptors 3 and 4, which a shell can hand on.
        let script = "for name in chromium chromium-browser google-chrome; do \
                      command -v $name >/dev/null && exec $name \"$@\" 3<\"$TO\" 4>\"$FROM\"; \
                      done; exit 127";
        let child = Command::new("sh")
            .args(["-c", script, "chromium", "--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--no-first-run", "--ignore-certificate-errors"])
            .args(["--remote-debugging-pipe", &profile, "about:blank"])
            .env("TO", &pipes[0])
            .env("FROM", &pipes[1])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = File::options().write(true).open(&pipes[0]).unwrap();
        let from = BufReader::new(File::open(&pipes[1]).unwrap());
        let mut browser = Self { child, to, from, session: None, asked: 0, _dir: dir };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", target);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        let (width, height) = PHONE;
        let phone =
            json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
        browser.ask("Emulation.setDeviceMetricsOverride", phone);
        browser.ask("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
        browser
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.try_ask(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_ask(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut told = Vec::new();
            self.from.read_until(0, &mut told).unwrap();
            assert_eq!(told.pop(), Some(0), "the browser has ended");
            let mut told: Value = serde_json::from_slice(&told).unwrap();
            // Everything else is an event that nobody waits for.
            if told["id"] == self.asked {
                let error = told["error"].take();
                return if error.is_null() { Ok(told["result"].take()) } else { Err(error) };
            }
        }
    }

    pub fn open(&mut self, url: &str) {
        self.ask("Page.navigate", json!({ "url": url }));
    }

    /// Where the browser is. Between two pages it is nowhere for a moment.
    pub fn url(&mut self) -> String {
        eventually("the address", || {
            let history = self.try_ask("Page.getNavigationHistory", json!({})).ok()?;
            let index = usize::try_from(history["currentIndex"].as_u64()?).ok()?;
            history["entries"][index]["url"].as_str().map(str::to_owned)
        })
    }

    fn node(&mut self, selector: &str) -> Option<Value> {
        let document = self.try_ask("DOM.getDocument", json!({ "depth": 0 })).ok()?;
        let asked = json!({ "nodeId": document["root"]["nodeId"], "selector": selector });
        let found = self.try_ask("DOM.querySelector", asked).ok()?["nodeId"].take();
        (found != 0).then_some(found)
    }

    /// Waits until the page has such an element.
    pub fn wait_for(&mut self, selector: &str) {
        eventually(selector, || self.node(selector).map(drop));
    }

    /// The page as it stands.
    pub fn html(&mut self) -> String {
        eventually("the page", || {
            let node = self.node("html")?;
            let html = self.try_ask("DOM.getOuterHTML", json!({ "nodeId": node })).ok()?;
            html["outerHTML"].as_str().map(str::to_owned)
        })
    }

    /// Types into a field.
    pub fn fill(&mut self, selector: &str, text: &str) {
        eventually(selector, || {
            let node = self.node(selector)?;
            self.try_ask("DOM.focus", json!({ "nodeId": node })).ok()
        });
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// Clicks on the middle of an element.
    pub fn click(&mut self, selector: &str) {
        let (x, y) = eventually(selector, || {
            let node = self.node(selector)?;
            self.try_ask("DOM.scrollIntoViewIfNeeded", json!({ "nodeId": node })).ok()?;
            let model = self.try_ask("DOM.getBoxModel", json!({ "nodeId": node })).ok()?;
            let corner = |at: usize| model["model"]["border"][at].as_f64();
            Some(((corner(0)? + corner(4)?) / 2.0, (corner(1)? + corner(5)?) / 2.0))
        });
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses the enter key in a form, and waits for the page that comes of it: it may look the same.
    pub fn enter(&mut self) {
        eventually("the page", || {
            let mark = json!({ "nodeId": self.node("html")?, "name": "data-left", "value": "" });
            self.try_ask("DOM.setAttributeValue", mark).ok()
        });
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13 });
            self.ask("Input.dispatchKeyEvent", event);
        }
        self.wait_for("html:not([data-left])");
    }

    /// Whether nothing sticks out to the side: a page is scrolled in one direction only.
    pub fn fits(&mut self) -> bool {
        let metrics = self.ask("Page.getLayoutMetrics", json!({}));
        metrics["cssContentSize"]["width"].as_f64().unwrap() <= f64::from(PHONE.0)
    }

    /// A picture of the whole page.
    pub fn picture(&mut self, file: &Path) {
        let asked = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.ask("Page.captureScreenshot", asked);
        fs::write(file, STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
