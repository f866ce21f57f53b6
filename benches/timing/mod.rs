//! Times work on a device, for a table: warmed up, a median of rounds, each ended by a wait for the device. By
//! the host's clock, so that it is the same on every device; what that adds is the wait's ten microseconds
//! a round.
use selfsame::{Device, Result};
use std::time::{Duration, Instant};

/// Rounds at least.
const ROUNDS: usize = 5;

/// The median round's seconds, of as many as `patience` has room for.
pub fn median(
    device: &Device,
    patience: Duration,
    mut round: impl FnMut() -> Result<()>,
) -> Result<f64> {
    round()?;
    device.synchronize()?;
    let (started, mut took) = (Instant::now(), Vec::new());
    while took.len() < ROUNDS || started.elapsed() < patience {
        let before = Instant::now();
        round()?;
        device.synchronize()?;
        took.push(before.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}
