//! A folder as Hugging Face's hub has it for timm: `config.json` and `model.safetensors`, which
//! `timm.create_model("local-dir:FOLDER", pretrained=True)` loads.
use super::{
    Existing, WholeFile, WholeFolder, torchvision,
    weights::{self, Array, Weights},
};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::{collections::HashMap, fs, path::Path};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";

/// What `config.json` says.
pub struct Card<'a> {
    /// timm's name of the network.
    pub architecture: &'a str,
    /// Numbers of a feature vector.
    pub features: usize,
    /// Pixels a side.
    pub image_size: u32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// `tensors` with convolutions (out, kh, kw, in), as [`torchvision::write`] takes them.
pub fn write(
    path: &Path,
    card: &Card,
    tensors: &[(String, Array)],
    batches: i64,
    notes: &HashMap<String, String>,
    existing: Existing,
) -> Result<()> {
    let folder = WholeFolder::create(path, existing)?;
    let weights = folder.path().join(WEIGHTS);
    torchvision::write(&weights, tensors, batches, notes, Existing::Refuse)?;
    let mut config = WholeFile::create(&folder.path().join(CONFIG), Existing::Refuse)?;
    config.write(format!("{:#}\n", card.to_json()).as_bytes())?;
    config.finish()?;
    folder.finish()
}

impl Card<'_> {
    /// The preparation is ours: the short side to 256/224 of the size, bilinear, and the middle of it.
    fn to_json(&self) -> Value {
        let decimal = |numbers: [f32; 3]| numbers.map(|x| json!(decimal(x)));
        json!({
            "architecture": self.architecture,
            "num_classes": 0,
            "num_features": self.features,
            "global_pool": "avg",
            "pretrained_cfg": {
                "input_size": [3, self.image_size, self.image_size],
                "fixed_input_size": false,
                "interpolation": "bilinear",
                "crop_pct": 0.875,
                "crop_mode": "center",
                "mean": decimal(self.mean),
                "std": decimal(self.std),
                "num_classes": 0,
                "first_conv": "conv1",
                "classifier": "fc",
            },
        })
    }
}

/// The number that was meant: 0.485, not the nearest f32 in all its digits.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().expect("a number")
}

/// Whether it is such a folder.
pub fn is_one(path: &Path) -> bool {
    path.join(CONFIG).is_file() && path.join(WEIGHTS).is_file()
}

/// The weights, with what `config.json` says of the images among their notes.
pub fn read(path: &Path) -> Result<Weights> {
    let mut weights = weights::read(&path.join(WEIGHTS))?;
    let config = path.join(CONFIG);
    let text = fs::read_to_string(&config).map_err(Error::file(&config))?;
    let config: Value = serde_json::from_str(&text).map_err(|why| Error::Checkpoint {
        path: config,
        why: why.to_string(),
    })?;
    let said = &config["pretrained_cfg"];
    let mut note = |name: &str, value: Option<String>| {
        value.map(|value| weights.notes.insert(name.into(), value));
    };
    let triple = |value: &Value| {
        let numbers = value.as_array()?.iter().map(Value::as_f64);
        let numbers: Vec<String> = numbers
            .map(|x| Some(x?.to_string()))
            .collect::<Option<_>>()?;
        Some(numbers.join(","))
    };
    note(
        "image_size",
        said["input_size"][1].as_u64().map(|n| n.to_string()),
    );
    note("mean", triple(&said["mean"]));
    note("std", triple(&said["std"]));
    Ok(weights)
}
