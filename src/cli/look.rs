//! What runs' weights are looked at with: images, and a device that shows them to each.
use super::{device, machine_workers, progress::Progress};
use crate::{
    Device, Error, Result,
    config::Precision,
    report::{Gallery, Look, Seen, Source, Summary, Trained},
    train::neighbours::held_out_of,
};
use clap::Args;

const VALIDATION: &str = "validation images";
const TRAINING: &str = "training images";

#[derive(Args, Debug)]
pub struct LookArgs {
    /// Images to look at [default: the --val of the (first) run; else those it was trained on]
    #[arg(long, value_name = "DIR")]
    val: Option<String>,
    /// Images among which their neighbours are looked for [default: the same]
    #[arg(long, value_name = "DIR")]
    train: Option<String>,
    /// Of each, at most so many, evenly spread; fewer where a CPU needs more than half a minute for them
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = images)]
    images: usize,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads that decode images [default: one a core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

fn images(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=10_000).contains(n));
    number.ok_or_else(|| "from 1 to 10000 can be shown".into())
}

/// Images, and each run's weights, where it has any.
pub struct Looked {
    pub source: Source,
    pub bank: Option<Source>,
    pub trained: Vec<Option<Trained>>,
}

impl LookArgs {
    /// What the runs see; `None` where there is nothing to look with or at, and their notes say why. Where
    /// the images were named here, that is an error.
    pub fn gallery(&self, runs: &mut [Summary]) -> Result<Option<Gallery>> {
        let shown = self
            .open(runs)
            .and_then(|looked| looked.map(|looked| self.show(looked)).transpose());
        match shown {
            Err(Error::Data(why)) if self.val.is_none() && self.train.is_none() => {
                let why = why.replace('\n', ";");
                let note =
                    format!("Its images are not shown: {why}. Where they are now: --val DIR.");
                runs.iter_mut().for_each(|run| run.notes.push(note.clone()));
                Ok(None)
            }
            shown => shown,
        }
    }

    /// The weights first: without any, nothing is looked at.
    pub fn open(&self, runs: &mut [Summary]) -> Result<Option<Looked>> {
        let device = device::open(&self.device, Precision::F32)?;
        let loaded = runs.iter_mut().map(|run| load(run, &device));
        let trained = loaded.collect::<Result<Vec<Option<Trained>>>>()?;
        if trained.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut most = self.images;
        for trained in trained.iter().flatten() {
            most = most.min(trained.affordable()?.unwrap_or(most));
        }
        let (config, named) = (&runs[0].config, |spec: &String| vec![spec.clone()]);
        let recorded = Some(&config.data.val).filter(|val| !val.is_empty());
        let val = self.val.as_ref().or(recorded).map(named);
        let val = val.or_else(|| held_out_of(&config.data.images).map(|val| vec![val]));
        let train = self.train.as_ref().map(named);
        let open = |kind, specs: &[String]| Source::open(kind, specs, config.schedule.seed, most);
        let (source, bank) = match (val, train) {
            (Some(val), None) => (open(VALIDATION, &val)?, None),
            (Some(val), Some(train)) => (open(VALIDATION, &val)?, Some(open(TRAINING, &train)?)),
            (None, train) => {
                let specs = train.unwrap_or_else(|| config.data.images.clone());
                (open(TRAINING, &specs)?, None)
            }
        };
        Ok(Some(Looked {
            source,
            bank,
            trained,
        }))
    }

    fn show(&self, looked: Looked) -> Result<Gallery> {
        let Looked {
            source,
            bank,
            trained,
        } = looked;
        let (mut album, mut looks) = (None, Vec::new());
        for trained in &trained {
            let Some(trained) = trained else {
                looks.push(None);
                continue;
            };
            let seen = self.seen(trained, &source)?;
            let others = bank.as_ref();
            let others = others.map(|bank| self.seen(trained, bank)).transpose()?;
            let classes = bank.as_ref().map(|bank| bank.images.classes());
            looks.push(Some(Look::at(
                trained,
                &seen,
                others.as_ref().zip(classes),
            )?));
            album.get_or_insert(seen.small);
        }
        let album = album.expect("a run has weights");
        Ok(Gallery {
            kind: source.kind,
            of: source.of,
            album: album.done(source.images.classes())?,
            specs: source.specs,
            looks,
        })
    }

    pub fn seen(&self, trained: &Trained, source: &Source) -> Result<Seen> {
        let progress = Progress::new(source.kind, source.images.len());
        let workers = machine_workers(self.workers);
        Seen::of(trained, source, workers, &|done| progress.at(done))
    }
}

/// Its newest weights; without any, its notes say so.
fn load(run: &mut Summary, device: &Device) -> Result<Option<Trained>> {
    match Trained::load(&run.folder, &run.config, device) {
        Ok(trained) => {
            run.notes.extend(trained.warnings.iter().cloned());
            Ok(Some(trained))
        }
        Err(Error::Checkpoint { why, .. }) => {
            let why = why.lines().next().unwrap_or_default();
            run.notes
                .push(format!("Nothing is shown of its weights: {why}."));
            Ok(None)
        }
        Err(other) => Err(other),
    }
}
