//! When something is done again and again: `10m`, `500steps`, `epoch`, or several of these.
use super::duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// At each of its intervals: `10m,epoch` is every ten minutes and at each epoch's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Cadence(Vec<Every>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Every {
    Seconds(u64),
    Steps(u64),
    Epoch,
}

impl Cadence {
    /// Whether an interval of steps ends with `step`.
    pub fn is_at_step(&self, step: u64) -> bool {
        let ends = |every: &Every| matches!(every, Every::Steps(n) if step.is_multiple_of(*n));
        self.0.iter().any(ends)
    }

    /// Whether an epoch ends with `step`, and epochs count.
    pub fn is_at_epoch(&self, step: u64, steps_per_epoch: u64) -> bool {
        self.0.contains(&Every::Epoch) && step.is_multiple_of(steps_per_epoch)
    }

    /// Whether the clock says so, `elapsed` after the last time.
    pub fn is_after(&self, elapsed: Duration) -> bool {
        let over = |every: &Every| matches!(every, Every::Seconds(s) if elapsed.as_secs() >= *s);
        self.0.iter().any(over)
    }
}

impl FromStr for Cadence {
    type Err = String;
    fn from_str(text: &str) -> Result<Cadence, String> {
        let every = text.split(',').map(|one| one.trim().parse());
        every.collect::<Result<_, _>>().map(Cadence)
    }
}

impl FromStr for Every {
    type Err = String;
    fn from_str(text: &str) -> Result<Every, String> {
        if ["epoch", "1epoch"].contains(&text) {
            return Ok(Every::Epoch);
        }
        let steps = text.strip_suffix("steps").or(text.strip_suffix("step"));
        let Some(steps) = steps else {
            let time = duration(text)
                .map_err(|_| format!("`{text}` is no interval: e.g. 10m, 500steps, epoch"))?;
            return Ok(Every::Seconds(time.as_secs()));
        };
        match steps.trim().parse() {
            Ok(steps @ 1..) => Ok(Every::Steps(steps)),
            _ => Err(format!("`{text}` is no number of steps: e.g. 500steps")),
        }
    }
}

impl TryFrom<String> for Cadence {
    type Error = String;
    fn try_from(text: String) -> Result<Cadence, String> {
        text.parse()
    }
}

impl From<Cadence> for String {
    fn from(cadence: Cadence) -> String {
        cadence.to_string()
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(Every::to_string).collect();
        f.write_str(&words.join(","))
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Every::Epoch => write!(f, "epoch"),
            Every::Steps(steps) => write!(f, "{steps}steps"),
            Every::Seconds(s) if s % 3600 == 0 && *s > 0 => write!(f, "{}h", s / 3600),
            Every::Seconds(s) if s % 60 == 0 && *s > 0 => write!(f, "{}m", s / 60),
            Every::Seconds(s) => write!(f, "{s}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_read_back() {
        for text in [
            "10m",
            "2h",
            "90s",
            "500steps",
            "epoch",
            "10m,epoch",
            "2h,7steps",
        ] {
            assert_eq!(text.parse::<Cadence>().unwrap().to_string(), text);
        }
        for wrong in ["0steps", "", "10m,", "epochs", "3epoch", "10"] {
            assert!(wrong.parse::<Cadence>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_interval_counts_for_itself() {
        let cadence: Cadence = "10m, epoch,4steps".parse().unwrap();
        let steps: Vec<u64> = (1..13).filter(|&step| cadence.is_at_step(step)).collect();
        let epochs: Vec<u64> = (1..13)
            .filter(|&step| cadence.is_at_epoch(step, 6))
            .collect();
        assert_eq!((steps, epochs), (vec![4, 8, 12], vec![6, 12]));
        assert!(!cadence.is_after(Duration::from_secs(599)));
        assert!(cadence.is_after(Duration::from_secs(600)));
        let epochs: Cadence = "epoch".parse().unwrap();
        assert!(!epochs.is_after(Duration::MAX) && !epochs.is_at_step(6));
    }
}
