//! Where in a TOML text each value is.
use std::ops::Range;
use toml::de::{DeTable, DeValue, Error};

/// One key of a section.
pub struct Entry {
    /// `section.key`.
    pub path: String,
    /// In bytes of the text.
    pub key: Range<usize>,
    pub value: Range<usize>,
}

/// In the order of the text; what is in no section is left out.
pub fn entries(text: &str) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for (section, values) in DeTable::parse(text)?.get_ref() {
        let DeValue::Table(values) = values.get_ref() else {
            continue;
        };
        entries.extend(values.iter().map(|(key, value)| Entry {
            path: format!("{}.{}", section.get_ref(), key.get_ref()),
            key: key.span(),
            value: value.span(),
        }));
    }
    entries.sort_by_key(|entry| entry.key.start);
    Ok(entries)
}

/// The line at `offset`, counted from 1.
pub fn line_at(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
}
