//! `selfsame kernels`: what the CUDA kernels in this build use of a GPU.
use crate::{
    Result,
    device::{USAGE, Usage},
};
use clap::Args;

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  selfsame kernels conv2d\n  selfsame kernels --json")]
pub struct KernelsArgs {
    /// Those whose name contains this word
    name: Option<String>,
    /// A JSON array on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: &KernelsArgs) -> Result<()> {
    let word = args.name.as_deref().unwrap_or("");
    let mut chosen: Vec<&Usage> = USAGE.iter().filter(|u| u.kernel.contains(word)).collect();
    chosen.sort_by_key(|u| (u.kernel, u.target, u.real.name()));
    if args.json {
        let rows: Vec<_> = chosen.iter().map(|u| json(u)).collect();
        result!("{}", serde_json::Value::from(rows));
        return Ok(());
    }
    if USAGE.is_empty() {
        result!(
            "this build holds no CUDA kernels: build again where python3 with pip or a CUDA toolkit is installed"
        );
        return Ok(());
    }
    let width = chosen
        .iter()
        .map(|u| u.kernel.len())
        .max()
        .unwrap_or(0)
        .max(6);
    result!(
        "{:width$}  {:8} {:5} {:>9} {:>13} {:>12}",
        "kernel",
        "target",
        "real",
        "registers",
        "spilled bytes",
        "shared bytes"
    );
    for u in chosen {
        result!(
            "{:width$}  {:8} {:5} {:>9} {:>13} {:>12}",
            u.kernel,
            u.target,
            u.real.name(),
            u.registers,
            u.spill_stores + u.spill_loads,
            u.shared
        );
    }
    Ok(())
}

fn json(u: &Usage) -> serde_json::Value {
    serde_json::json!({
        "kernel": u.kernel,
        "target": u.target,
        "real": u.real.name(),
        "registers": u.registers,
        "spill_stores": u.spill_stores,
        "spill_loads": u.spill_loads,
        "shared_bytes": u.shared,
    })
}
