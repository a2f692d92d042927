//! Progress on stderr: a bar with the time left on a terminal, a line now and then elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `total` units; `unit` names them (`images`).
pub(crate) fn bar(total: u64, done: u64, unit: &str) -> ProgressBar {
    let template = format!(
        "{{prefix}} {{bar:24}} {{percent:>3}} % {{per_sec}} {unit}  {{msg}}  {{elapsed}}, {{eta}} left"
    );
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("per_sec", |state: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
            // A failed write leaves the rate out.
            let _ = write!(w, "{:.0}/s", state.per_sec());
        });
    ProgressBar::new(total).with_style(style).with_position(done)
}

/// Prints a line above the bar, or on its own where there is no terminal.
#[expect(clippy::print_stderr, reason = "progress goes to stderr")]
pub(crate) fn line(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        eprintln!("{text}");
    } else {
        bar.println(text);
    }
}
