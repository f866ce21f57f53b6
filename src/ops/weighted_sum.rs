//! `weighted_sum`: z = a x + b y, of two losses.
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{WeightedSumBackward, WeightedSumForward},
    },
    tensor::Element,
};

/// a x + b y, all f32 (1).
pub fn weighted_sum(tape: &mut Tape, [a, b]: [f32; 2], [x, y]: [&Var; 2]) -> Result<Var> {
    let z = forward([a, b], [&x.value, &y.value])?;
    Ok(tape.record("weighted_sum", [x, y], z, move |dz, _| {
        Ok(backward([a, b], &dz)?.map(Some))
    }))
}

pub fn forward([a, b]: [f32; 2], [x, y]: [&Tensor; 2]) -> Result<Tensor> {
    for loss in [x, y] {
        let found = (loss.len(), loss.element());
        assert_eq!(found, (1, Element::F32), "weighted_sum: {loss:?}");
    }
    let z = Tensor::uninit(x.device(), Element::F32, [1])?;
    x.device().launch(WeightedSumForward {
        x: x.ptr(),
        y: y.ptr(),
        z: z.ptr(),
        a,
        b,
    })?;
    Ok(z)
}

/// dx and dy.
pub fn backward([a, b]: [f32; 2], dz: &Tensor) -> Result<[Tensor; 2]> {
    let device = dz.device();
    let dx = Tensor::uninit(device, Element::F32, [1])?;
    let dy = Tensor::uninit(device, Element::F32, [1])?;
    device.launch(WeightedSumBackward {
        dz: dz.ptr(),
        dx: dx.ptr(),
        dy: dy.ptr(),
        a,
        b,
    })?;
    Ok([dx, dy])
}

/// One warp, of which one thread works.
fn grid() -> Grid {
    Grid::blocks([1, 1, 1], [32, 1, 1])
}

impl Kernel for WeightedSumForward {
    fn grid(&self, _: Arch) -> Grid {
        grid()
    }
    fn bytes(&self, _: Real) -> u64 {
        12
    }
    fn on_cpu(&self, memory: &Host) {
        let [x, y] = [self.x, self.y].map(|x| memory.read::<f32>(x, 1)[0]);
        memory.write::<f32>(self.z, 1)[0] = self.a * x + self.b * y;
    }
}

impl Kernel for WeightedSumBackward {
    fn grid(&self, _: Arch) -> Grid {
        grid()
    }
    fn bytes(&self, _: Real) -> u64 {
        12
    }
    fn on_cpu(&self, memory: &Host) {
        let dz = memory.read::<f32>(self.dz, 1)[0];
        memory.write::<f32>(self.dx, 1)[0] = self.a * dz;
        memory.write::<f32>(self.dy, 1)[0] = self.b * dz;
    }
}
