//! What may change while a run goes on: every key of the configuration is in one of two tables, and
//! `resume` asks them.
use super::{Config, nearest};
use crate::{Error, Result};
use std::collections::BTreeSet;
use toml::{Table, Value};

/// How long a run is, where and how fast it computes, what it tells and keeps: none of it decides what
/// the weights of a step are, but for the learning rate, which decays over the new length, and a
/// device's own rounding.
const SAFE: &[&str] = &[
    "data.val",
    "data.max_bad",
    "data.workers",
    "schedule.epochs",
    "schedule.steps",
    "engine.device",
    "engine.precision",
    "engine.graph",
    "engine.on_nan",
    "output.checkpoint_every",
    "output.keep",
    "output.log_every",
    "output.tensorboard",
];

/// By what a change of them would break.
const UNSAFE: &[(&str, &[&str])] = &[
    (
        "the order of the images, and what a method remembers of each, follow from their names",
        &["data.images"],
    ),
    (
        "the weights trained so far are another network's",
        &[
            "encoder.arch",
            "encoder.width_multiplier",
            "encoder.stem",
            "encoder.zero_init_residual",
            "method.head_layers",
            "method.head_hidden",
            "method.head_out",
            "method.head_norm",
            "method.prototypes",
            "method.permutations",
        ],
    ),
    (
        "the steps done began with other weights",
        &["encoder.init_from"],
    ),
    (
        "the steps done have learned from another loss",
        &[
            "method.name",
            "method.temperature",
            "method.bank",
            "method.queue",
            "method.queue_from",
            "method.momentum",
            "method.symmetric",
            "method.negatives",
            "method.lambda",
            "method.loss",
            "method.transform",
            "method.epsilon",
            "method.iterations",
            "method.freeze_steps",
            "method.assignment",
            "method.equipartition",
            "method.off_diagonal",
            "method.dropout",
        ],
    ),
    (
        "the steps done have seen other views of the images",
        &[
            "encoder.image_size",
            "augment.crop_scale",
            "augment.crop_ratio",
            "augment.crop_filter",
            "augment.small_crops",
            "augment.small_size",
            "augment.small_scale",
            "augment.jitter",
            "augment.brightness",
            "augment.contrast",
            "augment.saturation",
            "augment.hue",
            "augment.photometric",
            "augment.gray",
            "augment.gray_first",
            "augment.blur",
            "augment.blur_sigma",
            "augment.solarize",
            "augment.second_blur",
            "augment.second_solarize",
            "augment.mean",
            "augment.std",
            "patches.size",
            "patches.whole",
            "patches.resize",
            "patches.scale",
            "patches.mirror",
        ],
    ),
    (
        "the steps done were taken by another rule",
        &[
            "optimize.rule",
            "optimize.lr",
            "optimize.vector_lr",
            "optimize.momentum",
            "optimize.weight_decay",
            "optimize.trust",
            "optimize.spare_vectors",
            "optimize.decay_biases",
            "optimize.head_decay",
            "schedule.warmup_epochs",
            "schedule.warmup_start",
            "schedule.warmup_inclusive",
            "schedule.decay",
            "schedule.decay_end",
            "schedule.decay_epochs",
            "schedule.decay_factor",
            "schedule.decay_by_epoch",
        ],
    ),
    (
        "steps, epochs and statistics are counted in batches",
        &[
            "schedule.batch",
            "method.accumulate_exact",
            "method.bn_groups",
        ],
    ),
    (
        "the order of the images and every draw follow from it",
        &["schedule.seed"],
    ),
];

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `section.key`.
    pub key: String,
    /// As TOML; `unset` of a key that need not be there.
    pub from: String,
    pub to: String,
}

impl Change {
    /// Why a run that goes on may not have it; `None` where it may.
    pub fn breaks(&self) -> Option<&'static str> {
        if SAFE.contains(&&self.key[..]) {
            return None;
        }
        let holds = |(_, keys): &&(&str, &[&str])| keys.contains(&&self.key[..]);
        let found = UNSAFE.iter().find(holds);
        Some(found.map_or("nothing is known of it", |(why, _)| why))
    }
}

impl Config {
    /// What differs in `to`, by key.
    pub fn changes(&self, to: &Config) -> Vec<Change> {
        let (from, to) = (values(self), values(to));
        let keys: BTreeSet<&String> = from.iter().chain(&to).map(|(key, _)| key).collect();
        let value = |of: &[(String, Value)], key: &String| {
            let found = of.iter().find(|(known, _)| known == key);
            found.map_or("unset".into(), |(_, value)| value.to_string())
        };
        let change = |key: &String| Change {
            key: key.clone(),
            from: value(&from, key),
            to: value(&to, key),
        };
        let changes = keys.into_iter().map(change);
        changes.filter(|change| change.from != change.to).collect()
    }
}

/// Errors with every one of `changes` that would make another run of it, but for the keys `forced`.
pub fn refuse(changes: &[Change], forced: &[String]) -> Result<()> {
    for key in forced {
        known(key)?;
    }
    let refused = changes.iter().filter_map(|change| {
        let why = change.breaks().filter(|_| !forced.contains(&change.key))?;
        let Change { key, from, to } = change;
        Some(format!(
            "{key} is {from} and cannot become {to} on resume: {why}\n  start a new run with another --out, or accept what it means: --force-change {key}"
        ))
    });
    let refused: Vec<String> = refused.collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Error::Config(refused.join("\n"))),
    }
}

fn known(key: &str) -> Result<()> {
    let unsafe_ones = UNSAFE.iter().flat_map(|(_, keys)| keys.iter());
    let mut keys = SAFE.iter().chain(unsafe_ones).copied();
    if keys.clone().any(|known| known == key) {
        return Ok(());
    }
    let meant = nearest(key, keys.by_ref());
    let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    Err(Error::Config(format!(
        "unknown key `{key}` (--force-change)\n  it is written section.key, e.g. optimize.lr{meant}"
    )))
}

fn values(config: &Config) -> Vec<(String, Value)> {
    let table = Table::try_from(config).expect("every value has a TOML form");
    let inside = |(section, values): (String, Value)| {
        let Value::Table(values) = values else {
            unreachable!("the configuration holds sections");
        };
        let whole = move |(key, value)| (format!("{section}.{key}"), value);
        values.into_iter().map(whole)
    };
    table.into_iter().flat_map(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// What serde says there is where `text` names what there is not.
    fn expected(text: &str) -> Vec<String> {
        let Err(error) = toml::from_str::<Config>(text) else {
            return Vec::new(); // any word will do
        };
        let words = error.message().split('`').skip(3).step_by(2);
        words.map(String::from).collect()
    }

    /// Those without a default too.
    fn keys() -> Vec<(String, String)> {
        let keys = |section: String| {
            let keys = expected(&format!("[{section}]\nno_such_key = 1"));
            keys.into_iter().map(move |key| (section.clone(), key))
        };
        expected("no_such_section = 1")
            .into_iter()
            .flat_map(keys)
            .collect()
    }

    /// `base` with another value of the key.
    fn changed(base: &Config, section: &str, key: &str) -> Config {
        let words = expected(&format!("[{section}]\n{key} = \"no such word\""));
        let words = words.into_iter().map(|word| format!("\"{word}\""));
        let others = ["7", "0.37", "true", "false", "\"3m\"", "[3]", "[\"x\"]"];
        let others = others.into_iter().chain(["[0.2, 0.3]", "[0.2, 0.3, 0.4]"]);
        let with = |value: String| {
            let mut table = Table::try_from(base).unwrap();
            let value =
                toml::from_str::<Table>(&format!("value = {value}")).unwrap()["value"].clone();
            let section = table[section].as_table_mut().unwrap();
            section.insert(key.into(), value);
            Config::deserialize(table)
                .ok()
                .filter(|config| config != base)
        };
        let mut values = words.chain(others.map(String::from));
        let found = values.find_map(with);
        found.unwrap_or_else(|| panic!("no other value of {section}.{key} is known"))
    }

    /// Every key there is: classed once, and treated as its class says by `refuse` and by the hash that
    /// checkpoints carry.
    #[test]
    fn every_key_is_classed_and_behaves_so() {
        let base = Config::default();
        let mut classed: Vec<&str> = SAFE.to_vec();
        classed.extend(UNSAFE.iter().flat_map(|(_, keys)| *keys));
        for (section, key) in keys() {
            let path = format!("{section}.{key}");
            let count = classed.iter().filter(|known| **known == path).count();
            assert_eq!(count, 1, "{path}: in how many classes");
            classed.retain(|known| *known != path);

            let config = changed(&base, &section, &key);
            let changes = base.changes(&config);
            let names: Vec<&String> = changes.iter().map(|change| &change.key).collect();
            assert_eq!(names, [&path]);
            let safe = SAFE.contains(&&path[..]);
            assert_eq!(base.hash() == config.hash(), safe, "{path}: its hash");
            match refuse(&changes, &[]) {
                Ok(()) => assert!(safe, "{path}: let through"),
                Err(why) => {
                    let text = why.to_string();
                    assert!(!safe && why.exit_code() == 2, "{text}");
                    let reason = UNSAFE.iter().find(|(_, keys)| keys.contains(&&path[..]));
                    let reason = reason.unwrap().0;
                    let way_out = format!("--force-change {path}");
                    for word in [
                        &path[..],
                        reason,
                        &way_out,
                        &changes[0].from,
                        &changes[0].to,
                    ] {
                        assert!(text.contains(word), "no `{word}` in {text}");
                    }
                    refuse(&changes, std::slice::from_ref(&path)).unwrap();
                    let another = if path == "optimize.lr" {
                        "optimize.trust"
                    } else {
                        "optimize.lr"
                    };
                    assert!(refuse(&changes, &[another.into()]).is_err(), "{path}");
                }
            }
        }
        assert!(classed.is_empty(), "no such keys: {classed:?}");
    }

    #[test]
    fn a_forced_key_is_one_there_is() {
        let error = refuse(&[], &["method.temprature".into()]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("did you mean `method.temperature`?"),
            "{error}"
        );
        assert_eq!(Config::default().changes(&Config::default()), []);
    }
}
