//! Layer over layer of TOML, each checked by itself so that an error names its own place.
use super::{Config, PRESETS, Preset, nearest};
use crate::{Error, Result};
use serde::Deserialize;
use std::{fs, path::Path};
use toml::{Table, Value};

/// What people write for what is called otherwise here.
const SYNONYMS: [(&str, &str); 10] = [
    ("learning_rate", "lr"),
    ("batch_size", "batch"),
    ("wd", "weight_decay"),
    ("optimizer", "rule"),
    ("tau", "temperature"),
    ("warmup", "warmup_epochs"),
    ("num_workers", "workers"),
    ("size", "image_size"),
    ("model", "arch"),
    ("grayscale", "gray"),
];

/// The values given so far.
#[derive(Default)]
pub struct Layers(Table);

impl Layers {
    pub fn preset(&mut self, name: &str) -> Result<()> {
        let Some(preset) = Preset::named(name) else {
            let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
            return Err(Error::Config(format!(
                "unknown preset `{name}`\n{}",
                suggestion(name, &names)
            )));
        };
        for text in preset.layers {
            self.text(text, &format!("preset {name}"))?;
        }
        Ok(())
    }

    pub fn file(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).map_err(Error::file(path))?;
        self.text(&text, &path.display().to_string())
    }

    fn text(&mut self, text: &str, origin: &str) -> Result<()> {
        let place = |e: &toml::de::Error| match e.span() {
            Some(span) => {
                let line = 1 + text[..span.start.min(text.len())].matches('\n').count();
                (
                    format!("({origin}:{line})"),
                    text.lines().nth(line - 1).unwrap_or("").trim(),
                )
            }
            None => (format!("({origin})"), ""),
        };
        let table: Table = toml::from_str(text).map_err(|e| {
            let (place, line) = place(&e);
            Error::Config(format!("{} {place}\n  {line}", e.message()))
        })?;
        if let Err(e) = toml::from_str::<Config>(text) {
            let (place, line) = place(&e);
            return Err(explain(&e, &table, &place, line));
        }
        // A list that is too long is found only here.
        if let Err(e) = Config::deserialize(table.clone()) {
            let key = e.to_string();
            let key = key.lines().last().unwrap_or_default().trim();
            return Err(explain(&e, &table, &format!("({origin})"), key));
        }
        merge(&mut self.0, table);
        Ok(())
    }

    /// `path` is `section.key`; `origin` is the flag that says so.
    pub fn set(&mut self, origin: &str, path: &str, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        let line = format!("{path} = {value}");
        let nest =
            |inside: Value, key: &str| Value::Table(Table::from_iter([(key.into(), inside)]));
        let Value::Table(table) = path.rsplit('.').fold(value, nest) else {
            unreachable!("a path has a key");
        };
        if let Err(e) = Config::deserialize(table.clone()) {
            return Err(explain(&e, &table, &format!("({origin})"), &line));
        }
        merge(&mut self.0, table);
        Ok(())
    }

    /// `section.key=value`; a value that is not TOML is a string.
    pub fn assign(&mut self, assignment: &str) -> Result<()> {
        let Some((path, text)) = assignment.split_once('=') else {
            return Err(Error::Config(format!(
                "`--set {assignment}` has no `=`; e.g. --set method.temperature=0.2"
            )));
        };
        let (path, text) = (path.trim(), text.trim());
        let value = match toml::from_str::<Table>(&format!("value = {text}")) {
            Ok(mut table) => table.remove("value").expect("it was just written"),
            Err(_) => Value::String(text.into()),
        };
        self.set("--set", path, value)
    }

    pub fn finish(self) -> Result<Config> {
        let config = self.read();
        config.check()?;
        Ok(config)
    }

    /// What was said so far, which need not go together: more may follow.
    pub fn read(self) -> Config {
        Config::deserialize(self.0).expect("each layer was read alone")
    }
}

fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// serde's words about `table`, with the place and the way out.
fn explain(e: &toml::de::Error, table: &Table, place: &str, line: &str) -> Error {
    let message = e.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    Error::Config(match quoted.next() {
        Some(word) if message.starts_with("unknown field") => unknown_key(word, table, place),
        Some(word) if message.starts_with("unknown variant") => {
            let known: Vec<&str> = quoted.collect();
            format!(
                "unknown value `{word}` {place}\n{}",
                suggestion(word, &known)
            )
        }
        _ => format!("{message} {place}\n  {line}"),
    })
}

fn unknown_key(word: &str, table: &Table, place: &str) -> String {
    let known = known_keys();
    let section = section_of(word, table);
    let inside = match &section {
        Some(section) => format!("in [{section}]"),
        None => "outside any section".into(),
    };
    let meant = SYNONYMS
        .iter()
        .find(|(other, _)| *other == word)
        .map(|(_, key)| *key);
    let meant = meant.unwrap_or(word);
    let here = known.iter().filter(|(s, _)| Some(s) == section.as_ref());
    let here = nearest(meant, here.map(|(_, key)| key.as_str()));
    let anywhere = || nearest(meant, known.iter().map(|(_, key)| key.as_str()));
    let sections = known.iter().map(|(section, _)| section.as_str());
    let way_out = match (here.or_else(anywhere), &section) {
        (Some(key), _) => {
            let (section, _) = known
                .iter()
                .find(|(s, k)| k == key && (here.is_none() || Some(s) == section.as_ref()))
                .expect("it is one of them");
            format!("did you mean `{key}` in [{section}]?")
        }
        (None, Some(section)) => {
            let here = known.iter().filter(|(s, _)| s == section);
            format!(
                "[{section}] has {}",
                list(here.map(|(_, key)| key.as_str()))
            )
        }
        (None, None) => match nearest(word, sections.clone()) {
            Some(section) => format!("did you mean [{section}]?"),
            None => {
                let mut sections: Vec<&str> = sections.collect();
                sections.dedup();
                format!("the sections are {}", list(sections))
            }
        },
    };
    format!("unknown key `{word}` {inside} {place}\n  {way_out}")
}

/// The section of `table` that holds `word` without knowing it.
fn section_of(word: &str, table: &Table) -> Option<String> {
    let known = known_keys();
    let holds = |(section, value): (&String, &Value)| {
        let unknown = !known.contains(&(section.clone(), word.to_string()));
        let held = value.as_table().is_some_and(|t| t.contains_key(word));
        (held && unknown).then(|| section.clone())
    };
    if table.contains_key(word) && !known.iter().any(|(section, _)| section == word) {
        return None;
    }
    table.iter().find_map(holds)
}

/// Every (section, key).
fn known_keys() -> Vec<(String, String)> {
    let table = Table::try_from(Config::default()).expect("the defaults have a TOML form");
    let keys = |(section, values): (String, Value)| {
        let Value::Table(values) = values else {
            unreachable!("the configuration holds sections");
        };
        values
            .into_iter()
            .map(move |(key, _)| (section.clone(), key))
    };
    table.into_iter().flat_map(keys).collect()
}

pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    let known_list = list(known.iter().copied());
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("  did you mean `{meant}`? there are {known_list}"),
        None => format!("  there are {known_list}"),
    }
}

fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}
