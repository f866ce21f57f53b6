//! What `train` and `resume` share: the plan told, the loop run, and what to do next.
use super::{
    format::{bytes, grouped},
    plan::{self, lower},
};
use crate::{
    Error, Result,
    config::{Config, hours_minutes},
    data::Dataset,
    evaluate::Score,
    interop::{Existing, torchvision, weights::Array},
    nn::{Entry, Params},
    train::{
        advice::advice,
        build::About,
        log::Log,
        neighbours::Neighbours,
        results::{self, Seen},
        run::{Images, Run},
        stop::{Stop, Why},
        trainer::{Outcome, Trainer},
    },
};
use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, time::Instant};

pub struct Session {
    pub run: Run,
    pub trainer: Trainer,
    pub dataset: Arc<Dataset>,
    pub neighbours: Option<Neighbours>,
    pub warnings: Vec<String>,
    pub stop: Stop,
}

impl Session {
    /// From the trainer's step to the last one, or until asked to stop.
    pub fn go(mut self, trace: bool) -> Result<()> {
        let started = Instant::now();
        let stop = self.stop.clone();
        let config = self.trainer.config.clone();
        let steps = self.trainer.schedule.steps;
        let path = self.run.path().to_path_buf();
        let mut log = Log::open(&path, config.output.log_every, self.trainer.step, steps)?;
        for warning in self.run.warnings.iter().chain(&self.warnings) {
            log.warn(warning);
        }
        self.describe(&config)?;
        let about = About::of(&self.dataset);
        for advice in advice(&config, about, self.trainer.schedule.steps_per_epoch) {
            log.warn(&format!("[advice]: {advice}"));
        }
        let (device, network) = (&self.trainer.device, &self.trainer.network);
        let neighbours = self.neighbours.take();
        self.neighbours = neighbours
            .map(|n| n.affordable(device, network))
            .transpose()?;
        let untrained = self.untrained(&log, &stop)?;
        if trace {
            self.trainer.device.start_trace()?;
        }
        let outcome = self.trainer.run(&self.run.checkpoints(), &mut log, &stop);
        log.finish();
        self.end_trace()?;
        if let Outcome::Stopped(why) = outcome? {
            return Err(self.stopped(why));
        }
        let trained = self.score(&self.trainer.params, &stop)?;
        self.keep(&log, self.trainer.step, trained);
        let weights = self.export()?;
        let loss = log
            .loss
            .map_or(String::new(), |loss| format!(", final loss {loss:.3}"));
        println!(
            "Done: {} steps in {}{loss}, {} bad images",
            grouped(steps as usize),
            hours_minutes(started.elapsed()),
            log.bad_count()
        );
        if let (Some(before), Some(after), Some(n)) = (untrained, trained, &self.neighbours) {
            println!(
                "kNN      {:.1} % before, {:.1} % after ({} images told by {} others)",
                before.top1,
                after.top1,
                grouped(n.queries().len()),
                grouped(n.bank().len())
            );
        }
        println!(
            "Weights  {}  ({}, torchvision's and timm's names)",
            weights.display(),
            bytes(fs::metadata(&weights).map_or(0, |file| file.len()))
        );
        self.next(&config);
        Ok(())
    }

    fn stopped(&self, why: Why) -> Error {
        let text = format!(
            "Stopped after step {} of {}: {why}\nGo on with  selfsame resume {}",
            grouped(self.trainer.step as usize),
            grouped(self.trainer.schedule.steps as usize),
            self.run.path().display()
        );
        match why {
            Why::ParentGone(_) => Error::Distributed(text),
            _ => Error::Stopped(text),
        }
    }

    /// Of the steps of this process, if it was asked for.
    fn end_trace(&self) -> Result<()> {
        let Some(trace) = self.trainer.device.end_trace()? else {
            return Ok(());
        };
        println!("{trace}");
        let file = self.run.path().join("trace.txt");
        fs::write(&file, trace.to_string()).map_err(Error::file(&file))
    }

    fn next(&self, config: &Config) {
        let (run, images) = (self.run.path().display(), config.data.images.join(" "));
        println!("Next     selfsame embed {images} --weights {run} --out {run}/embeddings.npy");
        println!("         selfsame report {run}");
        let labelled = !self.dataset.classes().is_empty();
        let val = match &config.data.val[..] {
            "" if images.starts_with("synthetic") => "synthetic-val",
            "" => "VAL",
            val => val,
        };
        if labelled {
            println!("         selfsame eval linear --weights {run} --train {images} --val {val}");
        }
    }

    /// The plan, on stderr, and what it was made with, in the run's folder.
    fn describe(&self, config: &Config) -> Result<()> {
        let t = &self.trainer;
        let images = Images {
            roots: &config.data.images,
            count: self.dataset.len(),
            fingerprint: format!("{:016x}", t.fingerprint()),
        };
        self.run.describe(&images, &t.device.name())?;
        let rows = plan::rows(t, config)?;
        for (name, what) in rows {
            eprintln!("{name:<8} {what}");
        }
        Ok(())
    }

    /// What the weights that the run began with were worth: they are a function of the seed.
    fn untrained(&self, log: &Log, stop: &Stop) -> Result<Option<Score>> {
        let t = &self.trainer;
        let params = Params::new(&t.device, &t.network.layout, t.config.schedule.seed)?;
        let score = self.score(&params, stop)?;
        if let Some(score) = score {
            log.say(&format!("kNN      {:.1} % untrained", score.top1));
        }
        self.keep(log, 0, score);
        Ok(score)
    }

    /// Beside the run, for its report; where that cannot be written, the run is as good.
    fn keep(&self, log: &Log, step: u64, score: Option<Score>) {
        let Some(score) = score else { return };
        if let Err(error) = results::keep_knn(self.run.path(), Seen { step, score }) {
            log.warn(&format!("the kNN score is not kept: {error}"));
        }
    }

    /// `None` where there are no labels, or no time is left.
    fn score(&self, params: &Params, stop: &Stop) -> Result<Option<Score>> {
        let Some(neighbours) = &self.neighbours else {
            return Ok(None);
        };
        match neighbours.score(&self.trainer.network.encoder, params, stop) {
            Err(Error::Stopped(_)) => Ok(None),
            scored => scored.map(Some),
        }
    }

    /// The encoder without its head, as torchvision names it.
    fn export(&self) -> Result<PathBuf> {
        let t = &self.trainer;
        let folder = self.run.path().join("exports");
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let (values, statistics) = (t.params.values.to_vec()?, t.params.statistics.to_vec()?);
        let layout = t.params.layout();
        let array = |flat: &[f32], entry: &Entry| {
            let values = flat[entry.offset..][..entry.len()].to_vec();
            (entry.name.clone(), Array::new(entry.shape.clone(), values))
        };
        let tensors: Vec<(String, Array)> = layout
            .parameters()
            .iter()
            .map(|entry| array(&values, entry))
            .chain(
                layout
                    .statistics()
                    .iter()
                    .map(|entry| array(&statistics, entry)),
            )
            .filter(|(name, _)| !name.starts_with("head."))
            .collect();
        let notes = HashMap::from([
            ("arch".to_string(), lower(t.config.encoder.arch)),
            ("method".to_string(), t.config.method.name.to_string()),
            (
                "image_size".to_string(),
                t.config.encoder.image_size.to_string(),
            ),
            ("mean".to_string(), format!("{:?}", t.config.augment.mean)),
            ("std".to_string(), format!("{:?}", t.config.augment.std)),
        ]);
        let path = folder.join("encoder.safetensors");
        torchvision::write(&path, &tensors, t.step as i64, &notes, Existing::Replace)?;
        Ok(path)
    }
}
