//! One page about one run or several: what they were made with, how they went, what their weights see.
//!
//! The page is one file that asks nothing of a network: its style, its script, the images and the numbers
//! are inside it. What is a run's own (names, classes, paths) goes into one block of JSON, in which no `<`
//! is left, and from there into text alone, never into markup.
mod album;
mod curves;
mod look;
mod network;
mod pictures;
mod summary;

pub use album::{Album, Sheet, Source};
pub use curves::Curves;
pub use look::{Gallery, Look, Prototype, Prototypes, Query, Seen};
pub use network::Trained;
pub use pictures::{Curve, Projection, curve, map, neighbours};
pub use summary::Summary;

use serde::Serialize;

/// What a page shows.
#[derive(Serialize)]
pub struct Report {
    pub version: &'static str,
    pub runs: Vec<Summary>,
    /// What the runs' weights see; `None` where nothing could be looked at: the runs' notes say why.
    pub gallery: Option<Gallery>,
}

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: [&str; 6] = [
    include_str!("page/elements.js"),
    include_str!("page/chart.js"),
    include_str!("page/map.js"),
    include_str!("page/images.js"),
    include_str!("page/numbers.js"),
    include_str!("page/page.js"),
];

impl Report {
    pub fn new(runs: Vec<Summary>, gallery: Option<Gallery>) -> Report {
        let version = env!("CARGO_PKG_VERSION");
        Report {
            version,
            runs,
            gallery,
        }
    }

    /// The page.
    pub fn html(&self) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers");
        let script = format!("\"use strict\";\n{}", SCRIPT.concat());
        let parts = [
            ("title", escaped(&self.title())),
            ("style", STYLE.into()),
            ("data", without_markup(&json)),
            ("script", script),
        ];
        fill(PAGE, &parts)
    }

    fn title(&self) -> String {
        let names: Vec<&str> = self.runs.iter().map(|run| &run.name[..]).collect();
        format!("{} · selfsame", names.join(", "))
    }
}

/// `template` with each `{{name}}` replaced: once, so that what is put in is never read again.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").expect("a template of ours");
        let part = parts.iter().find(|(known, _)| *known == name);
        page += &part.expect("a template of ours").1;
        page += rest;
    }
    page
}

/// As text of an element.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// The same JSON, without a character that could end the element it stands in.
fn without_markup(json: &str) -> String {
    let json = json.replace('<', "\\u003c").replace('>', "\\u003e");
    json.replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let parts = [("a", "{{b}}".to_string()), ("b", "x".to_string())];
        assert_eq!(fill("<{{a}}|{{b}}>", &parts), "<{{b}}|x>");
    }

    #[test]
    fn no_text_ends_the_element_it_stands_in() {
        let text = "</script><script>alert(1)</script>&";
        let json = without_markup(&serde_json::to_string(text).unwrap());
        assert!(!json.contains(['<', '>', '&']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert_eq!(escaped("<b>\"&"), "&lt;b&gt;&quot;&amp;");
    }
}
