//! The Hub's answers.

use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::http::{Answer, Request};
use crate::repo::{Repo, Revision, sha256};
use crate::xet;

/// A failure of the Hub, for requests whose line (`GET me/model/resolve/..`) contains a text.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// Which requests fail.
    pub when: String,
    /// How many of them do.
    pub times: usize,
    /// The status that they get; a body that breaks off if there is none.
    pub status: Option<u16>,
}

/// A Hub on loopback. It ends with the process.
pub struct FakeHub {
    /// The endpoint.
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    models: BTreeMap<String, Repo>,
    datasets: BTreeMap<String, Repo>,
    /// The one token that may do everything.
    token: String,
    /// A token that may read.
    reader: String,
    troubles: Vec<Trouble>,
    requests: Vec<String>,
    /// Where Xet keeps what it was sent, if large files go through it.
    xet: Option<PathBuf>,
}

impl FakeHub {
    /// Starts a Hub that knows two tokens: `writer` and `reader`.
    ///
    /// # Errors
    /// If loopback has no free port.
    pub fn start() -> io::Result<Self> {
        Self::with(State::default())
    }

    /// As [`Self::start`]; safetensors files go through Xet, into `folder`.
    ///
    /// # Errors
    /// If loopback has no free port.
    pub fn with_xet(folder: PathBuf) -> io::Result<Self> {
        Self::with(State { xet: Some(folder), ..State::default() })
    }

    fn with(state: State) -> io::Result<Self> {
        let (token, reader) = ("writer".to_owned(), "reader".to_owned());
        let state = Arc::new(Mutex::new(State { token, reader, ..state }));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A client may hang up at any time.
                    let _ = serve(&stream, &state);
                });
            }
        });
        Ok(Self { url, state })
    }

    /// Looks at a model, or changes it behind everybody's back.
    pub fn model<T>(&self, id: &str, f: impl FnOnce(Option<&mut Repo>) -> T) -> T {
        f(lock(&self.state).models.get_mut(id))
    }

    /// Puts a model there.
    pub fn put_model(&self, id: &str, repo: Repo) {
        lock(&self.state).models.insert(id.to_owned(), repo);
    }

    /// Puts a public dataset there, with these files.
    pub fn put_dataset(&self, id: &str, files: Revision) {
        let mut repo = Repo::new(false);
        repo.commit("main", files);
        lock(&self.state).datasets.insert(id.to_owned(), repo);
    }

    /// From now on, fails as told.
    pub fn trouble(&self, when: &str, times: usize, status: Option<u16>) {
        lock(&self.state).troubles.push(Trouble { when: when.to_owned(), times, status });
    }

    /// The requests since the last call, as `METHOD path`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).requests)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic elsewhere does not spoil plain data.
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let request = Request::read(stream)?;
    let line = format!("{} {}", request.method, request.path.join("/"));
    let answer = {
        let mut state = lock(state);
        state.requests.push(line.clone());
        let hit = state.troubles.iter_mut().find(|t| t.times > 0 && line.contains(&t.when));
        match hit.map(|trouble| {
            trouble.times -= 1;
            trouble.status
        }) {
            Some(Some(status)) => Answer::status(status),
            Some(None) => {
                let answer = state.answer(&request);
                Answer { cut: Some(answer.body.len() / 2), ..answer }
            }
            None => state.answer(&request),
        }
    };
    answer.write(stream, request.method == "HEAD")
}

/// What somebody may do.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Rights {
    None,
    Read,
    Write,
}

impl State {
    fn rights(&self, request: &Request) -> Result<Rights, Answer> {
        let Some(token) = request.header("authorization") else { return Ok(Rights::None) };
        match token.strip_prefix("Bearer ") {
            Some(token) if token == self.token => Ok(Rights::Write),
            Some(token) if token == self.reader => Ok(Rights::Read),
            _ => Err(Answer::status(401)),
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let rights = match self.rights(request) {
            Ok(rights) => rights,
            Err(answer) => return answer,
        };
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
        match (request.method.as_str(), path.as_slice()) {
            ("POST", ["api", "repos", "create"]) => self.create(&body(), rights),
            ("GET", ["api", "models", owner, name]) => self.info(owner, name, "main", rights),
            ("GET", ["api", "models", owner, name, "revision", revision]) => {
                self.info(owner, name, revision, rights)
            }
            ("GET", ["api", "models", _, _, "xet-read-token" | "xet-write-token", _]) => {
                let folder = self.xet.clone().unwrap_or_default();
                let url = format!("local://{}", folder.display());
                Answer::json(&json!({"accessToken": "t", "exp": 4_102_444_800u64, "casUrl": url}))
            }
            ("POST", ["api", "models", _, _, ..]) if rights == Rights::None => Answer::status(401),
            ("POST", ["api", "models", _, _, ..]) if rights < Rights::Write => Answer::status(403),
            ("POST", ["api", "models", _, _, "preupload", _]) => self.preupload(&body()),
            ("POST", ["api", "models", owner, name, "commit", branch]) => {
                self.commit(&format!("{owner}/{name}"), branch, &request.body)
            }
            ("POST", ["api", "models", owner, name, "tag", revision]) => {
                self.point(&format!("{owner}/{name}"), revision, body()["tag"].as_str())
            }
            ("POST", ["api", "models", owner, name, "branch", branch]) => {
                let start = body()["startingPoint"].as_str().unwrap_or("main").to_owned();
                self.point(&format!("{owner}/{name}"), &start, Some(branch))
            }
            ("POST", [_, _, "info", "lfs", "objects", "batch"]) => {
                Answer::json(&json!({"transfer": if self.xet.is_some() { "xet" } else { "basic" }}))
            }
            ("HEAD" | "GET", ["datasets", owner, name, "resolve", revision, file @ ..]) => {
                resolve(self.datasets.get(&format!("{owner}/{name}")), revision, file, self)
            }
            ("HEAD" | "GET", [owner, name, "resolve", revision, file @ ..]) => {
                let repo = self.visible(owner, name, rights);
                resolve(repo, revision, file, self)
            }
            _ => Answer::status(404),
        }
    }

    /// A repository, if somebody with these rights sees it: a private one is hidden from strangers.
    fn visible(&self, owner: &str, name: &str, rights: Rights) -> Option<&Repo> {
        let repo = self.models.get(&format!("{owner}/{name}"))?;
        (!repo.private || rights != Rights::None).then_some(repo)
    }

    fn create(&mut self, body: &Value, rights: Rights) -> Answer {
        if rights < Rights::Write {
            return Answer::status(if rights == Rights::None { 401 } else { 403 });
        }
        let part = |key: &str| body[key].as_str().unwrap_or("me").to_owned();
        let id = format!("{}/{}", part("organization"), part("name"));
        if self.models.contains_key(&id) {
            return Answer::status(409);
        }
        let private = body["private"].as_bool().unwrap_or(false);
        self.models.insert(id.clone(), Repo::new(private));
        Answer::json(&json!({"url": format!("http://fake/{id}")}))
    }

    fn info(&self, owner: &str, name: &str, revision: &str, rights: Rights) -> Answer {
        match self.visible(owner, name, rights).and_then(|repo| repo.at(revision)) {
            Some((commit, _)) => {
                Answer::json(&json!({"id": format!("{owner}/{name}"), "sha": commit}))
            }
            None => Answer::status(404),
        }
    }

    fn preupload(&self, body: &Value) -> Answer {
        let mode = |path: &Value| {
            let large = path.as_str().is_some_and(|path| path.ends_with(".safetensors"));
            if large { "lfs" } else { "regular" }
        };
        let files = body["files"].as_array().cloned().unwrap_or_default();
        let modes = files
            .iter()
            .map(|file| json!({"path": file["path"], "uploadMode": mode(&file["path"])}));
        Answer::json(&json!({"files": modes.collect::<Vec<_>>()}))
    }

    fn commit(&mut self, id: &str, branch: &str, body: &[u8]) -> Answer {
        let Some(repo) = self.models.get_mut(id) else { return Answer::status(404) };
        let Some((head, files)) = repo.at(branch) else { return Answer::status(404) };
        let (head, mut files) = (head.to_owned(), files.clone());
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(line) = serde_json::from_slice::<Value>(line) else {
                return Answer::status(400);
            };
            let value = &line["value"];
            let path = value["path"].as_str().unwrap_or_default().to_owned();
            match line["key"].as_str() {
                Some("header") => {
                    if value["parentCommit"].as_str().is_some_and(|parent| parent != head) {
                        return Answer::status(409);
                    }
                }
                Some("file") => {
                    let content = BASE64_STANDARD.decode(value["content"].as_str().unwrap_or(""));
                    files.insert(path, content.unwrap_or_default());
                }
                // The content is in Xet's storage; what is served is a pointer to it.
                Some("lfsFile") => {
                    let oid = value["oid"].as_str().unwrap_or_default();
                    files.insert(path, format!("{POINTER}{oid} {}", value["size"]).into_bytes());
                }
                _ => {
                    files.remove(&path);
                }
            }
        }
        let commit = repo.commit(branch, files);
        Answer::json(&json!({"commitOid": commit, "commitUrl": format!("http://fake/{id}")}))
    }

    fn point(&mut self, id: &str, revision: &str, name: Option<&str>) -> Answer {
        let (Some(repo), Some(name)) = (self.models.get_mut(id), name) else {
            return Answer::status(404);
        };
        let Some((commit, _)) = repo.at(revision) else { return Answer::status(404) };
        let commit = commit.to_owned();
        if repo.refs.contains_key(name) {
            return Answer::status(409);
        }
        repo.refs.insert(name.to_owned(), commit);
        Answer { status: 200, ..Answer::default() }
    }
}

/// What the content of a file starts with that lies in Xet's storage.
const POINTER: &str = "xet pointer to sha256 ";

/// A file, or what a client must know of it first.
fn resolve(repo: Option<&Repo>, revision: &str, file: &[&str], state: &State) -> Answer {
    let found = repo.and_then(|repo| repo.at(revision));
    let Some((commit, files)) = found else { return Answer::status(404) };
    let Some(content) = files.get(&file.join("/")) else { return Answer::status(404) };
    let text = std::str::from_utf8(content).unwrap_or_default();
    let pointer = text.strip_prefix(POINTER).and_then(|rest| rest.split_once(' '));
    let commit = ("X-Repo-Commit", commit.to_owned());
    match (pointer, &state.xet) {
        (Some((oid, size)), Some(folder)) => {
            let Some((_, hash)) = xet::hashes(folder).into_iter().find(|(sha, _)| sha == oid)
            else {
                return Answer::status(404);
            };
            let etag = ("X-Linked-Etag", format!("\"{oid}\""));
            let headers =
                vec![commit, etag, ("X-Linked-Size", size.to_owned()), ("X-Xet-Hash", hash)];
            Answer { status: 200, headers, ..Answer::default() }
        }
        _ => {
            let etag = ("ETag", format!("\"{}\"", sha256(content)));
            Answer { status: 200, headers: vec![commit, etag], body: content.clone(), cut: None }
        }
    }
}
