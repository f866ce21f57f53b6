//! What an error says of a key or a word that there is not: where it is, and what was meant.
use super::{
    nearest,
    place::Place,
    schema::{Key, keys},
};
use crate::Error;
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

/// serde's words about `table`, with the place and the way out.
pub fn explain(e: &toml::de::Error, table: &Table, place: &Place) -> Error {
    let message = e.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    Error::Config(match quoted.next() {
        Some(word) if message.starts_with("unknown field") => unknown_key(word, table, place),
        Some(word) if message.starts_with("unknown variant") => {
            let known: Vec<&str> = quoted.collect();
            let Place { name, excerpt } = place;
            let way_out = suggestion(word, &known);
            format!("unknown value `{word}` {name}\n{excerpt}{way_out}")
        }
        _ => format!("{message} {}\n{}", place.name, place.excerpt.trim_end()),
    })
}

fn unknown_key(word: &str, table: &Table, place: &Place) -> String {
    let known = keys();
    let section = section_of(word, table, &known);
    let inside = match &section {
        Some(section) => format!("in [{section}]"),
        None => "outside any section".into(),
    };
    let here = |key: &&Key| Some(&key.section) == section.as_ref();
    let way_out = match (meant(word, &known, section.as_deref()), &section) {
        (Some(key), _) => format!("did you mean `{}` in [{}]?", key.name, key.section),
        (None, Some(section)) => {
            let here = known.iter().filter(here).map(|key| key.name.as_str());
            format!("[{section}] has {}", list(here))
        }
        (None, None) => {
            let mut sections: Vec<&str> = known.iter().map(|key| key.section.as_str()).collect();
            sections.dedup();
            match nearest(word, sections.clone()) {
                Some(section) => format!("did you mean [{section}]?"),
                None => format!("the sections are {}", list(sections)),
            }
        }
    };
    let Place { name, excerpt } = place;
    format!("unknown key `{word}` {inside} {name}\n{excerpt}  {way_out}")
}

/// The key that `word` stands for or is near to: of `section`, failing that of any.
pub fn meant<'a>(word: &str, known: &'a [Key], section: Option<&str>) -> Option<&'a Key> {
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == word);
    let word = synonym.map_or(word, |(_, key)| key);
    let nearest_of = |keys: Vec<&'a Key>| {
        let name = nearest(word, keys.iter().map(|key| key.name.as_str()))?;
        keys.into_iter().find(|key| key.name == name)
    };
    let here = known
        .iter()
        .filter(|key| Some(key.section.as_str()) == section);
    nearest_of(here.collect()).or_else(|| nearest_of(known.iter().collect()))
}

/// The section of `table` that holds `word` without knowing it.
fn section_of(word: &str, table: &Table, known: &[Key]) -> Option<String> {
    let holds = |(section, value): (&String, &Value)| {
        let has = |key: &Key| key.section == *section && key.name == word;
        let unknown = !known.iter().any(has);
        let held = value.as_table().is_some_and(|t| t.contains_key(word));
        (held && unknown).then(|| section.clone())
    };
    if table.contains_key(word) && !known.iter().any(|key| key.section == word) {
        return None;
    }
    table.iter().find_map(holds)
}

pub fn suggestion(word: &str, known: &[&str]) -> String {
    let known_list = list(known.iter().copied());
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("  did you mean `{meant}`? there are {known_list}"),
        None => format!("  there are {known_list}"),
    }
}

fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}
