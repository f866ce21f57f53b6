//! What `train` and `resume` share: the plan told, the loop run, and what to do next.
use super::{
    export,
    format::{bytes, grouped},
    plan,
    talk::{Loudness, loudness},
    weights::Loaded,
};
use crate::{
    Error, Result,
    config::{Config, hours_minutes},
    data::Dataset,
    evaluate::Score,
    interop::Existing,
    nn::Params,
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
use serde::Serialize;
use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

pub struct Session {
    pub run: Run,
    pub trainer: Trainer,
    pub dataset: Arc<Dataset>,
    pub neighbours: Option<Neighbours>,
    pub warnings: Vec<String>,
    pub stop: Stop,
}

/// What came of a run, and what `--json` prints.
#[derive(Serialize)]
struct Done {
    run: String,
    steps: u64,
    /// Of this process.
    seconds: f64,
    /// The last logged.
    loss: Option<f64>,
    bad_images: usize,
    /// Per cent, untrained and trained, where there are labels.
    knn_before: Option<f64>,
    knn_after: Option<f64>,
    weights: String,
}

impl Session {
    /// From the trainer's step to the last one, or until asked to stop.
    pub fn go(mut self, trace: bool, json: bool) -> Result<()> {
        let started = Instant::now();
        let stop = self.stop.clone();
        let config = self.trainer.config.clone();
        let steps = self.trainer.schedule.steps;
        let path = self.run.path().to_path_buf();
        let mut log = Log::open(&path, config.output.log_every, self.trainer.step, steps)?;
        log.show(&path, &config, self.trainer.step);
        if loudness() == Loudness::Quiet {
            log.hush();
        }
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
        let untrained = self.untrained(&mut log, &stop)?;
        if trace {
            self.trainer.device.start_trace()?;
        }
        let outcome = self.trainer.run(&self.run.checkpoints(), &mut log, &stop);
        log.finish();
        self.end_trace(json)?;
        if let Outcome::Stopped(why) = outcome? {
            return Err(self.stopped(why));
        }
        let trained = self.score(&self.trainer.params, &stop)?;
        self.keep(&log, self.trainer.step, trained);
        if let Some(score) = &trained {
            log.knn(steps, score.top1);
        }
        let weights = self.export()?;
        let done = Done {
            run: path.display().to_string(),
            steps,
            seconds: started.elapsed().as_secs_f64(),
            loss: log.loss,
            bad_images: log.bad_count(),
            knn_before: untrained.map(|score| score.top1),
            knn_after: trained.map(|score| score.top1),
            weights: weights.display().to_string(),
        };
        match json {
            true => result!(
                "{}",
                serde_json::to_string(&done).expect("numbers and strings")
            ),
            false => {
                self.tell(&done);
                self.next(&config);
            }
        }
        Ok(())
    }

    fn tell(&self, done: &Done) {
        let loss = done
            .loss
            .map_or(String::new(), |loss| format!(", final loss {loss:.3}"));
        result!(
            "Done: {} steps in {}{loss}, {} bad images",
            grouped(done.steps as usize),
            hours_minutes(Duration::from_secs_f64(done.seconds)),
            done.bad_images
        );
        if let (Some(before), Some(after), Some(n)) =
            (done.knn_before, done.knn_after, &self.neighbours)
        {
            result!(
                "kNN      {before:.1} % before, {after:.1} % after ({} images told by {} others)",
                grouped(n.queries().len()),
                grouped(n.bank().len())
            );
        }
        result!(
            "Weights  {}  ({}, torchvision's and timm's names)",
            done.weights,
            bytes(fs::metadata(&done.weights).map_or(0, |file| file.len()))
        );
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
    fn end_trace(&self, json: bool) -> Result<()> {
        let Some(trace) = self.trainer.device.end_trace()? else {
            return Ok(());
        };
        if !json {
            result!("{trace}");
        }
        let file = self.run.path().join("trace.txt");
        fs::write(&file, trace.to_string()).map_err(Error::file(&file))
    }

    fn next(&self, config: &Config) {
        let (run, images) = (self.run.path().display(), config.data.images.join(" "));
        result!("Next     selfsame embed {images} --weights {run} --out {run}/embeddings.npy");
        result!("         selfsame report {run}");
        let labelled = !self.dataset.classes().is_empty();
        let val = match &config.data.val[..] {
            "" if images.starts_with("synthetic") => "synthetic-val",
            "" => "VAL",
            val => val,
        };
        if labelled {
            result!("         selfsame eval linear --weights {run} --train {images} --val {val}");
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
            say!("{name:<8} {what}");
        }
        Ok(())
    }

    /// What the weights that the run began with were worth: they are a function of the seed, or are known
    /// at step 0 alone.
    fn untrained(&self, log: &mut Log, stop: &Stop) -> Result<Option<Score>> {
        let t = &self.trainer;
        let (params, what) = match (&t.config.encoder.init_from[..], t.step) {
            ("", _) => {
                let seed = t.config.schedule.seed;
                (
                    Params::new(&t.device, &t.network.layout, seed)?,
                    "untrained",
                )
            }
            (_, 0) => (t.params.clone(), "at the start"),
            _ => return Ok(None),
        };
        let score = self.score(&params, stop)?;
        if let Some(score) = score {
            log.say(&format!("kNN      {:.1} % {what}", score.top1));
            if t.step == 0 {
                log.knn(0, score.top1);
            }
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
        let folder = self.run.path().join("exports");
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let path = folder.join("encoder.safetensors");
        export::write(&Loaded::of(&self.trainer), &path, Existing::Replace)?;
        Ok(path)
    }
}
