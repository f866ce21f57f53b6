//! A configuration as a file for people: with what each key means, or with where each value is from.
use super::{
    Config, Preset,
    entries::entries,
    layers::Sources,
    schema::{Key, about_section, keys},
};

/// Every value of `config`, which is the preset's, below what it means; a key that has none is a comment. Read
/// back, it is `config`.
pub fn template(preset: &Preset, config: &Config) -> String {
    let Preset { name, about, .. } = preset;
    let mut text = format!(
        "# {name}: {about}.\n#\n\
         #   selfsame config check FILE                 what is wrong with it, before a run\n\
         #   selfsame train IMAGES --config FILE --out RUN\n\
         #\n\
         # What is left out has the value of the preset that `train` takes. The environment\n\
         # (SELFSAME_SCHEDULE_EPOCHS=3), flags (--epochs 3) and --set schedule.epochs=3 win over this file.\n"
    );
    let mut keys = keys();
    let mut section = String::new();
    for (path, value) in values(config) {
        let (of, name) = path.split_once('.').expect("section.key");
        if of != section {
            text += &unset(&mut keys, &section);
            section = of.into();
            text += "\n";
            text += &comment(&about_section(of));
            text += &format!("[{of}]\n");
        }
        let is_it = |key: &Key| key.section == of && key.name == name;
        let at = keys
            .iter()
            .position(is_it)
            .expect("the schema has them all");
        text += &meaning(&keys.remove(at));
        text += &format!("{name} = {value}\n");
    }
    text + &unset(&mut keys, &section)
}

/// `section.key` and the value as TOML, in the order they are declared in.
pub fn values(config: &Config) -> Vec<(String, String)> {
    let text = config.to_toml();
    let entries = entries(&text).expect("it was just written");
    let value = |entry: super::entries::Entry| (entry.path, text[entry.value].to_string());
    entries.into_iter().map(value).collect()
}

/// Every value, and behind it who gave it: a file that reads back.
pub fn annotated(config: &Config, sources: &Sources) -> String {
    let lines: Vec<(String, String)> = values(config)
        .into_iter()
        .map(|(path, value)| {
            let source = sources.get(&path).map_or("default", String::as_str);
            let source = source.replace(['\n', '\r'], " "); // of a file with such a name
            (path + " = " + &value, source)
        })
        .collect();
    let assignment = |line: &str| {
        line.split_once('.')
            .map_or(0, |(_, key)| key.chars().count())
    };
    // One list of images may be longer than the screen.
    let widths = lines.iter().map(|(line, _)| assignment(line));
    let width = widths.filter(|&width| width <= 40).max().unwrap_or(0);
    let (mut text, mut section) = (String::new(), "");
    for (line, source) in &lines {
        let (of, assignment) = line.split_once('.').expect("section.key");
        if of != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            text += &format!("{gap}[{of}]\n");
            section = of;
        }
        text += &format!("{assignment:<width$}  # {source}\n");
    }
    text
}

/// Those of `section` that are left in `keys`: they may be absent, and are.
fn unset(keys: &mut Vec<Key>, section: &str) -> String {
    let absent = keys.extract_if(.., |key| key.section == section);
    let line = |key: Key| meaning(&key) + &format!("# {} =\n", key.name);
    absent.map(line).collect()
}

fn meaning(key: &Key) -> String {
    let choices = match &key.choices[..] {
        [] => String::new(),
        words => format!("One of {}.", words.join(", ")),
    };
    comment(&[key.about.as_str(), &choices].join("\n"))
}

fn comment(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("# {line}\n")).collect()
}
