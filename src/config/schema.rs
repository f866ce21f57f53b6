//! What keys there are, from the types themselves.
use super::Config;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// A key of a section, as its type and its comment have it.
pub struct Key {
    pub section: String,
    pub name: String,
    /// Empty where the name says it all.
    pub about: String,
    /// The words it may be; none where it is no choice.
    pub choices: Vec<String>,
}

/// JSON Schema (draft 2020-12) of a configuration file, every part of it written out in its place.
pub fn schema() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    schema.to_value()
}

/// Every key there is, those without a default too; by section and name.
pub fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    for (section, of_section) in properties(&schema()) {
        for (name, schema) in properties(of_section) {
            keys.push(Key {
                section: section.into(),
                name: name.into(),
                about: text(schema, "description"),
                choices: choices(schema),
            });
        }
    }
    keys.sort_by(|a, b| (&a.section, &a.name).cmp(&(&b.section, &b.name)));
    keys
}

/// What the comment above a section says.
pub fn about_section(section: &str) -> String {
    text(&schema()["properties"][section], "description")
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let properties = schema["properties"].as_object();
    let properties = properties.into_iter().flatten();
    properties.map(|(name, value)| (name.as_str(), value))
}

fn text(schema: &Value, key: &str) -> String {
    schema[key].as_str().unwrap_or_default().into()
}

/// Variants without a comment come as one `enum`, those with one as a `const` each.
fn choices(schema: &Value) -> Vec<String> {
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let words = |schema: &Value| {
        let plain = schema["enum"].as_array().into_iter().flatten();
        let all = plain.chain(schema.get("const")).filter_map(Value::as_str);
        all.map(String::from).collect::<Vec<_>>()
    };
    let all = alternatives.chain([schema]).flat_map(words);
    all.collect()
}
