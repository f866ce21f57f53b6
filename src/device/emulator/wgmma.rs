//! What the tensor cores of a warpgroup do with a group of wgmma: D (64, n) = A (64, 16) B (16, n) + D,
//! bf16 products summed in f32. Products are exact; the order of the sums is not the hardware's.
use super::{
    block::{Block, State},
    moment::{Actor, Known, Moment},
    operand::{DEPTH, Operand},
    warpgroup::{Product, Record, WARPGROUP},
    worker::Worker,
};

const ROWS: usize = 64;

/// Row and column of accumulator `i` of thread `t` of a warpgroup.
fn place_of_accumulator(t: usize, i: usize) -> (usize, usize) {
    let (warp, lane) = (t / 32, t % 32);
    (
        16 * warp + lane / 4 + 8 * (i / 2 % 2),
        8 * (i / 4) + 2 * (lane % 4) + i % 2,
    )
}

impl Worker {
    /// The oldest group of `warpgroup`.
    pub fn multiply(&mut self, warpgroup: u32) -> Result<(), (u32, String)> {
        let first = warpgroup * WARPGROUP;
        let threads = first as usize..(first + WARPGROUP) as usize;
        let of_threads = &mut self.block.products[threads.clone()];
        let groups: Vec<Vec<Record>> = of_threads.iter_mut().map(|p| p.take_group()).collect();
        check_same(&groups).map_err(|(t, why)| (first + t as u32, why))?;
        let moment = self.multiply_group(warpgroup, &groups);
        let moment = moment.map_err(|why| (first, why))?;
        for thread in threads {
            self.block.products[thread].finish_group(moment);
        }
        let waits = |state: &State| matches!(state, State::AtProducts { .. });
        self.block.wake_if(first..first + WARPGROUP, waits);
        Ok(())
    }

    /// Returns when it is done.
    fn multiply_group(&mut self, warpgroup: u32, groups: &[Vec<Record>]) -> Result<Moment, String> {
        let first = (warpgroup * WARPGROUP) as usize;
        let (mut known, mut moment) = (Known::default(), Moment::default());
        let mut at = 0;
        for chain in groups[0].chunk_by(|a, b| a.product.d == b.product.d) {
            let n = chain[0].product.n as usize;
            let ds: Vec<*mut f32> = groups.iter().map(|group| group[at].product.d).collect();
            let mut d = load_accumulators(&mut self.block, first, &ds, n);
            for _ in chain {
                let records: Vec<&Record> = groups.iter().map(|group| &group[at]).collect();
                let news = records.iter().filter_map(|record| record.known.as_deref());
                news.for_each(|news| known.learn(news));
                moment = self.multiply_one(warpgroup, &records, &known, &mut d)?;
                at += 1;
            }
            store_accumulators(&mut self.block, first, &ds, &d, n);
        }
        Ok(moment)
    }

    fn multiply_one(
        &mut self,
        warpgroup: u32,
        records: &[&Record],
        known: &Known,
        d: &mut [f32],
    ) -> Result<Moment, String> {
        let Product {
            a,
            b,
            n,
            a_major,
            b_major,
            accumulates,
            ..
        } = records[0].product;
        let (n, site) = (n as usize, records[0].site);
        let blame = |why| format!("wgmma: {why}, at {site}");
        let right = Operand::decode(b, b_major).map_err(blame)?;
        let mut places: Vec<(usize, usize)> = right.places(n).collect();
        let (mut left_values, mut right_values) = ([0.0; ROWS * DEPTH], vec![0.0; DEPTH * n]);
        match records[0].registers {
            Some(_) => gather_registers(records, &mut left_values),
            None => {
                let left = Operand::decode(a, a_major).map_err(blame)?;
                places.extend(left.places(ROWS));
                let read = |at| self.shared.bytes(at..at + 16);
                left.gather(ROWS, read, |row, k, v| left_values[row * DEPTH + k] = v)
                    .map_err(blame)?;
            }
        }
        let read = |at| self.shared.bytes(at..at + 16);
        right
            .gather(n, read, |col, k, v| right_values[k * n + col] = v)
            .map_err(blame)?;
        if let Some((at, _)) = places
            .iter()
            .find(|(at, bytes)| !self.shared.contains(*at, *bytes))
        {
            let place = self.shared.place(*at);
            return Err(blame(format!("an operand out of bounds, {place}")));
        }
        if accumulates == 0 {
            d.fill(0.0);
        }
        add_product(&left_values, &right_values, d);
        self.counter.tensor_flops(2 * (ROWS * n * DEPTH) as u64);
        let unit = Actor::warpgroup(warpgroup);
        self.check_unit(unit, known, places, false, site.into())
    }
}

/// All threads of a warpgroup issue the same instructions.
fn check_same(groups: &[Vec<Record>]) -> Result<(), (usize, String)> {
    for (t, group) in groups.iter().enumerate() {
        let (mine, first) = (group.len(), groups[0].len());
        if mine != first {
            let why = format!(
                "committed a group of {mine} wgmma, the first thread of its warpgroup one of {first}"
            );
            return Err((t, why));
        }
        for (record, first) in group.iter().zip(&groups[0]) {
            if !record.product.is_same_as(&first.product) || record.site != first.site {
                let why = format!(
                    "issued another wgmma at {} than the first thread of its warpgroup at {}",
                    record.site, first.site
                );
                return Err((t, why));
            }
        }
    }
    Ok(())
}

fn load_accumulators(block: &mut Block, first: usize, ds: &[*mut f32], n: usize) -> Vec<f32> {
    let mut values = vec![0.0; ROWS * n];
    for (t, &d) in ds.iter().enumerate() {
        for (i, v) in block.products[first + t].accumulators(d).iter().enumerate() {
            let (row, col) = place_of_accumulator(t, i);
            values[row * n + col] = *v;
        }
    }
    values
}

fn store_accumulators(block: &mut Block, first: usize, ds: &[*mut f32], values: &[f32], n: usize) {
    for (t, &d) in ds.iter().enumerate() {
        for (i, v) in block.products[first + t]
            .accumulators(d)
            .iter_mut()
            .enumerate()
        {
            let (row, col) = place_of_accumulator(t, i);
            *v = values[row * n + col];
        }
    }
}

/// A from registers: the fragments of mma.m16n8k16, one for each warp's sixteen rows.
fn gather_registers(records: &[&Record], a: &mut [f32; ROWS * DEPTH]) {
    for (t, record) in records.iter().enumerate() {
        let (warp, lane) = (t / 32, t % 32);
        let registers = record.registers.expect("as the first thread's");
        for (i, pair) in registers.into_iter().enumerate() {
            let row = 16 * warp + lane / 4 + 8 * (i % 2);
            let k = 2 * (lane % 4) + 8 * (i / 2);
            a[row * DEPTH + k] = f32::from_bits(pair << 16);
            a[row * DEPTH + k + 1] = f32::from_bits(pair & 0xFFFF_0000);
        }
    }
}

/// d (64, n) += a (64, 16) b (16, n). A product of two bf16 is exact in f32, so wider vectors, fused or
/// not, give the same sum.
fn add_product(a: &[f32; ROWS * DEPTH], b: &[f32], d: &mut [f32]) {
    #[inline(always)]
    fn rows(a: &[f32; ROWS * DEPTH], b: &[f32], d: &mut [f32]) {
        let n = b.len() / DEPTH;
        for (a, d) in a.chunks_exact(DEPTH).zip(d.chunks_exact_mut(n)) {
            for (&x, b) in a.iter().zip(b.chunks_exact(n)) {
                d.iter_mut().zip(b).for_each(|(d, b)| *d += x * b);
            }
        }
    }
    #[target_feature(enable = "avx2")]
    fn rows_avx2(a: &[f32; ROWS * DEPTH], b: &[f32], d: &mut [f32]) {
        rows(a, b, d);
    }
    match std::is_x86_feature_detected!("avx2") {
        // SAFETY: just asked for.
        true => unsafe { rows_avx2(a, b, d) },
        false => rows(a, b, d),
    }
}
