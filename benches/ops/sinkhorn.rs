use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{SinkhornCodes, SinkhornRound},
    ops::sinkhorn::{self, Assignment},
    tensor::Element,
};

/// SwAV on one GPU: a batch of 256 behind a queue of 3840, and a large batch of 4096; 3000 prototypes.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (n, batch) = (16 * super::batch(device), super::batch(device));
    let prototypes = 3000;
    let scores = super::operand(device, Element::Real, [n, prototypes]).unwrap();
    let codes = Tensor::uninit(device, Element::F32, [n, prototypes]).unwrap();
    let how = Assignment {
        epsilon: 0.05,
        iterations: 3,
        hard: false,
    };
    for rows in [batch, n] {
        let name = format!("{rows} of {n} x {prototypes}, 3 rounds");
        let codes = codes.rows(0, rows);
        super::bench_op(c, device, ["sinkhorn", &name], "all its kernels", || {
            sinkhorn::write(&scores, &codes, &how)
        });
    }
    let log_u = super::operand(device, Element::F32, [prototypes]).unwrap();
    let partial = Tensor::uninit(device, Element::F32, [n, prototypes]).unwrap();
    let round = SinkhornRound {
        scores: scores.ptr(),
        log_u: log_u.ptr(),
        partial: partial.ptr(),
        n: n as u32,
        prototypes: prototypes as u32,
        chunk_rows: sinkhorn::chunk_rows(n as u32),
        inv_epsilon: 20.0,
    };
    super::bench(c, device, &n.to_string(), round);
    let last = SinkhornCodes {
        scores: scores.ptr(),
        log_u: log_u.ptr(),
        codes: codes.ptr(),
        rows: n as u32,
        prototypes: prototypes as u32,
        hard: 0,
        inv_epsilon: 20.0,
    };
    super::bench(c, device, &n.to_string(), last);
}
