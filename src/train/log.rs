//! What a run says while it runs: a bar on a terminal, one line an interval elsewhere; in its folder
//! `metrics.jsonl`, `bad_images.jsonl` and what TensorBoard shows. All talk goes to stderr. A log that
//! cannot be written warns once and stops nothing.
pub use super::metrics::{Line, lines};
use super::{
    board::{self, Board},
    metrics::{METRICS, drop_after},
    preview::Shown,
};
use crate::{
    Error, Result,
    config::{Config, hours_minutes},
    data::BadImage,
    evaluate::Collapse,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Write},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const BAD_IMAGES: &str = "bad_images.jsonl";

/// One step's numbers, from the trainer.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Steps done, this one included.
    pub step: u64,
    pub epoch: u32,
    pub loss: f32,
    pub lr: f64,
    pub gradient_norm: f64,
    pub images: usize,
    pub wait: Duration,
    /// What was looked at of the views.
    pub collapse: Option<Collapse>,
}

pub struct Log {
    bar: Option<ProgressBar>,
    metrics: Option<File>,
    bad_images: Option<File>,
    board: Option<Board>,
    known_bad: HashSet<u32>,
    interval: u64,
    steps: u64,
    window: Window,
    /// Nothing but warnings is said.
    quiet: bool,
    /// Of the last line.
    pub loss: Option<f64>,
}

/// Sums since the last line.
struct Window {
    since: Instant,
    steps: u64,
    images: usize,
    loss: f64,
    wait: Duration,
}

impl Log {
    /// In the run's folder, for a run of `steps` of which `done` are done: what was logged after them,
    /// by a process that was lost, is dropped.
    pub fn open(run: &Path, interval: u64, done: u64, steps: u64) -> Result<Log> {
        let mut known_bad = HashSet::new();
        if let Ok(text) = fs::read_to_string(run.join(BAD_IMAGES)) {
            known_bad.extend(text.lines().filter_map(index_of));
        }
        drop_after(&run.join(METRICS), done)?;
        Ok(Log {
            bar: may_draw().then(|| new_bar(done, steps)),
            metrics: Some(append_to(&run.join(METRICS))?),
            bad_images: Some(append_to(&run.join(BAD_IMAGES))?),
            board: None,
            known_bad,
            interval,
            steps,
            window: Window::new(),
            quiet: false,
            loss: None,
        })
    }

    /// Shows the run on TensorBoard too, unless its configuration says not to.
    pub fn show(&mut self, run: &Path, config: &Config, done: u64) {
        if !config.output.tensorboard {
            return;
        }
        match Board::create(run, config, done) {
            Ok(board) => self.board = Some(board),
            Err(why) => self.warn_of(board::FILES, why),
        }
    }

    /// Says nothing but warnings from here on.
    pub fn hush(&mut self) {
        self.quiet = true;
        self.bar = None;
    }

    /// Back to where `done` steps were done, in the same folder.
    pub fn rewind(&mut self, run: &Path, done: u64) -> Result<()> {
        self.loss = None;
        self.on_board(|board| board.drop_after(done));
        drop_after(&run.join(METRICS), done)
    }

    /// Training begins now: what came before counts in no speed.
    pub fn begin(&mut self) {
        self.window = Window::new();
    }

    pub fn step(&mut self, step: &Step) {
        let window = &mut self.window;
        window.steps += 1;
        window.images += step.images;
        window.loss += step.loss as f64;
        window.wait += step.wait;
        let due = step.step.is_multiple_of(self.interval) || step.step == self.steps;
        if let Some(bar) = &self.bar {
            bar.set_position(step.step);
            if self.loss.is_none() {
                bar.set_message(format!("loss {:.3}", step.loss));
            }
        }
        if due {
            self.line(step);
        }
    }

    fn line(&mut self, step: &Step) {
        let window = std::mem::replace(&mut self.window, Window::new());
        let seconds = window.since.elapsed().as_secs_f64().max(1e-9);
        let line = Line {
            step: step.step,
            epoch: step.epoch,
            loss: window.loss / window.steps as f64,
            lr: step.lr,
            gradient_norm: step.gradient_norm,
            images_per_second: window.images as f64 / seconds,
            wait: window.wait.as_secs_f64() / seconds,
            collapse: step.collapse,
        };
        self.loss = Some(line.loss);
        let left = self.steps.saturating_sub(step.step);
        let eta = Duration::from_secs_f64(left as f64 * seconds / window.steps as f64);
        match &self.bar {
            Some(bar) => bar.set_message(format!(
                "epoch {}  loss {:.4}  lr {:.4}  {:.0} img/s  wait {:.1} %  ETA {}",
                line.epoch + 1,
                line.loss,
                line.lr,
                line.images_per_second,
                100.0 * line.wait,
                hours_minutes(eta)
            )),
            None => self.say(&format!(
                "{} epoch={} step={} loss={:.4} lr={:.3e} gnorm={:.3} img_s={:.0} wait={:.3} eta_s={}",
                timestamp(SystemTime::now()),
                line.epoch + 1,
                line.step,
                line.loss,
                line.lr,
                line.gradient_norm,
                line.images_per_second,
                line.wait,
                eta.as_secs()
            )),
        }
        let json = serde_json::to_string(&line).expect("numbers");
        self.append(Which::Metrics, &json);
        self.on_board(|board| board.line(&line));
    }

    /// Whether the views that `step` trained on are to be shown.
    pub fn shows_views(&self, step: u64, steps_per_epoch: u64) -> bool {
        self.board.is_some() && board::shows_views(step, steps_per_epoch)
    }

    /// The views that `step` trained on.
    pub fn views(&mut self, step: u64, shown: Result<Vec<Shown>>) {
        match shown {
            Ok(shown) => self.on_board(|board| board.views(step, &shown)),
            Err(why) => self.warn(&format!(
                "[log]: the views of step {step} are not shown: {why}"
            )),
        }
    }

    /// Share of images, in per cent, that their neighbours' classes tell after `step` steps.
    pub fn knn(&mut self, step: u64, top1: f64) {
        self.on_board(|board| board.knn(step, top1));
    }

    /// Each bad image once.
    pub fn bad(&mut self, images: &[BadImage]) {
        for image in images {
            if self.known_bad.insert(image.index) {
                let json = serde_json::to_string(image).expect("strings and numbers");
                self.append(Which::BadImages, &json);
            }
        }
    }

    pub fn bad_count(&self) -> usize {
        self.known_bad.len()
    }

    /// A line among the others.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.write(text);
        }
    }

    pub fn warn(&self, text: &str) {
        self.write(&format!("warning: {text}"));
    }

    /// A run does not end because nobody reads what it says.
    fn write(&self, text: &str) {
        let write = || drop(writeln!(std::io::stderr(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// The bar is gone afterwards.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn append(&mut self, which: Which, line: &str) {
        let (file, name) = match which {
            Which::Metrics => (&mut self.metrics, METRICS),
            Which::BadImages => (&mut self.bad_images, BAD_IMAGES),
        };
        let Some(open) = file else { return };
        if let Err(why) = writeln!(open, "{line}") {
            *file = None;
            self.warn_of(name, why);
        }
    }

    fn on_board(&mut self, tell: impl FnOnce(&mut Board) -> io::Result<()>) {
        let Some(board) = &mut self.board else { return };
        if let Err(why) = tell(board) {
            self.board = None;
            self.warn_of(board::FILES, why);
        }
    }

    fn warn_of(&self, name: &str, why: io::Error) {
        self.warn(&format!(
            "[log]: {name} cannot be written ({why}); it ends here"
        ));
    }
}

enum Which {
    Metrics,
    BadImages,
}

impl Window {
    fn new() -> Window {
        Window {
            since: Instant::now(),
            steps: 0,
            images: 0,
            loss: 0.0,
            wait: Duration::ZERO,
        }
    }
}

/// Whether stderr is a terminal on which a bar can move.
pub fn may_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stderr().is_terminal() && !dumb
}

fn new_bar(done: u64, steps: u64) -> ProgressBar {
    let style = "{bar:30} {percent:>3} %  step {pos}/{len}  {msg}";
    let style = ProgressStyle::with_template(style).expect("a template of ours");
    // Drawn with the first step, below the plan.
    ProgressBar::new(steps)
        .with_style(style.progress_chars("━╸─"))
        .with_position(done)
}

fn append_to(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.create(true).append(true).open(path);
    opened.map_err(Error::file(path))
}

fn index_of(line: &str) -> Option<u32> {
    let image: Option<BadImage> = serde_json::from_str(line).ok();
    image.map(|image| image.index)
}

/// UTC, as RFC 3339. The calendar is Howard Hinnant's `civil_from_days`.
fn timestamp(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year = (day_of_era - leaps) / 365; // of the era, from March
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z",
        era * 400 + year + next_year,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_know_the_calendar() {
        let at = |seconds| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_489_929), "2026-11-24T03:12:09Z");
    }
}
