//! `cross_entropy`: the mean over rows of -log softmax(logits) at the target class.
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{CrossEntropyBackward, CrossEntropyForward, CrossEntropyMean},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// The loss, f32 (1), of logits (rows, classes) for targets (rows) u32.
pub fn cross_entropy(tape: &mut Tape, logits: &Var, targets: &Tensor) -> Result<Var> {
    let (loss, lse) = forward(&logits.value, targets)?;
    let (value, targets) = (logits.value.clone(), targets.clone());
    Ok(tape.record("cross_entropy", [logits], loss, move |dy, _| {
        Ok([Some(backward(&value, &targets, &lse, &dy)?)])
    }))
}

/// The loss (1), and each row's log-sum-exp (rows).
pub fn forward(logits: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
    let [rows, classes] = logits.dims_of();
    assert_eq!(
        (targets.dims(), targets.element()),
        (&[rows][..], Element::U32),
        "cross_entropy: targets"
    );
    let device = logits.device();
    let lse = Tensor::uninit(device, Element::F32, [rows])?;
    let losses = Tensor::uninit(device, Element::F32, [rows])?;
    device.launch(CrossEntropyForward {
        logits: logits.ptr(),
        targets: targets.ptr(),
        lse: lse.ptr(),
        losses: losses.ptr(),
        rows: rows as u32,
        classes: classes as u32,
    })?;
    Ok((mean(&losses)?, lse))
}

/// (1), of f32 numbers.
pub fn mean(losses: &Tensor) -> Result<Tensor> {
    let loss = Tensor::uninit(losses.device(), Element::F32, [1])?;
    losses.device().launch(CrossEntropyMean {
        losses: losses.ptr(),
        loss: loss.ptr(),
        rows: losses.len() as u32,
    })?;
    Ok(loss)
}

/// dlogits = (softmax - one at the target) dy / rows, dy (1).
pub fn backward(logits: &Tensor, targets: &Tensor, lse: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let [rows, classes] = logits.dims_of();
    let dlogits = Tensor::uninit(logits.device(), Element::Real, [rows, classes])?;
    logits.device().launch(CrossEntropyBackward {
        logits: logits.ptr(),
        targets: targets.ptr(),
        lse: lse.ptr(),
        dy: dy.ptr(),
        dlogits: dlogits.ptr(),
        rows: rows as u32,
        classes: classes as u32,
    })?;
    Ok(dlogits)
}

impl Kernel for CrossEntropyForward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.classes)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (self.classes as u64 * real.bytes() + 12)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, classes) = (self.rows as usize, self.classes as usize);
        let logits = memory.read::<f32>(self.logits, rows * classes);
        let targets = memory.read::<u32>(self.targets, rows);
        let lse = memory.write::<f32>(self.lse, rows);
        let losses = memory.write::<f32>(self.losses, rows);
        lse.par_iter_mut()
            .zip(losses)
            .zip(logits.par_chunks(classes).zip(targets))
            .for_each(|((lse, loss), (logits, &target))| {
                let most = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                *lse = most + logits.iter().map(|s| (s - most).exp()).sum::<f32>().ln();
                *loss = *lse - logits[target as usize];
            });
    }
}

impl Kernel for CrossEntropyMean {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(1, self.rows)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.rows as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let losses = memory.read::<f32>(self.losses, self.rows as usize);
        let sum: f64 = losses.iter().map(|&loss| loss as f64).sum();
        memory.write::<f32>(self.loss, 1)[0] = (sum / self.rows as f64) as f32;
    }
}

impl Kernel for CrossEntropyBackward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.classes)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (2 * self.classes as u64 * real.bytes() + 8)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, classes) = (self.rows as usize, self.classes as usize);
        let logits = memory.read::<f32>(self.logits, rows * classes);
        let targets = memory.read::<u32>(self.targets, rows);
        let lse = memory.read::<f32>(self.lse, rows);
        let scale = memory.read::<f32>(self.dy, 1)[0] / rows as f32;
        let dlogits = memory.write::<f32>(self.dlogits, rows * classes);
        dlogits
            .par_chunks_mut(classes)
            .zip(logits.par_chunks(classes))
            .zip(targets.par_iter().zip(lse))
            .for_each(|((dlogits, logits), (&target, lse))| {
                for (d, s) in dlogits.iter_mut().zip(logits) {
                    *d = (s - lse).exp() * scale;
                }
                dlogits[target as usize] -= scale;
            });
    }
}
