//! The report in a real browser: no error, tables sort, cells tell more, pages fit phones and desks.

use std::time::Duration;

use serde_json::Value;

use crate::chromium::{self, Page};
use crate::report::report;
use crate::run::Sandbox;

#[test]
fn the_report_works_in_a_browser() {
    let Some(program) = chromium::program() else {
        eprintln!("skipped: there is no Chromium (Debian: apt-get install chromium)");
        return;
    };
    let sandbox = Sandbox::new();
    report(&sandbox);
    let mut page = Page::open(&program, &sandbox.path("profile"));
    page.show(&sandbox.path("report.html"));

    // No sideways scrolling, on a phone and on a desk, and text large enough to read.
    for (width, height) in [(390, 844), (1280, 900)] {
        page.resize(width, height);
        let wide = page.ask("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width), "the page is {wide} pixels wide on {width}");
        let smallest = page.ask(
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
    let before = page.ask(column);
    page.ask(click);
    let up = page.ask(column);
    page.ask(click);
    let down = page.ask(column);
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    assert!(numbers(&up).is_sorted() && up != before, "{up}");
    assert!(numbers(&down).is_sorted_by(|a, b| b <= a), "{down}");

    // The pointer over a cell shows counts and the interval; elsewhere it is gone.
    let place = page.ask(
        "(() => { const cell = document.querySelectorAll('#table-1 tbody tr')[3].cells[4];
           cell.scrollIntoView({ block: 'center', behavior: 'instant' });
           const at = cell.getBoundingClientRect();
           return [at.x + at.width / 2, at.y + at.height / 2]; })()",
    );
    std::thread::sleep(Duration::from_millis(300));
    let point = numbers(&place);
    page.point((point[0], point[1]));
    let tip = "[document.getElementById('tip').hidden, document.getElementById('tip').textContent]";
    let shown = page.ask(tip);
    assert_eq!(shown[0], false, "{shown}");
    let text = shown[1].as_str().unwrap();
    assert!(text.contains(" of ") && text.contains("95 % interval"), "{text}");
    page.point((2.0, 2.0));
    assert_eq!(page.ask(tip)[0], true);

    assert_eq!(page.errors, Vec::<String>::new());
}
