//! Labelled images: which they are, that they can be judged by, and their features.
use super::{place::Place, share};
use crate::{
    Error, Result,
    cli::{
        progress::Progress,
        weights::{EncoderArgs, Loaded},
    },
    data::{BadImage, Dataset},
    evaluate::{Features, class_balanced, embedded},
};
use clap::Args;
use std::sync::Arc;

/// An encoder and the images it is judged by.
#[derive(Args, Debug)]
pub struct LabelledArgs {
    #[command(flatten)]
    pub encoder: EncoderArgs,
    #[command(flatten)]
    pub specs: SpecArgs,
}

#[derive(Args, Debug)]
pub struct SpecArgs {
    /// Labelled images: a folder a class, or whatever `train` takes that has labels
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    pub train: Vec<String>,
    /// Labelled images to judge on, of the same classes
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    pub val: Vec<String>,
    /// The result as one line of JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// What is drawn.
#[derive(Args, Debug)]
pub struct SubsetArgs {
    /// Train on this share of each class of --train: 0.01, 0.1 [default: all]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub labels_fraction: Option<f64>,
    /// Decides that share and every other draw
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Images whose labels have been checked, not yet looked at.
pub struct Opened {
    pub loaded: Loaded,
    pub train: Arc<Dataset>,
    pub val: Arc<Dataset>,
    /// For each class of `val` its number in `train`.
    pub classes: Vec<u32>,
    pub workers: usize,
}

/// Features and classes of one dataset.
pub struct Part {
    values: Vec<f32>,
    dim: usize,
    pub labels: Vec<u32>,
}

impl Part {
    pub fn features(&self) -> Features<'_> {
        Features::new(&self.values, &self.labels, self.dim)
    }
}

pub struct Labelled {
    pub train: Part,
    pub val: Part,
    pub classes: usize,
    encoder: String,
}

impl LabelledArgs {
    pub fn place(&self, opened: &Opened) -> Place {
        Place::of(&self.encoder.weights, opened, &self.specs)
    }

    pub fn open(&self, subset: Option<&SubsetArgs>) -> Result<Opened> {
        let loaded = self.encoder.load()?;
        self.specs.open(loaded, subset, self.encoder.workers())
    }
}

impl SpecArgs {
    /// Refuses what has no labels before anything is computed.
    pub fn open(
        &self,
        loaded: Loaded,
        subset: Option<&SubsetArgs>,
        workers: usize,
    ) -> Result<Opened> {
        let open = |flag: &str, specs: &[String]| -> Result<Dataset> {
            let dataset = Dataset::open(specs, loaded.seed)?;
            check_labels(flag, &dataset)?;
            Ok(dataset)
        };
        let mut train = open("--train", &self.train)?;
        let val = open("--val", &self.val)?;
        let classes = same_classes(&train, &val)?;
        if let Some((fraction, seed)) = subset.and_then(|s| Some((s.labels_fraction?, s.seed))) {
            let labels: Vec<u32> = (0..train.len()).filter_map(|i| train.label(i)).collect();
            train = train.only(&class_balanced(&labels, fraction, seed));
        }
        Ok(Opened {
            loaded,
            train: Arc::new(train),
            val: Arc::new(val),
            classes,
            workers,
        })
    }
}

impl Opened {
    /// One pass of every image.
    pub fn embed(&self) -> Result<Labelled> {
        let own: Vec<u32> = (0..self.train.classes().len() as u32).collect();
        let part = |flag: &str, dataset: &Arc<Dataset>, classes: &[u32]| {
            part(flag, &self.loaded, dataset, classes, self.workers)
        };
        Ok(Labelled {
            train: part("--train", &self.train, &own)?,
            val: part("--val", &self.val, &self.classes)?,
            classes: own.len(),
            encoder: self.loaded.describe(),
        })
    }
}

impl Labelled {
    /// `result`, and what it was measured on.
    pub fn told(&self, mut result: serde_json::Value) -> serde_json::Value {
        result["images"] = self.val.labels.len().into();
        result["bank"] = self.train.labels.len().into();
        result["classes"] = self.classes.into();
        result["encoder"] = self.encoder.as_str().into();
        result
    }
}

/// A search of several rates holds some images out.
pub fn enough(images: usize, rates: usize) -> Result<()> {
    if images >= 2 || rates == 1 {
        return Ok(());
    }
    Err(Error::Data(
        "--train holds one image; a tenth of it cannot be held out to choose a learning rate\n  name one with --lr".into(),
    ))
}

pub fn none_is_an_error(flag: &str, read: usize) -> Result<()> {
    match read {
        0 => Err(Error::Data(format!(
            "none of the images of {flag} could be read"
        ))),
        _ => Ok(()),
    }
}

fn check_labels(flag: &str, dataset: &Dataset) -> Result<()> {
    let unlabelled = |&index: &usize| dataset.label(index).is_none();
    let Some(first) = (0..dataset.len()).find(unlabelled) else {
        return Ok(());
    };
    let count = (0..dataset.len()).filter(unlabelled).count();
    Err(Error::Data(format!(
        "{count} of the {} images of {flag} have no label, e.g. {}\n  evaluation needs a folder a class: DIR/cat/1.jpg, DIR/dog/2.jpg",
        dataset.len(),
        dataset.name(first)
    )))
}

/// For each class of `val` its number in `train`.
fn same_classes(train: &Dataset, val: &Dataset) -> Result<Vec<u32>> {
    let place = |class: &String| {
        let place = train.classes().binary_search(class);
        place.map(|place| place as u32).map_err(|_| {
            Error::Data(format!(
                "--val has the class `{class}`, which --train has not: it could never be told\n  --train has {}",
                train.classes().join(", ")
            ))
        })
    };
    val.classes().iter().map(place).collect()
}

/// `classes` translates the dataset's labels.
fn part(
    flag: &str,
    loaded: &Loaded,
    dataset: &Arc<Dataset>,
    classes: &[u32],
    workers: usize,
) -> Result<Part> {
    let progress = Progress::new(flag, dataset.len());
    let all = embedded(&loaded.encoder(), dataset, workers, &|done| {
        progress.at(done)
    })?;
    drop(progress);
    warn_of_bad(flag, &all.bad, all.ids.len());
    none_is_an_error(flag, all.ids.len())?;
    let class = |label: &Option<u32>| classes[label.expect("labels were checked") as usize];
    Ok(Part {
        labels: all.labels.iter().map(class).collect(),
        dim: all.dim,
        values: all.values,
    })
}

pub fn warn_of_bad(flag: &str, bad: &[BadImage], good: usize) {
    if let Some(first) = bad.first() {
        let (bad, of) = (bad.len(), bad.len() + good);
        eprintln!(
            "warning[data]: {bad} of the {of} images of {flag} are bad and left out, e.g. {first}"
        );
    }
}
