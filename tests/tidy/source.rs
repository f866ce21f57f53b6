//! The files there are, and as much of a source file's structure as the rules ask for: comments and strings
//! blanked out, what a file uses of its crate, where its functions begin and end (it is formatted, so
//! indentation tells).
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every file of ours, by its path from the root.
pub fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["src", "kernels", "tests", "benches", "examples", ".ci"]
        .iter()
        .map(|folder| root.join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if let Ok(path) = entry.path().strip_prefix(root) {
                found.insert(path.to_string_lossy().into_owned());
            }
        }
    }
    let single = ["build.rs", "README.md", "CHANGELOG.md", "Cargo.toml"];
    found.extend(
        single
            .iter()
            .filter(|f| root.join(f).exists())
            .map(|f| f.to_string()),
    );
    found
}

pub fn is_code(path: &str) -> bool {
    [".rs", ".cu", ".cuh", ".cpp", ".py"]
        .iter()
        .any(|ending| path.ends_with(ending))
}

/// Comments become blanks; lines stay where they are.
pub fn without_comments(text: &str) -> String {
    scan(text, false)
}

/// Strings become empty; comments must be gone already.
pub fn without_strings(text: &str) -> String {
    scan(text, true)
}

fn scan(text: &str, drop_strings: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, kept) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), String::new()),
            '/' if rest.starts_with("/*") => {
                let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
                (length, newlines(&rest[..length]))
            }
            '"' | 'r' if string(rest).is_some() => {
                let length = string(rest).expect("just seen");
                let inside = &rest[..length];
                let dropped = format!("\"{}\"", newlines(inside));
                (length, if drop_strings { dropped } else { inside.into() })
            }
            '\'' if character(rest).is_some() => {
                let length = character(rest).expect("just seen");
                (length, rest[..length].replace('"', " "))
            }
            other => (other.len_utf8(), other.to_string()),
        };
        out.push_str(&kept);
        rest = &rest[length..];
        if first == 'r' && rest.starts_with('#') && kept == "r" {
            out.push('#'); // a raw identifier, r#type
            rest = &rest[1..];
        }
    }
    out
}

fn newlines(text: &str) -> String {
    "\n".repeat(text.matches('\n').count())
}

/// The length of the string literal that `rest` begins with: `"a\"b"`, `r"a"`, `r#"a"#`.
fn string(rest: &str) -> Option<usize> {
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(1 + hashes + 1 + inside.find(&end)? + end.len());
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return Some(at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// The length of the character literal that `rest` begins with; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let mut inside = rest[1..].char_indices();
    let (_, first) = inside.next()?;
    if first == '\\' {
        return Some(
            2 + rest[2..]
                .char_indices()
                .skip(1)
                .find(|(_, c)| *c == '\'')?
                .0
                + 1,
        );
    }
    let (at, next) = inside.next()?;
    (next == '\'').then_some(1 + at + 1)
}

/// The names that follow `crate::`, those of a group `crate::{a, b::c}` one by one.
pub fn crate_paths(text: &str) -> Vec<String> {
    let code = without_strings(&without_comments(text));
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(members(group)),
            None => names.push(identifier(rest)),
        }
    }
    names
}

/// The first names of a group's members, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut start = 0;
    let mut names = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(identifier(group[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// Name and lines of every function.
pub fn functions(path: &str, text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let name = match path.rsplit('.').next() {
            Some("rs") => rust_name(line),
            Some("py") => line.trim_start().strip_prefix("def ").map(identifier),
            _ => device_name(line),
        };
        let Some(name) = name else { continue };
        let length = match path.ends_with(".py") {
            true => python_length(&lines[at..]),
            false => braced_length(&lines[at..]),
        };
        found.push((name, length));
    }
    found
}

fn rust_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let modifiers = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "const",
        "unsafe",
        "async",
        "extern",
        "\"C\"",
    ];
    let plain = before
        .split_whitespace()
        .all(|word| modifiers.contains(&word));
    let name = identifier(after);
    (plain && !name.is_empty()).then_some(name)
}

/// `KERNEL(name, Params) {`, `DEVICE float name(float v) {`.
fn device_name(line: &str) -> Option<String> {
    if let Some(rest) = line.strip_prefix("KERNEL") {
        return Some(identifier(rest.split_once('(')?.1));
    }
    let rest = line.strip_prefix("DEVICE")?;
    let name = rest.split('(').next()?.rsplit([' ', '*', '&']).next()?;
    Some(name.to_string())
}

/// Up to the closing brace that stands as far to the right as the function itself. A declaration that
/// ends in a semicolon, and a body on the head's own line, are one line.
fn braced_length(lines: &[&str]) -> usize {
    let indent = indentation(lines[0]);
    for (at, line) in lines.iter().enumerate() {
        let outermost = indentation(line) == indent && !line.trim().is_empty();
        let trimmed = line.trim_end();
        if outermost && at > 0 && trimmed.trim_start() == "}" {
            return at + 1;
        }
        let ends_here = trimmed.ends_with(';') || trimmed.ends_with('}');
        if outermost && ends_here {
            return at + 1;
        }
    }
    lines.len()
}

/// Up to the last line that is indented further than the head.
fn python_length(lines: &[&str]) -> usize {
    let indent = indentation(lines[0]);
    let inside =
        |line: &&str| line.trim().is_empty() || indentation(line) > indent || line.trim() == ")";
    let body = lines[1..]
        .iter()
        .take_while(|line| inside(line))
        .collect::<Vec<_>>();
    let blank = body
        .iter()
        .rev()
        .take_while(|line| line.trim().is_empty())
        .count();
    1 + body.len() - blank
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[test]
fn comments_and_strings_are_told_from_code() {
    let code =
        "let a = \"//\"; // b\nlet c = '\"'; /* d\n */ let e: &'static str = r#\"f \"//\" g\"#;";
    let bare = without_strings(&without_comments(code));
    assert_eq!(
        bare,
        "let a = \"\"; \nlet c = ' '; \n let e: &'static str = \"\";"
    );
    assert_eq!(
        without_strings("'\\'' 'x' \"a\\\"b\" r#type"),
        "'\\'' 'x' \"\" r#type"
    );
}

#[test]
fn paths_of_groups_are_taken_apart() {
    let code = "use crate::{\n    Error,\n    nn::{Pass, Params},\n    tensor::Element,\n};\nlet x = crate::random::f();";
    assert_eq!(crate_paths(code), ["Error", "nn", "tensor", "random"]);
    assert!(crate_paths("mycrate::x; $crate::y;").is_empty());
}
