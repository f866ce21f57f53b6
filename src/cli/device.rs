//! `--device`.
use crate::{Device, Error, Result, config::Precision, device::Real};

/// `auto` is the first GPU that works, else the CPU.
pub fn open(spec: &str, precision: Precision) -> Result<Device> {
    let real = match precision {
        Precision::Bf16 => Real::Bf16,
        Precision::F32 => Real::F32,
    };
    if let Some(ordinal) = spec.strip_prefix("cuda:")
        && let Ok(ordinal) = ordinal.parse()
    {
        return Device::cuda(ordinal, real);
    }
    match spec {
        "cpu" => Ok(Device::cpu()),
        "cuda" => Device::cuda(0, real),
        "auto" => match Device::cuda(0, real) {
            Err(Error::Environment(why)) => {
                detail!("device   the CPU, as there is no GPU: {why}");
                Ok(Device::cpu())
            }
            opened => opened,
        },
        _ => Err(Error::Config(format!(
            "unknown device `{spec}`\n  there are auto, cpu, cuda and cuda:N"
        ))),
    }
}
