//! `cargo bench --bench step [-- resnet18]`: whole training steps.
//!
//! On the CPU by criterion: forward and backward, as `benches/peers/resnet_step.py` does in PyTorch, at the
//! same sizes. With `SELFSAME_DEVICE=cuda`, or `--table`, a table of whole steps, optimizer and augmentation
//! included, eager and as one graph, as `benches/peers/gpu_step.py` does; on a CPU at sizes it does in a
//! moment. `--trace`: where the time of one such step goes.
mod forward_backward;
mod table;
#[path = "../timing/mod.rs"]
mod timing;
mod training;

use criterion::Criterion;
use selfsame::{Device, Result, device::Real};
use std::env;

fn open() -> Result<Device> {
    match env::var("SELFSAME_DEVICE").as_deref() {
        Ok("cuda") => Device::cuda(0, Real::Bf16),
        _ => Ok(Device::cpu()),
    }
}

fn main() -> Result<()> {
    let device = open()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|a| a == flag);
    if has("--trace") {
        return table::trace(&device);
    }
    if device.arch().compute > 0 || has("--table") {
        drop(device); // the table opens one for each of its lines
        let filter = arguments.iter().find(|a| !a.starts_with("--"));
        return table::print(filter.map_or("", String::as_str));
    }
    let mut criterion = Criterion::default().configure_from_args();
    forward_backward::bench(&mut criterion, &device);
    criterion.final_summary();
    Ok(())
}
