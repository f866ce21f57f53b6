//! What no single key's type can say: values out of range, and keys that do not go together.
use super::{Config, MethodName};
use crate::{Error, Result};
use std::fmt::Display;

impl Config {
    /// Errors with the first value that is out of range or does not go with another.
    pub fn check(&self) -> Result<()> {
        self.check_augment()?;
        self.check_sizes()?;
        self.check_method()
    }

    fn check_augment(&self) -> Result<()> {
        let share = 0.0..=1.0;
        let (a, m) = (&self.augment, &self.method);
        let shares = [
            ("augment.jitter", a.jitter),
            ("augment.photometric", a.photometric),
            ("augment.gray", a.gray),
            ("augment.blur", a.blur),
            ("augment.solarize", a.solarize),
            ("augment.second_blur", a.second_blur.unwrap_or(0.0)),
            ("augment.second_solarize", a.second_solarize.unwrap_or(0.0)),
            ("data.max_bad", self.data.max_bad),
            ("optimize.momentum", self.optimize.momentum),
            ("method.momentum", m.momentum),
            ("method.lambda", m.lambda),
            ("method.dropout", m.dropout),
        ];
        for (key, value) in shares {
            require(share.contains(&value), key, value, "from 0 to 1")?;
        }
        require(a.hue <= 0.5, "augment.hue", a.hue, "at most 0.5")?;
        let vector_lr = self.optimize.vector_lr.unwrap_or(self.optimize.lr);
        let positive = [
            ("method.temperature", m.temperature),
            ("method.epsilon", m.epsilon),
            ("augment.crop_scale", a.crop_scale[0]),
            ("augment.crop_ratio", a.crop_ratio[0]),
            ("augment.blur_sigma", a.blur_sigma[0]),
            ("augment.small_scale", a.small_scale[0]),
            ("patches.scale", self.patches.scale[0]),
            ("optimize.lr", self.optimize.lr.at(1)),
            ("optimize.vector_lr", vector_lr.at(1)),
            ("schedule.decay_factor", self.schedule.decay_factor),
        ];
        for (key, value) in positive {
            let ok = value > 0.0 && value.is_finite();
            require(ok, key, value, "above 0")?;
        }
        for (key, [low, high], most) in [
            ("augment.crop_scale", a.crop_scale, 1.0),
            ("augment.small_scale", a.small_scale, 1.0),
            ("patches.scale", self.patches.scale, 1.0),
            ("augment.crop_ratio", a.crop_ratio, f64::MAX),
            ("augment.blur_sigma", a.blur_sigma, f64::MAX),
        ] {
            let pair = format!("[{low}, {high}]");
            require(low <= high, key, pair, "the lower bound first")?;
            require(high <= most, key, high, "at most 1")?;
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<()> {
        let (s, m, p) = (&self.schedule, &self.method, &self.patches);
        let (width, size) = (self.encoder.width_multiplier, self.encoder.image_size);
        let between = |key, value: usize, low: usize, high: usize| {
            let ok = (low..=high).contains(&value);
            require(ok, key, value, &format!("{low} to {high}"))
        };
        between("encoder.width_multiplier", width, 1, 8)?;
        between("encoder.image_size", size, 8, 1024)?;
        between("method.head_layers", m.head_layers, 1, 4)?;
        between("patches.size", p.size, 8, 1024)?;
        between("patches.whole", p.whole, 3 * p.size, 4096)?;
        if self.augment.small_crops > 0 {
            between("augment.small_size", self.augment.small_size, 8, 1024)?;
        }
        let resize = p.resize == 0 || p.resize >= p.whole;
        require(
            resize,
            "patches.resize",
            p.resize,
            "0, or at least patches.whole",
        )?;
        require(
            s.batch >= 2,
            "schedule.batch",
            s.batch,
            "at least 2: a batch's other images are the negatives",
        )?;
        let at_least_one = [
            ("schedule.epochs", s.epochs.max(s.steps as usize)),
            ("method.head_out", m.head_out),
            ("method.accumulate_exact", m.accumulate_exact),
            ("method.bn_groups", m.bn_groups),
            ("method.negatives", m.negatives),
            ("output.keep", self.output.keep),
            ("output.log_every", self.output.log_every as usize),
        ];
        for (key, value) in at_least_one {
            require(value > 0, key, value, "at least 1")?;
        }
        let warmup = s.warmup_epochs;
        require(warmup >= 0.0, "schedule.warmup_epochs", warmup, "0 or more")
    }

    fn check_method(&self) -> Result<()> {
        let (m, batch) = (&self.method, self.schedule.batch);
        let parts = |key, parts: usize| {
            let wanted = format!("a divisor of the batch, {batch}, that leaves two images or more");
            let ok = batch.is_multiple_of(parts) && batch / parts >= 2;
            require(ok, key, parts, &wanted)
        };
        let whole = m.accumulate_exact == 1 || m.name == MethodName::Simclr;
        require(
            whole,
            "method.accumulate_exact",
            m.accumulate_exact,
            "1: only simclr's batch can pass in parts",
        )?;
        match m.name {
            MethodName::Simclr => {
                parts("method.accumulate_exact", m.accumulate_exact)?;
                let alone = m.bank == 0 || m.accumulate_exact == 1;
                require(
                    alone,
                    "method.accumulate_exact",
                    m.accumulate_exact,
                    "1 where there is a bank: its negatives do not come from the batch",
                )?;
                let bank = m.bank == 0 || m.bank >= batch;
                require(bank, "method.bank", m.bank, "0, or at least a batch")
            }
            MethodName::Moco => {
                parts("method.bn_groups", m.bn_groups)?;
                let keys = batch * if m.symmetric { 2 } else { 1 };
                let wanted = format!("at least the {keys} keys of a step");
                require(m.queue >= keys, "method.queue", m.queue, &wanted)
            }
            MethodName::Swav => {
                let k = m.prototypes;
                require(k >= 2, "method.prototypes", k, "at least 2")?;
                let whole = m.queue.is_multiple_of(batch);
                let wanted = format!("0 or a multiple of the batch, {batch}");
                require(whole, "method.queue", m.queue, &wanted)
            }
            MethodName::Jigsaw => {
                let ok = (2..=10_000).contains(&m.permutations);
                require(ok, "method.permutations", m.permutations, "2 to 10000")
            }
            _ => Ok(()),
        }
    }
}

fn require(ok: bool, key: &str, value: impl Display, wanted: &str) -> Result<()> {
    if ok {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{key} is {value}; it must be {wanted}"
    )))
}
