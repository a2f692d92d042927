//! Progress of many tasks on stderr: a bar with the time left on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// A bar whose unit is the expected second.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Nothing done of `seconds` of work.
    pub(crate) fn new(seconds: f64) -> Self {
        let style = ProgressStyle::with_template("{bar:24} {percent:>3} %  {elapsed} gone")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(millis(seconds)).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }

    pub(crate) fn advance(&self, seconds: f64) {
        self.0.inc(millis(seconds));
    }

    /// A line above the bar.
    pub(crate) fn line(&self, text: &str) {
        if self.0.is_hidden() {
            eprintln!("{text}");
        } else {
            self.0.println(text);
        }
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn millis(seconds: f64) -> u64 {
    (1000.0 * seconds) as u64
}
