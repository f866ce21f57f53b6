//! The learning rate of each step: a linear warm-up, then a cosine, steps, or nothing.
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

#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub start: f64,
    pub peak: f64,
    pub end: f64,
    /// Steps of warm-up, and in all.
    pub warmup: u64,
    pub steps: u64,
    pub steps_per_epoch: u64,
    pub ramp: Ramp,
    pub decay: Decay,
    /// Of `Decay::Step`: the epochs, and what the rate is multiplied by.
    pub decay_epochs: Vec<u32>,
    pub decay_factor: f64,
    /// Whether the decay sees whole epochs only.
    pub by_epoch: bool,
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
            steps_per_epoch,
            ramp: match config.warmup_inclusive {
                true => Ramp::Inclusive,
                false => Ramp::After,
            },
            decay: config.decay,
            decay_epochs: config.decay_epochs.clone(),
            decay_factor: config.decay_factor,
            by_epoch: config.decay_by_epoch,
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
        let epoch = step / self.steps_per_epoch;
        match self.decay {
            Decay::Constant => self.peak,
            Decay::Step => {
                let passed = |at: &&u32| **at as u64 <= epoch;
                let passed = self.decay_epochs.iter().filter(passed).count();
                self.peak * self.decay_factor.powi(passed as i32)
            }
            Decay::Cosine => {
                let seen = match self.by_epoch {
                    true => epoch * self.steps_per_epoch,
                    false => step,
                };
                let length = (self.steps - self.warmup).max(1);
                let done = seen.saturating_sub(self.warmup) as f64 / length as f64;
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
            steps_per_epoch: 313,
            ramp: Ramp::Inclusive,
            decay: Decay::Cosine,
            decay_epochs: Vec::new(),
            decay_factor: 1.0,
            by_epoch: false,
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

    /// 5004 steps an epoch, 200 epochs: moco: main_moco.py, `adjust_learning_rate`.
    #[test]
    fn moco() {
        let mut config = config::Schedule {
            epochs: 200,
            warmup_epochs: 0.0,
            decay: Decay::Step,
            decay_epochs: vec![120, 160],
            decay_by_epoch: true,
            ..Default::default()
        };
        let steps = |epoch: u64| 5004 * epoch;
        let golden = [
            (0, 0.03),
            (steps(120) - 1, 0.03),
            (steps(120), 0.003),
            (steps(160), 0.0003),
            (steps(200) - 1, 0.0003),
        ];
        check(Schedule::new(&config, 0.03, 5004), &golden);
        config.decay = Decay::Cosine;
        let cosine = |epoch: f64| 0.03 * 0.5 * (1.0 + (PI * epoch / 200.0).cos());
        let golden = [
            (0, 0.03),
            (steps(1) - 1, 0.03),
            (steps(1), cosine(1.0)),
            (steps(51) - 1, cosine(50.0)),
            (steps(200) - 1, cosine(199.0)),
        ];
        check(Schedule::new(&config, 0.03, 5004), &golden);
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
