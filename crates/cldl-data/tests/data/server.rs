//! A web server of a few lines that serves a folder, and misbehaves when told to.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What to do with one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Answer {
    /// The file, or the range of it that was asked for.
    File,
    /// The whole file, whatever range was asked for.
    NoRanges,
    /// At most so many bytes, then the connection is closed.
    Cut(usize),
    /// A web page with status 200, as captive portals send it.
    Page,
    /// As many bytes as the file has, but all zero.
    Zeros,
    /// An endless body without a length.
    Endless,
    /// A header, a few bytes, then silence.
    Silent,
    /// Status 500.
    Fail,
}

/// The path that was asked for, and from which byte on if not from the first.
type Request = (String, Option<u64>);

pub(crate) struct Server {
    /// The base URL.
    pub(crate) url: String,
    /// The requests so far.
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves `folder`; the requests get `answers` in turn, then [`Answer::File`].
    pub(crate) fn start(folder: PathBuf, answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answers = answers.to_vec();
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming().flatten() {
                let answer = answers.next().unwrap_or(Answer::File);
                let Some((path, from)) = request(&stream) else { continue };
                seen.lock().unwrap().push((path.clone(), from));
                let file = std::fs::read(folder.join(path.trim_start_matches('/')));
                // The client may hang up when it has seen enough.
                let _ = respond(stream, answer, file.ok(), from);
            }
        });
        Self { url, requests }
    }
}

fn request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>();
    let range = headers.iter().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        let from = value.strip_prefix("bytes=")?.strip_suffix('-')?;
        key.eq_ignore_ascii_case("range").then(|| from.parse().ok())?
    });
    Some((path, range))
}

fn respond(
    mut stream: TcpStream,
    answer: Answer,
    file: Option<Vec<u8>>,
    from: Option<u64>,
) -> std::io::Result<()> {
    let Some(mut file) = file else { return head(&mut stream, "404 Not Found", Some(0)) };
    match answer {
        Answer::Fail => head(&mut stream, "500 Internal Server Error", Some(0)),
        Answer::Page => {
            let page = b"<html><body>Please log in</body></html>";
            head(&mut stream, "200 OK", Some(page.len()))?;
            stream.write_all(page)
        }
        Answer::Endless => {
            head(&mut stream, "200 OK", None)?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
        Answer::Silent => {
            head(&mut stream, "200 OK", Some(file.len()))?;
            stream.write_all(&file[..10])?;
            loop {
                std::thread::park();
            }
        }
        Answer::Zeros => {
            file.fill(0);
            head(&mut stream, "200 OK", Some(file.len()))?;
            stream.write_all(&file)
        }
        Answer::NoRanges => {
            head(&mut stream, "200 OK", Some(file.len()))?;
            stream.write_all(&file)
        }
        Answer::File | Answer::Cut(_) => {
            let start = from.unwrap_or(0) as usize;
            let body = &file[start..];
            let status = if from.is_some() {
                format!(
                    "206 Partial Content\r\nContent-Range: bytes {start}-{}/{}",
                    file.len() - 1,
                    file.len()
                )
            } else {
                "200 OK".to_owned()
            };
            head(&mut stream, &status, Some(body.len()))?;
            let sent =
                if let Answer::Cut(bytes) = answer { body.len().min(bytes) } else { body.len() };
            stream.write_all(&body[..sent])
        }
    }
}

fn head(stream: &mut TcpStream, status: &str, length: Option<usize>) -> std::io::Result<()> {
    let length = length.map_or(String::new(), |length| format!("Content-Length: {length}\r\n"));
    stream.write_all(format!("HTTP/1.1 {status}\r\n{length}Connection: close\r\n\r\n").as_bytes())
}
