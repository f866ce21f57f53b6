//! A bar on a terminal, silence elsewhere. On stderr: stdout is for results.
use super::talk::may_draw;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub struct Progress(ProgressBar);

impl Progress {
    /// `what` is done to `of` things.
    pub fn new(what: &str, of: usize) -> Progress {
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}  ETA {eta}  {prefix}");
        let style = style.expect("a template of ours").progress_chars("━╸─");
        let target = match may_draw() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(of as u64), target).with_style(style);
        bar.set_message(what.to_string());
        Progress(bar)
    }

    pub fn at(&self, done: usize) {
        self.0.set_position(done as u64);
    }

    /// A word behind the bar.
    pub fn note(&self, text: &str) {
        self.0.set_prefix(text.to_string());
    }

    /// A line above the bar.
    pub fn say(&self, text: &str) {
        self.0.suspend(|| warn!("{text}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
