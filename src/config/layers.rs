//! Layer over layer of TOML, each checked by itself so that an error names its own place.
use super::{
    Config, PRESETS, Preset,
    entries::{entries, line_at},
    place::Place,
    unknown::{explain, suggestion},
};
use crate::{Error, Result};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path};
use toml::{Table, Value};

/// The values given so far, and who gave them.
#[derive(Default)]
pub struct Layers {
    values: Table,
    sources: Sources,
}

/// By `section.key`: `preset moco-v2`, `train.toml:14`, a variable's name, a flag. A key that is not here has its
/// default.
pub type Sources = BTreeMap<String, String>;

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
            self.text(text, &format!("preset {name}"), |_| String::new())?;
        }
        Ok(())
    }

    pub fn file(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).map_err(Error::file(path))?;
        self.text(&text, &path.display().to_string(), |line| {
            format!(":{line}")
        })
    }

    /// `at_line` is what a value's source says of its line.
    fn text(&mut self, text: &str, origin: &str, at_line: fn(usize) -> String) -> Result<()> {
        let place = |e: &toml::de::Error| Place::in_text(origin, text, e.span());
        let table: Table =
            toml::from_str(text).map_err(|e| explain(&e, &Table::new(), &place(&e)))?;
        toml::from_str::<Config>(text).map_err(|e| explain(&e, &table, &place(&e)))?;
        let entries = entries(text).expect("it was just read");
        // A list that is too long is found only here, and without its place.
        if let Err(e) = Config::deserialize(table.clone()) {
            let words = e.to_string();
            let at = entries
                .iter()
                .find(|entry| words.contains(&format!("`{}`", entry.path)));
            let place = Place::in_text(origin, text, at.map(|entry| entry.value.clone()));
            return Err(explain(&e, &table, &place));
        }
        for entry in entries {
            let line = at_line(line_at(text, entry.key.start));
            self.sources.insert(entry.path, format!("{origin}{line}"));
        }
        merge(&mut self.values, table);
        Ok(())
    }

    /// `path` is `section.key`; `origin` is the flag or the variable that says so.
    pub fn set(&mut self, origin: &str, path: &str, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        let place = Place::of_flag(origin, format!("{path} = {value}"));
        let nest =
            |inside: Value, key: &str| Value::Table(Table::from_iter([(key.into(), inside)]));
        let Value::Table(table) = path.rsplit('.').fold(value, nest) else {
            unreachable!("a path has a key");
        };
        if let Err(e) = Config::deserialize(table.clone()) {
            return Err(explain(&e, &table, &place));
        }
        for (section, values) in &table {
            let keys = values.as_table().into_iter().flat_map(Table::keys);
            let paths = keys.map(|key| (format!("{section}.{key}"), origin.to_string()));
            self.sources.extend(paths);
        }
        merge(&mut self.values, table);
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
        self.set("--set", path, toml_or_text(text))
    }

    pub fn finish(&self) -> Result<Config> {
        let config = self.read();
        config.check()?;
        Ok(config)
    }

    /// What was said so far, which need not go together: more may follow.
    pub fn read(&self) -> Config {
        Config::deserialize(self.values.clone()).expect("each layer was read alone")
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }
}

/// What is not TOML is a string.
pub(super) fn toml_or_text(text: &str) -> Value {
    match toml::from_str::<Table>(&format!("value = {text}")) {
        Ok(mut table) if table.len() == 1 => table.remove("value").expect("it was just written"),
        _ => Value::String(text.into()),
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
