//! A page in headless Chromium, over its DevTools protocol.
//!
//! The client is ours, of a hundred lines: the crates for it compile all of the protocol, for minutes
//! and in gigabytes.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const PATIENCE: Duration = Duration::from_mins(1);

/// A page, and the browser that it is in.
pub(crate) struct Page {
    browser: Child,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    calls: u64,
    /// Errors that the page's console told.
    pub(crate) errors: Vec<String>,
}

/// Chromium by one of its names, if it is here.
pub(crate) fn program() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().map(PathBuf::from).find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    })
}

impl Page {
    /// An empty page; `profile` is a folder of its own.
    pub(crate) fn open(program: &Path, profile: &Path) -> Self {
        std::fs::create_dir_all(profile).unwrap();
        let browser = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (port, path) = address(&profile.join("DevToolsActivePort"));
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        let mut page = Self { browser, socket, session: None, calls: 0, errors: Vec::new() };
        let target = page.call("Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", &target);
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page
    }

    /// Opens a file and waits until it is there.
    pub(crate) fn show(&mut self, file: &Path) {
        let url = format!("file://{}", std::path::absolute(file).unwrap().display());
        self.call("Page.navigate", &json!({ "url": url }));
        let began = Instant::now();
        while self.ask("document.readyState + location.protocol") != "completefile:" {
            assert!(began.elapsed() < PATIENCE, "the page does not load");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Gives the page this size.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600
        });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Moves the pointer.
    pub(crate) fn point(&mut self, (x, y): (f64, f64)) {
        let event = json!({"type": "mouseMoved", "x": x, "y": y});
        self.call("Input.dispatchMouseEvent", &event);
    }

    /// The value of a script.
    pub(crate) fn ask(&mut self, script: &str) -> Value {
        let question = json!({"expression": script, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &question);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Calls a method and returns its result; errors of the page that are told meanwhile are kept.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let mut told: Value = serde_json::from_str(&text).unwrap();
            if told["id"] == self.calls {
                assert!(told.get("error").is_none(), "{method}: {told}");
                return told["result"].take();
            }
            let logged =
                told["method"] == "Log.entryAdded" && told["params"]["entry"]["level"] == "error";
            if logged || told["method"] == "Runtime.exceptionThrown" {
                self.errors.push(text.to_string());
            }
        }
    }
}

/// Port and path that the browser writes into its profile once it listens.
fn address(file: &Path) -> (u16, String) {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some((port, path)) = text.split_once('\n')
            && path.starts_with('/')
        {
            return (port.parse().unwrap(), path.trim().to_owned());
        }
        assert!(began.elapsed() < PATIENCE, "the browser does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
