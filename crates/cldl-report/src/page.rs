//! The report: one HTML file with everything in it.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::{Grid, ReportError, Section};

const PAGE: &str = include_str!("../templates/page.html");
const STYLE: &str = include_str!("../templates/style.css");
const SCRIPT: &str = include_str!("../templates/script.js");

/// The report of `sections` as one HTML file, which needs no network and no other file.
///
/// Every text is escaped; pictures are put in as they are, for they are drawn here.
///
/// # Errors
/// If the template fails.
pub fn page(title: &str, subtitle: &str, sections: &[Section]) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.add_template("page", PAGE)?;
    let view = PageView {
        title,
        subtitle,
        sections: sections.iter().map(View::of).collect(),
        style: STYLE,
        script: SCRIPT,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(environment.get_template("page")?.render(Serde(view))?)
}

/// The report as the template sees it.
#[derive(Serialize)]
struct PageView<'a> {
    title: &'a str,
    subtitle: &'a str,
    sections: Vec<View<'a>>,
    style: &'a str,
    script: &'a str,
    version: &'a str,
}

/// A section as the template sees it.
#[derive(Serialize)]
struct View<'a> {
    id: &'a str,
    title: &'a str,
    lead: &'a str,
    notes: &'a [String],
    texts: &'a [(String, String)],
    grids: &'a [Grid],
    pictures: Vec<PictureView<'a>>,
}

/// A picture as the template sees it.
#[derive(Serialize)]
struct PictureView<'a> {
    name: &'a str,
    title: &'a str,
    caption: &'a str,
    csv: &'a str,
    width: u32,
    svg: &'a str,
}

impl<'a> View<'a> {
    fn of(section: &'a Section) -> Self {
        let picture = |picture: &'a crate::Picture| PictureView {
            name: &picture.name,
            title: &picture.title,
            caption: &picture.caption,
            csv: &picture.csv,
            width: width(&picture.svg),
            svg: &picture.svg,
        };
        Self {
            id: &section.id,
            title: &section.title,
            lead: &section.lead,
            notes: &section.notes,
            texts: &section.texts,
            grids: &section.grids,
            pictures: section.pictures.iter().map(picture).collect(),
        }
    }
}

/// The width that an SVG says it has.
fn width(svg: &str) -> u32 {
    let start = svg.find("width=\"").map_or(0, |at| at + "width=\"".len());
    svg[start..].split('"').next().and_then(|text| text.parse().ok()).unwrap_or(900)
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::{Grid, GridCell, Section};

    #[test]
    fn what_comes_from_files_is_escaped() {
        let evil = "<script>alert(1)</script>\" onload=\"x";
        let mut grid = Grid::new(evil, &[evil]);
        grid.rows.push(vec![GridCell::text(evil).tip(evil)]);
        let section = Section {
            id: "one".to_owned(),
            title: evil.to_owned(),
            notes: vec![evil.to_owned()],
            texts: vec![(evil.to_owned(), evil.to_owned())],
            grids: vec![grid],
            ..Section::default()
        };
        let html = page(evil, evil, &[section]).unwrap();
        assert!(!html.contains("<script>alert"), "{html}");
        assert!(!html.contains("\" onload=\""), "{html}");
        assert_eq!(html.matches("<script>").count(), 1);
    }

    #[test]
    fn the_page_asks_the_network_for_nothing() {
        let html = page("a", "b", &[]).unwrap();
        for word in ["http://", "https://", "@import", "src=\"/", "<link"] {
            assert!(!html.contains(word), "{word}");
        }
    }
}
