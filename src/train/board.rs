//! What TensorBoard shows of a run: `RUN/events.out.tfevents.<time>.<host>`, one file a process. Numbers as in
//! `metrics.jsonl` and by its keys, kNN before and after, the configuration, and views as they were trained on.
use super::{
    metrics::Line,
    preview::{self, Shown},
    run::hostname,
};
use crate::{
    config::Config,
    interop::events::{Event, EventFile, SessionLog, Summary, Value, What},
};
use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

const PREFIX: &str = "events.out.tfevents.";
pub const FILES: &str = "events.out.tfevents.*";

/// Images whose views are shown.
pub const IMAGES: usize = 8;

pub struct Board(EventFile);

impl Board {
    /// A new file, of a process that begins where `done` steps were done.
    pub fn create(run: &Path, config: &Config, done: u64) -> io::Result<Board> {
        let now = seconds();
        // TensorBoard reads the files in the order of their names: this one is the last, whatever the clock says.
        let time = newest(run)?.map_or(now as u64, |newest| (now as u64).max(newest + 1));
        let path = run.join(format!("{PREFIX}{time:010}.{}", hostname()));
        let mut board = Board(EventFile::create(&path, now)?);
        board.drop_after(done)?;
        let text = format!("```toml\n{}```\n", config.to_toml());
        board.tell(after(done), vec![Value::text("config", &text)])?;
        Ok(board)
    }

    /// What was told of steps after the first `done`, here or by a process that was lost, is no longer shown.
    pub fn drop_after(&mut self, done: u64) -> io::Result<()> {
        self.write(after(done), What::SessionLog(SessionLog::START))
    }

    pub fn line(&mut self, line: &Line) -> io::Result<()> {
        let scalars = scalars(line).into_iter();
        let values = scalars.map(|(tag, value)| Value::scalar(tag, value));
        self.tell(line.step, values.collect())
    }

    /// Share of images, in per cent, that their neighbours' classes tell after `step` steps.
    pub fn knn(&mut self, step: u64, top1: f64) -> io::Result<()> {
        self.tell(step, vec![Value::scalar("knn/top1", top1)])
    }

    pub fn views(&mut self, step: u64, shown: &[Shown]) -> io::Result<()> {
        let value = |shown: &Shown| {
            let picture = shown.overview();
            let tag = format!("views/{}_{}", shown.name(), shown.size());
            let png = preview::png(&picture)?;
            Ok(Value::image(&tag, [picture.width, picture.height], png))
        };
        let values = shown.iter().map(value).collect::<io::Result<_>>()?;
        self.tell(step, values)
    }

    fn tell(&mut self, step: u64, values: Vec<Value>) -> io::Result<()> {
        self.write(step, What::Summary(Summary { values }))
    }

    fn write(&mut self, step: u64, what: What) -> io::Result<()> {
        self.0.write(&Event {
            wall_time: seconds(),
            step: step as i64,
            what: Some(what),
        })
    }
}

/// Whether the views that `step` trained on are shown: the first of epochs 0, 1, 2, 4, 8, ..., so that a run of
/// any length has a few.
pub fn shows_views(step: u64, steps_per_epoch: u64) -> bool {
    let epoch = (step - 1) / steps_per_epoch;
    (step - 1).is_multiple_of(steps_per_epoch) && (epoch == 0 || epoch.is_power_of_two())
}

fn scalars(line: &Line) -> Vec<(&'static str, f64)> {
    let mut scalars = vec![
        ("train/loss", line.loss),
        ("train/lr", line.lr),
        ("train/gradient_norm", line.gradient_norm),
        ("train/epoch", line.epoch as f64),
        ("speed/images_per_second", line.images_per_second),
        ("speed/wait", line.wait),
    ];
    if let Some(seen) = &line.collapse {
        scalars.extend([
            ("collapse/spread", seen.spread as f64),
            ("collapse/mean_cosine", seen.mean_cosine as f64),
            ("collapse/effective_rank", seen.effective_rank as f64),
            ("collapse/full_rank", seen.full_rank as f64),
        ]);
        let usage = [
            ("collapse/usage_entropy", seen.usage_entropy),
            ("collapse/usage_share", seen.usage_share),
        ];
        scalars.extend(
            usage
                .into_iter()
                .filter_map(|(tag, x)| Some((tag, x? as f64))),
        );
    }
    scalars
}

/// The first step that `done` steps leave to do; 0, where nothing was said before, of a run's beginning.
fn after(done: u64) -> u64 {
    if done == 0 { 0 } else { done + 1 }
}

/// The time in the name of the last of a run's files.
fn newest(run: &Path) -> io::Result<Option<u64>> {
    let time = |entry: fs::DirEntry| -> Option<u64> {
        let name = entry.file_name().into_string().ok()?;
        let (time, _) = name.strip_prefix(PREFIX)?.split_once('.')?;
        time.parse().ok()
    };
    Ok(fs::read_dir(run)?
        .filter_map(|entry| time(entry.ok()?))
        .max())
}

fn seconds() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::{
        super::metrics::tests::{documented, full_line},
        *,
    };

    /// `step` is the axis of all.
    #[test]
    fn every_key_of_the_metrics_is_shown() {
        let scalars = scalars(&full_line());
        let mut shown: Vec<&str> = scalars
            .iter()
            .map(|(tag, _)| tag.split('/').nth(1).unwrap())
            .collect();
        shown.push("step");
        shown.sort_unstable();
        let mut keys = documented();
        keys.sort_unstable();
        assert_eq!(shown, keys);
    }

    #[test]
    fn a_run_of_any_length_shows_a_few_views() {
        let steps: Vec<u64> = (1..=170).filter(|&step| shows_views(step, 10)).collect();
        assert_eq!(steps, [1, 11, 21, 41, 81, 161]);
    }
}
