//! The learning rate of each step: a linear warm-up, then a cosine.
use crate::config::{self, Decay};
use std::f64::consts::PI;

/// Where the warm-up meets the peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ramp {
    /// At the first step after it: SimCLR, Barlow Twins.
    After,
    /// At its own last step, as `np.linspace` does: SwAV.
    Inclusive,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    pub start: f64,
    pub peak: f64,
    pub end: f64,
    /// Steps of warm-up, and in all.
    pub warmup: u64,
    pub steps: u64,
    pub ramp: Ramp,
    pub decay: Decay,
}

impl Schedule {
    /// A run shorter than two warm-ups warms up for half of its steps.
    pub fn new(config: &config::Schedule, peak: f64, steps_per_epoch: u64) -> Schedule {
        let steps = match config.steps {
            0 => config.epochs as u64 * steps_per_epoch,
            steps => steps,
        };
        let warmup = (config.warmup_epochs * steps_per_epoch as f64).round() as u64;
        Schedule {
            start: config.warmup_start * peak,
            peak,
            end: config.decay_end * peak,
            warmup: warmup.min(steps / 2),
            steps,
            ramp: Ramp::After,
            decay: config.decay,
        }
    }

    pub fn lr(&self, step: u64) -> f64 {
        if step < self.warmup {
            let length = match self.ramp {
                Ramp::After => self.warmup,
                Ramp::Inclusive => (self.warmup - 1).max(1),
            };
            return self.start + (self.peak - self.start) * step as f64 / length as f64;
        }
        match self.decay {
            Decay::Constant => self.peak,
            Decay::Cosine => {
                let length = (self.steps - self.warmup).max(1);
                let done = (step - self.warmup) as f64 / length as f64;
                self.end + 0.5 * (self.peak - self.end) * (1.0 + (PI * done).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schedule: Schedule, golden: &[(u64, f64)]) {
        for &(step, lr) in golden {
            let got = schedule.lr(step);
            assert!((got - lr).abs() < 1e-8, "step {step}: {got}, not {lr}");
        }
    }

    /// 313 steps an epoch, 100 epochs, 10 of warm-up.
    #[test]
    fn swav() {
        let schedule = Schedule {
            start: 0.3,
            peak: 4.8,
            end: 0.0048,
            warmup: 3130,
            steps: 31_300,
            ramp: Ramp::Inclusive,
            decay: Decay::Cosine,
        };
        let golden = [
            (0, 0.3),
            (1, 0.30143816),
            (3129, 4.8),
            (3130, 4.8),
            (17_215, 2.4024),
            (31_299, 0.00480001),
        ];
        check(schedule, &golden);
    }

    /// 626 steps an epoch, 1000 epochs, 10 of warm-up, batch 2048.
    #[test]
    fn barlow_twins() {
        let config = config::Schedule {
            epochs: 1000,
            warmup_epochs: 10.0,
            decay_end: 0.001,
            ..Default::default()
        };
        let golden = [
            (0, 0.0),
            (1, 0.00025559),
            (6259, 1.59974441),
            (6260, 1.6),
            (313_000, 0.81348008),
            (625_999, 0.0016),
        ];
        check(Schedule::new(&config, 1.6, 626), &golden);
    }

    #[test]
    fn a_short_run_still_reaches_its_peak() {
        let config = config::Schedule {
            steps: 10,
            warmup_epochs: 3.0,
            ..Default::default()
        };
        let schedule = Schedule::new(&config, 1.0, 100);
        assert_eq!(schedule.lr(5), 1.0);
        assert!(schedule.lr(9) < 0.1);
    }
}
