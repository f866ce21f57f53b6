//! Where something is that cannot be taken, as an error shows it.
use super::entries::line_at;
use std::ops::Range;

pub struct Place {
    /// `(train.toml:3)`, `(--set)`.
    pub name: String,
    /// The line, and below it carets under what is meant; each line indented, the last one ended.
    pub excerpt: String,
}

impl Place {
    /// `span` in a text of `origin`, in bytes; `None` where nobody knows.
    pub fn in_text(origin: &str, text: &str, span: Option<Range<usize>>) -> Place {
        let Some(span) = span else {
            return Place {
                name: format!("({origin})"),
                excerpt: String::new(),
            };
        };
        let number = line_at(text, span.start);
        let line = text.lines().nth(number - 1).unwrap_or("");
        let shown = line.trim();
        let before = text[..span.start.min(text.len())].rfind('\n');
        let start = span.start - before.map_or(0, |end| end + 1);
        let indent = line.len() - line.trim_start().len();
        let characters = |range: Range<usize>| {
            let range = range.start.min(shown.len())..range.end.min(shown.len());
            shown.get(range).map_or(0, |part| part.chars().count())
        };
        let start = start.saturating_sub(indent);
        let (blanks, carets) = (characters(0..start), characters(start..start + span.len()));
        Place {
            name: format!("({origin}:{number})"),
            excerpt: format!("  {shown}\n  {:blanks$}{}\n", "", "^".repeat(carets.max(1))),
        }
    }

    /// A value that a flag gives.
    pub fn of_flag(origin: &str, assignment: String) -> Place {
        Place {
            name: format!("({origin})"),
            excerpt: format!("  {assignment}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_what_is_meant() {
        let text = "[a]\n\t é = \"x\" \n";
        let at = text.find("\"x\"").unwrap();
        let place = Place::in_text("f.toml", text, Some(at..at + 3));
        assert_eq!(place.name, "(f.toml:2)");
        assert_eq!(place.excerpt, "  é = \"x\"\n      ^^^\n");
        let end = Place::in_text("f.toml", text, Some(text.len()..text.len()));
        assert_eq!(end.name, "(f.toml:3)");
        assert_eq!(end.excerpt, "  \n  ^\n");
    }
}
