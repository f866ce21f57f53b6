use super::*;
use selfsame::methods::{MoCo, SimClr, SimClrBank};

#[test]
fn simclr() {
    let mut net = net();
    let head = net.head("head", Norm::All);
    let params = net.params(1);
    let batch = batch(vec![images(0, 2 * N)]);
    let z = output(&params, embed(&net.encoder, &head), batch.views[0].clone());
    let z: Rows = z.iter().map(|row| unit(row)).collect();
    let row = |i: usize| {
        let positive = (i + N) % (2 * N);
        let others = (0..2 * N).filter(|&j| j != i && j != positive);
        let logits: Vec<f64> = [positive]
            .into_iter()
            .chain(others)
            .map(|j| dot(&z[i], &z[j]) / 0.5)
            .collect();
        first_of(&logits)
    };
    let expected = mean((0..2 * N).map(row));
    let mut method = SimClr {
        encoder: net.encoder,
        head,
        temperature: 0.5,
    };
    check(&mut method, &params, &batch, expected);
}

#[test]
fn simclr_with_a_bank() {
    let mut net = net();
    let head = net.head("head", Norm::All);
    let params = net.params(1);
    let batch = batch(vec![images(0, 2 * N)]);
    let [z, other] =
        [0, 1].map(|view| output(&params, embed(&net.encoder, &head), batch.view(view)));
    let bank = units(7, 12);
    let rows = to_rows(&bank);
    let row = |i: usize| {
        let (z, positive) = (unit(&z[i]), unit(&other[i]));
        let others = rows.iter().map(|row| dot(&z, row) / 0.2);
        let logits: Vec<f64> = [dot(&z, &positive) / 0.2]
            .into_iter()
            .chain(others)
            .collect();
        first_of(&logits)
    };
    let expected = mean((0..N).map(row));
    let mut method = SimClrBank {
        encoder: net.encoder,
        head,
        bank: bank.clone(),
        pointer: numbers([9]),
        temperature: 0.2,
        latest: None,
    };
    let mut pass = Pass::train(&params);
    let step = method.loss(&mut pass, &batch).unwrap();
    close(&step.loss.value, expected);
    assert_eq!(to_rows(&bank), rows, "it moves once the gradient is known");
    pass.backward(&step.loss, &params.zeros().unwrap()).unwrap();
    method.after_backward(&batch, &step).unwrap();
    let (moved, latest) = (to_rows(&bank), unit(&other[4]));
    // eight rows from row 9 of twelve on: the fourth is row 0, the fifth row 1
    let off: f64 = moved[1]
        .iter()
        .zip(&latest)
        .map(|(a, b)| (a - b).abs())
        .sum();
    assert!(off < 1e-5, "{:?} is not {latest:?}", moved[1]);
    assert_eq!(moved[8], rows[8], "not its turn");
    assert_eq!(method.pointer.to_u32().unwrap(), [5]);
}

fn moco(net: Net, head: Projector, key: Params, groups: usize) -> MoCo {
    MoCo {
        encoder: net.encoder,
        head,
        key,
        queue: units(7, 12),
        pointer: numbers([0]),
        temperature: 0.2,
        momentum: 0.75,
        symmetric: false,
        groups,
        latest: Vec::new(),
    }
}

fn info_nce(q: &Rows, k: &Rows, queue: &Rows) -> f64 {
    let row = |(q, k): (&Vec<f64>, &Vec<f64>)| {
        let (q, k) = (unit(q), unit(k));
        let negatives = queue.iter().map(|row| dot(&q, row) / 0.2);
        let logits: Vec<f64> = [dot(&q, &k) / 0.2].into_iter().chain(negatives).collect();
        first_of(&logits)
    };
    mean(q.iter().zip(k).map(row))
}

/// The key encoder moves before the keys are made; its batch norm remembers for itself.
#[test]
fn moco_step() {
    let mut net = net();
    let head = net.head("head", Norm::None);
    let (params, key) = (net.params(1), net.params(2));
    let batch = batch(vec![images(0, 2 * N)]);
    let moved: Vec<f32> = key
        .values
        .to_vec()
        .unwrap()
        .iter()
        .zip(params.values.to_vec().unwrap())
        .map(|(k, q)| 0.75 * k + 0.25 * q)
        .collect();
    let expected_key = key.deep_copy().unwrap();
    expected_key.values.overwrite(&moved).unwrap();
    expected_key.refresh().unwrap();
    let q = output(&params, embed(&net.encoder, &head), batch.view(0));
    let k = output(&expected_key, embed(&net.encoder, &head), batch.view(1));
    let mut method = moco(net, head, key, 1);
    let queue = to_rows(&method.queue);
    let mut pass = Pass::train(&params);
    let step = method.loss(&mut pass, &batch).unwrap();
    close(&step.loss.value, info_nce(&q, &k, &queue));
    assert_eq!(
        to_rows(&method.queue),
        queue,
        "enqueued once the gradient is known"
    );
    pass.backward(&step.loss, &params.zeros().unwrap()).unwrap();
    method.after_backward(&batch, &step).unwrap();
    let (after, first) = (to_rows(&method.queue), unit(&k[0]));
    let off: f64 = after[0]
        .iter()
        .zip(&first)
        .map(|(a, b)| (a - b).abs())
        .sum();
    assert!(off < 1e-5);
    assert_eq!(after[N..], queue[N..]);
    let statistics = |params: &Params| params.statistics.to_vec().unwrap();
    assert_ne!(
        statistics(&method.key),
        statistics(&params),
        "of its own images"
    );
}

/// Both views in both roles: the sum of the two losses.
#[test]
fn moco_symmetric() {
    let mut net = net();
    let head = net.head("head", Norm::None);
    let params = net.params(1);
    let key = params.deep_copy().unwrap(); // stays where it is
    let batch = batch(vec![images(0, 2 * N)]);
    let [first, second] =
        [0, 1].map(|view| output(&params, embed(&net.encoder, &head), batch.view(view)));
    let mut method = moco(net, head, key, 1);
    method.queue = units(7, 2 * N);
    method.symmetric = true;
    let queue = to_rows(&method.queue);
    let step = method.loss(&mut Pass::train(&params), &batch).unwrap();
    let expected = info_nce(&first, &second, &queue) + info_nce(&second, &first, &queue);
    close(&step.loss.value, expected);
    method.after_backward(&batch, &step).unwrap();
    let replaced = to_rows(&method.queue)
        .iter()
        .zip(&queue)
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(replaced, 2 * N);
}

/// Queries are normalised with their neighbours, keys with every other image: no two share both groups more
/// often than chance has it.
#[test]
fn moco_in_groups() {
    let mut net = net();
    let head = net.head("head", Norm::All); // a batch norm here too
    let params = net.params(1);
    let key = params.deep_copy().unwrap();
    let batch = batch(vec![images(0, 2 * N)]);
    let pick = |view: usize, which: &[usize]| {
        let all = batch.view(view).to_vec().unwrap();
        let size = SIDE * SIDE * 3;
        let values: Vec<f32> = which
            .iter()
            .flat_map(|&i| all[i * size..][..size].to_vec())
            .collect();
        let rows = output(
            &params,
            embed(&net.encoder, &head),
            tensor(&[which.len(), SIDE, SIDE, 3], &values),
        );
        which.iter().copied().zip(rows).collect::<Vec<_>>()
    };
    let gather = |groups: [Vec<(usize, Vec<f64>)>; 2]| {
        let mut all: Vec<(usize, Vec<f64>)> = groups.into_iter().flatten().collect();
        all.sort_by_key(|(i, _)| *i);
        all.into_iter().map(|(_, row)| row).collect::<Rows>()
    };
    let q = gather([pick(0, &[0, 1, 2, 3]), pick(0, &[4, 5, 6, 7])]);
    let k = gather([pick(1, &[0, 2, 4, 6]), pick(1, &[1, 3, 5, 7])]);
    let mut method = moco(net, head, key, 2);
    let queue = to_rows(&method.queue);
    let step = method.loss(&mut Pass::train(&params), &batch).unwrap();
    close(&step.loss.value, info_nce(&q, &k, &queue));
}
