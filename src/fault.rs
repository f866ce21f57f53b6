//! Faults on purpose, for the tests of what must survive them. Only with feature `fault`, which no default
//! build has; `SELFSAME_FAULT` says which, e.g.
//! `nan:gradient,step=50;kill:step=37;enospc:checkpoint=2;slow:ms=300,step=5;badimg:0.01`.
//!
//! | fault | what happens |
//! |---|---|
//! | `nan:PLACE,step=K` | a NaN in [`Place`], whenever step K is run; `,times=N`: the first N times |
//! | `kill:step=K` | SIGKILL before step K |
//! | `enospc:checkpoint=N` | the N-th checkpoint that this process writes finds no space on the disk |
//! | `slow:ms=T` | every step takes T ms longer; `,step=K`: step K alone |
//! | `badimg:P` | a share P of the images cannot be decoded, always the same ones |
//! | `late:N` | a step's numbers are read every N steps, as from a GPU |
//!
//! Steps are counted from 1, as the log does.
use crate::{
    Error, Result,
    random::{Draws, Purpose},
};
use signal_hook::{consts::SIGKILL, low_level};
use std::{
    env, io,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Where a NaN can be planted: before the step in what crosses steps, or on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One number of the first view, as the network gets it.
    Pixels,
    /// One weight of the first layer.
    Weights,
    /// Of the same weight.
    Velocity,
    /// The first running mean of the first batch norm: training itself never reads it.
    Statistics,
    /// The loss itself, not its gradient.
    Loss,
    /// One number of the first layer's, before the optimizer sees it.
    Gradient,
}

const PLACES: [(&str, Place); 6] = [
    ("pixels", Place::Pixels),
    ("weights", Place::Weights),
    ("velocity", Place::Velocity),
    ("statistics", Place::Statistics),
    ("loss", Place::Loss),
    ("gradient", Place::Gradient),
];

#[derive(Default)]
struct Faults {
    nan: Option<(Place, u64)>,
    /// NaNs still to plant.
    times: AtomicU64,
    kill: Option<u64>,
    full: Option<u64>,
    checkpoints: AtomicU64,
    /// How long, and the step if it is one.
    slow: Option<(Duration, Option<u64>)>,
    bad_images: f64,
    late: Option<usize>,
}

static FAULTS: OnceLock<Faults> = OnceLock::new();

/// Reads `SELFSAME_FAULT`. Errors where it is not understood; until it is called there are no faults.
pub fn read() -> Result<()> {
    let Ok(text) = env::var("SELFSAME_FAULT") else {
        return Ok(());
    };
    let faults = parse(&text)
        .map_err(|why| Error::Config(format!("{why} (SELFSAME_FAULT)\n  e.g. {EXAMPLE}")))?;
    let _ = FAULTS.set(faults);
    Ok(())
}

const EXAMPLE: &str =
    "nan:gradient,step=50;kill:step=37;enospc:checkpoint=2;slow:ms=300,step=5;badimg:0.01;late:16";

fn parse(text: &str) -> Result<Faults, String> {
    let mut faults = Faults::default();
    for fault in text.split(';').filter(|fault| !fault.trim().is_empty()) {
        let (kind, rest) = fault.trim().split_once(':').unwrap_or((fault.trim(), ""));
        let values = Values { fault, rest };
        match kind {
            "nan" => {
                let known = PLACES.iter().find(|(name, _)| *name == values.word());
                let (_, place) = known.ok_or_else(|| {
                    let names = PLACES.map(|(name, _)| name).join(", ");
                    format!("`{fault}`: a NaN goes into one of {names}")
                })?;
                faults.nan = Some((*place, values.wanted("step")?));
                faults.times = AtomicU64::new(values.of("times")?.unwrap_or(u64::MAX));
            }
            "kill" => faults.kill = Some(values.wanted("step")?),
            "enospc" => faults.full = Some(values.wanted("checkpoint")?),
            "slow" => {
                let time = Duration::from_millis(values.wanted("ms")?);
                faults.slow = Some((time, values.of("step")?));
            }
            "badimg" => {
                let share = values.word().parse().ok();
                let share = share.filter(|share| (0.0..=1.0).contains(share));
                faults.bad_images = share.ok_or(format!("`{fault}`: a share is from 0 to 1"))?;
            }
            "late" => {
                let steps = values.word().parse().ok().filter(|&steps| steps > 0);
                faults.late = Some(steps.ok_or(format!("`{fault}`: after how many steps?"))?);
            }
            _ => {
                return Err(format!(
                    "unknown fault `{kind}`: there are nan, kill, enospc, slow, badimg and late"
                ));
            }
        }
    }
    Ok(faults)
}

/// `word,key=value,...`
struct Values<'a> {
    fault: &'a str,
    rest: &'a str,
}

impl Values<'_> {
    fn word(&self) -> &str {
        self.rest.split(',').next().unwrap_or_default().trim()
    }

    fn of(&self, key: &str) -> Result<Option<u64>, String> {
        let mut pairs = self.rest.split(',').filter_map(|pair| pair.split_once('='));
        let Some((_, value)) = pairs.find(|(name, _)| name.trim() == key) else {
            return Ok(None);
        };
        let number = value.trim().parse();
        number
            .map(Some)
            .map_err(|_| format!("`{}`: {key} is no whole number", self.fault))
    }

    fn wanted(&self, key: &str) -> Result<u64, String> {
        self.of(key)?
            .ok_or(format!("`{}` lacks {key}=N", self.fault))
    }
}

fn faults() -> Option<&'static Faults> {
    FAULTS.get()
}

/// Whether a NaN goes into `place` in `step`, now.
pub fn nan(place: Place, step: u64) -> bool {
    let planned = |faults: &&Faults| faults.nan == Some((place, step));
    faults().filter(planned).is_some_and(|faults| {
        let less = |times: u64| times.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        faults.times.fetch_update(set, fetch, less).is_ok()
    })
}

/// Whether any step may get one: its launches are then not those of others.
pub fn plants_nan() -> bool {
    faults().is_some_and(|faults| faults.nan.is_some())
}

pub fn late() -> Option<usize> {
    faults()?.late
}

pub fn before(step: u64) {
    let Some(faults) = faults() else { return };
    if faults.kill == Some(step) {
        low_level::raise(SIGKILL).expect("a process may kill itself");
    }
    if let Some((time, only)) = faults.slow
        && only.is_none_or(|only| only == step)
    {
        thread::sleep(time);
    }
}

/// Called with each checkpoint's first file.
pub fn checkpoint() -> io::Result<()> {
    let Some(faults) = faults() else {
        return Ok(());
    };
    let number = 1 + faults.checkpoints.fetch_add(1, Ordering::Relaxed);
    match faults.full == Some(number) {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

pub fn bad_image(index: usize) -> bool {
    faults().is_some_and(|faults| {
        let mut draws = Draws::new(0, Purpose::Synthetic, u32::MAX, index as u32, 0);
        (draws.uniform(0.0, 1.0) as f64) < faults.bad_images
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_understood() {
        let faults = parse(EXAMPLE).unwrap();
        assert_eq!(faults.nan, Some((Place::Gradient, 50)));
        assert_eq!(faults.times.into_inner(), u64::MAX);
        assert_eq!((faults.kill, faults.full), (Some(37), Some(2)));
        assert_eq!(faults.slow, Some((Duration::from_millis(300), Some(5))));
        assert_eq!((faults.bad_images, faults.late), (0.01, Some(16)));
        let every = parse("slow:ms=5; nan:loss,step=1,times=2").unwrap();
        assert_eq!(every.slow, Some((Duration::from_millis(5), None)));
        assert_eq!(every.times.into_inner(), 2);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (text, words) in [
            ("nan:brain,step=5", "pixels, weights"),
            ("nan:loss", "lacks step=N"),
            ("kill:step=x", "no whole number"),
            ("enospc", "lacks checkpoint=N"),
            ("badimg:2", "from 0 to 1"),
            ("late:0", "how many steps"),
            ("flood:step=1", "unknown fault `flood`"),
        ] {
            let why = parse(text).err().unwrap();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
