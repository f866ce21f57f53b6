//! A large contrastive batch on a small device (GradCache, Gao et al. 2021, arXiv 2101.06983): the batch
//! passes through the network in parts, twice. First without a past, for the embeddings of all of it; their
//! loss, and its gradient at each of them, is that of the whole. Then again, part by part, with a past that
//! this gradient goes back through. Exact but for batch norm, whose statistics are of a part; the running
//! ones move in the second pass only.
//!
//! Plain accumulation of the parts' gradients is another loss: each part would have negatives of its own only.
use crate::{
    Result, Tape, Tensor,
    methods::{Batch, InParts, Objective},
    nn::{Params, Pass},
    ops::copy,
    tape,
    tensor::Element,
};

/// The objective of the whole batch, and its gradient, in `gradients`, laid out as the values of `params`.
pub fn gradient(
    method: &mut dyn InParts,
    params: &Params,
    batch: &Batch,
    parts: usize,
    gradients: &Tensor,
) -> Result<Objective> {
    let n = batch.images;
    let forgetful = params.with_own_statistics()?;
    let mut all: Option<Tensor> = None; // (views n, d)
    for part in 0..parts {
        let mut pass = Pass::constant(&forgetful);
        let z = method.embed(&mut pass, &batch.part(part, parts)?)?.value;
        let [rows, d] = z.dims_of();
        if all.is_none() {
            all = Some(Tensor::uninit(
                z.device(),
                Element::Real,
                [rows * parts, d],
            )?);
        }
        let all = all.as_ref().expect("it was just made");
        exchange(&z, all, n, part, parts, copy::copy)?;
    }
    let mut tape = Tape::default();
    let all = tape.leaf(&all.expect("there is a part"));
    let loss = method.contrast(&mut tape, &all)?;
    let dz = tape.backward(&loss)?.take(&all);
    let dz = dz.expect("the loss depends on the embeddings");
    for part in 0..parts {
        let mut pass = Pass::train(params);
        let z = method.embed(&mut pass, &batch.part(part, parts)?)?;
        let d = Tensor::uninit(dz.device(), Element::Real, z.value.shape().clone())?;
        exchange(&d, &dz, n, part, parts, |part, all| copy::copy(all, part))?;
        if part == 0 {
            pass.backward_from(&z, d, gradients)?;
        } else {
            let more = params.zeros()?;
            pass.backward_from(&z, d, &more)?;
            copy::copy(&tape::sum(gradients, &more)?, gradients)?;
        }
    }
    Ok(Objective {
        loss,
        embeddings: all.value,
        codes: None,
    })
}

/// Calls `each(rows of the part, rows of all)` view by view: view v of a part is rows v m .. of it, and rows
/// v n + part m .. of all.
fn exchange(
    part_rows: &Tensor,
    all: &Tensor,
    n: usize,
    part: usize,
    parts: usize,
    each: impl Fn(&Tensor, &Tensor) -> Result<()>,
) -> Result<()> {
    let m = n / parts;
    for view in 0..part_rows.dims()[0] / m {
        let of_all = all.rows(view * n + part * m, m);
        each(&part_rows.rows(view * m, m), &of_all)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Device,
        methods::{Method, SimClr},
        nn::{Architecture, Layout, Projector, ResNet, Stem, heads::Norm},
        random::{Draws, Purpose},
    };
    use std::sync::Arc;

    const N: usize = 8;

    fn noise(stream: u32, n: usize) -> Vec<f32> {
        let mut draws = Draws::new(2, Purpose::Synthetic, 0, stream, 0);
        (0..n).map(|_| draws.normal()).collect()
    }

    /// SimCLR with two views of eight images.
    fn problem() -> (SimClr, Params, Batch) {
        let device = Device::cpu();
        let mut layout = Layout::default();
        let encoder = ResNet::new(&mut layout, Architecture::Tiny, Stem::Cifar, 1);
        let sizes = [encoder.features(), 16, 8];
        let head = Projector::new(&mut layout, "head", &sizes, Norm::All);
        let params = Params::new(&device, &Arc::new(layout), 1).unwrap();
        let method = SimClr {
            encoder,
            head,
            temperature: 0.5,
        };
        let views = noise(0, 2 * N * 12 * 12 * 3);
        let numbers = || Tensor::from_u32(&device, [N], &[0; N]).unwrap();
        let batch = Batch {
            images: N,
            views: vec![Tensor::from_slice(&device, [2 * N, 12, 12, 3], &views).unwrap()],
            ids: numbers(),
            labels: numbers(),
            targets: numbers(),
            step: numbers().slice(0, [1]),
        };
        (method, params, batch)
    }

    fn in_parts(parts: usize) -> (f32, Vec<f32>, Vec<f32>) {
        let (mut method, params, batch) = problem();
        let gradients = params.zeros().unwrap();
        let step = gradient(&mut method, &params, &batch, parts, &gradients).unwrap();
        (
            step.loss.value.item().unwrap(),
            gradients.to_vec().unwrap(),
            params.statistics.to_vec().unwrap(),
        )
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    /// One part is the whole: the running statistics move once, too.
    #[test]
    fn one_part_is_the_ordinary_step() {
        let (loss, gradients, statistics) = in_parts(1);
        let (mut method, params, batch) = problem();
        let expected = params.zeros().unwrap();
        let mut pass = Pass::train(&params);
        let step = method.loss(&mut pass, &batch).unwrap();
        assert_eq!(loss, step.loss.value.item().unwrap());
        pass.backward(&step.loss, &expected).unwrap();
        assert_eq!(gradients, expected.to_vec().unwrap());
        assert_eq!(statistics, params.statistics.to_vec().unwrap());
    }

    /// The loss of two parts, each of which batch norm sees alone, grows along its gradient as the gradient
    /// says.
    #[test]
    fn the_gradient_of_parts_is_that_of_their_common_loss() {
        let (_, direction, _) = in_parts(2);
        let norm = direction.iter().map(|g| (g * g) as f64).sum::<f64>();
        let loss = |step: f64| {
            let (mut method, params, batch) = problem();
            let values = params.values.to_vec().unwrap();
            let moved = values.iter().zip(&direction);
            let moved: Vec<f32> = moved.map(|(v, g)| v + step as f32 * g).collect();
            params.values.overwrite(&moved).unwrap();
            params.refresh().unwrap();
            let gradients = params.zeros().unwrap();
            let step = gradient(&mut method, &params, &batch, 2, &gradients).unwrap();
            step.loss.value.item().unwrap() as f64
        };
        let step = 2e-3 / norm.sqrt();
        let slope = (loss(step) - loss(-step)) / (2.0 * step);
        assert!((slope / norm - 1.0).abs() < 0.02, "{slope}, not {norm}");
    }

    /// What plain accumulation would do: each part with negatives of its own only is another direction.
    #[test]
    fn accumulation_would_be_another_gradient() {
        let (_, exact, _) = in_parts(4);
        let (mut method, params, batch) = problem();
        let sum = params.zeros().unwrap();
        for part in 0..4 {
            let mut pass = Pass::train(&params);
            let z = method
                .embed(&mut pass, &batch.part(part, 4).unwrap())
                .unwrap();
            let loss = method.contrast(&mut pass.tape, &z).unwrap();
            let more = params.zeros().unwrap();
            pass.backward(&loss, &more).unwrap();
            copy::copy(&tape::sum(&sum, &more).unwrap(), &sum).unwrap();
        }
        let cosine = cosine(&sum.to_vec().unwrap(), &exact);
        assert!(cosine < 0.99, "{cosine}");
    }
}
