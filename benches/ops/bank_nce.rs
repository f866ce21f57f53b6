use criterion::Criterion;
use selfsame::{
    Device, Tensor, Var,
    device::kernels::{BankNceBackward, BankNceScores},
    ops::{
        self,
        bank_nce::{Candidates, Form, bank_nce},
    },
    tensor::Element,
};

/// NPID's 4,096 negatives a row, of a bank of 128 numbers for each of ImageNet's images; a tenth of them on
/// the CPU.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, count, d) = (super::batch(device), 4096, 128);
    let images = if device.arch().compute > 0 {
        1_281_167
    } else {
        128_117
    };
    let step = Tensor::from_u32(device, [1], &[7]).unwrap();
    let positives: Vec<u32> = (0..rows as u32).collect();
    let among = Candidates {
        bank: super::operand(device, Element::F32, [images, d]).unwrap(),
        positives: Tensor::from_u32(device, [rows], &positives).unwrap(),
        negatives: ops::draw_negatives(1, &step, [rows, count], images).unwrap(),
    };
    let v = super::operand(device, Element::Real, [rows, d]).unwrap();
    let f32s = |n: usize| super::operand(device, Element::F32, [n]).unwrap();
    let (inv_norm, lse, scores) = (f32s(rows), f32s(rows), f32s(rows * (count + 1)));
    let range = 512;
    let sums = f32s((count + 1).div_ceil(range) * rows * d);
    let forward = BankNceScores {
        v: v.ptr(),
        bank: among.bank.ptr(),
        positives: among.positives.ptr(),
        negatives: among.negatives.ptr(),
        inv_norm: inv_norm.ptr(),
        scores: scores.ptr(),
        rows: rows as u32,
        columns: count as u32 + 1,
        images: images as u32,
        d: d as u32,
        range: range as u32,
    };
    super::bench(c, device, "npid", forward);
    let backward = BankNceBackward {
        bank: among.bank.ptr(),
        positives: among.positives.ptr(),
        negatives: among.negatives.ptr(),
        scores: scores.ptr(),
        lse: lse.ptr(),
        constant: selfsame::device::Ptr::NULL,
        sums: sums.ptr(),
        rows: rows as u32,
        columns: count as u32 + 1,
        images: images as u32,
        d: d as u32,
        range: range as u32,
        temperature: 0.07,
        noise: 0.0,
    };
    super::bench(c, device, "npid", backward);
    let constant = Tensor::from_f32(device, [1], &[1e6]).unwrap();
    let form = Form::Nce { constant };
    super::bench_op(c, device, ["bank_nce", "npid"], "forward and loss", || {
        let mut tape = selfsame::Tape::default();
        bank_nce(&mut tape, &Var::constant(v.clone()), &among, &form, 0.07).map(drop)
    });
}
