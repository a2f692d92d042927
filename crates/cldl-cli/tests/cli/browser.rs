//! The report in a real browser: no error, tables sort, cells tell more, pages fit phones and desks.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headless_chrome::browser::tab::point::Point;
use headless_chrome::protocol::cdp::Emulation::SetDeviceMetricsOverride;
use headless_chrome::protocol::cdp::types::Event;
use headless_chrome::{Browser, LaunchOptions, Tab};
use serde_json::json;

use crate::report::report;
use crate::run::Sandbox;

/// Chromium by one of its names, if it is here.
fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().map(PathBuf::from).find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    })
}

fn start(program: PathBuf, profile: PathBuf) -> Browser {
    let flags = [
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ];
    let options = LaunchOptions {
        path: Some(program),
        sandbox: false,
        enable_gpu: false,
        user_data_dir: Some(profile),
        args: flags.iter().map(OsStr::new).collect(),
        idle_browser_timeout: Duration::from_secs(120),
        ..LaunchOptions::default()
    };
    Browser::new(options).unwrap()
}

fn resize(tab: &Tab, width: u32, height: u32) {
    let size = json!({
        "width": width, "height": height, "deviceScaleFactor": 1.0, "mobile": width < 600
    });
    tab.call_method(serde_json::from_value::<SetDeviceMetricsOverride>(size).unwrap()).unwrap();
}

fn ask(tab: &Tab, script: &str) -> serde_json::Value {
    let answer = tab.evaluate(&format!("JSON.stringify({script})"), false).unwrap();
    serde_json::from_str(answer.value.unwrap().as_str().unwrap()).unwrap()
}

#[test]
fn the_report_works_in_a_browser() {
    let Some(program) = chromium() else {
        eprintln!("skipped: there is no Chromium (Debian: apt-get install chromium)");
        return;
    };
    let sandbox = Sandbox::new();
    report(&sandbox);
    let browser = start(std::path::absolute(which(&program)).unwrap(), sandbox.path("profile"));
    let tab = browser.new_tab().unwrap();
    tab.set_default_timeout(Duration::from_secs(60));
    let errors = Arc::new(Mutex::new(Vec::new()));
    let sink = errors.clone();
    tab.enable_log().unwrap().enable_runtime().unwrap();
    tab.add_event_listener(Arc::new(move |event: &Event| {
        if let Event::LogEntryAdded(_) | Event::RuntimeExceptionThrown(_) = event {
            sink.lock().unwrap().push(format!("{event:?}"));
        }
    }))
    .unwrap();
    let page = format!("file://{}", sandbox.path("report.html").display());
    tab.navigate_to(&page).unwrap().wait_until_navigated().unwrap();

    // No sideways scrolling, on a phone and on a desk, and text large enough to read.
    for (width, height) in [(390, 844), (1280, 900)] {
        resize(&tab, width, height);
        let wide = ask(&tab, "document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "the page is {wide} pixels wide on {width}");
        let smallest = ask(
            &tab,
            "Math.min(...[...document.querySelectorAll('.drawing text, td, li')].map((e) =>
               parseFloat(getComputedStyle(e).fontSize) * (e.ownerSVGElement
                 ? e.ownerSVGElement.getBoundingClientRect().width
                   / e.ownerSVGElement.viewBox.baseVal.width
                 : 1)))",
        );
        assert!(7.5 < smallest.as_f64().unwrap(), "text of {smallest} pixels on {width}");
    }

    // A click on a head sorts, a second one the other way round.
    let column = "[...document.querySelectorAll('#table-1 tbody td:nth-child(3)')]
                    .map((td) => Number(td.dataset.number))";
    let click = "document.querySelectorAll('#table-1 th button')[2].click()";
    let before = ask(&tab, column);
    ask(&tab, &format!("({click}, null)"));
    let up = ask(&tab, column);
    ask(&tab, &format!("({click}, null)"));
    let down = ask(&tab, column);
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    assert!(numbers(&up).is_sorted() && up != before, "{up}");
    assert!(numbers(&down).is_sorted_by(|a, b| b <= a), "{down}");

    // The pointer over a cell shows counts and the interval; elsewhere it is gone.
    let place = ask(
        &tab,
        "(() => { const cell = document.querySelectorAll('#table-1 tbody tr')[3].cells[4];
           cell.scrollIntoView({ block: 'center', behavior: 'instant' });
           const at = cell.getBoundingClientRect();
           return [at.x + at.width / 2, at.y + at.height / 2]; })()",
    );
    std::thread::sleep(Duration::from_millis(300));
    let point = numbers(&place);
    tab.move_mouse_to_point(Point { x: point[0], y: point[1] }).unwrap();
    let tip = "[document.getElementById('tip').hidden, document.getElementById('tip').textContent]";
    let shown = ask(&tab, tip);
    assert_eq!(shown[0], false, "{shown}");
    let text = shown[1].as_str().unwrap();
    assert!(text.contains(" of ") && text.contains("95 % interval"), "{text}");
    tab.move_mouse_to_point(Point { x: 2.0, y: 2.0 }).unwrap();
    assert_eq!(ask(&tab, tip)[0], true);

    assert_eq!(*errors.lock().unwrap(), Vec::<String>::new());
}

/// Where the program is.
fn which(program: &std::path::Path) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&paths).map(|folder| folder.join(program));
    places.into_iter().find(|place| place.is_file()).unwrap_or_else(|| program.to_path_buf())
}
