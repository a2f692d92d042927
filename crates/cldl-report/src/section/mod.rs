//! The views that a report consists of.

mod audit;
mod curves;
mod gallery;
mod labels;
mod learning;
mod pairs;
mod planes;
mod provenance;
mod tables;
mod transfer;

use std::fmt;
use std::str::FromStr;

use cldl_eval::Observe;
use serde::Serialize;

use crate::picture::Picture;
use crate::{ReportError, Study};

/// A view that has pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Robust accuracy against eps.
    Robustness,
    /// Loss terms and accuracies over epochs.
    Learning,
    /// How far what fools one member fools the others.
    Transfer,
    /// The label dependencies that a label confusion model learned.
    Labels,
    /// Gradient alignment and divergence of member pairs over epochs.
    Pairs,
    /// Adversarial examples with every member's prediction.
    Gallery,
    /// Decisions around an image.
    Planes,
    /// Which run's adversarial examples fool which.
    Audit,
}

impl Kind {
    /// Every view, in the order of the report.
    pub const ALL: [Self; 8] = [
        Self::Robustness,
        Self::Planes,
        Self::Gallery,
        Self::Labels,
        Self::Transfer,
        Self::Pairs,
        Self::Learning,
        Self::Audit,
    ];

    /// The name in flags and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Robustness => "robustness",
            Self::Learning => "learning",
            Self::Transfer => "transfer",
            Self::Labels => "labels",
            Self::Pairs => "pairs",
            Self::Gallery => "gallery",
            Self::Planes => "planes",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|kind| format!("`{kind}`")).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| format!("unknown picture `{name}`: use one of {}", names()))
    }
}

/// One view.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its name in links.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What is to be seen, and how it is measured.
    pub lead: String,
    /// Pictures.
    pub pictures: Vec<Picture>,
    /// Tables.
    pub grids: Vec<Grid>,
    /// Remarks, a line each; what can't be shown, and why.
    pub notes: Vec<String>,
    /// Long texts to unfold, under their headings.
    pub texts: Vec<(String, String)>,
}

/// A table of a report; its rows can be sorted by every column.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Grid {
    /// What it shows.
    pub caption: String,
    /// Heads of the columns: a text and its subscript.
    pub head: Vec<(String, String)>,
    /// The rows.
    pub rows: Vec<Vec<GridCell>>,
}

/// A cell of a [`Grid`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GridCell {
    /// Its text.
    pub text: String,
    /// Smaller text below.
    pub small: String,
    /// More, for whoever points at it.
    pub tip: String,
    /// The number to sort by; cells without one are sorted by their text, after all others.
    pub number: Option<f64>,
    /// Color of the ground: -1 (worst) to 1 (best) of what is compared; none for no color.
    pub shade: Option<f64>,
    /// The best of its row.
    pub best: bool,
}

impl GridCell {
    /// A cell of text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number with so many decimals.
    pub(crate) fn number(value: f64, decimals: usize) -> Self {
        let text = format!("{value:.decimals$}");
        Self { text, number: Some(value).filter(|v| v.is_finite()), ..Self::default() }
    }

    /// The same with more to tell.
    pub(crate) fn tip(self, tip: impl Into<String>) -> Self {
        Self { tip: tip.into(), ..self }
    }
}

impl Grid {
    pub(crate) fn new(caption: &str, head: &[&str]) -> Self {
        let head = head.iter().map(|text| ((*text).to_owned(), String::new())).collect();
        Self { caption: caption.to_owned(), head, rows: Vec::new() }
    }
}

impl Section {
    fn new(id: &str, title: &str, lead: &str) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            lead: lead.to_owned(),
            ..Self::default()
        }
    }
}

/// The view `kind` of `study`.
///
/// # Errors
/// If something can't be computed; [`cldl_eval::EvalError::Stopped`] if `observe` says so. What a study
/// has no data for is not an error but a note.
pub fn section(
    kind: Kind,
    study: &Study,
    observe: &mut Observe<'_>,
) -> Result<Section, ReportError> {
    let mut section = match kind {
        Kind::Robustness => curves::section(study, observe),
        Kind::Learning => learning::section(study),
        Kind::Transfer => transfer::section(study, observe),
        Kind::Labels => labels::section(study, observe),
        Kind::Pairs => pairs::section(study),
        Kind::Gallery => gallery::section(study, observe),
        Kind::Planes => planes::section(study, observe),
        Kind::Audit => audit::section(study, observe),
    }?;
    let digest = study.digest();
    let pictures = std::mem::take(&mut section.pictures);
    section.pictures = pictures.into_iter().map(|picture| picture.signed(&digest)).collect();
    Ok(section)
}

/// Every view of `study`, with its tables first and where it all comes from last.
///
/// # Errors
/// As [`section`].
pub fn all_sections(study: &Study, observe: &mut Observe<'_>) -> Result<Vec<Section>, ReportError> {
    let mut sections = tables::sections(study);
    if !study.runs.is_empty() {
        // It comes last, but what comes before needs a part of what it takes.
        audit::measure(study, observe)?;
        sections.push(tables::runs(study, observe)?);
    }
    for kind in Kind::ALL {
        sections.push(section(kind, study, observe)?);
    }
    sections.push(provenance::section(study));
    let (shown, not_shown): (Vec<Section>, Vec<Section>) =
        sections.into_iter().partition(|section| {
            section.id == "provenance" || !section.pictures.is_empty() || !section.grids.is_empty()
        });
    let mut sections = shown;
    if !not_shown.is_empty() {
        let why = |section: &Section| format!("{}: {}", section.title, section.notes.join("; "));
        let lead = "What this report would also have, and why it does not.";
        let notes = not_shown.iter().map(why).collect();
        sections.push(Section { notes, ..Section::new("not-shown", "Not shown", lead) });
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn names_round_trip() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        assert!("pie".parse::<Kind>().unwrap_err().contains("`planes`"));
    }
}
