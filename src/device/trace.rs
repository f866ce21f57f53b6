//! Where a device's time goes: each kernel's launches, timed one by one, beside what its bytes and its
//! operations would take at the best this device was seen to do.
//!
//! Times are taken on the device, by events around each launch (by the clock on the CPU), so a trace of
//! launches that the host is late with shows the gap between them as nobody's.
use super::{
    Device, Driver, Kernel, KernelInfo, Ptr, Real, Work,
    cuda::Event,
    kernels::{Copy, Matmul},
};
use crate::Result;
use half::bf16;
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// A moment in a device's work.
pub(crate) enum Moment {
    Clock(Instant),
    Event(Event),
}

impl Moment {
    pub fn now() -> Moment {
        Moment::Clock(Instant::now())
    }

    /// Waits until it has come.
    fn seconds_since(&self, earlier: &Moment) -> Result<f64> {
        match (self, earlier) {
            (Moment::Clock(now), Moment::Clock(then)) => Ok((*now - *then).as_secs_f64()),
            (Moment::Event(now), Moment::Event(then)) => now.seconds_since(then),
            _ => unreachable!("moments of two devices"),
        }
    }
}

/// What a device was seen to do at its best, out of memory: what a cache holds may go faster.
#[derive(Clone, Debug)]
pub struct Ceilings {
    /// Bytes a second, read and written, by the `copy` kernel.
    pub bytes: f64,
    /// Operations a second, by `product`.
    pub flops: f64,
    /// The kernel that multiplied, and the side of its matrices.
    pub product: (&'static str, usize),
}

impl Ceilings {
    pub fn measure(device: &Device) -> Result<Ceilings> {
        // Beyond any cache.
        let (floats, side) = match device.name() {
            name if name.starts_with("cuda") => (1 << 26, 8192),
            name if name == "cpu" => (1 << 24, 1024),
            _ => (1 << 12, 64), // nothing that runs there says how fast anything is
        };
        let bytes = copied_bytes(device, floats)?;
        let (flops, kernel) = multiplied_flops(device, side)?;
        Ok(Ceilings {
            bytes,
            flops,
            product: (kernel, side),
        })
    }

    /// The least time for `work`, in seconds.
    pub fn least(&self, work: &Work) -> f64 {
        (work.bytes as f64 / self.bytes).max(work.flops as f64 / self.flops)
    }

    /// What `work` is bound by: whether by its operations, not by its bytes.
    pub fn computes(&self, work: &Work) -> bool {
        work.flops as f64 / self.flops > work.bytes as f64 / self.bytes
    }
}

/// Bytes a second.
fn copied_bytes(device: &Device, floats: usize) -> Result<f64> {
    let [x, y] = [(); 2].map(|()| device.alloc(4 * floats));
    let (x, y) = (x?, y?);
    let copy = Copy {
        x: x.ptr(),
        y: y.ptr(),
        n: floats as u64,
    };
    Ok(copy.bytes(device.real()) as f64 / quickest(device, copy)?)
}

/// Operations a second, and the kernel's name: on CUDA that of our fastest matrix product for its
/// architecture, whatever it makes of the tensor cores; on the CPU the `gemm` crate.
fn multiplied_flops(device: &Device, side: usize) -> Result<(f64, &'static str)> {
    let bytes = side * side * device.real().bytes() as usize;
    let [a, b, c] = [(); 3].map(|()| device.alloc(bytes));
    let (a, b, c) = (a?, b?, c?);
    for factor in [&a, &b] {
        let row = numbers(side, device.real());
        device.upload(factor.ptr(), &row.repeat(side))?;
    }
    let n = side as u32;
    let product = Matmul {
        a: a.ptr(),
        b: b.ptr(),
        bias: Ptr::NULL,
        c: c.ptr(),
        m: n,
        n,
        k: n,
        a_row: n,
        a_col: 1,
        b_row: 1,
        b_col: n,
    };
    let name = product.kernel(device.arch()).name;
    Ok((product.flops() as f64 / quickest(device, product)?, name))
}

/// Some from -1 to 1: multiplying zeros takes less power, and so less time.
fn numbers(n: usize, real: Real) -> Vec<u8> {
    let values = (0..n).map(|i| (i * 37 % 251) as f32 / 125.0 - 1.0);
    match real {
        Real::F32 => values.flat_map(f32::to_ne_bytes).collect(),
        Real::Bf16 => values
            .flat_map(|v| bf16::from_f32(v).to_ne_bytes())
            .collect(),
    }
}

/// Launches for one measurement, where they take no time.
const MOST: u32 = 1000;

/// Seconds of the quickest launch: of half a second's, and five at least, after one that warms up.
fn quickest(device: &Device, kernel: impl Kernel) -> Result<f64> {
    device.launch(kernel)?;
    let (mut best, mut all) = (f64::INFINITY, 0.0);
    for launch in 0.. {
        let before = device.0.driver.moment()?;
        device.launch(kernel)?;
        let seconds = device.0.driver.moment()?.seconds_since(&before)?.max(1e-9);
        (best, all) = (best.min(seconds), all + seconds);
        if launch >= 5 && (all > 0.5 || launch == MOST) {
            break;
        }
    }
    Ok(best)
}

/// A trace that is being taken.
pub(super) struct Tracer {
    ceilings: Ceilings,
    started: Instant,
    timed: BTreeMap<&'static str, Timed>,
    /// Launched, and not waited for.
    pending: Vec<(&'static str, Work, [Moment; 2])>,
}

/// Launches between two waits for the device.
const PENDING: usize = 4096;

impl Tracer {
    pub fn time(
        &mut self,
        driver: &dyn Driver,
        kernel: &'static KernelInfo,
        work: Work,
        run: impl Fn(&dyn Driver) -> Result<()>,
    ) -> Result<()> {
        let before = driver.moment()?;
        run(driver)?;
        let moments = [before, driver.moment()?];
        self.pending.push((kernel.name, work, moments));
        match self.pending.len() {
            ..PENDING => Ok(()),
            _ => self.settle(),
        }
    }

    fn settle(&mut self) -> Result<()> {
        for (kernel, work, [before, after]) in self.pending.drain(..) {
            let timed = self.timed.entry(kernel).or_default();
            timed.work += work;
            timed.seconds += after.seconds_since(&before)?;
        }
        Ok(())
    }
}

/// Of one kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timed {
    pub work: Work,
    pub seconds: f64,
}

/// A trace taken: its `Display` is a table.
#[derive(Clone, Debug)]
pub struct Trace {
    pub device: String,
    pub real: Real,
    pub ceilings: Ceilings,
    /// From its start to its end.
    pub took: Duration,
    /// By the kernel's name, the longest first.
    pub kernels: Vec<(&'static str, Timed)>,
}

impl Device {
    /// Times every launch from here to `end_trace`, after measuring the ceilings.
    pub fn start_trace(&self) -> Result<()> {
        let tracer = Tracer {
            ceilings: Ceilings::measure(self)?,
            started: Instant::now(),
            timed: BTreeMap::new(),
            pending: Vec::new(),
        };
        *self.0.tracer.lock().unwrap() = Some(tracer);
        Ok(())
    }

    pub fn is_tracing(&self) -> bool {
        self.0.tracer.lock().unwrap().is_some()
    }

    /// `None` where none was started.
    pub fn end_trace(&self) -> Result<Option<Trace>> {
        let Some(mut tracer) = self.0.tracer.lock().unwrap().take() else {
            return Ok(None);
        };
        tracer.settle()?;
        let mut kernels: Vec<_> = tracer.timed.into_iter().collect();
        kernels.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
        Ok(Some(Trace {
            device: self.name(),
            real: self.real(),
            ceilings: tracer.ceilings,
            took: tracer.started.elapsed(),
            kernels,
        }))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Ceilings {
            bytes,
            flops,
            product: (product, side),
        } = self.ceilings;
        let (device, real) = (&self.device, self.real.name());
        writeln!(
            f,
            "{device}, {real}: a roofline of {:.1} GB/s (copy) and {:.3} TFLOP/s ({product}, {side} x {side})",
            bytes / 1e9,
            flops / 1e12
        )?;
        writeln!(
            f,
            "{:<28} {:>9} {:>11} {:>7} {:>16} {:>9}",
            "kernel", "launches", "ms", "share", "rate", "roofline"
        )?;
        let all = self.took.as_secs_f64().max(1e-9);
        let (mut inside, mut least) = (Timed::default(), 0.0);
        for (kernel, timed) in &self.kernels {
            let (work, seconds) = (timed.work, timed.seconds.max(1e-9));
            inside.work += work;
            inside.seconds += seconds;
            least += self.ceilings.least(&work);
            let rate = match self.ceilings.computes(&work) {
                true => format!("{:.3} TFLOP/s", work.flops as f64 / seconds / 1e12),
                false => format!("{:.1} GB/s", work.bytes as f64 / seconds / 1e9),
            };
            let roofline = 100.0 * self.ceilings.least(&work) / seconds;
            writeln!(
                f,
                "{kernel:<28} {:>9} {:>11.2} {:>5.1} % {rate:>16} {roofline:>7.0} %",
                work.launches,
                1e3 * seconds,
                100.0 * seconds / all
            )?;
        }
        let outside = all - inside.seconds;
        writeln!(
            f,
            "{:<28} {:>9} {:>11.2} {:>5.1} %",
            "(between kernels)",
            "",
            1e3 * outside,
            100.0 * outside / all
        )?;
        writeln!(
            f,
            "{:<28} {:>9} {:>11.2} {:>5.1} % {:>16} {:>7.0} %",
            "all",
            inside.work.launches,
            1e3 * all,
            100.0,
            "",
            100.0 * least / all
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_bound_by_the_slower_of_its_bytes_and_its_operations() {
        let ceilings = Ceilings {
            bytes: 100e9,
            flops: 1e12,
            product: ("matmul", 1024),
        };
        let work = |bytes, flops| Work {
            launches: 2,
            bytes,
            flops,
        };
        let moves = work(50_000_000_000, 100_000_000_000);
        assert_eq!(
            (ceilings.least(&moves), ceilings.computes(&moves)),
            (0.5, false)
        );
        let multiplies = work(1_000_000_000, 2_000_000_000_000);
        assert_eq!(
            (ceilings.least(&multiplies), ceilings.computes(&multiplies)),
            (2.0, true)
        );

        let timed = |work, seconds| Timed { work, seconds };
        let trace = Trace {
            device: "cuda:0".into(),
            real: Real::Bf16,
            ceilings,
            took: Duration::from_secs(10),
            kernels: vec![
                ("conv2d_forward", timed(multiplies, 4.0)),
                ("relu", timed(moves, 1.0)),
            ],
        };
        let expected = "\
cuda:0, bf16: a roofline of 100.0 GB/s (copy) and 1.000 TFLOP/s (matmul, 1024 x 1024)
kernel                        launches          ms   share             rate  roofline
conv2d_forward                       2     4000.00  40.0 %    0.500 TFLOP/s      50 %
relu                                 2     1000.00  10.0 %        50.0 GB/s      50 %
(between kernels)                          5000.00  50.0 %
all                                  4    10000.00 100.0 %                       25 %
";
        assert_eq!(trace.to_string(), expected);
    }
}
