//! Values from the environment: `SELFSAME_SCHEDULE_EPOCHS=3` is `schedule.epochs = 3`. A section's name is one
//! word, so what follows it is the key. `train` reads them; `resume` does not, as a run goes on as it is.
use super::{
    Layers, nearest,
    schema::{Key, keys},
    unknown::meant,
};
use crate::{Error, Result};

const PREFIX: &str = "SELFSAME_";

/// What else the program, its build and its tests read; none begins with a section's name.
const OTHERS: [&str; 9] = [
    "CACHE_INDEX",
    "DEVICE",
    "EMULATOR",
    "EMULATOR_WORKERS",
    "FAULT",
    "NVRTC",
    "READERS",
    "SEED",
    "TRACE",
];

impl Layers {
    /// Those of `variables` that begin with `SELFSAME_`, each read as `--set` reads its value. One that is
    /// no key's and none of the program's own is an error: it would do nothing, and not say so.
    pub fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<()> {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let word = name.strip_prefix(PREFIX)?.to_string();
            (!OTHERS.contains(&word.as_str())).then_some((word, value))
        });
        let mut ours: Vec<(String, String)> = ours.collect();
        if ours.is_empty() {
            return Ok(());
        }
        ours.sort(); // the environment has no order of its own
        let known = keys();
        for (word, value) in ours {
            let key = known.iter().find(|key| variable(key) == word);
            let key = key.ok_or_else(|| unknown(&word, &known))?;
            let path = format!("{}.{}", key.section, key.name);
            self.set(
                &format!("{PREFIX}{word}"),
                &path,
                super::layers::toml_or_text(&value),
            )?;
        }
        Ok(())
    }
}

/// `SCHEDULE_EPOCHS`.
fn variable(key: &Key) -> String {
    format!("{}_{}", key.section, key.name).to_uppercase()
}

fn unknown(word: &str, known: &[Key]) -> Error {
    let names: Vec<String> = known.iter().map(variable).collect();
    let others = names.iter().map(String::as_str).chain(OTHERS);
    let lower = word.to_lowercase();
    let (section, key) = lower.split_once('_').unwrap_or(("", &lower));
    let section = known.iter().find(|known| known.section == section);
    let of_key = match section {
        Some(found) => meant(key, known, Some(&found.section)),
        None => meant(&lower, known, None),
    };
    let near = nearest(word, others).map(String::from);
    let of_key = of_key.map(variable);
    let name = match section {
        Some(_) => of_key.or(near),
        None => near.or(of_key),
    };
    let way_out = match name {
        Some(name) => format!("did you mean {PREFIX}{name}?"),
        None => format!("a value's variable is {PREFIX}SECTION_KEY, e.g. {PREFIX}SCHEDULE_EPOCHS"),
    };
    Error::Config(format!(
        "unknown environment variable {PREFIX}{word}\n  {way_out} If it is not meant for this program: unset it"
    ))
}
