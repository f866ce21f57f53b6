//! A line for each kernel: its time, its rate, its share of the roofline.
use super::timing;
use selfsame::{
    Device, Result,
    device::{Ceilings, Work},
};
use std::time::{Duration, Instant};

pub struct Table {
    ceilings: Ceilings,
    /// Of the names to be timed: a part of them.
    filter: String,
}

impl Table {
    /// Says what the shares are of. `given`: bytes and operations a second that something else was seen
    /// to do on this device; the roofline is the better of that and ours.
    pub fn begin(device: &Device, given: Option<[f64; 2]>, filter: String) -> Result<Table> {
        let mut ceilings = Ceilings::measure(device)?;
        let (product, side) = ceilings.product;
        println!(
            "ours: copy {:.3} TB/s, {product} {side} x {side} {:.2} TFLOP/s",
            ceilings.bytes / 1e12,
            ceilings.flops / 1e12
        );
        if let Some([bytes, flops]) = given {
            ceilings.bytes = ceilings.bytes.max(bytes);
            ceilings.flops = ceilings.flops.max(flops);
        }
        println!(
            "roofline: {:.3} TB/s, {:.2} TFLOP/s; L2 is not flushed between launches, so what fits may pass 100 %\n",
            ceilings.bytes / 1e12,
            ceilings.flops / 1e12
        );
        line("what", "how", "ms", "rate", "roofline");
        Ok(Table { ceilings, filter })
    }

    pub fn add(&self, device: &Device, what: &str, how: &str, body: &dyn Fn() -> Result<()>) {
        if !what.contains(&self.filter) {
            return;
        }
        match back_to_back(device, body) {
            Ok((seconds, work)) => self.tell(what, how, seconds, &work),
            Err(why) => line(what, how, "failed", &why.to_string(), ""),
        }
    }

    fn tell(&self, what: &str, how: &str, seconds: f64, work: &Work) {
        let rate = match self.ceilings.computes(work) {
            true => format!("{:.2} TFLOP/s", work.flops as f64 / seconds / 1e12),
            false => format!("{:.1} GB/s", work.bytes as f64 / seconds / 1e9),
        };
        let share = 100.0 * self.ceilings.least(work) / seconds;
        let ms = format!("{:.4}", 1e3 * seconds);
        line(what, how, &ms, &rate, &format!("{share:.0} %"));
    }
}

/// Two spaces at least between columns, so that they can be told apart again.
fn line(what: &str, how: &str, ms: &str, rate: &str, roofline: &str) {
    println!("{what:<58}  {how:<34}  {ms:>9}  {rate:>14}  {roofline:>8}");
}

/// Launches a round, where one alone takes less than a fiftieth of a second. They are one graph: a launch
/// of a few microseconds is not timed by how fast the host makes it.
const LAUNCHES: f64 = 20.0;

/// Seconds and work of one `body` among many, back to back. L2 is as the one before left it: what fits into
/// it may go faster than memory.
fn back_to_back(device: &Device, body: &dyn Fn() -> Result<()>) -> Result<(f64, Work)> {
    body()?;
    device.synchronize()?;
    let started = Instant::now();
    body()?;
    device.synchronize()?;
    let once = started.elapsed().as_secs_f64();
    let launches = (0.4 / once).clamp(1.0, LAUNCHES) as u64;
    let ((), graph) = device.capture(|| (0..launches).try_for_each(|_| body()))?;
    let round = timing::median(device, Duration::from_millis(50), || graph.replay())?;
    let Work {
        launches: kernels,
        bytes,
        flops,
    } = graph.work();
    let work = Work {
        launches: kernels / launches,
        bytes: bytes / launches,
        flops: flops / launches,
    };
    Ok((round / launches as f64, work))
}
